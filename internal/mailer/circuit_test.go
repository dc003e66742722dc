package mailer_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// refusing is a relay that refuses everything in one way until it is mended.
func refusing(stage smtptest.Stage, a smtptest.Answer) (script smtptest.Script, mend func(), refused *atomic.Int32) {
	var mended atomic.Bool
	refused = new(atomic.Int32)
	return func(e smtptest.Event) smtptest.Answer {
		if e.Stage != stage || mended.Load() {
			return smtptest.Answer{}
		}
		refused.Add(1)
		return a
	}, func() { mended.Store(true) }, refused
}

// manyDomains is an outbox whose readers are at two providers.
func manyDomains(n int) *outbox {
	box := newOutbox(n)
	for i := range box.waiting {
		if i%2 == 1 {
			box.waiting[i].Address = newsletter.Address(fmt.Sprintf("reader%d@example.com", i+1))
		}
	}
	return box
}

// Promise 3: what is ours opens the relay's circuit. Mail waits, the admin is told once, nobody fails for it, and all are reached
// when it is mended.
func TestWhatIsOursOpensTheCircuit(t *testing.T) {
	for name, tt := range map[string]struct {
		stage smtptest.Stage
		a     smtptest.Answer
		most  int32 // tries before the circuit is open: over 4 connections, each may have two on the line
	}{
		"identity, after the message": {smtptest.EndOfData, smtptest.Answer{Code: 550, Enhanced: "5.7.26", Text: "This message does not pass authentication checks (SPF and DKIM both did not pass)"}, 5 + 2*4},
		"sandbox":                     {smtptest.EndOfData, smtptest.Answer{Code: 554, Text: "Message rejected: Email address is not verified."}, 5 + 2*4},
		"relaying denied":             {smtptest.Rcpt, smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "Relay access denied"}, 5 + 2*4},
		"sender refused":              {smtptest.Mail, smtptest.Answer{Code: 553, Enhanced: "5.7.1", Text: "Sender address rejected: not owned by user"}, 4},
		"greeting":                    {smtptest.Connect, smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "no service for you"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			script, mend, refused := refusing(tt.stage, tt.a)
			relay := smtptest.NewServer(smtptest.Config{Script: script})
			defer relay.Close()
			box := manyDomains(60)
			c := &clock{now: start}
			var text log
			m := newMailer(box, relayAt(relay, 4))
			m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
			stop := running(t, m)
			eventually(t, "the circuit is open", func() bool { return strings.Contains(text.String(), "refuses our mail") })
			stop() // what is on the line has ended
			if n := refused.Load(); n > tt.most {
				t.Errorf("the relay refused %d times before mail waited", n)
			}
			mend()
			m.Log = slog.New(slog.NewTextHandler(&text, nil))
			ctx := running(t, m)
			<-box.settled
			ctx()
			reached := map[string]int{}
			for _, m := range relay.Messages() {
				reached[m.To[0]]++
			}
			for i := range 60 {
				got := box.of(newsletter.SubscriberID(i + 1))
				if got[len(got)-1].State != newsletter.Sent {
					t.Errorf("reader %d: %+v", i+1, got[len(got)-1])
				}
			}
			if len(reached) != 60 || relay.Counts().Accepted != 60 {
				t.Errorf("%d readers have %d messages", len(reached), relay.Counts().Accepted)
			}
			if n := strings.Count(text.String(), "refuses our mail"); n != 1 {
				t.Errorf("the log tells it %d times:\n%s", n, text.String())
			}
		})
	}
}

// Refusals that began in one class of recipients are taken back too, when another class shows that no reader was to blame.
func TestAStreakOfOneClassIsTakenBackWithTheRest(t *testing.T) {
	script, mend, _ := refusing(smtptest.EndOfData, smtptest.Answer{Code: 554, Text: "Message rejected: Email address is not verified."})
	relay := smtptest.NewServer(smtptest.Config{Script: script})
	defer relay.Close()
	box := newOutbox(20)
	box.waiting[12].Address = "reader13@example.com"
	c := &clock{now: start}
	var text log
	m := newMailer(box, relayAt(relay, 1))
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	eventually(t, "the circuit is open", func() bool { return strings.Contains(text.String(), "refuses our mail") })
	mend()
	c.add(time.Minute)
	<-box.settled
	stop()
	for i := range 20 {
		got := box.of(newsletter.SubscriberID(i + 1))
		if last := got[len(got)-1]; last.State != newsletter.Sent {
			t.Errorf("reader %d: %+v", i+1, last)
		}
	}
}

// A probe closes the circuit when the relay has been mended, without a restart.
func TestAProbeClosesTheCircuit(t *testing.T) {
	script, mend, _ := refusing(smtptest.EndOfData, smtptest.Answer{Code: 550, Enhanced: "5.7.26", Text: "DMARC policy"})
	relay := smtptest.NewServer(smtptest.Config{Script: script})
	defer relay.Close()
	box := manyDomains(40)
	c := &clock{now: start}
	var text log
	m := newMailer(box, relayAt(relay, 2))
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	eventually(t, "the circuit is open", func() bool { return strings.Contains(text.String(), "refuses our mail") })
	eventually(t, "what was on the line has ended", func() bool { return relay.Counts().Open == 0 })
	mend()
	c.add(time.Minute)
	<-box.settled
	stop()
	if relay.Counts().Accepted != 40 || !strings.Contains(text.String(), "takes mail again") {
		t.Errorf("%d accepted\n%s", relay.Counts().Accepted, text.String())
	}
}

// A relay whose open connections do not know of what was mended takes the probe over a new one.
func TestAProbeGoesOverANewConnection(t *testing.T) {
	var sessions, known atomic.Int64
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		sessions.Store(max(sessions.Load(), int64(e.Session)))
		if e.Stage == smtptest.Mail && (known.Load() == 0 || int64(e.Session) <= known.Load()) {
			return smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "Sender address rejected"}
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := newOutbox(40)
	c := &clock{now: start}
	var text log
	m := newMailer(box, relayAt(relay, 2))
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	eventually(t, "the circuit is open", func() bool { return strings.Contains(text.String(), "refuses our mail") })
	known.Store(sessions.Load())
	c.add(31 * time.Second)
	<-box.settled
	stop()
	if relay.Counts().Accepted != 40 {
		t.Errorf("%d accepted\n%s", relay.Counts().Accepted, text.String())
	}
}

// One provider that will not have our mail is no reason to stop the others': those copies fail, with its owner, to be tried again by hand.
func TestOneProvidersRefusalStopsNobodyElse(t *testing.T) {
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData && strings.HasSuffix(e.To, "@example.com") {
			return smtptest.Answer{Code: 550, Enhanced: "5.7.1", Text: "blocked using a block list"}
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := newOutbox(40)
	for i := range 12 { // one after the other
		box.waiting[10+i].Address = newsletter.Address(fmt.Sprintf("reader%d@example.com", i))
	}
	text := send(t, box, relayAt(relay, 1), (&clock{now: start}).Now)
	failed := 0
	for i := range 40 {
		got := box.of(newsletter.SubscriberID(i + 1))
		if last := got[len(got)-1]; last.State == newsletter.Failed && last.Owner == newsletter.OurReputation {
			failed++
		}
	}
	if failed != 12 || relay.Counts().Accepted != 28 || strings.Contains(text, "refuses our mail") {
		t.Errorf("%d failed, %d accepted\n%s", failed, relay.Counts().Accepted, text)
	}
}

// Where the first relay is out of reach or will not have us, the next takes over, and gives way when the first is back.
func TestTheNextRelayTakesOver(t *testing.T) {
	second := smtptest.NewServer(smtptest.Config{})
	defer second.Close()
	first := smtptest.NewServer(smtptest.Config{})
	defer first.Close()
	first.Close()
	box := newOutbox(100)
	box.due[100] = start.Add(time.Hour)
	c := &clock{now: start}
	var text log
	m := newMailer(box, relayAt(first, 2))
	other := relayAt(second, 2)
	other.Name = "spare"
	m.Relays = append(m.Relays, other)
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	wait(t, second, 99)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	n := 100
	eventually(t, "a probe goes there, and then everything", func() bool {
		n++
		box.add(delivery(newsletter.SubscriberID(n), newsletter.DigestLane, fmt.Sprintf("late%d@example.net", n)))
		return first.Counts().Accepted > 0
	})
	before := second.Counts().Accepted
	c.add(2 * time.Hour)
	<-box.settled
	stop()
	if got := second.Counts().Accepted; got > before+2 {
		t.Errorf("the spare relay got %d more when the first was back", got-before)
	}
	if strings.Count(text.String(), "out of reach") != 1 {
		t.Errorf("the log:\n%s", text.String())
	}
}

// A relay that says that the day's allowance is used up gets nothing more on that day, and nobody fails for it.
func TestADailyRefusalPausesTheRelayUntilItsDayEnds(t *testing.T) {
	c := &clock{now: start}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	relay := smtptest.NewServer(smtptest.Config{Now: c.Now, Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData || c.Now().In(zone).Day() != start.In(zone).Day() {
			return smtptest.Answer{}
		}
		if taken++; taken <= 5 {
			return smtptest.Answer{}
		}
		return smtptest.Answer{Code: 454, Text: "Throttling failure: Daily message quota exceeded."}
	}})
	defer relay.Close()
	box := newOutbox(20)
	r := relayAt(relay, 2)
	r.Zone = zone
	var text log
	m := newMailer(box, r)
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	eventually(t, "the relay is paused", func() bool { return strings.Contains(text.String(), "quota used up") })
	c.add(12 * time.Hour) // still the same day there
	c.add(12 * time.Hour)
	<-box.settled
	stop()
	eachOnce(t, relay, 20)
	if !strings.Contains(text.String(), "2026-11-24T05:00:00Z") {
		t.Errorf("the log does not say until when:\n%s", text.String())
	}
	if taken > 5+2*2 {
		t.Errorf("%d messages were offered on the day", taken)
	}
}

// A class of recipients that asks us to slow down is given a rest. It delays nobody else, and all of it is sent in the end.
func TestAThrottledClassDelaysNoOther(t *testing.T) {
	for _, code := range []int{450, 421} {
		t.Run(fmt.Sprint(code), func(t *testing.T) { throttledClass(t, code) })
	}
}

func throttledClass(t *testing.T, code int) {
	c := &clock{now: start}
	var asked atomic.Int32
	relay := smtptest.NewServer(smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData && strings.HasSuffix(e.To, "@gmail.com") && c.Now().Equal(start) {
			asked.Add(1)
			return smtptest.Answer{Code: code, Enhanced: "4.7.28", Text: "Our system has detected an unusual rate of unsolicited mail"}
		}
		return smtptest.Answer{}
	}})
	defer relay.Close()
	box := newOutbox(300)
	for i := range 150 {
		box.waiting[i].Address = newsletter.Address(fmt.Sprintf("reader%d@gmail.com", i+1))
	}
	var text log
	m := newMailer(box, relayAt(relay, 4))
	m.Now, m.Log = c.Now, slog.New(slog.NewTextHandler(&text, nil))
	stop := running(t, m)
	wait(t, relay, 150) // the others, while the clock stands still
	if n := asked.Load(); n > 5+4*2 {
		t.Errorf("the class was asked %d times before it was spared", n)
	}
	eventually(t, "the class has taken all", func() bool {
		c.add(time.Minute)
		select {
		case <-box.settled:
			return true
		default:
			return false
		}
	})
	stop()
	for i := range 300 {
		got := box.of(newsletter.SubscriberID(i + 1))
		if got[len(got)-1].State != newsletter.Sent {
			t.Errorf("reader %d: %+v", i+1, got[len(got)-1])
		}
	}
	if relay.Counts().Accepted != 300 {
		t.Errorf("%d accepted", relay.Counts().Accepted)
	}
}

// Forecasts: see the claims in the table.
func TestForecast(t *testing.T) {
	for name, tt := range map[string]struct {
		relays []mailer.Relay
		n      int
		want   time.Duration
	}{
		"no limits":                  {[]mailer.Relay{{}}, 1_000_000, 0},
		"a rate":                     {[]mailer.Relay{{Rate: 10}}, 36_000, time.Hour},
		"a quota for each hour":      {[]mailer.Relay{{PerHour: 100}}, 250, 2 * time.Hour},
		"a quota for each day":       {[]mailer.Relay{{PerDay: 100}}, 250, 48 * time.Hour},
		"a spare relay without any":  {[]mailer.Relay{{PerDay: 100}, {}}, 250, 0},
		"a spare with a quota":       {[]mailer.Relay{{PerHour: 100}, {PerHour: 50}}, 300, time.Hour},
		"a rate is no reason to use": {[]mailer.Relay{{Rate: 10}, {}}, 36_000, time.Hour},
	} {
		if got := mailer.Forecast(tt.relays, tt.n); got.Round(time.Second) != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for !is() {
		select {
		case <-t.Context().Done():
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}
