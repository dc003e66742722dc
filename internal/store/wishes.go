package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// lookEvery is how long a leaving that another process wrote down can stay unseen at most.
const lookEvery = 100 * time.Millisecond

// StillDue looks once more at a delivery before it leaves: whether its reader is still subscribed and her address not suppressed, and
// whether its edition is still being sent and what it bears closes when it did. Where nothing has been written since it was claimed,
// which is nearly always, that costs nothing: this process counts what it changes itself, and SQLite tells what others have changed.
func (s *Store) StillDue(ctx context.Context, d newsletter.Delivery) (bool, error) {
	if int64(time.Since(s.opened))-s.looked.Load() > int64(lookEvery) {
		if err := s.lookAround(ctx, s.version); err != nil {
			return false, fmt.Errorf("looking for changes: %w", err)
		}
	}
	if d.Seen == s.changes.Load() {
		return true, nil
	}
	var due bool // here and no earlier: it escapes, and what costs nothing allocates nothing
	err := s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM editions e JOIN variants v ON v.edition = e.id
			WHERE e.id = $1 AND e.state = 'sending' AND v.variant = $2 AND v.until = $3 AND %s = $4)
		AND ($5 < 0 OR EXISTS (SELECT 1 FROM subscriptions c JOIN subscribers r ON r.id = c.subscriber
			WHERE c.list = (SELECT list FROM editions WHERE id = $1) AND c.subscriber = $5 AND c.state = 'confirmed'
				AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash)))`, closesOf), d.Edition, d.Variant, millis(d.Until), millis(d.Closes), d.Subscriber).Scan(&due)
	if err != nil {
		return false, fmt.Errorf("looking once more at a delivery of edition %d: %w", d.Edition, err)
	}
	return due, nil
}

// lookAround asks on the writers' connection whether another process has written (https://sqlite.org/pragma.html#pragma_data_version).
func (s *Store) lookAround(ctx context.Context, version *sql.Stmt) error {
	var v int64
	if err := version.QueryRowContext(ctx).Scan(&v); err != nil {
		return err
	}
	if s.seenVersion.Swap(v) != v {
		s.wishesChanged()
	}
	s.looked.Store(int64(time.Since(s.opened)))
	return nil
}

// wishesChanged says that something was written that may take a delivery's reason away: a reader left, an address was suppressed, an
// edition was paused.
func (s *Store) wishesChanged() { s.changes.Add(1) }
