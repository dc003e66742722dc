package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// PauseEdition stops the sending of an edition until it is resumed; what is on the line at the moment is finished. It returns
// newsletter.ErrNotFound where the edition is not being sent.
func (s *Store) PauseEdition(ctx context.Context, id newsletter.EditionID, reason string) error {
	return s.steer(ctx, id, `UPDATE editions SET state = 'paused', reason = $1 WHERE id = $2 AND state = 'sending'`, reason, id)
}

// ResumeEdition goes on with a paused edition. One that paused itself is not judged again. It returns newsletter.ErrNotFound
// where the edition is not paused.
func (s *Store) ResumeEdition(ctx context.Context, id newsletter.EditionID) error {
	return s.steer(ctx, id, `UPDATE editions SET state = 'sending', reason = '' WHERE id = $1 AND state = 'paused'`, id)
}

// steer changes the state of one edition.
func (s *Store) steer(ctx context.Context, id newsletter.EditionID, statement string, args ...any) error {
	defer s.wishesChanged()
	n := 0
	if err := countRows(&n)(s.write.ExecContext(ctx, statement, args...)); err != nil {
		return fmt.Errorf("changing the state of edition %d: %w", id, err)
	}
	if n == 0 {
		return newsletter.ErrNotFound
	}
	return nil
}

// CancelEdition ends an edition: what has not been sent is withdrawn. It returns how many copies that were, and
// newsletter.ErrNotFound where the edition is over.
func (s *Store) CancelEdition(ctx context.Context, id newsletter.EditionID, reason string, now time.Time) (withdrawn int, err error) {
	defer s.wishesChanged()
	err = s.transact(ctx, "cancelling an edition", func(tx *sql.Tx) error {
		n := 0
		if err := countRows(&n)(tx.ExecContext(ctx, `UPDATE editions SET state = 'cancelled', reason = $1
			WHERE id = $2 AND state IN ('sending', 'paused')`, reason, id)); err != nil {
			return err
		}
		if n == 0 {
			return newsletter.ErrNotFound
		}
		withdrawn = 0
		return countRows(&withdrawn)(tx.ExecContext(ctx, `UPDATE deliveries SET state = 'withdrawn', due = $1, words = 'the edition was cancelled'
			WHERE edition = $2 AND state = 'pending'`, millis(now), id))
	})
	return withdrawn, err
}

// Which says which copies RetryEdition takes up again.
type Which int

// What can be tried again by hand.
const (
	WhichOurs    Which = iota // what failed for a reason that the admin has mended
	WhichUnknown              // what the relay may have or not
)

func (w Which) condition() string {
	if w == WhichUnknown {
		return `state = 'unknown'`
	}
	return `state = 'failed' AND owner LIKE 'ours%'`
}

// RetryEdition makes copies of an edition pending again that had ended, and returns how many. It returns newsletter.ErrTooLate
// where the edition's patience has ended, and newsletter.ErrNotFound where it was cancelled or never made.
func (s *Store) RetryEdition(ctx context.Context, id newsletter.EditionID, which Which, now time.Time) (n int, err error) {
	err = s.transact(ctx, "trying copies again", func(tx *sql.Tx) error {
		var expires, life int64
		if err := tx.QueryRowContext(ctx, `SELECT expires, life FROM editions WHERE id = $1 AND state <> 'cancelled'`, id).Scan(&expires, &life); err != nil {
			return found(err)
		}
		if millis(now) >= expires {
			return newsletter.ErrTooLate
		}
		n = 0
		if err := countRows(&n)(tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', due = $1, owner = NULL
			WHERE edition = $2 AND first_due > $3 AND `+which.condition(), millis(now), id, millis(now)-life)); err != nil {
			return err
		}
		if n == 0 {
			return tooLate(ctx, tx, id, which)
		}
		return reopen(ctx, tx, id)
	})
	return n, err
}

// tooLate is newsletter.ErrTooLate where an edition has copies that could be tried again, had they not outlived their own patience.
func tooLate(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, which Which) error {
	found := false
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE edition = $1 AND `+which.condition()+`)`, id).Scan(&found)
	if err == nil && found {
		return newsletter.ErrTooLate
	}
	return err
}

// reopen goes on with an edition that was done.
func reopen(ctx context.Context, tx *sql.Tx, id newsletter.EditionID) error {
	_, err := tx.ExecContext(ctx, `UPDATE editions SET state = 'sending' WHERE id = $1 AND state = 'done'`, id)
	return err
}
