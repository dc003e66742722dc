package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// FinishEditions marks the editions done of which nothing is pending or claimed any more, and returns them with their counts. It
// looks before it writes, since it is asked often.
func (s *Store) FinishEditions(ctx context.Context) ([]newsletter.Edition, error) {
	const over = ` NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = e.id AND d.state = 'pending')
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = e.id AND d.state = 'claimed')`
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e WHERE e.state = 'sending' AND`+over)
	editions, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("looking for editions that are done: %w", err)
	}
	var done []newsletter.Edition
	for _, e := range editions {
		n := 0
		if err := countRows(&n)(s.write.ExecContext(ctx, `UPDATE editions AS e SET state = 'done' WHERE id = $1 AND state = 'sending' AND`+over, e.ID)); err != nil {
			return nil, fmt.Errorf("marking edition %d done: %w", e.ID, err)
		}
		if n == 0 {
			continue // copies were taken up again meanwhile
		}
		e.State = newsletter.Done
		s.counted.isDone(e.ID)
		if err := s.count(ctx, &e); err != nil {
			return nil, err
		}
		done = append(done, e)
	}
	return done, nil
}

// RecordOutcomes writes down what attempts meant, all in one transaction: a group costs little more than one. When it has
// returned, the outcomes are on disk. An address whose owner is gone is suppressed in the same transaction, and what counts
// against a relay's quotas is counted.
func (s *Store) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	sent := map[newsletter.EditionID][]newsletter.SubscriberID{}
	used := map[string]int{}
	var last time.Time
	gone := false
	err := s.transact(ctx, "recording outcomes", func(tx *sql.Tx) error {
		clear(sent)
		clear(used)
		if err := s.lookAround(ctx, tx.StmtContext(ctx, s.version)); err != nil {
			return err
		}
		for _, o := range outcomes {
			if o.Relay != "" {
				used[o.Relay]++
				last = o.At
			}
			if o.State == newsletter.Sent {
				sent[o.Edition], last = append(sent[o.Edition], o.Subscriber), o.At
				continue
			}
			if err := recordOutcome(ctx, tx, o); err != nil {
				return err
			}
			gone = gone || o.Owner == newsletter.RecipientGone
		}
		for relay, n := range used {
			if err := countUsage(ctx, tx, relay, n, last); err != nil {
				return err
			}
		}
		for edition, ids := range sent {
			if err := s.recordSent(ctx, tx, edition, ids, last); err != nil {
				return err
			}
		}
		return nil
	})
	if gone {
		s.wishesChanged()
	}
	return err
}

// sentAtOnce is how many plain successes one statement records.
const sentAtOnce = 16

// sentStatement is prepared once, since outcomes are what is written most: parsing it costs more than running it.
const sentStatement = `
	UPDATE deliveries SET state = 'sent', attempts = attempts + 1, due = $1, code = 250, enhanced = NULL, words = NULL, owner = NULL, run = NULL
	WHERE edition = $2 AND subscriber IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`

// recordSent records plain successes of one edition. A statement that is not full names its last reader again.
func (s *Store) recordSent(ctx context.Context, tx *sql.Tx, edition newsletter.EditionID, ids []newsletter.SubscriberID, at time.Time) error {
	args := make([]any, 2+sentAtOnce)
	args[0], args[1] = millis(at), int64(edition)
	statement := tx.StmtContext(ctx, s.sent)
	for group := range slices.Chunk(ids, sentAtOnce) {
		for i := range sentAtOnce {
			args[2+i] = int64(group[min(i, len(group)-1)])
		}
		if _, err := statement.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// recordOutcome writes down one outcome that is not a plain success, with the relay's words.
func recordOutcome(ctx context.Context, tx *sql.Tx, o newsletter.Outcome) error {
	if o.Untried {
		return giveBack(ctx, tx, o)
	}
	due := o.At
	if o.State == newsletter.Pending {
		due = o.Due
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE deliveries SET state = CASE WHEN $1 = 'pending' AND (SELECT state FROM editions WHERE id = $2) = 'cancelled' THEN 'withdrawn' ELSE $1 END,
			attempts = $3, due = $4, code = $5, enhanced = $6, words = $7, owner = $8, run = NULL
		WHERE edition = $2 AND subscriber = $9 AND state <> 'sent'`,
		o.State, o.Edition, o.Attempts, millis(due), o.Code, o.Enhanced, o.Words, o.Owner, o.Subscriber); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO attempts (edition, subscriber, number, at, state, code, enhanced, words)
		SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7 FROM attempts WHERE edition = $1 AND subscriber = $2`,
		o.Edition, o.Subscriber, millis(o.At), o.State, o.Code, o.Enhanced, o.Words); err != nil {
		return err
	}
	if o.Owner != newsletter.RecipientGone {
		return nil
	}
	return suppress(ctx, tx, o.Subscriber, suppression{
		"recipient gone", fmt.Sprintf("edition %d: %d %s %s", o.Edition, o.Code, o.Enhanced, o.Words), millis(o.At),
	})
}

// giveBack makes a copy pending as it was before; one that had failed without its fault reopens its edition. What was last said about
// it stays: only where nothing was, the words tell why it waits.
func giveBack(ctx context.Context, tx *sql.Tx, o newsletter.Outcome) error {
	n := 0
	if err := countRows(&n)(tx.ExecContext(ctx, `
		UPDATE deliveries SET state = CASE WHEN (SELECT state FROM editions WHERE id = $1) = 'cancelled' THEN 'withdrawn' ELSE 'pending' END,
			due = $2, words = COALESCE(words, NULLIF($3, '')), owner = CASE WHEN $4 THEN NULL ELSE owner END, run = NULL
		WHERE edition = $1 AND subscriber = $5 AND state <> 'sent'
			AND (NOT $4 OR (state IN ('pending', 'failed') AND attempts = $6))`, // who has been tried again meanwhile has moved on
		o.Edition, millis(o.Due), o.Words, o.Revived, o.Subscriber, o.Attempts)); err != nil || n == 0 || !o.Revived {
		return err
	}
	return reopen(ctx, tx, o.Edition)
}
