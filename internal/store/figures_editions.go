package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"dispatcher/internal/newsletter"
)

// editionSums is what was counted of one edition.
type editionSums struct {
	at      time.Time
	rows    int
	final   bool // it is over: nothing of it changes any more, unless it is taken up again
	counts  newsletter.Counts
	failed  map[newsletter.Owner]int
	claimed time.Time // when the first of the copies was due that are claimed; zero: none is
}

// isDone says that an edition has become done, maybe not for the first time.
func (c *counted) isDone(id newsletter.EditionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = map[newsletter.EditionID]bool{}
	}
	c.done[id] = true
}

// forgetDone forgets the sums of those editions.
func (c *counted) forgetDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.done {
		delete(c.editions, id)
	}
	clear(c.done)
}

// figuresOfEditions counts the editions and their deliveries, and what waits of them.
func (s *Store) figuresOfEditions(ctx context.Context, f *newsletter.Figures, now time.Time) error {
	c := &s.counted
	c.counting.Lock()
	defer c.counting.Unlock()
	c.forgetDone() // before the states are read
	rows, err := s.read.QueryContext(ctx, `SELECT id, list, lane, state FROM editions`)
	editions, err := collect(rows, err, func(r *sql.Rows) (e editionToCount, err error) { return e, r.Scan(&e.id, &e.list, &e.lane, &e.state) })
	if err != nil {
		return err
	}
	f.Lanes = map[newsletter.Lane]newsletter.LaneFigures{}
	for _, lane := range newsletter.Lanes() {
		f.Lanes[lane] = newsletter.LaneFigures{}
	}
	known := c.editions
	c.editions = make(map[newsletter.EditionID]*editionSums, len(editions))
	for _, e := range editions {
		if sums := known[e.id]; sums != nil {
			c.editions[e.id] = sums // also of those that this call does not get to
		}
	}
	for _, e := range editions {
		sums, err := s.sumsOf(ctx, e, c.editions[e.id], now)
		if err != nil {
			return err
		}
		c.editions[e.id] = sums
		l := listFigures(f, e.list)
		l.Editions[e.state]++
		l.Counts = plus(l.Counts, sums.counts)
		for owner, n := range sums.failed {
			l.Failed[owner] += n
		}
		f.Lists[e.list] = l
		if err := s.figuresOfLane(ctx, f, e, sums, now); err != nil {
			return err
		}
	}
	return nil
}

// editionToCount is what the figures need to know of an edition itself.
type editionToCount struct {
	id    newsletter.EditionID
	list  string
	lane  newsletter.Lane
	state newsletter.EditionState
}

func (e editionToCount) over() bool {
	return e.state == newsletter.Done || e.state == newsletter.Cancelled
}

// sumsOf are an edition's sums: those that are known where they still hold.
func (s *Store) sumsOf(ctx context.Context, e editionToCount, known *editionSums, now time.Time) (*editionSums, error) {
	switch {
	case known == nil || known.final != e.over():
	case known.final || !worn(known.at, known.rows, now):
		return known, nil
	}
	sums := &editionSums{at: now, failed: map[newsletter.Owner]int{}}
	tx, err := s.read.BeginTx(ctx, nil) // copies that are pruned meanwhile are counted once
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sums.count(ctx, tx, e.id), tx.Rollback()); err != nil { // nothing was written
		return nil, err
	}
	sums.final = e.over() && sums.counts.Pending == 0
	return sums, nil
}

// count counts the deliveries of an edition, those that are there and those of which only the sums are kept.
func (x *editionSums) count(ctx context.Context, tx *sql.Tx, id newsletter.EditionID) error {
	var claimed int64
	n := &x.counts
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FILTER (WHERE subscriber > 0), COUNT(*) FILTER (WHERE subscriber > 0 AND state = 'sent'),
			COUNT(*) FILTER (WHERE subscriber > 0 AND state = 'failed'), COUNT(*) FILTER (WHERE subscriber > 0 AND state = 'withdrawn'),
			COUNT(*) FILTER (WHERE subscriber > 0 AND state = 'unknown'), COALESCE(MIN(due) FILTER (WHERE state = 'claimed'), 0)
		FROM deliveries WHERE edition = $1`, id).Scan(&n.Audience, &n.Sent, &n.Failed, &n.Withdrawn, &n.Unknown, &claimed); err != nil {
		return err
	}
	n.Pending = n.Audience - n.Sent - n.Failed - n.Withdrawn - n.Unknown
	x.rows, x.claimed = n.Audience, instant(claimed)
	if n.Failed > 0 {
		if err := tallyIn(ctx, tx, func(owner string, n int) { x.failed[newsletter.Owner(owner)] += n },
			`SELECT `+ownerOf("owner")+`, COUNT(*) FROM deliveries WHERE edition = $1 AND subscriber > 0 AND state = 'failed' GROUP BY 1`, id); err != nil {
			return err
		}
	}
	if err := tallyIn(ctx, tx, func(state string, k int) { n.Add(newsletter.State(state), k) },
		`SELECT what, n FROM edition_sums WHERE edition = $1 AND what <> 'bounce'`, id); err != nil {
		return err
	}
	return tallyIn(ctx, tx, func(owner string, n int) { x.failed[newsletter.Owner(owner)] += n },
		`SELECT `+ownerOf("why")+`, n FROM edition_sums WHERE edition = $1 AND what = 'failed'`, id)
}

// ownerOf is the owner of a failure; who ran out of patience before there was any reply has none.
func ownerOf(column string) string { return `COALESCE(NULLIF(` + column + `, ''), 'unknown')` }

// figuresOfLane adds what waits of an edition to its lane.
func (s *Store) figuresOfLane(ctx context.Context, f *newsletter.Figures, e editionToCount, sums *editionSums, now time.Time) error {
	l := f.Lanes[e.lane]
	l.Pending += sums.counts.Pending
	if e.state == newsletter.Sending {
		var due int64
		if err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MIN(due), 0) FROM deliveries WHERE edition = $1 AND state = 'pending'`, e.id).Scan(&due); err != nil {
			return err
		}
		for _, since := range []time.Time{instant(due), sums.claimed} {
			if !since.IsZero() && since.Before(now) && (l.Oldest.IsZero() || since.Before(l.Oldest)) {
				l.Oldest = since
			}
		}
	}
	f.Lanes[e.lane] = l
	return nil
}

func plus(a, b newsletter.Counts) newsletter.Counts {
	return newsletter.Counts{
		Audience: a.Audience + b.Audience, Sent: a.Sent + b.Sent, Pending: a.Pending + b.Pending,
		Failed: a.Failed + b.Failed, Withdrawn: a.Withdrawn + b.Withdrawn, Unknown: a.Unknown + b.Unknown,
	}
}
