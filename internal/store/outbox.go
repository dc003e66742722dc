package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// BeginRun begins a life of the mailer and takes back what dead ones had claimed. The caller holds the mailer's lock, so
// there is no other that lives.
func (s *Store) BeginRun(ctx context.Context, now time.Time) (run newsletter.RunID, takenBack int, err error) {
	err = s.transact(ctx, "beginning a run", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', run = NULL WHERE state = 'claimed'`)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		takenBack = int(n)
		return tx.QueryRowContext(ctx, `INSERT INTO runs (started) VALUES ($1) RETURNING id`, millis(now)).Scan(&run)
	})
	return run, takenBack, err
}

// EndRun ends a run in good order: what it had claimed and not tried is pending again.
func (s *Store) EndRun(ctx context.Context, run newsletter.RunID, now time.Time) error {
	return s.transact(ctx, "ending a run", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'pending', run = NULL WHERE state = 'claimed' AND run = $1`, run); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE runs SET ended = $1 WHERE id = $2`, millis(now), run)
		return err
	})
}

// ClaimDeliveries gives up to n due deliveries of a lane to this run. A run that dies keeps nothing: the next one takes its
// claims back before it begins. Whoever has left, is suppressed, or whose copy has outlived its deadline or patience is
// withdrawn here and not given out. The readers of an edition wait until its proofs have been tried.
func (s *Store) ClaimDeliveries(ctx context.Context, c newsletter.Claim) ([]newsletter.Delivery, error) {
	var claimed []newsletter.Delivery
	err := s.transact(ctx, "claiming deliveries", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, list, expires, key, rehearsal FROM editions WHERE state = 'sending' AND lane = $1 ORDER BY made, id`, c.Lane)
		editions, err := collect(rows, err, scanOpenEdition)
		if err != nil {
			return err
		}
		for _, e := range editions {
			for len(claimed) < c.N {
				got, looked, err := claimSome(ctx, tx, e, c, c.N-len(claimed))
				if err != nil {
					return err
				}
				claimed = append(claimed, got...)
				if looked == 0 {
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// openEdition is what a claim needs to know of an edition.
type openEdition struct {
	id      newsletter.EditionID
	list    string
	expires time.Time
	key     newsletter.KeyID
	proofs  bool // a rehearsal: it has nothing but proofs
}

func scanOpenEdition(r *sql.Rows) (e openEdition, err error) {
	var expires int64
	err = r.Scan(&e.id, &e.list, &expires, &e.key, &e.proofs)
	e.expires = instant(expires)
	return e, err
}

// candidate is a due delivery with what decides whether it may go.
type candidate struct {
	newsletter.Delivery
	subscribed bool
	suppressed bool
}

// claimSome looks at up to n due deliveries of one edition. When it has looked at none, the edition has nothing due; if it
// has nothing open at all, it is done.
func claimSome(ctx context.Context, tx *sql.Tx, e openEdition, c newsletter.Claim, n int) (claimed []newsletter.Delivery, looked int, err error) {
	candidates, err := dueDeliveries(ctx, tx, e, c, n)
	if err != nil {
		return nil, 0, err
	}
	if len(candidates) == 0 {
		return nil, 0, finishEdition(ctx, tx, e.id)
	}
	forms, err := formsOf(ctx, tx, e.id)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range candidates {
		form, open := forms.at(d.Variant, c.Now)
		reason, state := "", newsletter.Withdrawn
		switch {
		case d.suppressed:
			reason = "the address is suppressed"
		case !d.subscribed:
			reason = "the reader has left"
		case !open:
			reason = "the deadline has passed"
		case !c.Now.Before(e.expires):
			reason, state = "patience ran out", newsletter.Failed
		}
		if reason != "" {
			_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = $1, due = $2, words = $3 WHERE edition = $4 AND subscriber = $5`,
				state, millis(c.Now), reason, d.Edition, d.Subscriber)
		} else {
			d.Until = form
			claimed = append(claimed, d.Delivery)
			_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'claimed', run = $1 WHERE edition = $2 AND subscriber = $3`,
				c.Run, d.Edition, d.Subscriber)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return claimed, len(candidates), nil
}

// dueDeliveries are the next candidates of an edition: its proofs until each has been tried, then its readers.
func dueDeliveries(ctx context.Context, tx *sql.Tx, e openEdition, c newsletter.Claim, n int) ([]candidate, error) {
	proofsFirst := c.ProofsOnly || e.proofs
	if !proofsFirst {
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries
			WHERE edition = $1 AND subscriber < 0 AND attempts = 0 AND state IN ('pending', 'claimed'))`, e.id).Scan(&proofsFirst); err != nil {
			return nil, err
		}
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT d.subscriber, d.variant, d.attempts, d.first_due,
			COALESCE(r.address, p.address, ''), COALESCE(r.name, ''),
			d.subscriber < 0 OR COALESCE(c.state, '') = 'confirmed',
			d.subscriber > 0 AND EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash)
		FROM deliveries d
			LEFT JOIN subscribers r ON r.id = d.subscriber
			LEFT JOIN subscriptions c ON c.list = $1 AND c.subscriber = d.subscriber
			LEFT JOIN proof_addresses p ON p.id = -d.subscriber
		WHERE d.edition = $2 AND d.state = 'pending' AND d.due <= $3 AND (NOT $4 OR d.subscriber < 0)
		ORDER BY d.due LIMIT $5`, e.list, e.id, millis(c.Now), proofsFirst, n)
	return collect(rows, err, func(r *sql.Rows) (d candidate, err error) {
		var firstDue int64
		err = r.Scan(&d.Subscriber, &d.Variant, &d.Attempts, &firstDue, &d.Address, &d.Name, &d.subscribed, &d.suppressed)
		d.Edition, d.List, d.Lane, d.FirstDue, d.Expires, d.KeyID = e.id, e.list, c.Lane, instant(firstDue), e.expires, e.key
		return d, err
	})
}

// forms are the instants until which each variant's frozen forms are good, in order, 0 last.
type forms map[newsletter.VariantID][]int64

func formsOf(ctx context.Context, tx *sql.Tx, id newsletter.EditionID) (forms, error) {
	type form struct {
		variant newsletter.VariantID
		until   int64
	}
	rows, err := tx.QueryContext(ctx, `SELECT variant, until FROM variants WHERE edition = $1 ORDER BY variant, until = 0, until`, id)
	all, err := collect(rows, err, func(r *sql.Rows) (f form, err error) { return f, r.Scan(&f.variant, &f.until) })
	fs := forms{}
	for _, f := range all {
		fs[f.variant] = append(fs[f.variant], f.until)
	}
	return fs, err
}

// at picks the form that is good at an instant: the first that has not closed.
func (fs forms) at(v newsletter.VariantID, now time.Time) (until time.Time, open bool) {
	for _, u := range fs[v] {
		if u == 0 || millis(now) < u {
			return instant(u), true
		}
	}
	return time.Time{}, false
}

// finishEdition marks an edition done when nothing of it is pending or claimed.
func finishEdition(ctx context.Context, tx *sql.Tx, id newsletter.EditionID) error {
	_, err := tx.ExecContext(ctx, `UPDATE editions SET state = 'done' WHERE id = $1 AND state = 'sending'
		AND NOT EXISTS (SELECT 1 FROM deliveries WHERE edition = $1 AND state = 'pending')
		AND NOT EXISTS (SELECT 1 FROM deliveries WHERE edition = $1 AND state = 'claimed')`, id)
	return err
}

// RecordOutcomes writes down what attempts meant, all in one transaction: a group costs little more than one. When it has
// returned, the outcomes are on disk. An address whose owner is gone is suppressed in the same transaction.
func (s *Store) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	return s.transact(ctx, "recording outcomes", func(tx *sql.Tx) error {
		for _, o := range outcomes {
			if err := recordOutcome(ctx, tx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func recordOutcome(ctx context.Context, tx *sql.Tx, o newsletter.Outcome) error {
	due := o.At
	if o.State == newsletter.Pending {
		due = o.Due
	}
	words := sql.NullString{String: o.Words, Valid: o.State != newsletter.Sent}
	if _, err := tx.ExecContext(ctx, `
		UPDATE deliveries SET state = $1, attempts = $2, due = $3, code = $4, enhanced = $5, words = $6, owner = $7, run = NULL
		WHERE edition = $8 AND subscriber = $9 AND state <> 'sent'`,
		o.State, o.Attempts, millis(due), o.Code, o.Enhanced, words, o.Owner, o.Edition, o.Subscriber); err != nil {
		return err
	}
	if o.State == newsletter.Sent {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO attempts (edition, subscriber, number, at, state, code, enhanced, words)
		SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7 FROM attempts WHERE edition = $1 AND subscriber = $2`,
		o.Edition, o.Subscriber, millis(o.At), o.State, o.Code, o.Enhanced, o.Words); err != nil {
		return err
	}
	if o.Owner != newsletter.OwnerRecipient {
		return nil
	}
	return suppress(ctx, tx, o.Subscriber, suppression{
		"recipient gone", fmt.Sprintf("edition %d: %d %s %s", o.Edition, o.Code, o.Enhanced, o.Words), millis(o.At),
	})
}
