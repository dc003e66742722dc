package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// usageKept is how long it is known what went through a relay: longer than any quota looks back, a day of any zone.
const usageKept = 50 * time.Hour

func minute(t time.Time) int64 { return t.Unix() / 60 }

func countUsage(ctx context.Context, tx *sql.Tx, relay string, messages int, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO relay_usage (relay, minute, messages) VALUES ($1, $2, $3)
		ON CONFLICT (relay, minute) DO UPDATE SET messages = relay_usage.messages + $3`, relay, minute(at), messages)
	return err
}

// RelayUsage is how many messages a relay took, minute by minute, from an instant on, in order.
func (s *Store) RelayUsage(ctx context.Context, relay string, from time.Time) ([]newsletter.Usage, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT minute, messages FROM relay_usage WHERE relay = $1 AND minute >= $2 ORDER BY minute`, relay, minute(from))
	used, err := collect(rows, err, func(r *sql.Rows) (u newsletter.Usage, err error) {
		var at int64
		err = r.Scan(&at, &u.Messages)
		u.Minute = time.Unix(60*at, 0).UTC()
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading how much relay %s has taken: %w", relay, err)
	}
	return used, nil
}
