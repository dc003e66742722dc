package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// paced takes some milliseconds for every other message, as a relay does that writes it to disk, so that something is always in
// flight, and at another point of its way on each connection.
func paced(random *rand.Rand) smtptest.Script {
	pace := rand.New(rand.NewPCG(random.Uint64(), 0)) // scripts run beside the test
	return func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData || pace.IntN(2) == 0 {
			return smtptest.Answer{}
		}
		return smtptest.Answer{Delay: time.Duration(pace.Int64N(int64(20 * time.Millisecond)))}
	}
}

// Promise 2: after kill -9 at any moment and a restart everybody is reached, and a second copy can only be one that was in flight at
// that moment: at most one for each connection, with the same Message-ID and Date.
func TestKilledAtAnyMomentItLosesNobody(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.many, relay: smtptest.Config{Script: paced(random)}})
	serve := r.serve()
	r.answers(serve)
	r.send()
	for _, moment := range moments(random, size.kills, size.many) {
		r.accepted(moment)
		serve.kill()
		serve = r.serve()
	}
	r.done(serve)
	var e editionDetail
	if r.okJSON(&e, "editions", "show", "1"); e.Audience != size.many || e.Sent != size.many || e.Pending+e.Failed+e.Withdrawn+e.Unknown != 0 {
		t.Errorf("the ledger has %+v", e.editionView)
	}
	again := r.againInFlight()
	t.Logf("%d second copies after %d kills", again, size.kills)
	if again > size.kills*connections {
		t.Errorf("%d second copies after %d kills with %d connections", again, size.kills, connections)
	}
}

// SIGTERM is the end in good order: what is on the line is finished and its outcome recorded, so that nobody gets a second copy.
func TestStoppedAtAnyMomentItSendsNothingTwice(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.many, relay: smtptest.Config{Script: paced(random)}})
	serve := r.serve()
	r.answers(serve)
	r.send()
	for _, moment := range moments(random, size.stops, size.many) {
		r.accepted(moment)
		if code := serve.terminate(); code != exitDone {
			t.Fatalf("serve ends with %d", code)
		}
		if n, c := r.relay.Counts().Accepted, r.ledger().Counts; n != c.Sent || c.Failed > 0 {
			t.Errorf("the relay has %d messages, the ledger %+v", n, c)
		}
		serve = r.serve()
		r.answers(serve)
	}
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
}

// A SIGTERM that comes when serve has hardly begun is no failure either: systemd stops what it has just started, too.
func TestStoppedAsSoonAsItServesItEndsWell(t *testing.T) {
	notUnderRace(t)
	size := sizes()
	r := newRig(t, setting{readers: size.readers})
	r.send()
	for range 2 * size.stops {
		serve := r.serve()
		serve.says("msg=serving")
		if code := serve.terminate(); code != exitDone {
			t.Fatalf("serve ends with %d", code)
		}
	}
	r.done(r.serve())
	r.eachOnce()
	r.sentAtFirst()
}

// A relay that never answers cannot keep serve from ending, and what it left open is no reader's fault.
func TestStoppedWhileTheRelayStallsItEnds(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for stage, sessions := range map[smtptest.Stage]int{smtptest.Connect: 1, smtptest.Rcpt: connections, smtptest.EndOfData: connections} {
		t.Run("at "+string(stage), func(t *testing.T) {
			script, all := stallsAfter(50, stage, sessions)
			r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: script}})
			serve := r.serve()
			r.answers(serve)
			r.send()
			eventually(t, "the connections stall", func() bool { return closed(all) })
			if code := serve.terminate(); code != exitDone {
				t.Errorf("serve ends with %d", code)
			}
			if n, c := r.relay.Counts().Accepted, r.ledger().Counts; c.Sent != n || c.Sent+c.Pending != r.readers {
				t.Errorf("the relay has %d messages, the ledger %+v", n, c)
			}
		})
	}
}

// stallsAfter takes so many messages and then stalls at one stage; a greeting it never gives. The channel is closed when so
// many sessions stall.
func stallsAfter(fine int, stage smtptest.Stage, sessions int) (smtptest.Script, <-chan struct{}) {
	accepted, stalled, all := 0, 0, make(chan struct{})
	return func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData && accepted < fine {
			accepted++
			return smtptest.Answer{}
		}
		if e.Stage != stage || accepted < fine && stage != smtptest.Connect {
			return smtptest.Answer{}
		}
		if stalled++; stalled == sessions {
			close(all)
		}
		return smtptest.Answer{Fault: smtptest.Stall}
	}, all
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestStoppedWhileTheRelayIsDownItEnds(t *testing.T) {
	r := newRig(t, setting{readers: sizes().readers})
	r.relay.Close()
	serve := r.serve()
	r.answers(serve)
	r.send()
	serve.says("out of reach")
	if code := serve.terminate(); code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	if c := r.ledger().Counts; c.Pending != r.readers {
		t.Errorf("the ledger has %+v", c)
	}
}
