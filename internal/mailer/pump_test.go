package mailer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// strictOutbox watches that no connection runs ahead of the ledger.
type strictOutbox struct {
	*outbox
	t           *testing.T
	relay       *smtptest.Server
	connections int

	mu       sync.Mutex
	recorded int
}

func (o *strictOutbox) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if accepted := int(o.relay.Counts().Accepted); accepted > o.recorded+o.connections {
		o.t.Errorf("the relay has %d messages, of which %d are recorded, over %d connections", accepted, o.recorded, o.connections)
	}
	o.recorded += len(outcomes)
	return o.outbox.RecordOutcomes(ctx, outcomes)
}

// Promise 2: a connection does not end a message before the outcome of its last one is on disk, so that after a power cut there is
// at most one message for each connection of which the ledger does not know.
func TestNoConnectionRunsAheadOfTheLedger(t *testing.T) {
	for name, without := range map[string][]string{"pipelined": nil, "plain": {"PIPELINING"}} {
		t.Run(name, func(t *testing.T) {
			relay := smtptest.NewServer(smtptest.Config{Without: without})
			defer relay.Close()
			box := newOutbox(300)
			m := newMailer(box, relayAt(relay, 4))
			m.Outbox = &strictOutbox{outbox: box, t: t, relay: relay, connections: 4}
			runUntilSettled(t, m, box)
			eachOnce(t, relay, 300)
		})
	}
}

// Whatever the relay offers, it gets each message once, in a dialogue that it understands.
func TestTheDialogueFollowsWhatTheRelayOffers(t *testing.T) {
	for _, without := range [][]string{nil, {"PIPELINING"}, {"SIZE", "8BITMIME"}, {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"}} {
		t.Run(fmt.Sprint(without), func(t *testing.T) {
			refused := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "no such user"}
			relay := smtptest.NewServer(smtptest.Config{Without: without, Script: smtptest.FirstOf(
				smtptest.To("reader3@example.net", smtptest.Rcpt, refused), smtptest.To("reader5@example.net", smtptest.EndOfData, refused),
				smtptest.To("reader7@example.net", smtptest.Data, refused), smtptest.To("reader9@example.net", smtptest.Rcpt, refused),
				smtptest.To("reader10@example.net", smtptest.Rcpt, refused),
			)})
			defer relay.Close()
			box := newOutbox(20)
			send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
			if c := relay.Counts(); c.Accepted != 15 || c.Connections != 1 {
				t.Errorf("%d were accepted over %d connections, want 15 over 1: a refusal must leave the connection clean", c.Accepted, c.Connections)
			}
			for _, id := range []newsletter.SubscriberID{3, 5, 7, 9, 10} {
				if got := box.of(id); len(got) != 1 || got[0].State != newsletter.Failed || got[0].Code != 550 {
					t.Errorf("reader %d: %+v", id, got)
				}
			}
		})
	}
}

func TestConnectionsAreReplacedAfterSoManyMessages(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(40)
	r := relayAt(relay, 1)
	r.Messages = 10
	send(t, box, r, (&clock{now: start}).Now)
	eachOnce(t, relay, 40)
	if n := relay.Counts().Connections; n != 4 {
		t.Errorf("40 messages, 10 to a connection, went over %d connections", n)
	}
}

// A line that is cut while a message ends takes the envelope that rides behind it along: that reader is tried again at once.
func TestAnEnvelopeThatRodeAlongIsNotLost(t *testing.T) {
	n := 0
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData {
			return smtptest.Answer{}
		}
		if n++; n%5 == 0 {
			return smtptest.Answer{Fault: smtptest.CutAfter}
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	c := &clock{now: start}
	box := newOutbox(60)
	send(t, box, relayAt(relay, 2), func() time.Time { c.add(time.Second); return c.Now() })
	reached := map[string]bool{}
	for _, m := range relay.Messages() {
		reached[m.To[0]] = true
	}
	if len(reached) != 60 {
		t.Errorf("%d of 60 readers are reached", len(reached))
	}
}

// A relay may stay in the transaction whose message it has refused, and call the envelope behind it a nested one. That is neither the
// sender's fault nor the reader's.
func TestANestedEnvelopeIsNobodysFault(t *testing.T) {
	for name, without := range map[string][]string{"pipelined": nil, "one by one": {"PIPELINING"}} {
		t.Run(name, func(t *testing.T) {
			nested := map[int]bool{}
			relay := smtptest.NewServer(smtptest.Config{Without: without, Script: func(e smtptest.Event) smtptest.Answer {
				switch {
				case e.Stage == smtptest.EndOfData && strings.HasPrefix(e.To, "reader7@"):
					nested[e.Session] = true
					return smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "not with us"}
				case e.Stage == smtptest.Rset:
					delete(nested, e.Session)
				case e.Stage == smtptest.Mail && nested[e.Session]:
					return smtptest.Answer{Code: 503, Enhanced: "5.5.1", Text: "Error: nested MAIL command"}
				}
				return smtptest.Answer{}
			}})
			defer relay.Close()
			box := newOutbox(40)
			text := send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
			if n := relay.Counts().Accepted; n != 39 || text != "" {
				t.Errorf("%d messages are out, the log says\n%s", n, text)
			}
			if got := box.of(7); len(got) != 1 || got[0].State != newsletter.Failed {
				t.Errorf("the reader who was refused: %+v", got)
			}
		})
	}
}
