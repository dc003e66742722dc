package mailer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// delivery is one of a lane, beside those of newOutbox.
func delivery(id newsletter.SubscriberID, lane newsletter.Lane, address string) newsletter.Delivery {
	return newsletter.Delivery{
		DeliveryKey: newsletter.DeliveryKey{Edition: 2, Subscriber: id}, Lane: lane, Address: newsletter.Address(address),
		FirstDue: start, Expires: start.Add(lane.Patience()),
	}
}

// running runs a mailer until the test calls stop.
func running(t *testing.T, m *mailer.Mailer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func wait(t *testing.T, relay *smtptest.Server, n int) {
	t.Helper()
	if err := relay.Wait(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// An alert does not wait behind the digest that has been claimed before it, however slow the relay is.
func TestAnAlertOvertakesADigest(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(400)
	r := relayAt(relay, 4)
	r.Rate = 400
	stop := running(t, newMailer(box, r))
	wait(t, relay, 60)
	before := int(relay.Counts().Accepted)
	box.add(delivery(1001, newsletter.AlertLane, "alert@example.net"))
	<-box.settled
	stop()
	at := slices.IndexFunc(relay.Messages(), func(m smtptest.Message) bool { return m.To[0] == "alert@example.net" })
	if most := before + 60; at < 0 || at > most {
		t.Errorf("the alert came into the outbox after %d messages and is message %d of the relay", before, at)
	}
}

// An alert to many does not stop a digest altogether: of many messages each lane gets its share.
func TestNoLaneStarves(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{})
	defer relay.Close()
	box := newOutbox(50)
	for i := range 400 {
		box.add(delivery(newsletter.SubscriberID(1000+i), newsletter.AlertLane, fmt.Sprintf("alert%d@example.net", i)))
	}
	runUntilSettled(t, newMailer(box, relayAt(relay, 1)), box)
	first, last := -1, 0
	for i, m := range relay.Messages() {
		if strings.HasPrefix(m.To[0], "alert") {
			last = i
		} else if first < 0 {
			first = i
		}
	}
	if first < 0 || first > last {
		t.Errorf("the digest began at message %d, after the last alert at %d", first, last)
	}
}

// Whoever leaves after her copy was claimed gets nothing, up to the moment at which the message would be ended.
func TestWhoLeavesWhileTheMessageIsOnItsWayGetsNothing(t *testing.T) {
	for name, without := range map[string][]string{"pipelined": nil, "plain": {"PIPELINING"}} {
		t.Run(name, func(t *testing.T) {
			box := newOutbox(20)
			relay := smtptest.NewServer(smtptest.Config{Without: without, Script: func(e smtptest.Event) smtptest.Answer {
				if e.Stage == smtptest.Rcpt && e.To == "reader5@example.net" {
					box.leave(5)
				}
				return smtptest.Answer{}
			}})
			defer relay.Close()
			send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
			for _, m := range relay.Messages() {
				if m.To[0] == "reader5@example.net" {
					t.Error("the reader who left has her copy")
				}
			}
			if n := relay.Counts().Accepted; n != 19 {
				t.Errorf("%d of the 19 others have theirs", n)
			}
		})
	}
}

// What the relay may have is left to the admin where the list wants that.
func TestAHeldCopyIsNotSentAgain(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.Times(1, smtptest.At(smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter}))})
	defer relay.Close()
	box := newOutbox(3)
	m := newMailer(box, relayAt(relay, 1))
	m.Hold = []newsletter.Lane{newsletter.DigestLane}
	runUntilSettled(t, m, box)
	states := map[newsletter.State]int{}
	for i := range 3 {
		got := box.of(newsletter.SubscriberID(i + 1))
		states[got[len(got)-1].State]++
	}
	if states[newsletter.Unknown] != 1 || states[newsletter.Sent] != 2 || relay.Counts().Accepted != 3 {
		t.Errorf("states %v, %d accepted", states, relay.Counts().Accepted)
	}
}

// What breaks before the message is ended, or ends with 421, says nothing about the reader: she is tried again at once, and it is no
// try of hers. The clock stands still here, so that a try after a delay would never come.
func TestWhatTheLineBreaksIsTriedAgainAtOnce(t *testing.T) {
	for name, script := range map[string]smtptest.Script{
		"421 to the end of the message": smtptest.At(smtptest.EndOfData, smtptest.Answer{Code: 421, Enhanced: "4.3.2", Text: "closing"}),
		"421 to RCPT":                   smtptest.At(smtptest.Rcpt, smtptest.Answer{Code: 421, Enhanced: "4.3.2", Text: "closing"}),
		"cut at RCPT":                   smtptest.At(smtptest.Rcpt, smtptest.Answer{Fault: smtptest.Cut}),
	} {
		t.Run(name, func(t *testing.T) {
			relay := smtptest.NewServer(smtptest.Config{Script: smtptest.Times(2, script)})
			defer relay.Close()
			box := newOutbox(10)
			send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
			eachOnce(t, relay, 10)
			for i := range 10 {
				if got := box.of(newsletter.SubscriberID(i + 1)); len(got) != 1 || got[0].Attempts != 1 {
					t.Errorf("reader %d: %+v", i+1, got)
				}
			}
		})
	}
}

// A message under which every connection breaks makes room for the others.
func TestOneMessageThatBreaksConnectionsStopsNobody(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.To("reader2@example.net", smtptest.Data, smtptest.Answer{Fault: smtptest.Cut})})
	defer relay.Close()
	box := newOutbox(10)
	stop := running(t, newMailer(box, relayAt(relay, 1)))
	wait(t, relay, 9)
	stop()
	if got := box.of(2); len(got) != 1 || got[0].State != newsletter.Pending || !got[0].Due.After(start) {
		t.Errorf("the breaking one: %+v", got)
	}
}

// A reader whose address needs SMTPUTF8 is mailed where the relay offers it, and told of where not (RFC 6531).
func TestInternationalAddressesNeedSMTPUTF8(t *testing.T) {
	for name, tt := range map[string]struct {
		without []string
		want    newsletter.State
	}{"offered": {nil, newsletter.Sent}, "not offered": {[]string{"SMTPUTF8"}, newsletter.Failed}} {
		t.Run(name, func(t *testing.T) {
			relay := smtptest.NewServer(smtptest.Config{Without: tt.without})
			defer relay.Close()
			box := newOutbox(5)
			box.add(delivery(77, newsletter.DigestLane, "jörg@example.net"))
			send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
			if got := box.of(77); len(got) != 1 || got[0].State != tt.want {
				t.Errorf("the reader's copy: %+v", got)
			}
			if c := relay.Counts(); c.Connections != 1 {
				t.Errorf("%d connections were needed", c.Connections)
			}
		})
	}
}

// A message that is larger than the relay says it takes fails without a try, and the others go on (RFC 1870).
func TestAMessageThatIsTooLargeIsNotOffered(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{MaxSize: 40})
	defer relay.Close()
	box := newOutbox(1)
	send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
	if got := box.of(1); len(got) != 1 || got[0].State != newsletter.Failed || got[0].Owner == newsletter.RecipientGone || !strings.Contains(got[0].Words, "40") {
		t.Errorf("the outcome is %+v", got)
	}
}

// A relay that takes fewer connections than are asked for costs nobody anything.
func TestFewerConnectionsThanWanted(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{MaxConnections: 3})
	defer relay.Close()
	box := newOutbox(200)
	text := send(t, box, relayAt(relay, 16), (&clock{now: start}).Now)
	eachOnce(t, relay, 200)
	for i := range 200 {
		if got := box.of(newsletter.SubscriberID(i + 1)); len(got) != 1 || got[0].Attempts != 1 {
			t.Errorf("reader %d: %+v", i+1, got)
		}
	}
	if n := strings.Count(text, "takes no more connections"); n > 1 {
		t.Errorf("the log says %d times that the relay is full:\n%s", n, text)
	}
}

// A quota is kept whatever the time of the mailer's start, and mail goes on when it is renewed.
func TestQuotasAreKept(t *testing.T) {
	for name, tt := range map[string]struct {
		hour, day int
		step      time.Duration
	}{"per hour": {hour: 10, step: 61 * time.Minute}, "per day": {day: 10, step: 24 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: start}
			relay := smtptest.NewServer(smtptest.Config{Now: c.Now})
			defer relay.Close()
			box := newOutbox(24)
			box.used = []newsletter.Usage{{Minute: start.Add(-time.Minute), Messages: 6}} // before this run
			r := relayAt(relay, 3)
			r.PerHour, r.PerDay = tt.hour, tt.day
			m := newMailer(box, r)
			m.Now = c.Now
			stop := running(t, m)
			for _, n := range []int{4, 14, 24} {
				wait(t, relay, n)
				c.add(tt.step)
			}
			<-box.settled
			stop()
			perStep := map[time.Time]int{}
			for _, m := range relay.Messages() {
				perStep[m.Received]++
			}
			want := map[time.Time]int{start: 4, start.Add(tt.step): 10, start.Add(2 * tt.step): 10}
			for at, n := range want {
				if perStep[at] != n {
					t.Errorf("at %v the relay got %d, want %d", at, perStep[at], n)
				}
			}
			if got := box.of(1); got[0].Relay != "main" {
				t.Errorf("a message is not counted for its relay: %+v", got)
			}
		})
	}
}
