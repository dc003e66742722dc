package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// wantAll checks that a text has some words, and no address.
func wantAll(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, want := range words {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "@") {
		t.Errorf("there is an address in\n%s", text)
	}
}

func TestAnEditionThatFailedByUsIsTold(t *testing.T) {
	relay := newRelay(t, smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.Rcpt {
			return smtptest.Answer{Code: 550, Enhanced: "5.7.26", Text: "sender not authenticated"}
		}
		return smtptest.Answer{}
	}})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(20), "--confirmed", "form")
	s.ok("send", "weekly", "--yes", "--wait")
	for _, out := range []string{s.ok(), s.ok("check")} { // check ends well: a reload is no worse for it
		wantAll(t, out, "20 of 20 copies of weekly failed, 20 of them for our own side's sake", "`dispatcher editions show 1`", "`dispatcher editions retry 1 --owner ours`")
	}
	in := func(d time.Duration) string {
		return s.runWith(process{stdin: strings.NewReader(""), now: func() time.Time { return time.Now().Add(d) }}).stdout
	}
	if out := in(73 * time.Hour); strings.Contains(out, "failed") {
		t.Errorf("after three days it is still told:\n%s", out)
	}
}

func TestCopiesThatAreStuckAreTold(t *testing.T) {
	s := newSite(t, 25)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3), "--confirmed", "form")
	s.ok("send", "weekly", "--yes")
	for minutes, want := range map[int]bool{9: false, 12: true} {
		at := process{stdin: strings.NewReader(""), now: func() time.Time { return time.Now().Add(time.Duration(minutes) * time.Minute) }}
		for _, args := range [][]string{nil, {"check"}} {
			if r := s.runWith(at, args...); r.code != exitDone || strings.Contains(r.stdout, fmt.Sprintf("3 copies wait, due for %d minutes, and none has gone lately", minutes)) != want {
				t.Errorf("%q after %d minutes: exit code %d\n%s", args, minutes, r.code, r.stdout)
			}
		}
	}
	inDatabase(t, filepath.Join(s.dir, "data", store.FileName), fmt.Sprintf(`UPDATE deliveries SET state = 'sent', due = %d WHERE subscriber = 1`, time.Now().Add(11*time.Minute).UnixMilli()))
	at := process{stdin: strings.NewReader(""), now: func() time.Time { return time.Now().Add(12 * time.Minute) }}
	if r := s.runWith(at); strings.Contains(r.stdout, "gone lately") {
		t.Errorf("one has just gone:\n%s", r.stdout)
	}
}

func TestStatusHasServeSayHowItDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		status int
		ready  any
		want   []string
	}{
		"ready":      {`{"ready":true,"reasons":[],"notes":[]}`, 200, true, []string{"\nServing. No edition"}},
		"with notes": {`{"ready":true,"reasons":[],"notes":["relay b takes no mail, another does"]}`, 200, true, []string{"warning  serve", "relay b takes no mail", "\nServing. No"}},
		"not ready": {
			`{"ready":false,"reasons":["no relay takes mail, reader@example.net says"],"notes":[]}`, 503, false,
			[]string{"error    serve", "no relay takes mail, [address] says", "\nServing, but not ready: see above."},
		},
		"another program": {"<html>", 404, nil, []string{"warning  serve", "could not be asked", "no dispatcher", "systemd", "\nServing. No"}},
		"elsewhere":       {"", 302, nil, []string{"warning  serve", "could not be asked", "no dispatcher", "\nServing. No"}},
	} {
		t.Run(name, func(t *testing.T) {
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.String() != "/readyz?format=json" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.answer)
			}))
			defer admin.Close()
			s := newSite(t, 25, fmt.Sprintf("http: {listen: \"127.0.0.1:1\", admin_listen: %q}", strings.TrimPrefix(admin.URL, "http://")))
			s.ok("check")
			db, err := store.Open(t.Context(), filepath.Join(s.dir, "data"), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			release, err := db.LockMailer("serve")
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			wantAll(t, s.ok(), tt.want...)
			var v map[string]any
			if s.okJSON(&v); v["ready"] != tt.ready {
				t.Errorf("ready is %v, want %v", v["ready"], tt.ready)
			}
		})
	}
}

// The real serve says it: its relay is gone.
func TestStatusTellsThatNoMailCanGo(t *testing.T) {
	r := newRig(t, setting{readers: 3})
	serve := r.serve()
	r.answers(serve)
	eventually(t, "all is well", func() bool { return strings.Contains(r.ok(), "Serving. No edition") })
	r.relay.Close()
	r.send()
	eventually(t, "status tells it", func() bool {
		serve.mustRun()
		out := r.ok()
		return strings.Contains(out, "error") && strings.Contains(out, "no relay takes mail") && strings.Contains(out, "Serving, but not ready")
	})
}

// Who interrupts a send is told what is left, and the same command goes on with it, although nothing is new.
func TestASendThatWasInterruptedIsTakenUp(t *testing.T) {
	r := newRig(t, setting{readers: 100, keys: "rate: 10/s"})
	send := r.process(nil, "send", "weekly", "--yes", "--wait")
	send.says(" copies")
	if code := send.terminate(); code != exitFailed {
		t.Errorf("it ends with %d", code)
	}
	wantAll(t, send.log.String(), "interrupted: ", "copies of edition 1 wait in the outbox", "nobody sends now; `dispatcher serve`, or `dispatcher send weekly --wait`, goes on")
	if strings.Contains(send.log.String(), "context canceled") {
		t.Errorf("it says %s", send.log)
	}
	if e := r.run("send", "weekly", "--yes"); e.code != exitDone || !strings.Contains(e.stderr, "edition 1 of weekly is still being sent: ") {
		t.Errorf("without --wait it says %+v", e)
	}
	r.write("config.yaml", strings.Replace(r.config, "rate: 10/s", "rate: 1000/s", 1))
	var v editionView
	r.okJSON(&v, "send", "weekly", "--yes", "--wait")
	if v.ID != 1 || v.State != "done" || v.Sent != 100 {
		t.Errorf("taken up it is %+v", v)
	}
}

// Whoever was erased by the statements of docs/privacy.md is found by her address, which stays suppressed.
func TestAnErasedReader(t *testing.T) {
	s := newSite(t, 25)
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "form")
	for _, statement := range codeBlocks(t, "../../docs/privacy.md", "sql") {
		if strings.Contains(statement, "'erased'") {
			inDatabase(t, filepath.Join(s.dir, "data", store.FileName), strings.ReplaceAll(statement, "= 7", "= 1"))
		}
	}
	shown := s.ok("subscribers", "show", "reader1@example.net")
	for _, want := range []string{"address       erased\n", "suppressed    since ", ": erased\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in\n%s", want, shown)
		}
	}
	if out := s.ok("subscribers", "list"); !strings.Contains(out, "1   erased ") {
		t.Errorf("the list is\n%s", out)
	}
}
