package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"dispatcher/internal/newsletter"
)

// asBefore sets what a claimed delivery is when its run ends without a try.
const asBefore = `state = CASE (SELECT state FROM editions WHERE id = edition) WHEN 'cancelled' THEN 'withdrawn' ELSE 'pending' END,
	words = CASE (SELECT state FROM editions WHERE id = edition) WHEN 'cancelled' THEN 'the edition was cancelled' ELSE words END`

// BeginRun begins a life of the mailer and takes back what dead ones had claimed. In the lanes to be held, what was claimed may have
// been on the line and is unknown. The caller holds the mailer's lock, so there is no other that lives.
func (s *Store) BeginRun(ctx context.Context, hold []newsletter.Lane, now time.Time) (run newsletter.RunID, takenBack int, err error) {
	err = s.transact(ctx, "beginning a run", func(tx *sql.Tx) error {
		takenBack = 0
		for _, lane := range hold {
			if err := countRows(&takenBack)(tx.ExecContext(ctx, `UPDATE deliveries SET state = 'unknown', run = NULL, due = $1, words = $2
				WHERE state = 'claimed' AND edition IN (SELECT id FROM editions WHERE state <> 'done' AND lane = $3)`, millis(now), "sending was interrupted while this copy may have been on the line", lane)); err != nil {
				return err
			}
		}
		if err := countRows(&takenBack)(tx.ExecContext(ctx, `UPDATE deliveries SET `+asBefore+`, run = NULL
			WHERE state = 'claimed' AND edition IN (SELECT id FROM editions WHERE state <> 'done')`)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM relay_usage WHERE minute < $1`, minute(now.Add(-usageKept))); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO runs (started) VALUES ($1) RETURNING id`, millis(now)).Scan(&run)
	})
	return run, takenBack, err
}

// countRows adds the rows that a statement changed to n.
func countRows(n *int) func(sql.Result, error) error {
	return func(done sql.Result, err error) error {
		if err != nil {
			return err
		}
		changed, err := done.RowsAffected()
		*n += int(changed)
		return err
	}
}

// EndRun ends a run in good order: what it had claimed and not tried is pending again.
func (s *Store) EndRun(ctx context.Context, run newsletter.RunID, now time.Time) error {
	return s.transact(ctx, "ending a run", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET `+asBefore+`, run = NULL
			WHERE state = 'claimed' AND run = $1 AND edition IN (SELECT id FROM editions WHERE state <> 'done')`, run); err != nil {
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
	asked := ctx
	ctx = context.WithoutCancel(ctx) // a step is quick, and the driver starts a goroutine for each that may be cancelled
	seen := s.changes.Load()         // before anything is read: what changes from here on is looked at again
	rows, err := s.read.QueryContext(ctx, `SELECT e.id, e.list, e.made, e.life, e.key, e.rehearsal, e.first_end, e.follows, COALESCE(f.key, 0),
			e.quiet_from, e.quiet_until, e.quiet_zone
		FROM editions e LEFT JOIN editions f ON f.id = e.follows
		WHERE e.state = 'sending' AND e.lane = $1 AND NOT EXISTS (SELECT 1 FROM house WHERE held <> '' OR last_seen < $2)
		ORDER BY e.made, e.id`, c.Lane, millis(c.Now.Add(-mostUnseen)))
	editions, err := collect(rows, err, scanOpenEdition)
	if err != nil {
		return nil, fmt.Errorf("claiming deliveries: %w", err)
	}
	var claimed []newsletter.Delivery
	for _, e := range editions {
		e.seen = seen
		for look := c.N; len(claimed) < c.N; look = max(look, overdueAtOnce) { // those that are over may be many
			if err := asked.Err(); err != nil && len(claimed) == 0 {
				return nil, err
			}
			got, looked, err := s.claimSome(ctx, e, c, claimBounds{claim: c.N - len(claimed), look: look})
			if err != nil && len(claimed) > 0 {
				return claimed, nil // these are on disk as claimed; the error comes again with the next claim
			}
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
	made    time.Time
	life    time.Duration
	key     newsletter.KeyID
	follows newsletter.Followed
	proofs  bool                    // a rehearsal: it has nothing but proofs
	below   newsletter.SubscriberID // the first wave is on its way: only readers below this one; 0: all
	seen    int64
	quiet   quietHours
}

func scanOpenEdition(r *sql.Rows) (e openEdition, err error) {
	var made, life, from, until int64
	err = r.Scan(&e.id, &e.list, &made, &life, &e.key, &e.proofs, &e.below, &e.follows.Edition, &e.follows.KeyID, &from, &until, &e.quiet.zone)
	e.made, e.life = instant(made), time.Duration(life)*time.Millisecond
	e.quiet.QuietHours = newsletter.QuietHours{From: time.Duration(from) * time.Millisecond, Until: time.Duration(until) * time.Millisecond}
	e.quiet.zones = map[string]*time.Location{}
	return e, err
}

// candidate is a due delivery with what decides whether it may go.
type candidate struct {
	newsletter.Delivery
	subscribed bool
	suppressed bool
	zone       string // where the edition keeps quiet hours
}

// ending is how a delivery ends without a try; the zero value: it does not.
type ending struct {
	state newsletter.State
	words string
}

// judge says whether a candidate may go, and with which form of its variant.
func (d candidate) judge(fs forms, now time.Time) (f form, end ending) {
	f, open := fs.at(d.Variant, now)
	switch {
	case d.suppressed:
		return f, ending{newsletter.Withdrawn, "the address is suppressed"}
	case !d.subscribed:
		return f, ending{newsletter.Withdrawn, "the reader has left"}
	case !open:
		return f, ending{newsletter.Withdrawn, "the deadline has passed"}
	case !now.Before(d.Expires):
		return f, ending{newsletter.Failed, "patience ran out"}
	}
	return f, ending{}
}

// overdueAtOnce is how many deliveries a claim looks at in one step once it has met some that are over: each step is a commit.
const overdueAtOnce = 500

// claimBounds say how many deliveries a step of a claim may take, and how many it looks at.
type claimBounds struct{ claim, look int }

// claimSome is one step of a claim in one edition. When it has looked at none, the edition has nothing due.
func (s *Store) claimSome(ctx context.Context, e openEdition, c newsletter.Claim, most claimBounds) (claimed []newsletter.Delivery, looked int, err error) {
	candidates, err := s.dueDeliveries(ctx, e, c, most.look)
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
	waiting := map[time.Time][]newsletter.SubscriberID{}
	var taken []newsletter.SubscriberID
	for _, d := range candidates {
		f, end := d.judge(forms, c.Now)
		if end != (ending{}) {
			ended[end] = append(ended[end], d.Subscriber)
			continue
		}
		if end, quiet := e.quiet.over(d, f, c.Now); quiet {
			waiting[end] = append(waiting[end], d.Subscriber)
			continue
		}
		if len(claimed) == most.claim {
			continue // another claim takes it
		}
		d.Until, d.Closes = instant(f.until), instant(f.closes)
		claimed, taken = append(claimed, d.Delivery), append(taken, d.Subscriber)
	}
	err = s.transact(ctx, "claiming", func(tx *sql.Tx) error {
		if err := s.lookAround(ctx, tx.StmtContext(ctx, s.version)); err != nil {
			return err
		}
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
		for end, ids := range waiting {
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET due = $1, words = 'quiet hours'
				WHERE edition = $2 AND state = 'pending' AND subscriber IN `+among(ids), millis(end), e.id); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed, len(candidates), err
}

// among writes numbers as the right side of IN. One statement for many rows costs a fraction of a statement for each.
func among[ID ~int64](ids []ID) string {
	b := append(make([]byte, 0, 2+8*len(ids)), '(')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(append(b, ')'))
}

// What is due is a range of an index. Of the first wave it is a range of the primary key, lest the many who wait be passed over each time.
const (
	duePending = `SELECT subscriber, variant, attempts, first_due FROM deliveries
		WHERE edition = $1 AND state = 'pending' AND due <= $2 AND (NOT $3 OR subscriber < 0) AND $4 = 0 ORDER BY due LIMIT $5`
	dueFirst = `SELECT subscriber, variant, attempts, first_due FROM deliveries
		WHERE edition = $1 AND CASE state WHEN 'pending' THEN due <= $2 ELSE FALSE END AND (NOT $3 OR subscriber < 0) AND subscriber < $4
		ORDER BY subscriber LIMIT $5`
)

// dueDeliveries are the next candidates of an edition: its proofs until each has been tried, then its readers. The list is looked up with
// them: it may just have been renamed.
func (s *Store) dueDeliveries(ctx context.Context, e openEdition, c newsletter.Claim, n int) ([]candidate, error) {
	now := later(c.Now, e.made) // the clock may have been set back: what was due then still is
	proofsFirst := c.ProofsOnly || e.proofs
	if !proofsFirst {
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries
			WHERE edition = $1 AND subscriber < 0 AND attempts = 0 AND (state = 'claimed' OR state = 'pending' AND due <= $2))`, e.id, millis(now)).Scan(&proofsFirst); err != nil {
			return nil, err
		}
	}
	due := duePending
	if e.below > 0 {
		due = dueFirst
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT d.subscriber, d.variant, d.attempts, d.first_due,
			COALESCE(r.address, p.address, ''), COALESCE(r.name, ''),
			d.subscriber < 0 OR COALESCE(c.state, '') = 'confirmed',
			d.subscriber > 0 AND EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash), `+e.quiet.zoneColumn()+`
		FROM (`+due+`) d
			LEFT JOIN subscribers r ON r.id = d.subscriber
			LEFT JOIN subscriptions c ON c.list = (SELECT list FROM editions WHERE id = $1) AND c.subscriber = d.subscriber
			LEFT JOIN proof_addresses p ON p.id = -d.subscriber`, e.id, millis(now), proofsFirst, e.below, n)
	return collect(rows, err, func(r *sql.Rows) (d candidate, err error) {
		var firstDue int64
		err = r.Scan(&d.Subscriber, &d.Variant, &d.Attempts, &firstDue, &d.Address, &d.Name, &d.subscribed, &d.suppressed, &d.zone)
		d.Edition, d.List, d.Lane, d.KeyID, d.Follows, d.Seen = e.id, e.list, c.Lane, e.key, e.follows, e.seen
		d.FirstDue = instant(firstDue)
		d.Expires = d.FirstDue.Add(e.life)
		return d, err
	})
}

// later is the later of two instants.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// form is one of a variant's frozen forms.
type form struct {
	variant newsletter.VariantID
	until   int64 // names it
	closes  int64 // when the first of its actions does; 0: never
}

// forms are each variant's forms, those that bear the most first, and of as many the one that is good for the shortest time.
type forms map[newsletter.VariantID][]form

// closesOf is when the first of the actions in a form v of an edition e closes, as things stand: an editor may have closed one, or given it
// another deadline, since it was frozen. 0 is never; an update is about what has closed.
const closesOf = `CASE e.kind WHEN 'update' THEN 0 ELSE COALESCE((SELECT MIN(CASE WHEN i.ended > 0 THEN i.ended WHEN i.deadline > 0 THEN i.deadline WHEN i.expires > 0 THEN i.expires END)
	FROM edition_items b JOIN items i ON i.id = b.item
	WHERE b.edition = v.edition AND i.kind = 'action' AND v.items LIKE '% ' || CAST(i.id AS TEXT) || ' %'), 0) END`

func (s *Store) formsOf(ctx context.Context, id newsletter.EditionID) (forms, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT v.variant, v.until, `+closesOf+` FROM variants v JOIN editions e ON e.id = v.edition
		WHERE v.edition = $1
		ORDER BY v.variant, LENGTH(v.items) - LENGTH(REPLACE(v.items, ' ', '')) DESC, v.until = 0, v.until`, id)
	all, err := collect(rows, err, func(r *sql.Rows) (f form, err error) { return f, r.Scan(&f.variant, &f.until, &f.closes) })
	fs := forms{}
	for _, f := range all {
		fs[f.variant] = append(fs[f.variant], f)
	}
	return fs, err
}

// at picks the form that is good at an instant: the first in which nothing has closed.
func (fs forms) at(v newsletter.VariantID, now time.Time) (picked form, open bool) {
	good := func(until int64) bool { return until == 0 || millis(now) < until }
	for _, f := range fs[v] {
		if good(f.until) && good(f.closes) {
			return f, true
		}
	}
	return form{}, false
}
