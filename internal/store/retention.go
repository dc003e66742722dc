package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// An old edition keeps its row, its items and its slot for good: they are why nothing is mailed twice. What it has for each reader goes,
// in small steps, and what goes is counted in edition_sums in the same transaction: at every moment rows and sums together are what they were.
//
// Nothing that is still asked for goes. Who has had an open action, was barred from it or reminded of it: editions that bear one stay whole. How
// many alerts a reader has had of late: that looks back 31 days at most, and `keep_deliveries` is 60 or more. First waves, claims and retries
// are about editions that are not over, or whose copies could still be sent.

// isOpen says of an item i that it is an action that readers may still be asked to take, at the time of the statement's n-th argument. Who has
// had it is then a question that alerts, reminders and digests ask.
func isOpen(n int) string {
	return fmt.Sprintf(`i.kind = 'action' AND i.state <> 'dropped' AND i.ended = 0
		AND CASE WHEN i.deadline > 0 THEN i.deadline ELSE i.expires END NOT BETWEEN 1 AND $%d`, n)
}

// Prunable are the editions whose copies need not be kept any more, the oldest first: they are over, no copy of theirs has moved since an
// instant, none could be tried again, and no action in them is open.
func (s *Store) Prunable(ctx context.Context, before, now time.Time) ([]newsletter.EditionID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT e.id FROM editions e
		WHERE e.state IN ('done', 'cancelled') AND e.made < $1 AND e.expires < $1
			AND (EXISTS (SELECT 1 FROM variants v WHERE v.edition = e.id) OR EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = e.id)
				OR EXISTS (SELECT 1 FROM bounces b WHERE b.edition = e.id))
			AND NOT EXISTS (SELECT 1 FROM edition_items b JOIN items i ON i.id = b.item WHERE b.edition = e.id AND `+isOpen(2)+`)
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = e.id AND (d.due >= $1 OR d.state IN ('pending', 'claimed')))
		ORDER BY e.id`, millis(before), millis(now))
	ids, err := collect(rows, err, func(r *sql.Rows) (id newsletter.EditionID, err error) { return id, r.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("looking for old editions: %w", err)
	}
	return ids, nil
}

// Prune takes a step with an edition that is prunable: what it has for about n readers is counted and deleted. It returns how many rows went;
// when none did, nothing is left of it to go.
func (s *Store) Prune(ctx context.Context, id newsletter.EditionID, n int) (gone int, err error) {
	err = s.transact(ctx, fmt.Sprintf("pruning edition %d", id), func(tx *sql.Tx) error {
		gone = 0
		for _, part := range []func(context.Context, *sql.Tx, newsletter.EditionID, int) (int, error){pruneCopies, pruneBounces, pruneGroups, pruneVariants} {
			var err error
			if gone, err = part(ctx, tx, id, n); err != nil || gone > 0 {
				return err
			}
		}
		return nil
	})
	return gone, err
}

// pruneCopies goes by ranges of subscribers, so that a reader's copy and what was said about it go together.
func pruneCopies(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, n int) (gone int, err error) {
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT MAX(subscriber) FROM (SELECT subscriber FROM deliveries WHERE edition = $1 ORDER BY subscriber LIMIT $2) d`, id, n).Scan(&last); err != nil || !last.Valid {
		return 0, err
	}
	for _, statement := range []string{
		`INSERT INTO edition_sums (edition, what, why, n)
			SELECT edition, state, COALESCE(owner, ''), COUNT(*) FROM deliveries WHERE edition = $1 AND subscriber <= $2 AND subscriber > 0 GROUP BY 1, 2, 3
			ON CONFLICT (edition, what, why) DO UPDATE SET n = edition_sums.n + excluded.n`,
		sumBounces,
		`DELETE FROM bounces WHERE edition = $1 AND subscriber <= $2`,
		`DELETE FROM attempts WHERE edition = $1 AND subscriber <= $2`,
	} {
		if _, err := tx.ExecContext(ctx, statement, id, last.Int64); err != nil {
			return 0, err
		}
	}
	err = countRows(&gone)(tx.ExecContext(ctx, `DELETE FROM deliveries WHERE edition = $1 AND subscriber <= $2`, id, last.Int64))
	return gone, err
}

const sumBounces = `INSERT INTO edition_sums (edition, what, why, n)
	SELECT edition, 'bounce', kind, COUNT(*) FROM bounces WHERE edition = $1 AND subscriber <= $2 AND subscriber > 0 GROUP BY 1, 2, 3
	ON CONFLICT (edition, what, why) DO UPDATE SET n = edition_sums.n + excluded.n`

// pruneBounces takes what came back after the copies had gone.
func pruneBounces(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, n int) (gone int, err error) {
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT MAX(subscriber) FROM (SELECT subscriber FROM bounces WHERE edition = $1 ORDER BY subscriber LIMIT $2) b`, id, n).Scan(&last); err != nil || !last.Valid {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, sumBounces, id, last.Int64); err != nil {
		return 0, err
	}
	err = countRows(&gone)(tx.ExecContext(ctx, `DELETE FROM bounces WHERE edition = $1 AND subscriber <= $2`, id, last.Int64))
	return gone, err
}

func pruneGroups(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, n int) (gone int, err error) {
	err = countRows(&gone)(tx.ExecContext(ctx, `DELETE FROM edition_audience WHERE edition = $1 AND (topics, language, zone, history) IN
		(SELECT topics, language, zone, history FROM edition_audience WHERE edition = $1 LIMIT $2)`, id, n))
	return gone, err
}

// variantsAtOnce is how many variants go in one transaction: each is the size of hundreds of copies.
const variantsAtOnce = 20

func pruneVariants(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, n int) (gone int, err error) {
	err = countRows(&gone)(tx.ExecContext(ctx, `DELETE FROM variants WHERE edition = $1 AND variant IN
		(SELECT variant FROM variants WHERE edition = $1 LIMIT $2)`, id, min(n, variantsAtOnce)))
	return gone, err
}

// PrunedUntil is when the newest edition was made of which copies are no longer kept; the zero instant: all are kept.
func (s *Store) PrunedUntil(ctx context.Context) (time.Time, error) {
	var made int64
	err := s.read.QueryRowContext(ctx, `SELECT e.made FROM editions e WHERE EXISTS (SELECT 1 FROM edition_sums p WHERE p.edition = e.id) ORDER BY e.id DESC LIMIT 1`).Scan(&made)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("looking how far back copies are kept: %w", err)
	}
	return instant(made), nil
}
