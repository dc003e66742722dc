package mailer_test

import (
	"context"
	"errors"
	"testing"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// refusedFor is how often a relay refused for one owner's sake, for now and for good.
func refusedFor(r newsletter.RelayFigures, owner newsletter.Owner) (forNow, forGood int64) {
	for _, x := range r.Refusals {
		if x.Owner == owner && x.Permanent {
			forGood = x.Count
		} else if x.Owner == owner {
			forNow = x.Count
		}
	}
	return forNow, forGood
}

// A process counts on when one mailer follows another.
func TestTheCountsOutliveAMailer(t *testing.T) {
	gone := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "no such user"}
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.To("reader3@example.net", smtptest.Rcpt, gone)})
	defer relay.Close()
	var f mailer.Figures
	for life := range 2 {
		box := newOutbox(30)
		m := newMailer(box, relayAt(relay, 2))
		m.Figures = &f
		runUntilSettled(t, m, box)
		got := f.Read()
		if len(got.Relays) != 1 {
			t.Fatalf("relays: %+v", got.Relays)
		}
		r, want := got.Relays[0], int64(life+1)
		if _, forGood := refusedFor(r, newsletter.RecipientGone); r.Name != "main" || r.Taken != 29*want || forGood != want {
			t.Errorf("after %d lives: %d taken, %d refused", want, r.Taken, forGood)
		}
		if r.Used || r.Busy+r.Idle > 0 {
			t.Errorf("no mailer runs, and the relay stands as %+v", r)
		}
		if got.Group.Sum != float64(30*want) || got.Group.Count != got.Commit.Count || got.Commit.Sum <= 0 || got.Commit.AtMost[10] != got.Commit.Count {
			t.Errorf("after %d lives: groups %+v, commits %+v", want, got.Group, got.Commit)
		}
	}
}

// What a relay is doing is seen while it does it: connections at work and at rest, and a circuit that is open.
func TestARelayIsSeenAtWork(t *testing.T) {
	hold := make(chan struct{})
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData {
			return smtptest.Answer{Hold: hold}
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := newOutbox(2)
	m := newMailer(box, relayAt(relay, 2))
	m.Relays[0].Rate = 1000
	m.Figures = &mailer.Figures{}
	stop := running(t, m)
	at := func() newsletter.RelayFigures {
		r := m.Figures.Read().Relays
		if len(r) == 0 {
			return newsletter.RelayFigures{}
		}
		return r[0]
	}
	eventually(t, "both connections are at work", func() bool { return at().Busy == 2 && at().Idle == 0 })
	if r := at(); !r.Used || r.Most != 2 || r.Rate != 1000 || r.CircuitOpen || r.QuotaSpent || r.Taken != 0 {
		t.Errorf("the relay stands as %+v", r)
	}
	close(hold)
	eventually(t, "both connections are at rest", func() bool { return at().Busy == 0 && at().Idle == 2 })
	stop()
	if r := at(); r.Used || r.Taken != 2 {
		t.Errorf("after the end the relay stands as %+v", r)
	}
}

func TestARelayOutOfReachIsSeen(t *testing.T) {
	script, mend, _ := refusing(smtptest.Connect, smtptest.Answer{Code: 554, Text: "no service for you"})
	relay := smtptest.NewServer(smtptest.Config{Script: script})
	defer relay.Close()
	box := newOutbox(3)
	c := &clock{now: start}
	m := newMailer(box, relayAt(relay, 2))
	m.Now, m.Figures = c.Now, &mailer.Figures{}
	stop := running(t, m)
	eventually(t, "the circuit is open", func() bool {
		r := m.Figures.Read().Relays
		return len(r) == 1 && r[0].CircuitOpen && r[0].Unreached > 0
	})
	mend()
	c.add(31e9)
	<-box.settled
	if r := m.Figures.Read().Relays[0]; r.CircuitOpen || r.Taken != 3 {
		t.Errorf("when it is mended the relay stands as %+v", r)
	}
	stop()
}

// failing is an outbox that cannot write a while.
type failing struct {
	*outbox
	left int
}

func (f *failing) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	if f.left--; f.left >= 0 {
		return errors.New("disk full")
	}
	return f.outbox.RecordOutcomes(ctx, outcomes)
}

// A commit that fails is counted, and is no group that was written.
func TestFailedCommitsAreCounted(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(1)
	m := newMailer(&failing{outbox: box, left: 2}, relayAt(relay, 1))
	m.Figures = &mailer.Figures{}
	runUntilSettled(t, m, box)
	if f := m.Figures.Read(); f.Unwritten != 2 || f.Group.Count != 1 {
		t.Errorf("%d commits failed, %d groups were written; want 2 and 1", f.Unwritten, f.Group.Count)
	}
}
