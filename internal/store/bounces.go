package store

import (
	"context"
	"database/sql"
	"fmt"

	"dispatcher/internal/newsletter"
)

// RecordBounce writes down what came back about one copy, and does what follows: a hard bounce suppresses the address, a
// complaint does too and ends all of the reader's subscriptions. It reports whether this is the first of its kind for the
// copy; another changes nothing. It returns newsletter.ErrNotFound when no such copy was ever sent. Of an edition whose copies are no longer
// kept every copy is taken to have been: the report is proven by its token, and late complaints count too.
func (s *Store) RecordBounce(ctx context.Context, b newsletter.Bounce) (first bool, err error) {
	defer s.wishesChanged()
	err = s.transact(ctx, "recording a bounce", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT 1 FROM deliveries WHERE edition = $1 AND subscriber = $2 AND state IN ('sent', 'unknown')
			UNION ALL SELECT 1 FROM edition_sums WHERE edition = $1 AND what IN ('sent', 'unknown') LIMIT 1`,
			b.Edition, b.Subscriber).Scan(new(int)); err != nil {
			return found(err)
		}
		done, err := tx.ExecContext(ctx, `INSERT INTO bounces (edition, subscriber, kind, at, status, words)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, b.Edition, b.Subscriber, b.Kind, millis(b.At), b.Status, b.Words)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		first = true
		return s.followBounce(ctx, tx, b)
	})
	return first, err
}

func (s *Store) followBounce(ctx context.Context, tx *sql.Tx, b newsletter.Bounce) error {
	reason := "recipient gone"
	switch b.Kind {
	case newsletter.SoftBounce:
		return nil
	case newsletter.Complaint:
		reason = "complaint"
		if _, err := tx.ExecContext(ctx, `UPDATE subscriptions SET state = 'ended', ended_by = 'complaint', before_end = state, changed = $1
			WHERE subscriber = $2 AND state <> 'ended'`, millis(b.At), b.Subscriber); err != nil {
			return err
		}
	}
	return suppress(ctx, tx, b.Subscriber, suppression{reason, fmt.Sprintf("edition %d came back: %s %s", b.Edition, b.Status, b.Words), millis(b.At)})
}

// suppression is why an address is never mailed again.
type suppression struct {
	reason, evidence string
	at               int64
}

// suppress suppresses a subscriber's address. Proof addresses are nobody's and stay as they are.
func suppress(ctx context.Context, tx *sql.Tx, id newsletter.SubscriberID, x suppression) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO suppressions (address_hash, reason, evidence, at)
		SELECT address_hash, $1, $2, $3 FROM subscribers WHERE id = $4 ON CONFLICT DO NOTHING`, x.reason, x.evidence, x.at, id)
	return err
}

// Bounces are what came back about the copies of one reader, the newest edition first.
func (s *Store) Bounces(ctx context.Context, id newsletter.SubscriberID) ([]newsletter.Bounce, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT edition, subscriber, kind, at, status, words FROM bounces
		WHERE subscriber = $1 ORDER BY edition DESC, at`, id)
	all, err := collect(rows, err, func(r *sql.Rows) (b newsletter.Bounce, err error) {
		var at int64
		err = r.Scan(&b.Edition, &b.Subscriber, &b.Kind, &at, &b.Status, &b.Words)
		b.At = instant(at)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing bounces: %w", err)
	}
	return all, nil
}
