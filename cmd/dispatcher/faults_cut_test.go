package main

import (
	"math/rand/v2"
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// A line that is cut before the relay has asked for the message says nothing about the reader: she is tried again at once on
// another one, and no try is counted.
func TestALineCutBeforeTheMessage(t *testing.T) {
	notUnderRace(t)
	for _, stage := range []smtptest.Stage{smtptest.Rcpt, smtptest.Data} {
		t.Run("at "+string(stage), func(t *testing.T) {
			size, random := sizes(), seeded(t)
			cut, reset := oneOfEach(random, 20, size.readers)
			r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: smtptest.FirstOf(
				atFirst(cut, stage, smtptest.Answer{Fault: smtptest.Cut}),
				atFirst(reset, stage, smtptest.Answer{Fault: smtptest.CutAfter}),
			)}})
			serve := r.serve()
			r.send()
			r.done(serve)
			r.eachOnce()
			r.sentAtFirst()
		})
	}
}

// cutInData cuts one in twenty lines before the message's first octet, and one in the middle of it.
func cutInData(random *rand.Rand, readers int) (script smtptest.Script, early, late addresses) {
	early, late = oneOfEach(random, 20, readers)
	return smtptest.FirstOf(
		atFirst(early, smtptest.Data, smtptest.Answer{Fault: smtptest.CutInData}),
		atFirst(late, smtptest.Data, smtptest.Answer{Fault: smtptest.CutInData, Bytes: 3000}),
	), early, late
}

// A line that is cut while a message goes over it says nothing about the reader either, and the relay cannot have the message:
// nobody is lost, nobody is blamed, and nobody gets a second copy.
func TestALineCutInTheMiddleOfAMessage(t *testing.T) {
	size, random := sizes(), seeded(t)
	script, early, late := cutInData(random, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: script}})
	var clock movable
	serve := r.serveUnder(&clock)
	r.send()
	if c := r.doneLater(serve, &clock); c.Sent != r.readers {
		t.Errorf("the ledger has %+v", c)
	}
	r.eachOnce()
	r.sentAtFirst(early, late)
	r.unblamed()
}

// It is sent again at once, too: her mail is late by a new connection, not by the patience that a greylisting server needs.
func TestAMessageCutInTheMiddleIsSentAgainAtOnce(t *testing.T) {
	size, random := sizes(), seeded(t)
	script, _, _ := cutInData(random, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: script}})
	serve := r.serve()
	r.send()
	r.done(serve)
	r.eachOnce()
	r.unblamed()
}

// unblamed checks that the ledger has no refusal of anybody, and that all addresses are in use. Tries may be counted.
func (r *rig) unblamed() {
	r.t.Helper()
	for _, f := range r.fates() {
		blamed := f.State == newsletter.Failed || f.State == newsletter.Withdrawn || f.suppressed
		for _, try := range f.Tries {
			blamed = blamed || try.Code != 0 || try.State == newsletter.Failed
		}
		if blamed {
			r.t.Fatalf("a reader is blamed: %+v", f)
		}
	}
}

// A line that is cut after the final dot leaves open whether the relay has the message (RFC 1047). Here it has: those readers
// may get the same message again, and nobody else.
func TestALineCutAfterTheFinalDot(t *testing.T) {
	size, random := sizes(), seeded(t)
	cut, _ := oneOfEach(random, 20, size.readers)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: atFirst(cut, smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter})}})
	var clock movable
	serve := r.serveUnder(&clock)
	r.send()
	r.doneLater(serve, &clock)
	r.eachOnce(cut)
	r.sentAtFirst(cut)
	r.unblamed()
	if again := r.againInFlight(); again > len(cut) {
		t.Errorf("%d lines were cut, but there are %d second copies", len(cut), again)
	}
}

// Acceptance is final, whatever RSET and QUIT say, and a line that is cut at them says nothing about the reader who is next.
func TestALineCutBetweenMessages(t *testing.T) {
	notUnderRace(t)
	size, random := sizes(), seeded(t)
	gone, _ := oneOfEach(random, 20, size.readers)
	for _, fault := range []smtptest.Fault{smtptest.Cut, smtptest.CutAfter} {
		t.Run(string(fault)+" at RSET", func(t *testing.T) {
			r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: smtptest.FirstOf(
				atFirst(gone, smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "No such mailbox here"}),
				smtptest.At(smtptest.Rset, smtptest.Answer{Fault: fault}),
			)}})
			serve := r.serve()
			r.send()
			if c := r.done(serve); c.Failed != len(gone) || c.Sent != r.readers-len(gone) {
				t.Errorf("the ledger has %+v", c)
			}
			r.eachOnce(gone)
			r.sentAtFirst(gone)
			if r.relay.Counts().Commands["RSET"] == 0 {
				t.Error("no line was cut: nobody said RSET")
			}
		})
		t.Run(string(fault)+" at QUIT", func(t *testing.T) {
			r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: smtptest.At(smtptest.Quit, smtptest.Answer{Fault: fault})}})
			serve := r.serve()
			r.answers(serve)
			r.send()
			for _, moment := range moments(random, 2, r.readers) {
				r.accepted(moment)
				if code := serve.terminate(); code != exitDone {
					t.Errorf("serve ends with %d", code)
				}
				serve = r.serve()
				r.answers(serve)
			}
			r.done(serve)
			r.eachOnce()
			r.sentAtFirst()
			if r.relay.Counts().Commands["QUIT"] == 0 {
				t.Error("no line was cut: nobody said QUIT")
			}
		})
	}
}

// stallsOnce stalls the third message of the first connection, and never again.
func stallsOnce(stage smtptest.Stage) smtptest.Script {
	return smtptest.Times(1, func(e smtptest.Event) smtptest.Answer {
		if e.Stage != stage || e.Session != 1 || e.Message != 3 {
			return smtptest.Answer{}
		}
		return smtptest.Answer{Fault: smtptest.Stall}
	})
}

// A connection that stalls keeps what it carries, and the envelope that rides behind, but the others go on.
func TestOneConnectionStallsAndTheOthersGoOn(t *testing.T) {
	notUnderRace(t)
	for _, stage := range []smtptest.Stage{smtptest.Mail, smtptest.Rcpt, smtptest.EndOfData} {
		t.Run("at "+string(stage), func(t *testing.T) {
			r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: stallsOnce(stage)}})
			serve := r.serve()
			r.send()
			r.until("the others are reached", serve, func() {}, func(e newsletter.Edition) bool { return e.Counts.Pending <= 2 })
			r.sentAtFirst(r.pending())
		})
	}
}

// pending are those who wait.
func (r *rig) pending() addresses {
	waiting := addresses{}
	for to, f := range r.fates() {
		if f.State == newsletter.Pending {
			waiting[to] = true
		}
	}
	return waiting
}

// The timeouts of the config end a stall: what it kept is tried again, and nobody is blamed for it.
func TestAStalledConnectionIsGivenUp(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for _, stage := range []smtptest.Stage{smtptest.Connect, smtptest.Mail, smtptest.Rcpt, smtptest.EndOfData} {
		t.Run("at "+string(stage), func(t *testing.T) {
			script := stallsOnce(stage)
			if stage == smtptest.Connect {
				script = smtptest.Times(2, smtptest.At(stage, smtptest.Answer{Fault: smtptest.Stall}))
			}
			r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: script}, keys: "timeouts: {connect: 1s, command: 1s, end: 1s}"})
			var clock movable
			serve := r.serveUnder(&clock)
			r.send()
			if stage == smtptest.EndOfData {
				r.doneLater(serve, &clock)
			} else {
				r.done(serve)
			}
			r.eachOnce()
			r.unblamed()
		})
	}
}

// A relay that is restarted cuts what is in flight, and all of it is tried again. Nobody else gets a second copy.
func TestARelayThatIsRestarted(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: paced(random)}})
	var clock movable
	serve := r.serveUnder(&clock)
	r.send()
	for _, moment := range moments(random, size.restarts, size.readers-size.restarts*connections) {
		r.accepted(moment)
		r.relay.Close()
		if err := r.relay.Start(); err != nil {
			t.Fatal(err)
		}
	}
	r.doneLater(serve, &clock)
	if again := r.againInFlight(); again > size.restarts*connections {
		t.Errorf("%d second copies after %d restarts with %d connections", again, size.restarts, connections)
	}
	r.unblamed()
}
