package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"dispatcher/internal/newsletter"
)

const editionColumns = `e.id, e.list, e.kind, e.slot, e.made, e.expires, e.state, e.subject, e.rehearsal, e.reason`

func scanEdition(row interface{ Scan(...any) error }) (e newsletter.Edition, err error) {
	var slot, made, expires int64
	err = row.Scan(&e.ID, &e.List, &e.Kind, &slot, &made, &expires, &e.State, &e.Subject, &e.Rehearsal, &e.Reason)
	e.Slot, e.Made, e.Expires = instant(slot), instant(made), instant(expires)
	return e, err
}

// Editions are the newest editions with their counts, of one list or of all when it is empty; limit 0 means all.
func (s *Store) Editions(ctx context.Context, list string, limit int) ([]newsletter.Edition, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e WHERE $1 = '' OR e.list = $1 ORDER BY e.id DESC LIMIT $2`, list, limit)
	editions, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("listing editions: %w", err)
	}
	for i := range editions {
		if err := s.count(ctx, &editions[i]); err != nil {
			return nil, err
		}
	}
	return editions, nil
}

// Edition is one edition with its counts.
func (s *Store) Edition(ctx context.Context, id newsletter.EditionID) (newsletter.Edition, error) {
	e, err := scanEdition(s.read.QueryRowContext(ctx, `SELECT `+editionColumns+` FROM editions e WHERE e.id = $1`, id))
	if err != nil {
		return e, fmt.Errorf("reading edition %d: %w", id, found(err))
	}
	return e, s.count(ctx, &e)
}

// count fills in the counts, from the deliveries themselves and, of those that are no longer kept, from their sums: they cannot drift.
func (s *Store) count(ctx context.Context, e *newsletter.Edition) error {
	_, err := s.countUntil(ctx, e)
	return err
}

// countUntil is count, and tells when the last of the copies that are kept was sent or came to another end; zero: none has.
func (s *Store) countUntil(ctx context.Context, e *newsletter.Edition) (last time.Time, failed error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT state, COUNT(*), COUNT(*) FILTER (WHERE state = 'failed' AND owner LIKE 'ours%'), CASE WHEN state IN ('pending', 'claimed') THEN 0 ELSE MAX(due) END
		FROM deliveries WHERE edition = $1 AND subscriber > 0 GROUP BY state
		UNION ALL SELECT what, n, CASE WHEN what = 'failed' AND why LIKE 'ours%' THEN n ELSE 0 END, 0 FROM edition_sums WHERE edition = $1 AND what <> 'bounce'`, e.ID)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var state newsletter.State
		var n, ours int
		var at int64
		if err := r.Scan(&state, &n, &ours, &at); err != nil {
			return struct{}{}, err
		}
		e.Counts.Add(state, n)
		e.Ours += ours
		last = later(last, instant(at))
		return struct{}{}, nil
	})
	if err != nil {
		return last, fmt.Errorf("counting the deliveries of edition %d: %w", e.ID, err)
	}
	return last, nil
}

// EndedBadly are the editions that were made since an instant and are done, and that somebody should look at. Their counts have the
// audience and what failed, and nothing else: a million copies are looked through in a tenth of a second.
func (s *Store) EndedBadly(ctx context.Context, since time.Time) (badly []newsletter.Edition, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e WHERE e.state = 'done' AND e.made >= $1 ORDER BY e.id`, millis(since))
	editions, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("listing editions that are done: %w", err)
	}
	for _, e := range editions {
		err := s.read.QueryRowContext(ctx, `
			SELECT SUM(audience), SUM(failed), SUM(ours) FROM (
				SELECT COUNT(*) AS audience, COUNT(*) FILTER (WHERE state = 'failed') AS failed, COUNT(*) FILTER (WHERE state = 'failed' AND owner LIKE 'ours%') AS ours
				FROM deliveries WHERE edition = $1 AND subscriber > 0
				UNION ALL SELECT n, CASE what WHEN 'failed' THEN n ELSE 0 END, CASE WHEN what = 'failed' AND why LIKE 'ours%' THEN n ELSE 0 END
				FROM edition_sums WHERE edition = $1 AND what <> 'bounce')`, e.ID).Scan(&e.Counts.Audience, &e.Counts.Failed, &e.Ours)
		if err != nil {
			return nil, fmt.Errorf("counting what failed of edition %d: %w", e.ID, err)
		}
		if e.WentBadly() {
			badly = append(badly, e)
		}
	}
	return badly, nil
}

// EditionItems are the items that an edition bears, in the order in which they were found.
func (s *Store) EditionItems(ctx context.Context, id newsletter.EditionID) ([]newsletter.Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+itemColumns+` FROM items
		WHERE id IN (SELECT item FROM edition_items WHERE edition = $1) ORDER BY published DESC, id DESC`, id)
	items, err := collect(rows, err, func(r *sql.Rows) (newsletter.Item, error) { return scanItem(r) })
	if err != nil {
		return nil, fmt.Errorf("listing the items of edition %d: %w", id, err)
	}
	return items, nil
}

// Reason is how often deliveries of an edition ended for one reason.
type Reason struct {
	State    newsletter.State
	Code     int
	Enhanced string
	Words    string
	Owner    newsletter.Owner
	Count    int
}

// notKept stands for the relay's words about copies that are no longer kept: whose failure it was is known.
const notKept = `these copies are no longer kept one by one`

// Reasons are the commonest reasons why copies of an edition are not sent, the commonest first.
func (s *Store) Reasons(ctx context.Context, id newsletter.EditionID, limit int) ([]Reason, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT CASE state WHEN 'claimed' THEN 'pending' ELSE state END, COALESCE(code, 0), COALESCE(enhanced, ''), COALESCE(words, ''), COALESCE(owner, ''), COUNT(*) FROM deliveries
		WHERE edition = $1 AND subscriber > 0 AND state <> 'sent' AND COALESCE(words, '') <> ''
		GROUP BY 1, 2, 3, 4, 5
		UNION ALL SELECT what, 0, '', $2, why, n FROM edition_sums WHERE edition = $1 AND what NOT IN ('sent', 'bounce')
		ORDER BY 6 DESC LIMIT $3`, id, notKept, limit)
	reasons, err := collect(rows, err, func(r *sql.Rows) (x Reason, err error) {
		return x, r.Scan(&x.State, &x.Code, &x.Enhanced, &x.Words, &x.Owner, &x.Count)
	})
	if err != nil {
		return nil, fmt.Errorf("listing reasons: %w", err)
	}
	return reasons, nil
}

// Copy is what became of one reader's copy of one edition.
type Copy struct {
	Edition  newsletter.Edition
	State    newsletter.State
	Attempts int
	At       time.Time // pending: the next try; else: when the state was reached
	Code     int
	Enhanced string
	Words    string
	Tries    []newsletter.Attempt // those that did not end in a plain 250
}

// Copies are a reader's copies, the newest edition first.
func (s *Store) Copies(ctx context.Context, id newsletter.SubscriberID, limit int) ([]Copy, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT `+editionColumns+`, CASE d.state WHEN 'claimed' THEN 'pending' ELSE d.state END, d.attempts, d.due,
			COALESCE(d.code, 0), COALESCE(d.enhanced, ''), COALESCE(d.words, '')
		FROM deliveries d JOIN editions e ON e.id = d.edition
		WHERE d.subscriber = $1 ORDER BY d.edition DESC LIMIT $2`, id, limit)
	copies, err := collect(rows, err, func(r *sql.Rows) (c Copy, err error) {
		var slot, made, expires, at int64
		e := &c.Edition
		err = r.Scan(&e.ID, &e.List, &e.Kind, &slot, &made, &expires, &e.State, &e.Subject, &e.Rehearsal, &e.Reason,
			&c.State, &c.Attempts, &at, &c.Code, &c.Enhanced, &c.Words)
		e.Slot, e.Made, e.Expires, c.At = instant(slot), instant(made), instant(expires), instant(at)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing a subscriber's copies: %w", err)
	}
	for i := range copies {
		if copies[i].Tries, err = s.attempts(ctx, newsletter.DeliveryKey{Edition: copies[i].Edition.ID, Subscriber: id}); err != nil {
			return nil, err
		}
	}
	return copies, nil
}

func (s *Store) attempts(ctx context.Context, key newsletter.DeliveryKey) ([]newsletter.Attempt, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at, state, code, enhanced, words FROM attempts
		WHERE edition = $1 AND subscriber = $2 ORDER BY number`, key.Edition, key.Subscriber)
	all, err := collect(rows, err, func(r *sql.Rows) (a newsletter.Attempt, err error) {
		var at int64
		err = r.Scan(&at, &a.State, &a.Code, &a.Enhanced, &a.Words)
		a.DeliveryKey, a.At = key, instant(at)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing attempts: %w", err)
	}
	return all, nil
}

// TopicsSeen are the names that items bear as topics, each once.
func (s *Store) TopicsSeen(ctx context.Context) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT topics FROM items`)
	lists, err := collect(rows, err, func(r *sql.Rows) ([]string, error) {
		var text string
		if err := r.Scan(&text); err != nil {
			return nil, err
		}
		return parseWords(text)
	})
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var seen []string
	for _, l := range lists {
		seen = newsletter.AddTopics(seen, l...)
	}
	return seen, nil
}
