package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
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
//
// Only one mailer lives, so nobody else claims between the look and the deed: what takes long is read beside the writers.
func (s *Store) ClaimDeliveries(ctx context.Context, c newsletter.Claim) ([]newsletter.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, list, expires, key, rehearsal FROM editions
		WHERE state = 'sending' AND lane = $1 ORDER BY made, id`, c.Lane)
	editions, err := collect(rows, err, scanOpenEdition)
	if err != nil {
		return nil, fmt.Errorf("claiming deliveries: %w", err)
	}
	var claimed []newsletter.Delivery
	for _, e := range editions {
		for len(claimed) < c.N {
			got, looked, err := s.claimSome(ctx, e, c, c.N-len(claimed))
			if err != nil {
				return nil, fmt.Errorf("claiming deliveries of edition %d: %w", e.id, err)
			}
			claimed = append(claimed, got...)
			if looked == 0 {
				break
			}
		}
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

// ending is how a delivery ends without a try; the zero value: it does not.
type ending struct {
	state newsletter.State
	words string
}

// judge says whether a candidate may go, and with which form of its variant.
func (d candidate) judge(e openEdition, f forms, now time.Time) (until time.Time, end ending) {
	until, open := f.at(d.Variant, now)
	switch {
	case d.suppressed:
		return until, ending{newsletter.Withdrawn, "the address is suppressed"}
	case !d.subscribed:
		return until, ending{newsletter.Withdrawn, "the reader has left"}
	case !open:
		return until, ending{newsletter.Withdrawn, "the deadline has passed"}
	case !now.Before(e.expires):
		return until, ending{newsletter.Failed, "patience ran out"}
	}
	return until, ending{}
}

// claimSome looks at up to n due deliveries of one edition. When it has looked at none, the edition has nothing due.
func (s *Store) claimSome(ctx context.Context, e openEdition, c newsletter.Claim, n int) (claimed []newsletter.Delivery, looked int, err error) {
	candidates, err := s.dueDeliveries(ctx, e, c, n)
	if err != nil {
		return nil, 0, err
	}
	if len(candidates) == 0 {
		return nil, 0, nil
	}
	forms, err := s.formsOf(ctx, e.id)
	if err != nil {
		return nil, 0, err
	}
	ended := map[ending][]newsletter.SubscriberID{}
	var taken []newsletter.SubscriberID
	for _, d := range candidates {
		until, end := d.judge(e, forms, c.Now)
		if end != (ending{}) {
			ended[end] = append(ended[end], d.Subscriber)
			continue
		}
		d.Until = until
		claimed, taken = append(claimed, d.Delivery), append(taken, d.Subscriber)
	}
	err = s.transact(ctx, "claiming", func(tx *sql.Tx) error {
		if len(taken) > 0 {
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'claimed', run = $1
				WHERE edition = $2 AND state = 'pending' AND subscriber IN `+among(taken), c.Run, e.id); err != nil {
				return err
			}
		}
		for end, ids := range ended {
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = $1, due = $2, words = $3
				WHERE edition = $4 AND state = 'pending' AND subscriber IN `+among(ids), end.state, millis(c.Now), end.words, e.id); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed, len(candidates), err
}

// StillDue looks once more at a delivery that was claimed a while ago: whether its reader is still subscribed and her address
// not suppressed. Proofs always are due.
func (s *Store) StillDue(ctx context.Context, d newsletter.Delivery) (due bool, err error) {
	if d.Subscriber.Proof() {
		return true, nil
	}
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM subscriptions c JOIN subscribers r ON r.id = c.subscriber
		WHERE c.list = $1 AND c.subscriber = $2 AND c.state = 'confirmed'
			AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash))`, d.List, d.Subscriber).Scan(&due)
	if err != nil {
		return false, fmt.Errorf("looking once more at a delivery of edition %d: %w", d.Edition, err)
	}
	return due, nil
}

// among writes numbers as the right side of IN. One statement for many rows costs a fraction of a statement for each.
func among(ids []newsletter.SubscriberID) string {
	b := append(make([]byte, 0, 2+8*len(ids)), '(')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(append(b, ')'))
}

// dueDeliveries are the next candidates of an edition: its proofs until each has been tried, then its readers.
func (s *Store) dueDeliveries(ctx context.Context, e openEdition, c newsletter.Claim, n int) ([]candidate, error) {
	proofsFirst := c.ProofsOnly || e.proofs
	if !proofsFirst {
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries
			WHERE edition = $1 AND subscriber < 0 AND attempts = 0 AND state IN ('pending', 'claimed'))`, e.id).Scan(&proofsFirst); err != nil {
			return nil, err
		}
	}
	rows, err := s.read.QueryContext(ctx, `
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

func (s *Store) formsOf(ctx context.Context, id newsletter.EditionID) (forms, error) {
	type form struct {
		variant newsletter.VariantID
		until   int64
	}
	rows, err := s.read.QueryContext(ctx, `SELECT variant, until FROM variants WHERE edition = $1 ORDER BY variant, until = 0, until`, id)
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

// FinishEditions marks the editions done of which nothing is pending or claimed any more, and returns them with their counts. It
// looks before it writes, since it is asked often.
func (s *Store) FinishEditions(ctx context.Context) ([]newsletter.Edition, error) {
	const open = `FROM deliveries d WHERE d.edition = e.id AND d.state = `
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e WHERE e.state = 'sending'
		AND NOT EXISTS (SELECT 1 `+open+`'pending') AND NOT EXISTS (SELECT 1 `+open+`'claimed')`)
	editions, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("looking for editions that are done: %w", err)
	}
	for i := range editions {
		e := &editions[i]
		if _, err := s.write.ExecContext(ctx, `UPDATE editions SET state = 'done' WHERE id = $1 AND state = 'sending'`, e.ID); err != nil {
			return nil, fmt.Errorf("marking edition %d done: %w", e.ID, err)
		}
		e.State = newsletter.Done
		if err := s.count(ctx, e); err != nil {
			return nil, err
		}
	}
	return editions, nil
}

// RecordOutcomes writes down what attempts meant, all in one transaction: a group costs little more than one. When it has
// returned, the outcomes are on disk. An address whose owner is gone is suppressed in the same transaction.
func (s *Store) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	sent := map[newsletter.EditionID][]newsletter.SubscriberID{}
	var last time.Time
	return s.transact(ctx, "recording outcomes", func(tx *sql.Tx) error {
		clear(sent)
		for _, o := range outcomes {
			if o.State == newsletter.Sent {
				sent[o.Edition], last = append(sent[o.Edition], o.Subscriber), o.At
			} else if err := recordOutcome(ctx, tx, o); err != nil {
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
	due := o.At
	if o.State == newsletter.Pending {
		due = o.Due
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE deliveries SET state = $1, attempts = $2, due = $3, code = $4, enhanced = $5, words = $6, owner = $7, run = NULL
		WHERE edition = $8 AND subscriber = $9 AND state <> 'sent'`,
		o.State, o.Attempts, millis(due), o.Code, o.Enhanced, o.Words, o.Owner, o.Edition, o.Subscriber); err != nil {
		return err
	}
	if o.Untried {
		return nil
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
