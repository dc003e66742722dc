package mailer_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// signs are the last signs of life of a mailer's parts.
type signs struct {
	mu      sync.Mutex
	last    map[string]time.Duration
	changed chan struct{} // has a token after a sign; nil: nobody waits
}

func (s *signs) heart(part string) func(within time.Duration) {
	return func(within time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last[part] = within
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// restless are the parts that owe a sign.
func (s *signs) restless() (parts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part, within := range s.last {
		if within > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

func (s *signs) owes(part string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[part]
}

// stuckOutbox stops the mailer in the middle of a claim or a record.
type stuckOutbox struct {
	*outbox
	claiming, recording chan chan struct{} // get a channel that lets the mailer go on; nil: it goes on by itself
}

func pass(c chan chan struct{}) {
	if c != nil {
		on := make(chan struct{})
		c <- on
		<-on
	}
}

func (o *stuckOutbox) ClaimDeliveries(ctx context.Context, c newsletter.Claim) ([]newsletter.Delivery, error) {
	if c.Lane == newsletter.DigestLane {
		pass(o.claiming)
	}
	return o.outbox.ClaimDeliveries(ctx, c)
}

func (o *stuckOutbox) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	pass(o.recording)
	return o.outbox.RecordOutcomes(ctx, outcomes)
}

// Whatever a part waits for that must come, it owes a sign of life meanwhile; while it waits for work it owes none, nor when it has ended.
func TestEachPartShowsThatItIsAlive(t *testing.T) {
	stalls, stalled := make(chan struct{}), make(chan struct{})
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData {
			return smtptest.Answer{}
		}
		close(stalls)
		<-stalled
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := &stuckOutbox{outbox: newOutbox(1), claiming: make(chan chan struct{}), recording: make(chan chan struct{})}
	life := &signs{last: map[string]time.Duration{}}
	m := newMailer(box, relayAt(relay, 1))
	m.Alive = life.heart
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()

	claim := <-box.claiming
	if life.owes("feeder of the lane digest") == 0 {
		t.Error("a feeder that claims owes no sign")
	}
	close(claim)
	go func() {
		for on := range box.claiming {
			close(on)
		}
	}()
	<-stalls
	connection := "connection 1 to main"
	if within := life.owes(connection); within == 0 || within > 30*time.Minute {
		t.Errorf("a connection whose relay does not answer owes a sign within %s", within)
	}
	close(stalled)
	record := <-box.recording
	if life.owes("recorder") == 0 {
		t.Error("a recorder that records owes no sign")
	}
	close(record)
	<-box.settled
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if parts := life.restless(); len(parts) > 0 {
		t.Errorf("after the end %q owe signs", parts)
	}
	close(box.claiming)
}

// A daemon that has nothing to do owes no sign, also when its connections have been closed for want of work: else the watchdog would end it
// after each edition.
func TestAnIdleMailerOwesNothing(t *testing.T) {
	closing := make(chan struct{})
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.Quit {
			close(closing)
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := newOutbox(1)
	life := &signs{last: map[string]time.Duration{}, changed: make(chan struct{}, 1)}
	m := newMailer(box, relayAt(relay, 1))
	m.Alive, m.Idle, m.Poll = life.heart, time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	<-closing
	for patience := time.After(20 * time.Second); len(life.restless()) > 0; {
		select {
		case <-life.changed:
		case <-patience:
			t.Fatalf("with nothing to do %q owe signs", life.restless())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// askedOutbox tells the context of a claim. That of a mailer that claims no more is cancelled.
type askedOutbox struct {
	*outbox
	asked chan context.Context
}

func (o *askedOutbox) ClaimDeliveries(ctx context.Context, c newsletter.Claim) ([]newsletter.Delivery, error) {
	select {
	case o.asked <- ctx:
	default:
	}
	return o.outbox.ClaimDeliveries(ctx, c)
}

// Promise 2: a mailer that is to make room for another claims no more and cuts nobody off, however long the relay takes.
func TestALeavingMailerCutsNobodyOff(t *testing.T) {
	stalls, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData {
			once.Do(func() { close(stalls) })
			<-goOn
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := &askedOutbox{newOutbox(5), make(chan context.Context, 1)}
	leave := make(chan struct{})
	m := newMailer(box, relayAt(relay, 1))
	m.Leave = leave
	done := make(chan error)
	go func() { done <- m.Run(t.Context()) }()
	<-stalls
	close(leave)
	<-(<-box.asked).Done()
	select {
	case err := <-done:
		t.Fatalf("it ends under the relay: %v", err)
	default:
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	for _, o := range box.outcomes {
		if o.State != newsletter.Sent {
			t.Errorf("an outcome is %+v", o)
		}
	}
	if n := len(box.outcomes); n == 0 || n > 2 || len(box.claimed) != 0 || len(box.waiting) != 5-n { // the next one's envelope rode along
		t.Errorf("%d outcomes, %d claimed, %d waiting", n, len(box.claimed), len(box.waiting))
	}
}

var _ mailer.Outbox = (*stuckOutbox)(nil)
