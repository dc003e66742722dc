package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// What keeps dispatcher from its work is a reason; words and no address.
func TestReadiness(t *testing.T) {
	s := newSite(t, 1)
	s.write("config.yaml", s.config)
	cfg, err := config.Load(filepath.Join(s.dir, "config.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	o, err := openOffice(t.Context(), process{stderr: io.Discard, now: func() time.Time { return now }}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer o.store.Close()
	if _, err := o.store.Beat(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	looked := now
	v := &vitals{looked: func() time.Time { return looked }}
	want := func(reasons ...string) {
		t.Helper()
		got := v.ready(o)(t.Context())
		if len(got.Reasons) != len(reasons) || len(got.Notes) > 0 {
			t.Fatalf("it says %q, want %q", got, reasons)
		}
		for i := range reasons {
			if !strings.Contains(got.Reasons[i], reasons[i]) {
				t.Errorf("it says %q, want %q", got.Reasons[i], reasons[i])
			}
		}
	}
	want()
	looked = now.Add(-2 * time.Minute)
	want()
	looked = now.Add(-2*time.Minute - time.Second)
	want("the scheduler is late: it gave its last sign 2m1s ago")
	looked = time.Time{}
	want("the scheduler has not begun yet")
	looked = now
	if err := os.Remove(filepath.Join(filepath.Dir(o.store.Path()), store.BeatFile)); err != nil {
		t.Fatal(err)
	}
	want("mail is held back, `dispatcher release` lets it go: this database was copied here")
}

// A disk that is full shows, and that there is room again does too.
func TestAFullDiskIsNotReady(t *testing.T) {
	r := newRig(t, setting{readers: 1, data: smallDisk(t)})
	serve := r.serve()
	r.answers(serve)
	ready := func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK }
	eventually(t, "it is ready", ready)
	mend := fill(t, r.data)
	if status, body := r.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "disk") {
		t.Errorf("with a full disk: %d %q", status, body)
	}
	if status, body := r.get("/healthz"); status != http.StatusOK {
		t.Errorf("with a full disk it is not alive: %d %q", status, body)
	}
	if status, body := r.get("/metrics"); status != http.StatusOK || !strings.Contains(body, "dispatcher_ready 0") || !strings.Contains(body, "dispatcher_disk_free_bytes 0") {
		t.Errorf("with a full disk the metrics are %d %s", status, body)
	}
	mend()
	eventually(t, "it is ready again", ready)
}

// One relay of several may be out of reach. Where none takes mail, nothing is ready.
func TestRelaysThatTakeNoMail(t *testing.T) {
	r := newRig(t, setting{readers: 3, relay: smtptest.Config{}})
	second := newRelay(t, smtptest.Config{})
	second.Close()
	r.write("config.yaml", strings.Replace(r.config, "relays: [{", "relays: [{name: first, host: localhost, port: "+strings.TrimPrefix(second.Addr, "127.0.0.1:")+"}, {name: second, ", 1))
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(3)
	if status, body := r.get("/readyz"); status != http.StatusOK || !strings.HasPrefix(body, "ready\nrelay first takes no mail, another does") {
		t.Errorf("with one of two relays: %d %q", status, body)
	}
	r.relay.Close()
	r.ok("import", r.write("items.jsonl", `{"title":"A letter","url":"https://magazine.example/letter","summary":"A letter."}`+"\n"))
	r.send()
	eventually(t, "no relay takes mail", func() bool {
		serve.mustRun()
		status, body := r.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "no relay takes mail")
	})
}
