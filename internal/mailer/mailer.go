// Package mailer takes deliveries from the outbox to the relays.
//
// For each lane a feeder claims deliveries into a pool; each connection has a worker that takes from there what its relay may carry,
// composes and sends it, and does not end a message before the outcome of its last one is on disk; one recorder writes the
// outcomes of all workers in groups. A kill at any moment therefore leaves at most one message per connection of which we do not know
// that the relay has it.
package mailer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"dispatcher/internal/newsletter"
)

// Outbox is where the mailer finds its work and writes down how it went (package store).
type Outbox interface {
	// BeginRun takes back what a dead run had claimed; in the lanes to be held that is unknown from then on.
	BeginRun(ctx context.Context, hold []newsletter.Lane, now time.Time) (run newsletter.RunID, takenBack int, err error)
	ClaimDeliveries(ctx context.Context, claim newsletter.Claim) ([]newsletter.Delivery, error)
	// StillDue looks once more at a delivery that was claimed a while ago.
	StillDue(ctx context.Context, d newsletter.Delivery) (bool, error)
	RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error
	// JudgeTrials lets the rest of an edition go when its first copies show that the list is sound, and pauses it when not.
	JudgeTrials(ctx context.Context, now time.Time) ([]newsletter.Trial, error)
	// FinishEditions marks the editions done of which nothing is open any more, and returns them with their counts.
	FinishEditions(ctx context.Context) ([]newsletter.Edition, error)
	RelayUsage(ctx context.Context, relay string, from time.Time) ([]newsletter.Usage, error)
	EndRun(ctx context.Context, run newsletter.RunID, now time.Time) error
}

// Composer makes one reader's message (package render). It may be called from many goroutines.
type Composer interface {
	// Compose appends the message's data to buffer, which the caller may use again when it is done with the message.
	Compose(ctx context.Context, d newsletter.Delivery, buffer []byte) (newsletter.Message, error)
}

// Mailer sends what is in the outbox. Only one may run on a database: the caller holds its lock.
type Mailer struct {
	Outbox    Outbox
	Composer  Composer
	Relays    []Relay           // the first that takes mail gets it
	Rehearsal bool              // only proofs go out
	Hold      []newsletter.Lane // where a copy that the relay may have is not sent again
	Poll      time.Duration     // how late what comes into the outbox is found at most; 0: half a second
	Idle      time.Duration     // how long a connection is kept without work; 0: half a minute
	Now       func() time.Time
	Log       *slog.Logger

	// Alive is how each part of the mailer, which it names, says that it is not stuck: its next sign comes within so long, or 0: it waits
	// for work, or has ended. Nil: nobody wants to know.
	Alive func(part string) func(within time.Duration)

	// Figures counts what it does. Nil: nobody wants to know.
	Figures *Figures

	// Leave is closed to have it end in good order: it claims no more, and waits for what is on the line as long as the relays take. Nil:
	// it ends when Run is cancelled.
	Leave <-chan struct{}
}

// alive is Alive, where nobody wants to know too.
func (m *Mailer) alive(part string) func(within time.Duration) {
	if m.Alive == nil {
		return func(time.Duration) {}
	}
	return m.Alive(part)
}

// onDisk is how long what is read from or written to the database may take: within a process, writers wait for each other, and one may be
// making an edition for millions.
const onDisk = 10 * time.Minute

// How long the database is asked to note the beginning or the end of a run, while another process may be writing, and when it must hurry.
const (
	runPatience = time.Minute
	runHurry    = 3 * time.Second
)

const defaultPoll = 500 * time.Millisecond

// Run sends until it is cancelled. Then it claims no more, gives the messages that are on the line a moment to finish, writes their
// outcomes down, gives back what it had claimed, and returns nil.
func (m *Mailer) Run(ctx context.Context) error {
	var run newsletter.RunID
	var takenBack int
	err := insist(ctx, runPatience, func(ctx context.Context) (err error) {
		run, takenBack, err = m.Outbox.BeginRun(ctx, m.Hold, m.Now())
		return err
	})
	if ctx.Err() != nil {
		return nil // what has begun without an end is taken back by the next
	}
	if err != nil {
		return err
	}
	if takenBack > 0 {
		m.Log.Warn("taking up what an interrupted run had not finished", "deliveries", takenBack)
	}
	pool := newPool()
	figures := cmp.Or(m.Figures, &Figures{})
	if err := m.openGates(context.WithoutCancel(ctx), pool, figures); err != nil {
		return err
	}
	recorder := newRecorder(m.Outbox, m.Log, &pool.busy)
	recorder.alive, recorder.figures = m.alive("recorder"), figures
	var recording errgroup.Group
	recording.Go(func() error { return recorder.run(ctx) })

	claiming, leave := context.WithCancel(ctx)
	defer leave()
	g, gctx := errgroup.WithContext(claiming)
	g.Go(func() error {
		select {
		case <-m.Leave:
			leave()
		case <-gctx.Done():
		}
		return nil
	})
	for _, l := range pool.lanes {
		g.Go(func() error { return m.feed(gctx, run, pool, l) })
	}
	g.Go(func() error { return m.watch(gctx, pool) })
	for _, gate := range pool.gates {
		for n := range max(1, gate.Connections) {
			w := &worker{Mailer: m, pool: pool, gate: gate, recorder: recorder, recorded: make(chan struct{}, 1)}
			w.alive = m.alive(fmt.Sprintf("connection %d to %s", n+1, gate.Name))
			gate.workers = append(gate.workers, w)
			g.Go(func() error { return w.run(gctx, ctx) })
		}
	}
	figures.watch(pool)
	defer figures.unwatch(pool)
	err = g.Wait()
	recorder.close()
	err = errors.Join(err, recording.Wait())
	m.end(ctx, run)
	return err
}

// end gives back what was claimed. Where that fails, the next run takes it back.
func (m *Mailer) end(ctx context.Context, run newsletter.RunID) {
	patience := runPatience
	if ctx.Err() != nil {
		patience = runHurry
	}
	err := insist(context.WithoutCancel(ctx), patience, func(ctx context.Context) error { return m.Outbox.EndRun(ctx, run, m.Now()) })
	if err != nil {
		m.Log.Warn("giving back what was claimed failed; the next run takes it back", "error", err)
	}
}

// insist tries until it succeeds, for a while: another process may be writing to the database.
func insist(ctx context.Context, patience time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// openGates puts a gate before each relay. What it has taken on this day counts.
func (m *Mailer) openGates(ctx context.Context, p *pool, figures *Figures) error {
	for i := range m.Relays {
		g := newGate(m, p, &m.Relays[i])
		g.counts = figures.relay(g.Name)
		if g.quota.limited() {
			used, err := m.Outbox.RelayUsage(ctx, g.Name, m.Now().Add(-25*time.Hour))
			if err != nil {
				return err
			}
			g.quota.load(used, m.Now())
		}
		p.gates = append(p.gates, g)
	}
	return nil
}

// Batches are as large as what is sent in a fifth of a second, within these bounds: the workers never wait for a claim, and
// memory does not grow with the list.
const (
	batchTime = 200 * time.Millisecond
	mostBatch = 500
)

// feed claims batches of one lane whenever less than half of the last one is waiting, until it is cancelled.
func (m *Mailer) feed(ctx context.Context, run newsletter.RunID, p *pool, l *lane) error {
	failing := false
	look := time.NewTicker(cmp.Or(m.Poll, defaultPoll))
	defer look.Stop()
	least := 0
	for _, r := range m.Relays {
		least += 2 * max(1, r.Connections)
	}
	n, last := least, time.Now()
	alive := m.alive("feeder of the lane " + string(l.name))
	for ctx.Err() == nil {
		began := time.Now()
		alive(onDisk)
		deliveries, err := m.Outbox.ClaimDeliveries(ctx, newsletter.Claim{Run: run, Lane: l.name, Now: m.Now(), N: n, ProofsOnly: m.Rehearsal})
		if err != nil && ctx.Err() == nil && !failing {
			m.Log.Error("reading the outbox failed, will try again", "lane", string(l.name), "error", err)
		}
		failing = err != nil
		alive(0)
		if len(deliveries) == 0 {
			select {
			case <-look.C:
			case <-l.wanted:
			case <-ctx.Done():
			}
			continue
		}
		switch took := began.Sub(last); {
		case took < batchTime/2:
			n = min(2*n, mostBatch)
		case took > 2*batchTime:
			n = max(n/2, least)
		}
		last = began
		p.push(l, deliveries)
		select {
		case <-l.wanted:
		case <-ctx.Done(): // EndRun gives back what is waiting
		}
	}
	return nil
}

// watch judges first waves and tells the end of each edition, once, until it is cancelled.
func (m *Mailer) watch(ctx context.Context, p *pool) error {
	look := time.NewTicker(cmp.Or(m.Poll, defaultPoll))
	defer look.Stop()
	failing := false
	alive := m.alive("watch over editions")
	for {
		alive(0)
		select {
		case <-look.C:
		case <-p.drained:
		case <-ctx.Done():
			return nil
		}
		alive(onDisk)
		trials, err := m.Outbox.JudgeTrials(ctx, m.Now())
		if len(trials) > 0 {
			p.lookAgain()
		}
		for _, t := range trials {
			m.tellTrial(t)
		}
		err = errors.Join(err, m.finish(ctx))
		if err != nil && ctx.Err() == nil && !failing {
			m.Log.Error("looking after editions failed, will try again", "error", err)
		}
		failing = err != nil
	}
}

func (m *Mailer) tellTrial(t newsletter.Trial) {
	switch {
	case t.Paused:
		m.Log.Error("edition paused: too many of the first addresses are gone; `dispatcher editions show` tells which words the relay used, `editions resume` goes on",
			"edition", t.Edition, "list", t.List, "first", t.Readers, "gone", t.Gone)
	case !t.Waits.IsZero():
		m.Log.Info("first wave sent, the rest waits for reports", "edition", t.Edition, "list", t.List, "first", t.Readers, "until", t.Waits.UTC().Format(time.RFC3339))
	default:
		m.Log.Info("first wave is sound, the rest goes", "edition", t.Edition, "list", t.List, "first", t.Readers, "gone", t.Gone)
	}
}

// finish tells the end of each edition, once.
func (m *Mailer) finish(ctx context.Context) error {
	done, err := m.Outbox.FinishEditions(ctx)
	for _, e := range done {
		c := e.Counts
		facts := []any{
			"edition", e.ID, "list", e.List, "audience", c.Audience, "sent", c.Sent, "failed", c.Failed, "ours", e.Ours,
			"withdrawn", c.Withdrawn, "unknown", c.Unknown, "after", m.Now().Sub(e.Made).Round(time.Second),
		}
		if !e.WentBadly() {
			m.Log.Info("edition done", facts...)
			continue
		}
		cure := fmt.Sprintf("`dispatcher editions show %d` tells why", e.ID)
		if e.Ours > 0 {
			cure += fmt.Sprintf("; when that is mended, `dispatcher editions retry %d --owner ours` takes up what failed by us", e.ID)
		}
		m.Log.Warn("edition done", append(facts, "cure", cure)...)
	}
	return err
}

// SendOne sends one message outside the outbox, at once: a test copy. The error says what the relay said.
func SendOne(ctx context.Context, r Relay, message newsletter.Message) error {
	s, err := dial(ctx, r)
	if err != nil {
		return fmt.Errorf("connecting to relay %s: %w", r.Name, err)
	}
	if err := sendPlainly(s, message); err != nil {
		s.drop()
		return fmt.Errorf("sending through relay %s: %w", r.Name, err)
	}
	s.quit()
	return nil
}

// sendPlainly sends one message in the plain dialogue.
func sendPlainly(s *session, m newsletter.Message) error {
	if err := s.carries(&m); err != nil {
		return err
	}
	if err := s.offer(&m); err != nil {
		return err
	}
	return s.deliver(&m, nil)
}

// Probe connects, secures and logs in, and sends nothing.
func Probe(ctx context.Context, r Relay) error {
	s, err := dial(ctx, r)
	if err != nil {
		return fmt.Errorf("connecting to relay %s: %w", r.Name, err)
	}
	s.quit()
	return nil
}

// jitter spreads retries, so that what was refused together does not come back together.
func jitter() float64 { return rand.Float64() }
