package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

// ask gets a page of the admin listener.
func (r *rig) ask(path string) (status int, body string) {
	r.t.Helper()
	got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", r.admin, path))
	if err != nil {
		r.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// What a serve counts goes on over reloads, also of the relays, and adds up with the ledger.
func TestTheCountsGoOnOverReloads(t *testing.T) {
	r := newRig(t, setting{readers: 40, relay: smtptest.Config{}})
	serve := r.serve()
	r.answers(serve)
	eventually(t, "it is ready", func() bool { status, _ := r.ask("/readyz"); return status == http.StatusOK })
	r.send()
	r.done(serve)
	r.write("config.yaml", strings.Replace(r.config, fmt.Sprintf("connections: %d", connections), "connections: 5", 1))
	serve.reload("mailer_goes_on=false", 1)
	status, page := r.ask("/metrics")
	for _, line := range []string{
		`dispatcher_relay_messages_taken_total{relay="127.0.0.1"} 40`,
		`dispatcher_deliveries{list="weekly",state="sent"} 40`,
		`dispatcher_editions{list="weekly",state="done"} 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("/metrics (%d) has no %s", status, line)
		}
	}
	if t.Failed() || strings.Contains(page, "@") {
		t.Log(page)
	}
	if status, why := r.ask("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz says %d %s", status, why)
	}
}
