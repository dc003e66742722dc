package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// serving is the part of a config for a serve whose pages listen on free ports, and the port for admins.
func serving(t *testing.T) (lines string, admin int) {
	t.Helper()
	admin = freePort(t)
	return fmt.Sprintf("http: {listen: \"127.0.0.1:%d\", admin_listen: \"127.0.0.1:%d\"}", freePort(t), admin), admin
}

// alive waits until a serve answers.
func alive(t *testing.T, admin int) {
	t.Helper()
	eventually(t, "serve answers", func() bool {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", admin))
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

func TestASecondServeIsRefused(t *testing.T) {
	http, admin := serving(t)
	s := newSite(t, 1, http)
	s.start("serve")
	alive(t, admin)
	r := s.run("serve")
	if r.code != exitFailed || !strings.Contains(r.stderr, "only one serve may run") {
		t.Errorf("%+v", r)
	}
	s.ok("fetch")
	s.ok("editions", "list")
}

// send --wait lets whoever serves do the sending.
func TestSendWaitWatchesARunningServe(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	http, admin := serving(t)
	s := newSite(t, relay.Port, http)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(10), "--confirmed", "form")
	s.start("serve")
	alive(t, admin)
	s.ok("send", "weekly", "--wait", "--yes")
	if n := relay.Counts().Accepted; n != 10 {
		t.Errorf("%d messages when send --wait returned", n)
	}
}

// A relay that is down: deliveries wait, and go when it is back.
func TestMailWaitsForARelayThatIsDown(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	http, admin := serving(t)
	s := newSite(t, relay.Port, http)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(10), "--confirmed", "form")
	relay.Close()
	s.start("serve")
	alive(t, admin)
	s.ok("send", "weekly", "--yes")
	var e editionDetail
	s.okJSON(&e, "editions", "show", "1")
	if e.Pending != 10 {
		t.Errorf("while the relay is down: %+v", e.editionView)
	}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the edition is done", func() bool {
		s.okJSON(&e, "editions", "show", "1")
		return e.State == "done"
	})
	if e.Sent != 10 || relay.Counts().Accepted != 10 {
		t.Errorf("%d messages, %+v", relay.Counts().Accepted, e.editionView)
	}
}

// Promise 4: who leaves while the relay is out of reach gets nothing when it is back, though her copy had been claimed.
func TestWhoLeavesDuringAnOutageGetsNothing(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	http, admin := serving(t)
	s := newSite(t, relay.Port, http)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(40), "--confirmed", "form")
	relay.Close()
	s.start("serve")
	alive(t, admin)
	s.ok("send", "weekly", "--yes")
	db, err := store.Open(t.Context(), s.dir+"/data", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "the mailer has claimed copies", func() bool {
		return countIn(t, db.Path(), `SELECT COUNT(*) FROM deliveries WHERE state = 'claimed'`) > 8
	})
	for id := range 39 {
		if err := db.Unsubscribe(t.Context(), newsletter.Link{Subscriber: newsletter.SubscriberID(id + 1), List: "weekly"}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	var e editionDetail
	eventually(t, "the edition is done", func() bool {
		s.okJSON(&e, "editions", "show", "1")
		return e.State == "done"
	})
	if n := relay.Counts().Accepted; n != 1 || e.Sent != 1 || e.Withdrawn != 39 {
		t.Errorf("%d messages, %+v", n, e.editionView)
	}
}

// Promise 1, with a clock that comes to a slot: the scheduler makes the edition, once.
func TestServeMakesTheEditionOfASlot(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	http, _ := serving(t)
	s := newSite(t, relay.Port, http)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(5), "--confirmed", "form")
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().In(berlin)
	monday := time.Date(today.Year(), today.Month(), today.Day()+7-int(today.Weekday()-time.Monday), 9, 0, 0, 0, berlin)
	var clock movable
	clock.move(time.Until(monday.Add(-time.Hour)))
	ctx := t.Context()
	p := process{now: clock.now, stdin: strings.NewReader(""), stdout: &logWriter{t}, stderr: &logWriter{t}}
	done := make(chan int)
	stop := make(chan struct{})
	go func() { done <- runUntil(ctx, stop, p, "--config", s.dir+"/config.yaml", "serve") }()
	if err := relay.Wait(t.Context(), 5); err != nil { // the alert of the urgent action: all lists have been looked at
		t.Fatal(err)
	}
	clock.move(time.Hour)
	if err := relay.Wait(t.Context(), 10); err != nil { // the digest
		t.Fatal(err)
	}
	close(stop)
	if code := <-done; code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	var editions []editionView
	s.okJSON(&editions, "editions", "list", "--list", "weekly")
	if len(editions) != 1 || !editions[0].Slot.Equal(monday) {
		t.Errorf("editions %+v", editions)
	}
}
