-- +goose Up

-- What became of the copies of an old edition that are no longer kept one by one.
CREATE TABLE edition_sums (
	edition INTEGER NOT NULL REFERENCES editions (id),
	what    TEXT    NOT NULL, -- a state of deliveries, or bounce
	why     TEXT    NOT NULL, -- of deliveries: the owner of the failure, or empty; of bounces: their kind
	n       INTEGER NOT NULL,
	PRIMARY KEY (edition, what, why)
) STRICT, WITHOUT ROWID;
