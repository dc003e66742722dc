// Package mailer takes deliveries from the outbox to the relay.
//
// A feeder claims deliveries in the order of their lanes; each connection has a worker that composes and sends, and does not end a
// message before the outcome of its last one is on disk; one recorder writes the outcomes of all workers in groups.
// A kill at any moment therefore leaves at most one message per connection of which we do not know that the relay has it.
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
	BeginRun(ctx context.Context, now time.Time) (run newsletter.RunID, takenBack int, err error)
	ClaimDeliveries(ctx context.Context, claim newsletter.Claim) ([]newsletter.Delivery, error)
	// StillDue looks once more at a delivery that was claimed a while ago.
	StillDue(ctx context.Context, d newsletter.Delivery) (bool, error)
	RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error
	// FinishEditions marks the editions done of which nothing is open any more, and returns them with their counts.
	FinishEditions(ctx context.Context) ([]newsletter.Edition, error)
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
	Relay     Relay
	Rehearsal bool          // only proofs go out
	Poll      time.Duration // how late what comes into the outbox is found at most; 0: half a second
	Now       func() time.Time
	Log       *slog.Logger
}

const defaultPoll = 500 * time.Millisecond

// Run sends until it is cancelled. Then it claims no more, finishes the messages that are on the line, writes their
// outcomes down, gives back what it had claimed, and returns nil.
func (m *Mailer) Run(ctx context.Context) error {
	run, takenBack, err := m.Outbox.BeginRun(ctx, m.Now())
	if err != nil {
		return err
	}
	if takenBack > 0 {
		m.Log.Warn("taking up what an interrupted run had not finished", "deliveries", takenBack)
	}
	batches := make(chan batch)
	work := make(chan claimed, max(1, m.Relay.Connections)) // so that a worker finds its next without waiting
	recorder := newRecorder(m.Outbox, m.Log)
	var recording errgroup.Group
	recording.Go(func() error { recorder.run(); return nil })

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.feed(gctx, run, batches) })
	g.Go(func() error { return dispense(gctx, batches, work) })
	line := &lineState{relay: m.Relay.Name, log: m.Log}
	for range max(1, m.Relay.Connections) {
		w := &worker{Mailer: m, line: line, recorder: recorder, work: work}
		g.Go(func() error { return w.run(gctx) })
	}
	err = g.Wait()
	recorder.close()
	_ = recording.Wait() // it has no errors: it tries until it succeeds or is closed
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, m.Outbox.EndRun(ending, run, m.Now()))
}

// Batches are as large as what is sent in a fifth of a second, within these bounds: the workers never wait for a claim, an alert
// waits for two batches of a digest at most, and memory does not grow with the list.
const (
	batchTime = 200 * time.Millisecond
	mostBatch = 500
)

// batch is what was claimed together, and claimed is one of it. When they were claimed is told by the monotonic clock.
type batch struct {
	deliveries []newsletter.Delivery
	at         time.Time
}

type claimed struct {
	newsletter.Delivery
	at time.Time
}

// feed claims batches, one ahead of the one that is being dispensed, until it is cancelled.
func (m *Mailer) feed(ctx context.Context, run newsletter.RunID, batches chan<- batch) error {
	failing, finished := false, time.Now()
	look := time.NewTicker(cmp.Or(m.Poll, defaultPoll))
	defer look.Stop()
	least := 2 * max(1, m.Relay.Connections)
	for n := least; ctx.Err() == nil; {
		at := time.Now()
		deliveries, err := m.claim(ctx, run, n)
		if err == nil && (len(deliveries) == 0 || time.Since(finished) > time.Second) { // an alert is done before the digest beside it
			err, finished = m.finish(ctx), time.Now()
		}
		if err != nil && ctx.Err() == nil && !failing {
			m.Log.Error("reading the outbox failed, will try again", "error", err)
		}
		failing = err != nil
		if len(deliveries) == 0 {
			select {
			case <-look.C:
			case <-ctx.Done():
			}
			continue
		}
		ready := time.Now()
		select {
		case batches <- batch{deliveries, at}:
		case <-ctx.Done(): // EndRun gives the batch back
			return nil
		}
		switch waited := time.Since(ready); {
		case waited < batchTime/4:
			n = min(2*n, mostBatch)
		case waited > batchTime:
			n = max(n/2, least)
		}
	}
	return nil
}

// dispense hands batches out to the workers, one delivery at a time, until it is cancelled.
func dispense(ctx context.Context, batches <-chan batch, work chan<- claimed) error {
	for {
		select {
		case b := <-batches:
			for _, d := range b.deliveries {
				select {
				case work <- claimed{d, b.at}:
				case <-ctx.Done(): // EndRun gives the rest back
					return nil
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// finish tells the end of each edition, once.
func (m *Mailer) finish(ctx context.Context) error {
	done, err := m.Outbox.FinishEditions(ctx)
	for _, e := range done {
		c := e.Counts
		m.Log.Info("edition done", "edition", e.ID, "list", e.List, "audience", c.Audience, "sent", c.Sent, "failed", c.Failed,
			"withdrawn", c.Withdrawn, "unknown", c.Unknown, "after", m.Now().Sub(e.Made).Round(time.Second))
	}
	return err
}

// claim takes up to n deliveries of the most urgent lane that has any.
func (m *Mailer) claim(ctx context.Context, run newsletter.RunID, n int) ([]newsletter.Delivery, error) {
	for _, lane := range newsletter.Lanes() {
		claimed, err := m.Outbox.ClaimDeliveries(ctx, newsletter.Claim{Run: run, Lane: lane, Now: m.Now(), N: n, ProofsOnly: m.Rehearsal})
		if err != nil || len(claimed) > 0 {
			return claimed, err
		}
	}
	return nil, nil
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
