package store

import (
	"context"
	"database/sql"
	"fmt"

	"dispatcher/internal/newsletter"
)

// Export is a reader with her subscriptions, to be carried elsewhere.
type Export struct {
	newsletter.Subscriber
	Suppressed    string // why her address is never mailed; empty: it may be
	Subscriptions []newsletter.Subscription
}

// Export calls back with each reader, in order of id, and those of her subscriptions that are of a list and in a state; empty: of any, in
// any. Readers who have none such are left out where something is asked for. It holds one page at a time, in memory and in the database.
func (s *Store) Export(ctx context.Context, list string, state newsletter.SubscriptionState, do func(Export) error) error {
	const page = 500
	for after, full := newsletter.SubscriberID(0), true; full; {
		rows, err := s.read.QueryContext(ctx, `
			SELECT s.id, s.address, s.name, s.language, s.zone, s.created, COALESCE(x.reason, ''),
				COALESCE(c.list, ''), COALESCE(c.state, ''), COALESCE(c.topics, ''), COALESCE(c.consent_at, 0), COALESCE(c.consent_source, '')
			FROM (SELECT * FROM subscribers WHERE id > $1 ORDER BY id LIMIT $2) s
			LEFT JOIN suppressions x ON x.address_hash = s.address_hash
			LEFT JOIN subscriptions c ON c.subscriber = s.id AND ($3 = '' OR c.list = $3) AND ($4 = '' OR c.state = $4)
			ORDER BY s.id, c.list`, after, page, list, state)
		var batch []Export
		_, err = collect(rows, err, func(r *sql.Rows) (_ struct{}, err error) {
			e, c, err := scanExport(r)
			if err != nil {
				return struct{}{}, err
			}
			if n := len(batch); n == 0 || batch[n-1].ID != e.ID {
				batch = append(batch, e)
			}
			if last := &batch[len(batch)-1]; c.List != "" {
				last.Subscriptions = append(last.Subscriptions, c)
			}
			return struct{}{}, nil
		})
		if err != nil {
			return fmt.Errorf("reading subscribers: %w", err)
		}
		for _, e := range batch {
			after = e.ID
			if len(e.Subscriptions) == 0 && (list != "" || state != "") {
				continue
			}
			if err := do(e); err != nil {
				return err
			}
		}
		full = len(batch) == page
	}
	return nil
}

func scanExport(r *sql.Rows) (e Export, c newsletter.Subscription, err error) {
	var created, consent int64
	var topics string
	err = r.Scan(&e.ID, &e.Address, &e.Name, &e.Language, &e.Zone, &created, &e.Suppressed, &c.List, &c.State, &topics, &consent, &c.Consent.Source)
	if err != nil {
		return e, c, err
	}
	e.Created, c.Subscriber, c.Consent.At = instant(created), e.ID, instant(consent)
	c.Topics, err = parseWords(topics)
	return e, c, err
}

// CountSubscribers is how many readers are known.
func (s *Store) CountSubscribers(ctx context.Context) (n int64, err error) {
	if err := s.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM subscribers`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting subscribers: %w", err)
	}
	return n, nil
}
