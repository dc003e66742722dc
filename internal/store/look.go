package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dispatcher/internal/newsletter"
)

// Look opens the database in a folder only to look at it: nothing is made, brought up to date or written, not even a file beside it.
// It returns newsletter.ErrNotFound where there is no database. A method that writes fails.
func Look(ctx context.Context, dir string) (_ *Store, err error) {
	s := &Store{path: filepath.Join(dir, FileName), opened: time.Now()}
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for the database in %s: %w", dir, newsletter.ErrNotFound)
	} else if err != nil {
		return nil, fmt.Errorf("looking for the database: %w", err)
	}
	options := "mode=ro&_query_only=1&_cache_size=-2000&" + connections
	if _, err := os.Stat(s.path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		options += "&immutable=1" // nobody has it open: SQLite would make its log and leave it there
	}
	if s.read, err = sql.Open("sqlite3", s.dsn(options)); err != nil {
		return nil, fmt.Errorf("opening %s to read: %w", s.path, err)
	}
	s.write = s.read // a method that writes fails
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.checkVersion(ctx); err != nil {
		return nil, err
	}
	return s, s.readKeys(ctx)
}

// checkVersion refuses a database that is of another schema than this binary's.
func (s *Store) checkVersion(ctx context.Context) error {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	var want, have int64
	if _, err := fmt.Sscanf(files[len(files)-1].Name(), "%d_", &want); err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if err := s.read.QueryRowContext(ctx, `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`).Scan(&have); err != nil {
		return fmt.Errorf("reading the version of %s: %w; is it a dispatcher database?", s.path, err)
	}
	switch {
	case have > want:
		return fmt.Errorf("database %s is of schema %d and this dispatcher knows %d: install the version that wrote it, or restore a backup from before", s.path, have, want)
	case have < want:
		return fmt.Errorf("database %s is of an older schema, %d where this dispatcher has %d: `dispatcher check` or a start of serve brings it up to date", s.path, have, want)
	}
	return nil
}

// Unfinished is an edition with copies to come.
type Unfinished struct {
	newsletter.Edition
	Lane   newsletter.Lane
	Oldest time.Time // since when the copy that has waited longest waits to be tried; zero: none does, or not yet
	Last   time.Time // when a copy last came to its end; zero: none has

	reports bool // its first wave is out, and the rest waits for reports
}

// Unfinished are the editions that are being sent or paused, the oldest first.
func (s *Store) Unfinished(ctx context.Context, now time.Time) ([]Unfinished, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT `+editionColumns+`, e.lane, e.first_over > $1,
			COALESCE((SELECT MIN(d.due) FROM deliveries d WHERE d.edition = e.id AND d.state = 'pending' AND d.due <= $1 AND e.first_over <= $1), 0)
		FROM editions e WHERE e.state IN ('sending', 'paused') ORDER BY e.id`, millis(now))
	all, err := collect(rows, err, func(r *sql.Rows) (u Unfinished, err error) {
		var slot, made, expires, oldest int64
		e := &u.Edition
		err = r.Scan(&e.ID, &e.List, &e.Kind, &slot, &made, &expires, &e.State, &e.Subject, &e.Rehearsal, &e.Reason, &u.Lane, &u.reports, &oldest)
		e.Slot, e.Made, e.Expires, u.Oldest = instant(slot), instant(made), instant(expires), instant(oldest)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing editions that are not done: %w", err)
	}
	for i := range all {
		u := &all[i]
		if u.Last, err = s.countUntil(ctx, &u.Edition); err != nil {
			return nil, err
		}
		if u.Oldest.IsZero() && u.Counts.Pending > 0 && !u.reports { // a mailer may hold them all
			var oldest int64
			if err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MIN(due), 0) FROM deliveries WHERE edition = $1 AND state = 'claimed' AND due <= $2`, u.ID, millis(now)).Scan(&oldest); err != nil {
				return nil, fmt.Errorf("looking how long copies of edition %d wait: %w", u.ID, err)
			}
			u.Oldest = instant(oldest)
		}
	}
	return all, nil
}

// Readers are how many confirmed subscriptions each list has whose address is not suppressed.
func (s *Store) Readers(ctx context.Context) (map[string]int, error) {
	readers := map[string]int{}
	rows, err := s.read.QueryContext(ctx, `
		SELECT list, SUM(n) FROM (
			SELECT list, COUNT(*) AS n FROM subscriptions WHERE state = 'confirmed' GROUP BY list
			UNION ALL SELECT c.list, -COUNT(*) FROM suppressions x CROSS JOIN subscribers r ON r.address_hash = x.address_hash
				CROSS JOIN subscriptions c ON c.subscriber = r.id WHERE c.state = 'confirmed' GROUP BY c.list -- they are few: looked up in this order
		) GROUP BY list`)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var list string
		var n int
		err := r.Scan(&list, &n)
		readers[list] = n
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("counting readers: %w", err)
	}
	return readers, nil
}

// ItemHeads are the newest items, with their id, kind, state, title and end alone.
func (s *Store) ItemHeads(ctx context.Context, limit int) ([]newsletter.Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, kind, state, title, ended FROM items ORDER BY published DESC, id DESC LIMIT $1`, limit)
	heads, err := collect(rows, err, func(r *sql.Rows) (i newsletter.Item, err error) {
		var ended int64
		err = r.Scan(&i.ID, &i.Kind, &i.State, &i.Title, &ended)
		i.Ended = instant(ended)
		return i, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing items: %w", err)
	}
	return heads, nil
}

// EditionHeads are the newest editions without their counts.
func (s *Store) EditionHeads(ctx context.Context, limit int) ([]newsletter.Edition, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e ORDER BY e.id DESC LIMIT $1`, limit)
	heads, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("listing editions: %w", err)
	}
	return heads, nil
}
