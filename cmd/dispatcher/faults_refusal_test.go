package main

import (
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// A temporary refusal costs nobody her copy, nor her address its good name: she is tried again when the time has come.
func TestWhoIsRefusedForNowIsReachedLater(t *testing.T) {
	size, random := sizes(), seeded(t)
	busy := smtptest.Answer{Code: 451, Enhanced: "4.3.0", Text: "Try again later"}
	atRcpt, atEnd := oneOfEach(random, 20, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: smtptest.FirstOf(
		atFirst(atRcpt, smtptest.Rcpt, busy), atFirst(atEnd, smtptest.EndOfData, busy),
	)}})
	var clock movable
	serve := r.serveUnder(&clock)
	r.send()
	refused := len(atRcpt) + len(atEnd)
	r.until("only those wait who were refused", serve, func() {}, func(e newsletter.Edition) bool {
		return e.Counts.Sent == r.readers-refused && r.relay.Counts().Refused == refused
	})
	clock.move(10 * time.Minute)
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst(atRcpt, atEnd)
	for to, f := range r.fates() {
		if !atRcpt[to] && !atEnd[to] {
			continue
		}
		if f.State != newsletter.Sent || f.Attempts != 2 || len(f.Tries) != 1 || f.Tries[0].Code != 451 || f.Tries[0].Words != busy.Text || f.suppressed {
			t.Fatalf("who was refused for now: %+v", f)
		}
	}
	r.showsTries(atRcpt, 2)
	r.showsTries(atEnd, 2)
}

// showsTries checks what `subscribers show` says of one of some readers.
func (r *rig) showsTries(readers addresses, tries int) {
	r.t.Helper()
	for to := range readers {
		var shown subscriberDetail
		r.okJSON(&shown, "subscribers", "show", to)
		if len(shown.Copies) != 1 || shown.Copies[0].Attempts != tries || shown.Suppressed != "" {
			r.t.Errorf("`subscribers show` says %+v", shown)
		}
		return
	}
}

// A permanent refusal ends that one copy, with the relay's words. Only an address that is gone is suppressed.
func TestWhoIsRefusedForGoodFailsAlone(t *testing.T) {
	size, random := sizes(), seeded(t)
	gone := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "No such mailbox here"}
	unwanted := smtptest.Answer{Code: 554, Enhanced: "5.6.0", Text: "This text is not wanted"}
	atRcpt, atEnd := oneOfEach(random, 50, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: smtptest.FirstOf(
		atFirst(atRcpt, smtptest.Rcpt, gone), atFirst(atEnd, smtptest.EndOfData, unwanted),
	)}})
	serve := r.serve()
	r.send()
	if c := r.done(serve); c.Failed != len(atRcpt)+len(atEnd) || c.Sent != r.readers-c.Failed {
		t.Errorf("%d are refused: %+v", len(atRcpt)+len(atEnd), c)
	}
	r.eachOnce(atRcpt, atEnd)
	r.sentAtFirst(atRcpt, atEnd)
	copies := r.copies()
	for to, f := range r.fates() {
		answer := gone
		if atEnd[to] {
			answer = unwanted
		} else if !atRcpt[to] {
			continue
		}
		if f.State != newsletter.Failed || f.Code != answer.Code || f.Enhanced != answer.Enhanced || f.Words != answer.Text {
			t.Fatalf("refused with %+v: %+v", answer, f)
		}
		if f.suppressed != atRcpt[to] {
			t.Fatalf("refused with %+v, suppressed: %t", answer, f.suppressed)
		}
		if n := len(copies[to]); n > 0 {
			t.Fatalf("who is refused for good gets %d copies", n)
		}
	}
}

// A 421 belongs to the connection: the next one carries on at once, and no try is counted.
func TestARelayThatHangsUpAfterSomeMessages(t *testing.T) {
	r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: smtptest.HangUpAfter(7)}})
	serve := r.serve()
	r.send()
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
	for _, m := range r.relay.Messages() {
		if m.Number > 7 {
			t.Fatalf("a connection has carried %d messages", m.Number)
		}
	}
}

// A relay that takes fewer connections than the config names: those carry everything, and nobody waits for the others.
func TestARelayThatTakesFewConnections(t *testing.T) {
	const few = 3
	r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{MaxConnections: few}})
	serve := r.serve()
	r.send()
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
	if n := r.relay.Counts().MostOpen; n > few {
		t.Errorf("%d connections were open", n)
	}
}

func TestARelayWithoutPipelining(t *testing.T) {
	size, random := sizes(), seeded(t)
	gone, _ := oneOfEach(random, 50, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{
		Without: []string{"PIPELINING"},
		Script:  atFirst(gone, smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "No such mailbox here"}),
	}})
	serve := r.serve()
	r.send()
	r.done(serve)
	r.eachOnce(gone)
	r.sentAtFirst(gone)
}
