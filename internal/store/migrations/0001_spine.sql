-- +goose Up

-- Secrets for tokens, Message-IDs and address hashes. An edition remembers which one it was made with.
CREATE TABLE keys (
	id      INTEGER PRIMARY KEY,
	secret  BLOB    NOT NULL,
	created INTEGER NOT NULL
) STRICT;

-- One row for each life of the mailer.
CREATE TABLE runs (
	id      INTEGER PRIMARY KEY,
	started INTEGER NOT NULL,
	ended   INTEGER
) STRICT;

CREATE TABLE feeds (
	name          TEXT    PRIMARY KEY,
	url           TEXT    NOT NULL,
	etag          TEXT    NOT NULL,
	last_modified TEXT    NOT NULL,
	last_poll     INTEGER NOT NULL,
	last_error    TEXT    NOT NULL,
	failures      INTEGER NOT NULL,
	gone          INTEGER NOT NULL,
	baseline_done INTEGER NOT NULL
) STRICT;

CREATE TABLE items (
	id         INTEGER PRIMARY KEY,
	kind       TEXT    NOT NULL CHECK (kind IN ('article', 'action')),
	feed       TEXT    NOT NULL,
	guid       TEXT    NOT NULL,
	url        TEXT    NOT NULL,
	title      TEXT    NOT NULL,
	summary    TEXT    NOT NULL,
	body       TEXT    NOT NULL,
	image      TEXT    NOT NULL,
	image_alt  TEXT    NOT NULL,
	author     TEXT    NOT NULL,
	language   TEXT    NOT NULL,
	topics     TEXT    NOT NULL, -- JSON array
	published  INTEGER NOT NULL,
	first_seen INTEGER NOT NULL,
	waiting    INTEGER NOT NULL,
	petition   TEXT    NOT NULL,
	deadline   INTEGER NOT NULL, -- 0: none given
	expires    INTEGER NOT NULL, -- 0: never
	urgent     INTEGER NOT NULL,
	ended      INTEGER NOT NULL DEFAULT 0, -- when an editor closed an action; 0: not
	won        INTEGER NOT NULL DEFAULT 0,
	ending     TEXT    NOT NULL DEFAULT '',
	code       TEXT    UNIQUE,             -- names an action's stable link
	state      TEXT    NOT NULL CHECK (state IN ('queued', 'held', 'dropped')),
	reason     TEXT    NOT NULL,
	parent     INTEGER REFERENCES items (id),
	edited     TEXT    NOT NULL  -- JSON array of the fields that an editor set: the feed no longer changes them
) STRICT;
CREATE INDEX items_by_state ON items (state, waiting);

-- Every name under which an item is known; two items that share one are the same.
CREATE TABLE item_identities (
	identity TEXT    PRIMARY KEY,
	item     INTEGER NOT NULL REFERENCES items (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscribers (
	id           INTEGER PRIMARY KEY,
	address      TEXT    NOT NULL,
	address_hash BLOB    NOT NULL UNIQUE, -- keyed hash of the folded address
	name         TEXT    NOT NULL,
	language     TEXT    NOT NULL,
	zone         TEXT    NOT NULL,
	created      INTEGER NOT NULL
) STRICT;

CREATE TABLE subscriptions (
	list           TEXT    NOT NULL,
	subscriber     INTEGER NOT NULL REFERENCES subscribers (id),
	state          TEXT    NOT NULL CHECK (state IN ('pending', 'confirmed', 'ended')),
	topics         TEXT    NOT NULL, -- JSON array of slugs, sorted; empty text: all
	consent_at     INTEGER NOT NULL,
	consent_source TEXT    NOT NULL,
	ended_by       TEXT    NOT NULL DEFAULT '', -- how it ended; only an end by the reader's link is undone by the link
	before_end     TEXT    NOT NULL DEFAULT '', -- the state that an undo goes back to
	changed        INTEGER NOT NULL,
	PRIMARY KEY (list, subscriber)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_by_subscriber ON subscriptions (subscriber);

-- Addresses never to be mailed, by keyed hash. A suppression outlives the subscriber.
CREATE TABLE suppressions (
	address_hash BLOB    PRIMARY KEY,
	reason       TEXT    NOT NULL,
	evidence     TEXT    NOT NULL,
	at           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the scheduler has dealt with, list by list.
CREATE TABLE lists (
	id         TEXT    PRIMARY KEY,
	considered INTEGER NOT NULL, -- every slot up to this instant is decided
	schedule   TEXT    NOT NULL, -- the plan by which it is
	zone       TEXT    NOT NULL,
	day        TEXT    NOT NULL DEFAULT '' -- that an earlier plan gave its slot
) STRICT;

-- List and instant are the identity of a slot: whatever restarts, it is decided once. What follows an edition has slots of its own.
CREATE TABLE slots (
	list    TEXT    NOT NULL,
	due     INTEGER NOT NULL,
	follows INTEGER NOT NULL, -- 0: the list's own
	fate    TEXT    NOT NULL,
	edition INTEGER REFERENCES editions (id),
	decided INTEGER NOT NULL,
	PRIMARY KEY (list, due, follows)
) STRICT, WITHOUT ROWID;

-- Tells a database that was restored from a backup, or copied, from one that has gone on: its name and how far it has got also stand
-- in a file beside it. One row.
CREATE TABLE house (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	identity  TEXT    NOT NULL,
	beats     INTEGER NOT NULL, -- grows about once a minute while dispatcher serves
	last_seen INTEGER NOT NULL, -- the latest time that the clock has shown
	held      TEXT    NOT NULL  -- why nothing is mailed; empty: mail goes
) STRICT;

CREATE TABLE editions (
	id        INTEGER PRIMARY KEY,
	list      TEXT    NOT NULL,
	kind      TEXT    NOT NULL,
	lane      TEXT    NOT NULL,
	slot      INTEGER NOT NULL,
	follows   INTEGER NOT NULL, -- the alert that a reminder or update answers, to those who have it; 0: none
	made      INTEGER NOT NULL,
	life      INTEGER NOT NULL, -- milliseconds from a copy's moment to the end of its patience
	expires   INTEGER NOT NULL, -- no copy lives longer
	state     TEXT    NOT NULL CHECK (state IN ('sending', 'paused', 'done', 'cancelled')),
	subject   TEXT    NOT NULL,
	rehearsal INTEGER NOT NULL,
	key       INTEGER NOT NULL REFERENCES keys (id),
	barred    INTEGER NOT NULL DEFAULT 0, -- how many readers did not get it although it had something for them
	reason    TEXT    NOT NULL DEFAULT '', -- why it is paused or cancelled
	-- On the reader's clock, from one to the other, no copy goes that can wait: milliseconds from midnight. Both 0: it goes at any time.
	quiet_from  INTEGER NOT NULL DEFAULT 0,
	quiet_until INTEGER NOT NULL DEFAULT 0,
	quiet_zone  TEXT    NOT NULL DEFAULT '', -- of readers whose own is not known
	-- The first wave: until it is judged, only subscribers below first_end get the edition.
	first_n    INTEGER NOT NULL DEFAULT 0,
	first_end  INTEGER NOT NULL DEFAULT 0, -- 0: judged, or too few readers to judge
	first_wait INTEGER NOT NULL DEFAULT 0, -- milliseconds that the rest waits for reports
	first_over INTEGER NOT NULL DEFAULT 0, -- when it has waited long enough; 0: not all of the first have been tried
	UNIQUE (list, slot, follows)
) STRICT;
CREATE INDEX editions_by_state ON editions (state, lane);

-- The frozen content. A variant has a row for each form: each is good until the next of its deadlines.
CREATE TABLE variants (
	edition  INTEGER NOT NULL REFERENCES editions (id),
	variant  INTEGER NOT NULL,
	until    INTEGER NOT NULL, -- 0: always
	items    TEXT    NOT NULL, -- ids of what it bears, each between blanks
	language TEXT    NOT NULL,
	subject  TEXT    NOT NULL,
	html     TEXT    NOT NULL,
	text     TEXT    NOT NULL,
	message  BLOB    NOT NULL,
	nonce    TEXT    NOT NULL,
	PRIMARY KEY (edition, variant, until)
) STRICT, WITHOUT ROWID;

-- Which readers get which variant, and when. Readers who are alike in these make a group.
CREATE TABLE edition_audience (
	edition  INTEGER NOT NULL REFERENCES editions (id),
	topics   TEXT    NOT NULL,
	language TEXT    NOT NULL,
	zone     TEXT    NOT NULL, -- empty where it makes no difference
	history  TEXT    NOT NULL, -- what they have had, as far as it makes a difference; see historyOf
	variant  INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	bar      TEXT    NOT NULL, -- why they get none; empty: they do
	PRIMARY KEY (edition, topics, language, zone, history)
) STRICT, WITHOUT ROWID;

-- What an edition bears.
CREATE TABLE edition_items (
	edition   INTEGER NOT NULL REFERENCES editions (id),
	item      INTEGER NOT NULL REFERENCES items (id),
	list      TEXT    NOT NULL,
	rehearsal INTEGER NOT NULL,
	again     INTEGER NOT NULL, -- the list has used it before: for those who were barred then, or in a reminder
	PRIMARY KEY (edition, item)
) STRICT, WITHOUT ROWID;
-- Each list uses an item once, rehearsals apart.
CREATE UNIQUE INDEX edition_items_used ON edition_items (item, list, rehearsal) WHERE NOT again;
CREATE INDEX edition_items_by_item ON edition_items (item);

-- Readers who have acted, as somebody who knows has told us.
CREATE TABLE item_done (
	item       INTEGER NOT NULL REFERENCES items (id),
	subscriber INTEGER NOT NULL REFERENCES subscribers (id),
	at         INTEGER NOT NULL,
	PRIMARY KEY (item, subscriber)
) STRICT, WITHOUT ROWID;

-- Addresses of proof_to. Their deliveries bear the negative id as subscriber.
CREATE TABLE proof_addresses (
	id      INTEGER PRIMARY KEY,
	address TEXT    NOT NULL UNIQUE
) STRICT;

-- The outbox. A million rows are ordinary, so what an edition's deliveries share stands with the edition.
CREATE TABLE deliveries (
	edition    INTEGER NOT NULL REFERENCES editions (id),
	subscriber INTEGER NOT NULL,
	variant    INTEGER NOT NULL,
	state      TEXT    NOT NULL, -- pending, claimed, sent, failed, withdrawn, unknown; a CHECK would be a third of the cost of an update
	attempts   INTEGER NOT NULL,
	first_due  INTEGER NOT NULL, -- the Date of the message, for life
	due        INTEGER NOT NULL, -- pending: the next try; else: when the state was reached
	run        INTEGER,
	code       INTEGER,
	enhanced   TEXT,
	words      TEXT,
	owner      TEXT,
	PRIMARY KEY (edition, subscriber)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_pending ON deliveries (edition, due) WHERE state = 'pending';
CREATE INDEX deliveries_by_subscriber ON deliveries (subscriber);

-- How many messages went through a relay, minute by minute: its quotas survive a restart.
CREATE TABLE relay_usage (
	relay    TEXT    NOT NULL,
	minute   INTEGER NOT NULL, -- Unix minutes
	messages INTEGER NOT NULL,
	PRIMARY KEY (relay, minute)
) STRICT, WITHOUT ROWID;

-- Tries that did not end in a plain 250, in the relay's words.
CREATE TABLE attempts (
	edition    INTEGER NOT NULL,
	subscriber INTEGER NOT NULL,
	number     INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	state      TEXT    NOT NULL,
	code       INTEGER NOT NULL,
	enhanced   TEXT    NOT NULL,
	words      TEXT    NOT NULL,
	PRIMARY KEY (edition, subscriber, number)
) STRICT, WITHOUT ROWID;

-- What came back by mail after the relay had taken a copy, each kind once for each copy.
CREATE TABLE bounces (
	edition    INTEGER NOT NULL,
	subscriber INTEGER NOT NULL,
	kind       TEXT    NOT NULL CHECK (kind IN ('hard', 'soft', 'complaint')),
	at         INTEGER NOT NULL,
	status     TEXT    NOT NULL,
	words      TEXT    NOT NULL,
	PRIMARY KEY (edition, subscriber, kind)
) STRICT, WITHOUT ROWID;
