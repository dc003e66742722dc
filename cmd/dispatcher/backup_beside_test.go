package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// While another program reads the database in one long transaction, as Litestream does, an edition goes out, serve ends and begins again, and
// more goes out: nothing is lost and nothing stops. TestALongReaderBeside in package store looks at the log meanwhile.
func TestServeBesideALongReader(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: paced(random)}})
	beside, err := sql.Open("sqlite3", "file:"+filepath.Join(r.data, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := beside.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	editions := func() (n int) {
		t.Helper()
		if err := tx.QueryRow(`SELECT COUNT(*) FROM editions`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := editions(); n != 0 {
		t.Fatalf("there are %d editions", n)
	}
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(size.readers / 3)
	if code := serve.terminate(); code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	serve = r.serve()
	if c := r.done(serve); c.Sent != r.readers {
		t.Errorf("the ledger has %+v", c)
	}
	r.eachOnce()
	if n := editions(); n != 0 {
		t.Errorf("the long reader sees %d editions of after its moment", n)
	}
	if err := errors.Join(tx.Rollback(), beside.Close()); err != nil {
		t.Error(err)
	}
	if c := r.ledger().Counts; c.Sent != r.readers {
		t.Errorf("when the reader has gone the ledger has %+v", c)
	}
}

// replicate does beside the daemons what Litestream does to a database, as its documentation tells: it keeps a reading transaction open, and
// again and again gives it up, writes to a table of its own, moves the log into the database and empties it, and reads anew. It returns how often
// the log was emptied.
func replicate(ctx context.Context, file string) (emptied int, err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?_busy_timeout=1000")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)`); err != nil {
		return 0, err
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		tx, err := db.Begin()
		if err != nil {
			return emptied, err
		}
		if err := tx.QueryRow(`SELECT COUNT(*) FROM _litestream_seq`).Scan(new(int)); err != nil {
			return emptied, errors.Join(err, tx.Rollback())
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return emptied, tx.Rollback()
		}
		if err := tx.Rollback(); err != nil {
			return emptied, err
		}
		if _, err := db.Exec(`INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1`); err != nil {
			return emptied, err
		}
		var busy, frames, moved int
		if err := db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
			return emptied, err
		}
		if busy == 0 {
			emptied++
		}
	}
}

// While another program empties the log all the time, as Litestream does now and then, serve waits for it and goes on, through a stop and a start.
func TestServeBesideAReplicator(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: paced(random)}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type result struct {
		emptied int
		err     error
	}
	ended := make(chan result, 1)
	go func() {
		n, err := replicate(ctx, filepath.Join(r.data, store.FileName))
		ended <- result{n, err}
	}()
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(size.readers / 3)
	if code := serve.terminate(); code != exitDone || len(serve.log.lines("level=ERROR")) > 0 {
		t.Errorf("serve ends with %d", code)
	}
	serve = r.serve()
	if c := r.done(serve); c.Sent != r.readers || len(serve.log.lines("level=ERROR")) > 0 {
		t.Errorf("the ledger has %+v", c)
	}
	stop()
	if end := <-ended; end.err != nil || end.emptied == 0 {
		t.Errorf("the log was emptied %d times: %v", end.emptied, end.err)
	}
	r.eachOnce()
	r.sentAtFirst()
}
