package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/smtptest"
)

// After `keep_deliveries` the copies are forgotten: the counts stay, and whoever asks for a reader hears that older copies are gone.
func TestOldCopiesAreForgotten(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, time.Now(), "  - {id: weekly, schedule: \"0 9 1 1 *\", on_missed: skip}\n  - {id: urgent, kind: alert}\n", "keep_deliveries: 60d")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	e.life(func(serve *daemon) {
		e.ok("send", "weekly", "--yes")
		e.sent(serve, "weekly", 1)
	})
	before := e.editions("weekly")
	serving := func(do func(o *office, log *journal)) {
		t.Helper()
		cfg, err := config.Load(filepath.Join(e.dir, "config.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		log := &journal{}
		o, err := openOffice(t.Context(), process{stdout: log, stderr: log, now: e.clock.now}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		o.log = newLogger(o.process, cfg.Log, serveLevel)
		if _, err := o.store.Beat(t.Context(), e.clock.now()); err != nil { // as serve does
			t.Error(err)
		}
		do(o, log)
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	}
	var reader subscriberDetail
	shown := func() subscriberDetail {
		reader = subscriberDetail{}
		e.okJSON(&reader, "subscribers", "show", "reader1@example.net")
		return reader
	}
	e.clock.move(800 * 24 * time.Hour) // a clock that is wrong: all mail is held back, and nothing is forgotten for good
	serving(func(o *office, _ *journal) {
		if err := o.tidy(t.Context()); err != nil {
			t.Error(err)
		}
	})
	e.clock.move(-800 * 24 * time.Hour)
	if r := shown(); len(r.Copies) != 1 {
		t.Fatalf("under a wrong clock the reader's copies are %+v", r.Copies)
	}
	e.clock.move(59 * 24 * time.Hour)
	serving(func(o *office, _ *journal) {
		if err := o.tidy(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if r := shown(); len(r.Copies) != 1 || r.PrunedUntil != nil {
		t.Errorf("before its time the reader's copies are %+v, pruned until %v", r.Copies, r.PrunedUntil)
	}
	e.clock.move(6 * 24 * time.Hour)
	serving(func(o *office, log *journal) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		forgotten := log.find("old copies forgotten")
		go func() { ended <- o.keepTidy(ctx) }()
		<-forgotten
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if r := shown(); len(r.Copies) != 0 || r.PrunedUntil == nil || !strings.Contains(e.ok("subscribers", "show", "reader1@example.net"), "no longer kept") {
		t.Errorf("after it the reader's copies are %+v, pruned until %v", r.Copies, r.PrunedUntil)
	}
	if after := e.editions("weekly"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("the edition was %+v and is %+v", before, after)
	}
	if r := e.run("send", "weekly", "--yes"); !strings.Contains(r.stdout+r.stderr, "nothing new") {
		t.Errorf("its items would go again: %+v", r)
	}
}
