-- +goose Up

-- The ids that lists had before they were renamed. Links in old mail bear them, so no other list may have one.
CREATE TABLE renames (
	former TEXT    PRIMARY KEY,
	list   TEXT    NOT NULL, -- the id that it has now, however often it was renamed since
	header TEXT    NOT NULL, -- the first that it had: the one in its List-Id
	at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
