package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// watched is what monitoring looks at.
type watched struct {
	figures   newsletter.Figures
	err       error
	mailer    newsletter.MailerFigures
	readiness newsletter.Readiness
	looks     atomic.Int64
}

func newWatched() *watched {
	return &watched{
		figures: newsletter.Figures{
			Lists: map[string]newsletter.ListFigures{"weekly": {
				Readers: 3, Slots: map[newsletter.SlotFate]int{newsletter.MadeEdition: 2, newsletter.SkippedNoItems: 1},
				Editions: map[newsletter.EditionState]int{newsletter.Done: 1, newsletter.Paused: 1},
				Counts:   newsletter.Counts{Audience: 7, Sent: 4, Pending: 1, Failed: 2}, Failed: map[newsletter.Owner]int{newsletter.OurIdentity: 2},
			}},
			Lanes: map[newsletter.Lane]newsletter.LaneFigures{newsletter.AlertLane: {Pending: 1, Oldest: noon.Add(-time.Hour)}, newsletter.DigestLane: {}},
			Items: map[newsletter.ItemState]int{newsletter.Held: 4}, Suppressions: map[string]int{"complaint": 1, "asked on the phone": 2, "moved": 3}, Bounces: map[newsletter.BounceKind]int{newsletter.Complaint: 1},
			Feeds: []newsletter.FeedState{{Name: "magazine", LastPoll: noon, Failures: 2}, {Name: "new"}},
			Held:  "this database was restored", Disk: newsletter.Disk{Database: 4096, WAL: 512, Free: 1 << 30, Size: 1 << 33},
		},
		mailer: newsletter.MailerFigures{
			Commit: newsletter.Histogram{Count: 3, Sum: 0.012, AtMost: map[float64]uint64{0.001: 1, 0.01: 3}},
			Group:  newsletter.Histogram{Count: 3, Sum: 12, AtMost: map[float64]uint64{1: 1, 16: 3}},
			Relays: []newsletter.RelayFigures{
				{Name: "main", Taken: 4, Used: true, Busy: 1, Idle: 2, Most: 8, CircuitOpen: true, Rate: 50, Refusals: []newsletter.Refused{{Owner: newsletter.OurIdentity, Permanent: true, Count: 2}}},
				{Name: "old", Taken: 9},
			},
		},
	}
}

// admin runs the admin listener with something to look at.
func admin(t *testing.T, w *watched) site {
	t.Helper()
	s := site{ledger: newLedger(), log: &journal{}}
	c := config(s.ledger, s.log)
	c.Ready = func(context.Context) newsletter.Readiness {
		w.looks.Add(1)
		return w.readiness
	}
	c.Metrics = &web.Metrics{
		Version: "1.2.3", Figures: func(context.Context) (newsletter.Figures, error) { return w.figures, w.err },
		Mailer: func() newsletter.MailerFigures { return w.mailer }, Looked: func() time.Time { return noon },
	}
	pages, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(pages.Admin())
	t.Cleanup(s.Close)
	return s
}

// ask gets one path of a site, with a header where it is not empty.
func ask(t *testing.T, s site, path, accept string) (status int, kind, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	got, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, got.Header.Get("Content-Type"), string(text)
}

func TestMetrics(t *testing.T) {
	s := admin(t, newWatched())
	status, _, body := ask(t, s, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("status %d\n%s", status, body)
	}
	for _, want := range []string{
		`dispatcher_build_info{version="1.2.3"} 1`, `dispatcher_ready 1`, `dispatcher_figures_read 1`, `dispatcher_mail_held 1`,
		`dispatcher_scheduler_last_look_timestamp_seconds 1.7953488e+09`,
		`dispatcher_slots_total{fate="skipped: nothing new",list="weekly"} 1`, `dispatcher_editions{list="weekly",state="paused"} 1`,
		`dispatcher_editions{list="weekly",state="sending"} 0`, `dispatcher_deliveries{list="weekly",state="sent"} 4`,
		`dispatcher_deliveries_failed{list="weekly",owner="ours: identity"} 2`,
		`dispatcher_deliveries_failed{list="weekly",owner="ours: reputation"} 0`, `dispatcher_suppressions{reason="recipient gone"} 0`, `dispatcher_readers{list="weekly"} 3`,
		`dispatcher_outbox_pending{lane="alert"} 1`, `dispatcher_outbox_oldest_due_seconds{lane="alert"} 3600`, `dispatcher_outbox_oldest_due_seconds{lane="digest"} 0`,
		`dispatcher_items{state="held"} 4`, `dispatcher_suppressions{reason="complaint"} 1`, `dispatcher_suppressions{reason="other"} 5`, `dispatcher_bounces_total{kind="hard"} 0`,
		`dispatcher_feed_last_poll_timestamp_seconds{feed="magazine"} 1.7953488e+09`, `dispatcher_feed_failures{feed="magazine"} 2`, `dispatcher_feed_gone{feed="new"} 0`,
		`dispatcher_database_size_bytes 4096`, `dispatcher_database_wal_size_bytes 512`, `dispatcher_disk_free_bytes 1.073741824e+09`,
		`dispatcher_commit_duration_seconds_bucket{le="0.001"} 1`, `dispatcher_commit_duration_seconds_count 3`, `dispatcher_commit_outcomes_sum 12`,
		`dispatcher_relay_connections{relay="main",state="idle"} 2`, `dispatcher_relay_circuit_open{relay="main"} 1`, `dispatcher_relay_rate_limit{relay="main"} 50`,
		`dispatcher_relay_refusals_total{owner="ours: identity",relay="main",reply="5xx"} 2`, `dispatcher_relay_messages_taken_total{relay="old"} 9`,
		`go_goroutines`, `process_resident_memory_bytes`,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, absent := range []string{`last_poll_timestamp_seconds{feed="new"}`, `relay_circuit_open{relay="old"}`} {
		if strings.Contains(body, absent) {
			t.Errorf("of what is not known there is %s", absent)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("the linter says %v, %v", problems, err)
	}
}

// Figures that cannot be read take nothing else away, and the scrape says that they are missing.
func TestMetricsWithoutTheDatabase(t *testing.T) {
	w := newWatched()
	w.err = errors.New("reading figures: disk I/O error")
	w.readiness.Reasons = []string{"the database cannot be written"}
	s := admin(t, w)
	status, _, body := ask(t, s, "/metrics", "")
	for _, want := range []string{"dispatcher_figures_read 0", "dispatcher_ready 0", `dispatcher_relay_circuit_open{relay="main"} 1`, "go_goroutines"} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	if status != http.StatusOK || strings.Contains(body, "dispatcher_deliveries") {
		t.Errorf("status %d\n%s", status, body)
	}
	ask(t, s, "/metrics", "")
	if n := strings.Count(s.log.String(), "disk I/O error"); n != 1 {
		t.Errorf("the log says %d times why: %s", n, s.log.String())
	}
}

func TestReadyz(t *testing.T) {
	tests := map[string]struct {
		readiness  newsletter.Readiness
		status     int
		text, json string
	}{
		"ready":     {newsletter.Readiness{}, 200, "ready\n", `{"ready":true,"reasons":[],"notes":[]}` + "\n"},
		"with note": {newsletter.Readiness{Notes: []string{"relay b is shut"}}, 200, "ready\nrelay b is shut\n", `{"ready":true,"reasons":[],"notes":["relay b is shut"]}` + "\n"},
		"not ready": {newsletter.Readiness{Reasons: []string{"no disk", "no relay"}, Notes: []string{"n"}}, 503, "no disk\nno relay\nn\n", `{"ready":false,"reasons":["no disk","no relay"],"notes":["n"]}` + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWatched()
			w.readiness = tt.readiness
			s := admin(t, w)
			if status, kind, body := ask(t, s, "/readyz", ""); status != tt.status || body != tt.text || !strings.HasPrefix(kind, "text/plain") {
				t.Errorf("%d %s %q, want %d %q", status, kind, body, tt.status, tt.text)
			}
			for path, accept := range map[string]string{"/readyz?format=json": "", "/readyz": "text/html, application/json;q=0.9"} {
				if status, kind, body := ask(t, s, path, accept); status != tt.status || body != tt.json || kind != "application/json" {
					t.Errorf("%s: %d %s %q, want %d %q", path, status, kind, body, tt.status, tt.json)
				}
			}
		})
	}
}

// What monitoring sees is not for readers, and being alive costs no look at the database.
func TestMonitoringIsForTheAdmin(t *testing.T) {
	w := newWatched()
	s := admin(t, w)
	if status, _, body := ask(t, s, "/healthz", ""); status != http.StatusOK || body != "ok\n" || w.looks.Load() != 0 {
		t.Errorf("/healthz: %d %q after %d looks", status, body, w.looks.Load())
	}
	public := start(t, func(c *web.Config) {
		c.Ready, c.Metrics = func(context.Context) newsletter.Readiness { return newsletter.Readiness{} }, &web.Metrics{}
	})
	for _, path := range []string{"/metrics", "/readyz"} {
		if status, _, _ := ask(t, public, path, ""); status != http.StatusNotFound {
			t.Errorf("a reader gets %d for %s", status, path)
		}
		got, err := http.Post(s.URL+path, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, got.StatusCode)
		}
	}
}
