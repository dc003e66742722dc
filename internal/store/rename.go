package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// KnownList is what the database has of a list, whether the config has it or not.
type KnownList struct {
	Readers int  // whose subscription is pending or confirmed
	Used    bool // it has or had readers, or has editions
}

// KnownLists are all lists of the database, by id.
func (s *Store) KnownLists(ctx context.Context) (map[string]KnownList, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT list, SUM(CASE state WHEN 'ended' THEN 0 ELSE 1 END), TRUE FROM subscriptions GROUP BY list
		UNION ALL SELECT DISTINCT list, 0, TRUE FROM editions
		UNION ALL SELECT id, 0, FALSE FROM lists`)
	lists := map[string]KnownList{}
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var id string
		var l KnownList
		err := r.Scan(&id, &l.Readers, &l.Used)
		lists[id] = KnownList{Readers: lists[id].Readers + l.Readers, Used: lists[id].Used || l.Used}
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the lists of the database: %w", err)
	}
	return lists, nil
}

// Rename is an id that a list had.
type Rename struct {
	Former string
	List   string // its id now
	Header string // its first id
}

// Renames are all ids that lists had before, the oldest first.
func (s *Store) Renames(ctx context.Context) ([]Rename, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT former, list, header FROM renames ORDER BY at, former`)
	renames, err := collect(rows, err, func(r *sql.Rows) (x Rename, err error) { return x, r.Scan(&x.Former, &x.List, &x.Header) })
	if err != nil {
		return nil, fmt.Errorf("listing former ids of lists: %w", err)
	}
	return renames, nil
}

// RenameLists gives lists another id, each from Former to List, in order and in one transaction, with all that they have: readers, what is
// decided, past editions, what is on its way, and the links in their mail, those that bear still earlier ids too. It returns those with which there
// was something to do: not where a list bears the new id already, not where nothing is known of the old one, and not where the new id cannot be
// had, which RenameList tells. An error leaves every list as it was.
func (s *Store) RenameLists(ctx context.Context, lists []Rename, now time.Time) (renamed []Rename, err error) {
	err = s.transactFirmly(ctx, "renaming lists", func(tx *sql.Tx) error {
		renamed = nil
		for _, l := range lists {
			switch done, err := renameList(ctx, tx, l.Former, l.List, now); {
			case errors.Is(err, newsletter.ErrListUsed):
			case err != nil:
				return fmt.Errorf("%s to %s: %w", l.Former, l.List, err)
			case done:
				renamed = append(renamed, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return renamed, nil
}

// RenameList is RenameLists of one list. It returns newsletter.ErrListUsed where the new id has readers or editions of its own, or is what another
// list was called before.
func (s *Store) RenameList(ctx context.Context, from, to string, now time.Time) (renamed bool, err error) {
	err = s.transactFirmly(ctx, fmt.Sprintf("renaming list %s to %s", from, to), func(tx *sql.Tx) (err error) {
		renamed, err = renameList(ctx, tx, from, to, now)
		return err
	})
	return renamed && err == nil, err
}

func renameList(ctx context.Context, tx *sql.Tx, from, to string, now time.Time) (renamed bool, err error) {
	used, err := usedList(ctx, tx, from)
	if err != nil || !used {
		return false, err
	}
	if err := notRenamed(ctx, tx, from); err != nil {
		if errors.Is(err, newsletter.ErrRenamed) {
			return false, nil
		}
		return false, err
	}
	if used, err = usedList(ctx, tx, to); err != nil || used {
		return false, cmp.Or(err, newsletter.ErrListUsed)
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM renames WHERE former = $1 AND list <> $2)`, to, from).Scan(&used)
	if err != nil || used {
		return false, cmp.Or(err, newsletter.ErrListUsed)
	}
	return true, moveList(ctx, tx, from, to, now)
}

func usedList(ctx context.Context, tx *sql.Tx, id string) (used bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM subscriptions WHERE list = $1) OR EXISTS (SELECT 1 FROM editions WHERE list = $1)`, id).Scan(&used)
	return used, err
}

// moveList moves what a list has to an id under which at most slots were skipped, for want of readers: those that its own id has not decided are
// decided anew.
func moveList(ctx context.Context, tx *sql.Tx, from, to string, now time.Time) error {
	header := from
	err := tx.QueryRowContext(ctx, `SELECT header FROM renames WHERE list = $1 LIMIT 1`, from).Scan(&header)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM slots WHERE list = $1`,
		`DELETE FROM lists WHERE id = $1`,
		`DELETE FROM renames WHERE former = $1`, // it has its earlier id again
	} {
		if _, err := tx.ExecContext(ctx, statement, to); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`UPDATE subscriptions SET list = $1 WHERE list = $2`,
		`UPDATE lists SET id = $1 WHERE id = $2`,
		`UPDATE slots SET list = $1 WHERE list = $2`,
		`UPDATE editions SET list = $1 WHERE list = $2`,
		`UPDATE edition_items SET list = $1 WHERE list = $2`,
		`UPDATE renames SET list = $1 WHERE list = $2`,
	} {
		if _, err := tx.ExecContext(ctx, statement, to, from); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO renames (former, list, header, at) VALUES ($1, $2, $3, $4)`, from, to, header, millis(now))
	return err
}

// notRenamed returns newsletter.ErrRenamed for an id that a list had before: whoever still goes by it has an old config.
func notRenamed(ctx context.Context, tx *sql.Tx, id string) error {
	renamed := false
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM renames WHERE former = $1)`, id).Scan(&renamed); err != nil {
		return err
	}
	if renamed {
		return newsletter.ErrRenamed
	}
	return nil
}
