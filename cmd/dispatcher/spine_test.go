package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"

	"dispatcher/internal/smtptest"
)

// feedTitles are what the sample feed says, as readers must see it.
func sampleItems(t *testing.T, s *site) (articles, actions []itemView) {
	t.Helper()
	var items []itemView
	s.okJSON(&items, "items", "list")
	for _, i := range items {
		if i.Kind == "action" {
			actions = append(actions, i)
		} else {
			articles = append(articles, i)
		}
	}
	return articles, actions
}

// The whole way: a feed becomes a digest and an alert in the inbox of every reader, once.
func TestAFeedBecomesADigestAndAnAlertInEveryInbox(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	articles, actions := sampleItems(t, s)
	if len(articles) == 0 || len(actions) == 0 {
		t.Fatalf("%d articles and %d actions", len(articles), len(actions))
	}
	s.ok("subscribers", "import", s.readers(50), "--confirmed", "form at the harbour fair")
	for _, list := range []string{"weekly", "urgent"} {
		s.ok("send", list, "--wait", "--yes")
	}
	copies := map[string][]string{}
	for _, m := range relay.Messages() {
		text := checkMessage(t, m.Data)
		list := "weekly"
		if strings.Contains(text, "Act Now") {
			list = "urgent"
		}
		copies[m.To[0]] = append(copies[m.To[0]], list)
		for _, a := range actions {
			if !strings.Contains(text, a.Petition) {
				t.Errorf("a copy of %s lacks the petition %s", list, a.Petition)
			}
		}
		for _, a := range articles {
			if list == "weekly" && !strings.Contains(strings.Join(strings.Fields(text), " "), a.Title) {
				t.Errorf("a digest lacks the title %q", a.Title)
			}
		}
	}
	for i := range 50 {
		got := copies[fmt.Sprintf("reader%d@example.net", i+1)]
		if slices.Sort(got); !slices.Equal(got, []string{"urgent", "weekly"}) {
			t.Errorf("reader %d has %q", i+1, got)
		}
	}
	var editions []editionView
	s.okJSON(&editions, "editions", "list")
	for _, e := range editions {
		if e.State != "done" || e.Audience != 50 || e.Sent != 50 || e.Audience != e.Sent+e.Pending+e.Failed+e.Withdrawn+e.Unknown {
			t.Errorf("edition %+v", e)
		}
	}
	if r := s.run("send", "weekly", "--wait", "--yes", "--json"); r.code != exitDone || !strings.Contains(r.stderr, "nothing new") || r.stdout != "null\n" || relay.Counts().Accepted != 100 {
		t.Errorf("sending again: %+v, %d messages", r, relay.Counts().Accepted)
	}
}

// checkMessage reads a message with a parser that had no part in writing it, and returns its text part.
func checkMessage(t *testing.T, data []byte) (text string) {
	t.Helper()
	for i, line := range bytes.Split(data, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("line %d is %d octets long or holds a bare line end", i, len(line))
		}
	}
	r, err := mail.CreateReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("reading a message: %v", err)
	}
	for _, name := range []string{
		"From", "To", "Subject", "Date", "Message-Id", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Post",
		"List-Help", "Feedback-Id", "Precedence", "Mime-Version", "Content-Type", "X-Auto-Response-Suppress",
	} {
		if fields := r.Header.FieldsByKey(name); !fields.Next() || fields.Next() {
			t.Errorf("the header does not have exactly one %s", name)
		}
	}
	var kinds []string
	for {
		part, err := r.NextPart()
		if err != nil {
			break
		}
		kind, _, _ := part.Header.(*mail.InlineHeader).ContentType()
		kinds = append(kinds, kind)
		var b bytes.Buffer
		if _, err := b.ReadFrom(part.Body); err != nil {
			t.Errorf("reading the %s part: %v", kind, err)
		}
		if kind == "text/plain" {
			text = strings.ReplaceAll(b.String(), "\r\n", "\n")
		}
	}
	if !slices.Equal(kinds, []string{"text/plain", "text/html"}) {
		t.Errorf("the parts are %q", kinds)
	}
	return text
}

// The design's smallest config is enough to run; only its host names and paths are changed here.
func TestTheSmallestConfigSends(t *testing.T) {
	relay := newRelay(t, smtptest.Config{Username: "news", Password: "a relay's password"})
	s := newSite(t, relay.Port)
	s.write("relay.password", "a relay's password\n")
	s.write("config.yaml", fmt.Sprintf(`public_url: https://news.example.org
publisher:
  name: Example Magazine
  from: news@example.org
  postal_address: 1 Example Street, Springfield
relays: [{host: 127.0.0.1, port: %d, username: news, password_file: relay.password}]
feeds: [{url: "%s/wordpress.xml"}]
lists:
  - {id: iran-weekly, schedule: Mon 09:00, timezone: America/New_York}
`, relay.Port, s.feed.URL))
	s.ok("fetch")
	s.ok("subscribers", "add", "reader@example.net", "--name", "Ada", "--confirmed", "asked for it")
	if r := s.run("send", "iran-weekly", "--wait", "--yes"); !strings.Contains(r.stderr, "nothing new") {
		t.Errorf("the first poll is a baseline, but: %+v", r)
	}
	s.ok("items", "release", "1", "2")
	s.ok("send", "iran-weekly", "--wait", "--yes")
	got := relay.Messages()
	if len(got) != 1 || got[0].To[0] != "reader@example.net" || got[0].From != "news@example.org" {
		t.Fatalf("the relay has %d messages", len(got))
	}
	if text := checkMessage(t, got[0].Data); !strings.Contains(text, "Ada") || !strings.Contains(text, "https://news.example.org/u/") {
		t.Errorf("the personal parts are not there:\n%s", text)
	}
}

func TestTheSameFeedInOtherClothesBringsNothing(t *testing.T) {
	s := newSite(t, 1)
	s.ok("fetch")
	original, err := os.ReadFile("../../internal/ingest/testdata/wordpress.xml")
	if err != nil {
		t.Fatal(err)
	}
	feed := strings.ReplaceAll(string(original), "https://", "http://")
	feed = strings.ReplaceAll(feed, "?p=", "?post=new-")
	s.feed.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/rss+xml")
		_, _ = w.Write([]byte(feed))
	})
	for range 2 {
		var took []intakeView
		s.okJSON(&took, "fetch")
		if len(took) != 1 || took[0].New != 0 {
			t.Errorf("new items: %+v", took)
		}
	}
}

// Promise 10: a rehearsal does everything and mails the proof address alone.
func TestARehearsalMailsOnlyTheProofAddress(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port, "rehearsal: true", "proof_to: [desk@gazette.example]")
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(20), "--confirmed", "form")
	s.ok("send", "weekly", "--wait", "--yes")
	if r := s.run("send", "urgent", "--to", "reader1@example.net"); r.code != exitUsage || !strings.Contains(r.stderr, "proof_to") {
		t.Errorf("a test copy to a reader in a rehearsal: %+v", r)
	}
	if got := relay.Messages(); len(got) != 1 || got[0].To[0] != "desk@gazette.example" {
		t.Fatalf("the relay has %d messages", len(got))
	}
	s.write("config.yaml", strings.Replace(s.config, "rehearsal: true", "rehearsal: false", 1))
	s.ok("send", "weekly", "--wait", "--yes")
	got := relay.Messages()
	if len(got) != 22 || got[1].To[0] != "desk@gazette.example" {
		t.Errorf("after the rehearsal %d messages, the first to %q; want the proof and 20 readers", len(got)-1, got[1].To)
	}
}

func TestSendAsksBeforeItMails(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3), "--confirmed", "form")
	if r := s.run("send", "weekly"); r.code != exitUsage || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("without a terminal and --yes: %+v", r)
	}
	answer := func(text string) result {
		return s.runWith(process{stdin: strings.NewReader(text), now: time.Now, terminal: true}, "send", "weekly", "--wait")
	}
	if r := answer("n\n"); r.code != exitDone || !strings.Contains(r.stderr, "to 3 readers") || relay.Counts().Accepted != 0 {
		t.Errorf("answering no: %+v, %d sent", r, relay.Counts().Accepted)
	}
	if r := answer("y\n"); r.code != exitDone || relay.Counts().Accepted != 3 {
		t.Errorf("answering yes: %+v, %d sent", r, relay.Counts().Accepted)
	}
}

func TestATestCopyStoresNothing(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("send", "weekly", "--to", "desk@gazette.example")
	if got := relay.Messages(); len(got) != 1 || got[0].To[0] != "desk@gazette.example" {
		t.Fatalf("the relay has %d messages", len(got))
	}
	if out := s.ok("editions", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("a test copy has made an edition: %s", out)
	}
}

func TestPreviewShowsTheBytesThatAreSent(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--name", "Ada", "--confirmed", "asked")
	out := filepath.Join(s.dir, "preview")
	s.ok("preview", "weekly", "--out", out, "--subscriber", "reader@example.net")
	s.ok("send", "weekly", "--wait", "--yes")
	eml, err := os.ReadFile(filepath.Join(out, "weekly.eml"))
	if err != nil {
		t.Fatal(err)
	}
	sent := relay.Messages()[0].Data
	if preview, mailed := checkMessage(t, eml), checkMessage(t, sent); preview != mailed {
		t.Errorf("preview and mail differ:\n%s\n---\n%s", preview, mailed)
	}
}

func TestPendingReadersGetNothing(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3))
	if r := s.run("send", "weekly", "--wait", "--yes"); !strings.Contains(r.stderr, "no readers") || relay.Counts().Accepted != 0 {
		t.Errorf("%+v, %d sent", r, relay.Counts().Accepted)
	}
}
