package mailer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// outbox is an outbox in memory: what the mailer's tests need of the store's contract. The store's own tests prove that
// it keeps it, and the command's tests run both together.
type outbox struct {
	mu       sync.Mutex
	waiting  []newsletter.Delivery
	due      map[newsletter.SubscriberID]time.Time
	claimed  map[newsletter.SubscriberID]newsletter.Delivery
	outcomes []newsletter.Outcome
	left     map[newsletter.SubscriberID]bool
	used     []newsletter.Usage
	ended    map[newsletter.SubscriberID]newsletter.Delivery
	settled  chan struct{} // closed when nothing waits or is claimed any more
}

func newOutbox(n int) *outbox {
	o := &outbox{due: map[newsletter.SubscriberID]time.Time{}, claimed: map[newsletter.SubscriberID]newsletter.Delivery{}, settled: make(chan struct{})}
	for i := range n {
		id := newsletter.SubscriberID(i + 1)
		o.waiting = append(o.waiting, newsletter.Delivery{
			DeliveryKey: newsletter.DeliveryKey{Edition: 1, Subscriber: id}, Lane: newsletter.DigestLane,
			Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", id)), FirstDue: start, Expires: start.Add(72 * time.Hour),
		})
	}
	return o
}

func (o *outbox) BeginRun(context.Context, []newsletter.Lane, time.Time) (newsletter.RunID, int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.claimed)
	for _, d := range o.claimed {
		o.waiting = append(o.waiting, d)
	}
	clear(o.claimed)
	return 1, n, nil
}

func (o *outbox) EndRun(context.Context, newsletter.RunID, time.Time) error {
	_, _, err := o.BeginRun(context.Background(), nil, start)
	return err
}

func (o *outbox) ClaimDeliveries(_ context.Context, c newsletter.Claim) (claimed []newsletter.Delivery, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []newsletter.Delivery
	for _, d := range o.waiting {
		if o.left[d.Subscriber] {
			o.outcomes = append(o.outcomes, newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Withdrawn})
			continue
		}
		if !c.Now.Before(d.Expires) {
			o.outcomes = append(o.outcomes, newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Failed, Words: "patience ran out"})
			continue
		}
		if len(claimed) < c.N && d.Lane == c.Lane && !o.due[d.Subscriber].After(c.Now) {
			claimed = append(claimed, d)
			o.claimed[d.Subscriber] = d
		} else {
			rest = append(rest, d)
		}
	}
	o.waiting = rest
	o.settle()
	return claimed, nil
}

func (o *outbox) StillDue(_ context.Context, d newsletter.Delivery) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.left[d.Subscriber], nil
}

func (*outbox) JudgeTrials(context.Context, time.Time) ([]newsletter.Trial, error) { return nil, nil }

func (o *outbox) RelayUsage(context.Context, string, time.Time) ([]newsletter.Usage, error) {
	return o.used, nil
}

func (*outbox) FinishEditions(context.Context) ([]newsletter.Edition, error) { return nil, nil }

// settle says when everything has its last outcome.
func (o *outbox) settle() {
	if len(o.waiting) > 0 || len(o.claimed) > 0 {
		return
	}
	select {
	case <-o.settled:
	default:
		close(o.settled)
	}
}

func (o *outbox) RecordOutcomes(_ context.Context, outcomes []newsletter.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range outcomes {
		d, ok := o.claimed[x.Subscriber]
		if !ok {
			d = o.ended[x.Subscriber]
		}
		delete(o.claimed, x.Subscriber)
		if o.ended == nil {
			o.ended = map[newsletter.SubscriberID]newsletter.Delivery{}
		}
		o.ended[x.Subscriber] = d
		if x.State == newsletter.Pending {
			d.Attempts, o.due[x.Subscriber] = x.Attempts, x.Due
			o.waiting = append(o.waiting, d)
		}
		o.outcomes = append(o.outcomes, x)
	}
	o.settle()
	return nil
}

// leave says that a reader wants no more mail.
func (o *outbox) leave(id newsletter.SubscriberID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left == nil {
		o.left = map[newsletter.SubscriberID]bool{}
	}
	o.left[id] = true
}

// add puts one more delivery into the outbox.
func (o *outbox) add(d newsletter.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, d)
}

// of are the outcomes of one reader's delivery, in order.
func (o *outbox) of(id newsletter.SubscriberID) (all []newsletter.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.outcomes {
		if x.Subscriber == id {
			all = append(all, x)
		}
	}
	return all
}

// composer writes a short message with the delivery's number as Message-ID.
type composer struct{}

func (composer) Compose(_ context.Context, d newsletter.Delivery, buffer []byte) (newsletter.Message, error) {
	text := fmt.Sprintf("Message-ID: <%d@example.org>\r\nSubject: A letter\r\n\r\n..A line that begins with a dot.\r\n", d.Subscriber)
	return newsletter.Message{From: "news@example.org", To: d.Address, Data: append(buffer, text...)}, nil
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func relayAt(s *smtptest.Server, connections int) mailer.Relay {
	return mailer.Relay{Name: "main", Host: s.Host, Port: s.Port, TLS: mailer.NoTLS, Connections: connections}
}

// newMailer is a mailer on the tests' composer, which looks at its outbox all the time and logs nothing.
func newMailer(box mailer.Outbox, relay mailer.Relay) *mailer.Mailer {
	return &mailer.Mailer{Outbox: box, Composer: composer{}, Relays: []mailer.Relay{relay}, Poll: time.Millisecond, Now: (&clock{now: start}).Now, Log: slog.New(slog.DiscardHandler)}
}

// send runs a mailer until the outbox is settled, and returns its log.
func send(t *testing.T, box *outbox, relay mailer.Relay, now func() time.Time) string {
	t.Helper()
	var text log
	m := newMailer(box, relay)
	m.Now, m.Log = now, slog.New(slog.NewTextHandler(&text, nil))
	runUntilSettled(t, m, box)
	if strings.Contains(text.String(), "@") {
		t.Errorf("the log has an address: %s", text.String())
	}
	return text.String()
}

func runUntilSettled(t *testing.T, m *mailer.Mailer, box *outbox) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	<-box.settled
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// eachOnce checks that every reader's message was accepted exactly once.
func eachOnce(t *testing.T, relay *smtptest.Server, n int) {
	t.Helper()
	got := map[string]int{}
	for _, m := range relay.Messages() {
		got[m.To[0]]++
	}
	for i := range n {
		if to := fmt.Sprintf("reader%d@example.net", i+1); got[to] != 1 {
			t.Errorf("%s has %d copies", to, got[to])
		}
	}
}

func TestEveryReaderIsReachedOnceOverKeptConnections(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(200)
	send(t, box, relayAt(relay, 4), (&clock{now: start}).Now)
	eachOnce(t, relay, 200)
	if n := relay.Counts().Connections; n > 4 {
		t.Errorf("%d connections were opened for 4 kept ones", n)
	}
	if text := string(relay.Messages()[0].Data); !strings.Contains(text, "\n.A line") {
		t.Errorf("a dot at the beginning of a line is lost: %q", text)
	}
}

// A 421 belongs to the connection: the reader's delivery keeps its count of tries and goes at once over a fresh one.
func TestA421IsTheConnectionsFault(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.HangUpAfter(7)})
	defer relay.Close()
	box := newOutbox(50)
	send(t, box, relayAt(relay, 2), (&clock{now: start}).Now)
	eachOnce(t, relay, 50)
	for i := range 50 {
		if got := box.of(newsletter.SubscriberID(i + 1)); len(got) != 1 || got[0].Attempts != 1 {
			t.Errorf("reader %d: %+v", i+1, got)
		}
	}
}

func TestARefusedRecipientLeavesTheConnectionClean(t *testing.T) {
	refused := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "<reader3@example.net>: no such user here"}
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.To("reader3@example.net", smtptest.Rcpt, refused)})
	defer relay.Close()
	box := newOutbox(6)
	send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
	got := box.of(3)
	if len(got) != 1 || got[0].State != newsletter.Failed || got[0].Owner != newsletter.RecipientGone || got[0].Code != 550 || got[0].Enhanced != "5.1.1" {
		t.Fatalf("the refused reader: %+v", got)
	}
	if !strings.Contains(got[0].Words, "no such user here") || strings.Contains(got[0].Words, "@") {
		t.Errorf("the relay's words are kept as %q", got[0].Words)
	}
	if c := relay.Counts(); c.Accepted != 5 || c.Connections != 1 {
		t.Errorf("%d were accepted over %d connections, want 5 over 1", c.Accepted, c.Connections)
	}
}

// What is refused for now is tried again later, with growing delays, and the message is the same.
func TestATemporaryRefusalIsTriedAgain(t *testing.T) {
	c := &clock{now: start}
	var times []time.Time
	later := smtptest.Answer{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}
	script := func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData {
			return smtptest.Answer{}
		}
		times = append(times, c.Now())
		c.add(10 * time.Minute) // the next look at the clock is at least this much later
		if len(times) <= 3 {
			return later
		}
		return smtptest.Answer{}
	}
	relay := smtptest.NewServer(smtptest.Config{Script: script})
	defer relay.Close()
	box := newOutbox(1)
	moving := func() time.Time { c.add(time.Minute); return c.Now() }
	send(t, box, relayAt(relay, 1), moving)
	eachOnce(t, relay, 1)
	got := box.of(1)
	if len(got) != 4 || got[3].State != newsletter.Sent || got[3].Attempts != 4 {
		t.Fatalf("outcomes %+v", got)
	}
	for i, least := range []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute} {
		if wait := got[i].Due.Sub(got[i].At); wait < least || wait > least+least/10 {
			t.Errorf("after try %d the wait is %v, want %v and up to a tenth more", i+1, wait, least)
		}
	}
}

func TestPatienceIsTime(t *testing.T) {
	c := &clock{now: start}
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.At(smtptest.Rcpt, smtptest.Answer{Code: 450, Text: "mailbox busy"})})
	defer relay.Close()
	box := newOutbox(1)
	send(t, box, relayAt(relay, 1), func() time.Time { c.add(10 * time.Minute); return c.Now() })
	got := box.of(1)
	last := got[len(got)-1]
	if last.State != newsletter.Failed || last.Owner == newsletter.RecipientGone || !strings.Contains(last.Words, "patience ran out") || len(got) < 8 {
		t.Errorf("after %d tries the outcome is %+v", len(got), last)
	}
}

// RFC 1047: when the line is cut after the end of DATA the relay may have the message. It is tried again under the same Message-ID.
func TestALineCutAfterTheEndOfDataIsTriedAgain(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.Times(1, smtptest.At(smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter}))})
	defer relay.Close()
	c := &clock{now: start}
	box := newOutbox(1)
	send(t, box, relayAt(relay, 1), func() time.Time { c.add(time.Minute); return c.Now() })
	got := relay.Messages()
	if len(got) != 2 || got[0].MessageID != got[1].MessageID {
		t.Errorf("the relay has %d messages: %+v", len(got), got)
	}
}

// Whatever breaks before the end of DATA says nothing about the reader, who still gets one copy.
func TestALineCutBeforeTheEndOfDataCostsNothing(t *testing.T) {
	for name, script := range map[string]smtptest.Script{
		"at MAIL":          smtptest.At(smtptest.Mail, smtptest.Answer{Fault: smtptest.Cut}),
		"at RCPT":          smtptest.At(smtptest.Rcpt, smtptest.Answer{Fault: smtptest.Cut}),
		"at DATA":          smtptest.At(smtptest.Data, smtptest.Answer{Fault: smtptest.Cut}),
		"inside DATA":      smtptest.At(smtptest.Data, smtptest.Answer{Fault: smtptest.CutInData, Bytes: 20}),
		"at the greeting":  smtptest.At(smtptest.Connect, smtptest.Answer{Fault: smtptest.Cut}),
		"refused greeting": smtptest.At(smtptest.Connect, smtptest.Answer{Code: 554, Text: "go away"}),
		"refused sender":   smtptest.At(smtptest.Mail, smtptest.Answer{Code: 550, Enhanced: "5.7.1", Text: "sender refused"}),
	} {
		t.Run(name, func(t *testing.T) {
			relay := smtptest.NewServer(smtptest.Config{Script: smtptest.Times(2, script)})
			defer relay.Close()
			c := &clock{now: start}
			box := newOutbox(5)
			send(t, box, relayAt(relay, 1), func() time.Time { c.add(time.Minute); return c.Now() })
			eachOnce(t, relay, 5)
		})
	}
}

// An idle connection that the relay has closed in the meantime costs no try.
func TestADeadKeptConnectionIsReplacedWithoutBlame(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	c := &clock{now: start}
	box := newOutbox(2)
	box.due[2] = start.Add(time.Hour)
	var text log
	m := &mailer.Mailer{Outbox: box, Composer: composer{}, Relays: []mailer.Relay{relayAt(relay, 1)}, Now: c.Now, Poll: time.Millisecond, Log: slog.New(slog.NewTextHandler(&text, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	if err := relay.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	relay.CloseIdle()
	c.add(2 * time.Hour)
	<-box.settled
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := box.of(2); len(got) != 1 || got[0].State != newsletter.Sent || got[0].Attempts != 1 {
		t.Errorf("the second reader: %+v", got)
	}
}

// Cancelling finishes what is on the line: nothing is sent twice, nothing is lost.
func TestStoppingAndGoingOnReachesEveryoneOnce(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(300)
	for stop := 20; ; stop += 40 {
		m := &mailer.Mailer{Outbox: box, Composer: composer{}, Relays: []mailer.Relay{relayAt(relay, 8)}, Now: (&clock{now: start}).Now, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		if err := relay.Wait(t.Context(), min(stop, 300)); err != nil {
			t.Fatal(err)
		}
		if stop >= 300 {
			<-box.settled
			cancel()
			<-done
			break
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(box.claimed) != 0 {
			t.Fatalf("%d deliveries stay claimed", len(box.claimed))
		}
	}
	eachOnce(t, relay, 300)
}

func TestTheLineIsSecuredOrNotUsed(t *testing.T) {
	certificate, pool, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{certificate}}
	trusting := &tls.Config{RootCAs: pool, ServerName: "relay.example"}
	tests := map[string]struct {
		relay   smtptest.Config
		mode    mailer.TLSMode
		client  *tls.Config
		refused string // a word of the error; empty: it connects
	}{
		"STARTTLS":            {smtptest.Config{TLS: server, Username: "news", Password: "secret"}, mailer.StartTLS, trusting, ""},
		"implicit":            {smtptest.Config{TLS: server, ImplicitTLS: true, Username: "news", Password: "secret"}, mailer.ImplicitTLS, trusting, ""},
		"STARTTLS stripped":   {smtptest.Config{TLS: server, Without: []string{"STARTTLS"}}, mailer.StartTLS, trusting, "STARTTLS"},
		"another's name":      {smtptest.Config{TLS: server}, mailer.StartTLS, &tls.Config{RootCAs: pool, ServerName: "other.example"}, "certificate"},
		"unknown certificate": {smtptest.Config{TLS: server, ImplicitTLS: true}, mailer.ImplicitTLS, &tls.Config{ServerName: "relay.example"}, "certificate"},
		"wrong password":      {smtptest.Config{TLS: server, Username: "news", Password: "other"}, mailer.StartTLS, trusting, "535"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := smtptest.NewServer(tt.relay)
			defer server.Close()
			relay := relayAt(server, 1)
			relay.TLS, relay.TLSConfig, relay.Username, relay.Password = tt.mode, tt.client, tt.relay.Username, "secret"
			err := mailer.Probe(t.Context(), relay)
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("the probe says %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestATestCopyGoesPastTheOutbox(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.To("no@example.net", smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "no such user"})})
	defer relay.Close()
	message := newsletter.Message{From: "news@example.org", To: "desk@example.org", Data: []byte("Subject: x\r\n\r\ntext\r\n")}
	if err := mailer.SendOne(t.Context(), relayAt(relay, 1), message); err != nil || relay.Counts().Accepted != 1 {
		t.Errorf("%v, %d accepted", err, relay.Counts().Accepted)
	}
	message.To = "no@example.net"
	if err := mailer.SendOne(t.Context(), relayAt(relay, 1), message); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("the relay's words are lost: %v", err)
	}
}

// broken composes for nobody in the first half of an outbox of 20.
type broken struct{ composer }

func (b broken) Compose(ctx context.Context, d newsletter.Delivery, buffer []byte) (newsletter.Message, error) {
	if d.Subscriber <= 10 {
		return newsletter.Message{}, errors.New("the variant is gone")
	}
	return b.composer.Compose(ctx, d, buffer)
}

// What cannot be composed is told once for its edition, and holds up nobody else.
func TestWhatCannotBeComposedHoldsUpNobody(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(20)
	var text log
	m := newMailer(box, relayAt(relay, 2))
	m.Composer, m.Log = broken{}, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	wait(t, relay, 10)
	stop()
	if n := strings.Count(text.String(), "composing a message failed"); n != 1 {
		t.Errorf("told %d times:\n%s", n, text.String())
	}
}
