package main

import (
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// send --wait beside a serve: one of them mails, the other watches. The relay holds its replies until both are at it.
func TestSendWaitBesideServeMailsNobodyTwice(t *testing.T) {
	watched := make(chan struct{})
	r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: heldFrom(1, watched)}})
	serve := r.serve()
	r.answers(serve)
	send := r.process(nil, "send", "weekly", "--yes", "--wait")
	send.says(" copies")
	close(watched)
	if code := send.finish(); code != exitDone {
		t.Errorf("send ends with %d", code)
	}
	if e := r.ledger(); e.State != newsletter.Done {
		t.Errorf("send --wait has ended, but the edition is %s: %+v", e.State, e.Counts)
	}
	r.besideEachOther()
}

// besideEachOther checks that everybody has one copy, and that never two processes mailed at a time.
func (r *rig) besideEachOther() {
	r.t.Helper()
	r.eachOnce()
	r.sentAtFirst()
	if n := r.relay.Counts().MostOpen; n > connections {
		r.t.Errorf("%d connections were open at once: two have mailed", n)
	}
}

// Two who send the same list at the same time make one edition of it.
func TestTwoSendsOfOneListMakeOneEdition(t *testing.T) {
	random := seeded(t)
	r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: paced(random)}})
	first, second := r.process(nil, "send", "weekly", "--yes", "--wait"), r.process(nil, "send", "weekly", "--yes", "--wait")
	for _, send := range []*daemon{first, second} {
		if code := send.finish(); code != exitDone {
			t.Errorf("%s ends with %d", send.name, code)
		}
	}
	if first.log.lines("no edition of weekly") == nil && second.log.lines("no edition of weekly") == nil {
		t.Error("both have made an edition")
	}
	if e := r.ledger(); e.State != newsletter.Done {
		t.Errorf("both have ended, but the edition is %s: %+v", e.State, e.Counts)
	}
	r.besideEachOther()
}

// Two who send two lists at the same time mail one after the other, whoever comes first, and each stays until its own is done.
func TestTwoSendsOfTwoListsMailNobodyTwice(t *testing.T) {
	random := seeded(t)
	n := sizes().readers
	r := newRig(t, setting{readers: n, relay: smtptest.Config{Script: paced(random)}})
	r.ok("subscribers", "import", r.site.readers(n), "--confirmed", "form") // the same readers, of both lists
	var sends []*daemon
	for _, list := range []string{"weekly", "urgent"} {
		sends = append(sends, r.process(nil, "send", list, "--yes", "--wait"))
	}
	for _, send := range sends {
		if code := send.finish(); code != exitDone {
			t.Errorf("%s ends with %d", send.name, code)
		}
	}
	var editions []editionView
	r.okJSON(&editions, "editions", "list")
	for _, e := range editions {
		if e.State != newsletter.Done || e.Sent != n || e.Audience != n {
			t.Errorf("%+v", e)
		}
	}
	got := map[string]bool{}
	for _, m := range r.relay.Messages() {
		got[m.To[0]+m.MessageID] = true
	}
	if all := r.relay.Counts(); len(editions) != 2 || len(got) != 2*n || all.Accepted != 2*n {
		t.Errorf("%d messages, %d of them different, of %d editions for %d readers", all.Accepted, len(got), len(editions), n)
	}
	if most := r.relay.Counts().MostOpen; most > connections {
		t.Errorf("%d connections were open at once: two have mailed", most)
	}
}
