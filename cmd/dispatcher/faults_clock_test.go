package main

import (
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// A clock that is set back by an hour in mid-send, while much is still to be claimed, costs nobody her copy, and no message its
// Date, be it a first or a second copy.
func TestTheClockIsSetBackInMidSend(t *testing.T) {
	size, random := sizes(), seeded(t)
	cut, _ := oneOfEach(random, 20, size.many)
	var clock movable
	r := newRig(t, setting{readers: size.many, relay: smtptest.Config{Script: smtptest.FirstOf(
		atFirst(cut, smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter}), paced(random),
	)}})
	serve := r.serveUnder(&clock)
	r.send()
	r.accepted(1 + random.IntN(size.many-2*connections))
	clock.move(-time.Hour)
	r.doneLater(serve, &clock)
	r.eachOnce(cut)
	r.sentAtFirst(cut)
	r.unblamed()
	if again := r.againInFlight(); again != len(cut) {
		t.Errorf("%d lines were cut after the end of a message, but there are %d second copies", len(cut), again)
	}
	messages := r.relay.Messages()
	for _, m := range messages {
		if date := dateOf(t, m); date != dateOf(t, messages[0]) {
			t.Fatalf("copies of one edition bear the dates %s and %s", dateOf(t, messages[0]), date)
		}
	}
}
