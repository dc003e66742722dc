// Package mailer takes deliveries from the outbox to the relay.
//
// A feeder claims deliveries in the order of their lanes; each connection has a worker that composes, sends and waits
// until the outcome is on disk before it takes the next; one recorder writes the outcomes of all workers in groups.
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
	RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error
	EndRun(ctx context.Context, run newsletter.RunID, now time.Time) error
}

// Composer makes one reader's message (package render). It may be called from many goroutines.
type Composer interface {
	Compose(ctx context.Context, d newsletter.Delivery) (newsletter.Message, error)
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
	work := make(chan newsletter.Delivery)
	recorder := newRecorder(m.Outbox, m.Log)
	var recording errgroup.Group
	recording.Go(func() error { recorder.run(); return nil })

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.feed(gctx, run, work) })
	line := &lineState{relay: m.Relay.Name, log: m.Log}
	for range max(1, m.Relay.Connections) {
		w := &worker{Mailer: m, line: line, recorder: recorder}
		g.Go(func() error { return w.run(gctx, work) })
	}
	err = g.Wait()
	recorder.close()
	_ = recording.Wait() // it has no errors: it tries until it succeeds or is closed
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, m.Outbox.EndRun(ending, run, m.Now()))
}

// feed claims deliveries and hands them to the workers, until it is cancelled.
func (m *Mailer) feed(ctx context.Context, run newsletter.RunID, work chan<- newsletter.Delivery) error {
	poll, failing := cmp.Or(m.Poll, defaultPoll), false
	for ctx.Err() == nil {
		claimed, err := m.claim(ctx, run)
		if err != nil && ctx.Err() == nil && !failing {
			m.Log.Error("reading the outbox failed, will try again", "error", err)
		}
		failing = err != nil
		for _, d := range claimed {
			select {
			case work <- d:
			case <-ctx.Done(): // EndRun gives the rest back
				return nil
			}
		}
		if len(claimed) == 0 {
			select {
			case <-time.After(poll):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// claim takes a few deliveries for each worker, the most urgent lane first. Few, so that an alert that comes while a
// digest is being sent waits for no more than those.
func (m *Mailer) claim(ctx context.Context, run newsletter.RunID) ([]newsletter.Delivery, error) {
	n := 4 * max(1, m.Relay.Connections)
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
	if err := s.send(message); err != nil {
		s.drop()
		return fmt.Errorf("sending through relay %s: %w", r.Name, err)
	}
	s.quit()
	return nil
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
