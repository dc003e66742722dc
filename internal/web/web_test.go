package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	key    = newsletter.Key{ID: 1, Secret: bytes.Repeat([]byte{1}, 32)}
	others = newsletter.Key{ID: 1, Secret: bytes.Repeat([]byte{2}, 32)} // another installation's
	reader = newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 7, List: "weekly"}
	lists  = []newsletter.List{
		{ID: "weekly", Title: "Example Weekly"},
		{ID: "alerts", Title: "<b>Act</b> & tell"},
		{ID: "persian", Title: "دیدبان ایران"},
		{ID: "untitled"},
	}
)

// subscription is one row of the ledger.
type subscription struct {
	state     newsletter.SubscriptionState
	confirmed bool // when it ended
	byLink    bool // it ended so
	changed   time.Time
}

type who struct {
	subscriber newsletter.SubscriberID
	list       string
}

// ledger keeps subscriptions in memory.
type ledger struct {
	mu    sync.Mutex
	rows  map[who]subscription
	items map[string]newsletter.Item // actions, by code
	err   error                      // of every call
	calls []string
}

// begin counts a call and finds its row. The lock is held when it returns.
func (l *ledger) begin(ctx context.Context, call string, link newsletter.Link) (who, subscription, error) {
	l.mu.Lock()
	l.calls = append(l.calls, call)
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return who{}, subscription{}, err
	}
	at := who{link.Subscriber, link.List}
	row, known := l.rows[at]
	if !known {
		return at, row, newsletter.ErrNotFound
	}
	return at, row, nil
}

func (l *ledger) Subscription(ctx context.Context, link newsletter.Link) (newsletter.SubscriptionState, error) {
	_, row, err := l.begin(ctx, "look", link)
	defer l.mu.Unlock()
	return row.state, err
}

func (l *ledger) Unsubscribe(ctx context.Context, link newsletter.Link, at time.Time) error {
	id, row, err := l.begin(ctx, "end", link)
	defer l.mu.Unlock()
	if err != nil || row.state == newsletter.Ended {
		return err
	}
	l.rows[id] = subscription{newsletter.Ended, row.state == newsletter.Confirmed, true, at}
	return nil
}

func (l *ledger) Resubscribe(ctx context.Context, link newsletter.Link, at time.Time) error {
	id, row, err := l.begin(ctx, "resume", link)
	defer l.mu.Unlock()
	if err != nil {
		return err
	}
	if !row.confirmed || !row.byLink {
		return newsletter.ErrNotFound
	}
	l.rows[id] = subscription{state: newsletter.Confirmed, changed: at}
	return nil
}

func (l *ledger) ActionByCode(ctx context.Context, code string) (newsletter.Item, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, "action")
	if err := errors.Join(l.err, ctx.Err()); err != nil {
		return newsletter.Item{}, err
	}
	item, known := l.items[code]
	if !known {
		return item, newsletter.ErrNotFound
	}
	if item.Petition == "panic" {
		panic("no action for " + code)
	}
	return item, nil
}

// state tells where a subscription stands; empty when there is none.
func (l *ledger) state(link newsletter.Link) newsletter.SubscriptionState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows[who{link.Subscriber, link.List}].state
}

// called returns the calls so far and forgets them.
func (l *ledger) called() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := strings.Join(l.calls, " ")
	l.calls = nil
	return calls
}

// newLedger knows subscriber 7, who reads weekly and alerts, and nobody else.
func newLedger() *ledger {
	return &ledger{rows: map[who]subscription{
		{7, "weekly"}: {state: newsletter.Confirmed},
		{7, "alerts"}: {state: newsletter.Confirmed},
	}}
}

// config is what the tests run with.
func config(l *ledger, log io.Writer) web.Config {
	return web.Config{
		Files:     os.DirFS("../../templates"),
		Keys:      newsletter.Keys{key.ID: key},
		Ledger:    l,
		Publisher: newsletter.Publisher{Name: "Example Magazine", PublicURL: "https://news.example.org"},
		Lists:     lists,
		Now:       func() time.Time { return noon },
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// site is a running public listener.
type site struct {
	*httptest.Server
	ledger *ledger
	log    *journal
}

// journal is a log that may be written and read at the same time.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// start runs the reader pages, with changes to the usual config.
func start(t testing.TB, changes ...func(*web.Config)) site {
	t.Helper()
	s := site{ledger: newLedger(), log: &journal{}}
	c := config(s.ledger, s.log)
	for _, change := range changes {
		change(&c)
	}
	pages, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(pages.Reader())
	t.Cleanup(s.Close)
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// request says what is sent beside method and path.
type request struct {
	body   string
	header map[string]string
}

// form is how a browser posts the page's own form.
func form(body string) request {
	return request{body, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
}

var oneClick, byHand = form("List-Unsubscribe=One-Click"), form("from=page")

// do sends one request.
func (s site) do(t testing.TB, method, path string, send request) response {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(send.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range send.header {
		r.Header.Set(name, value)
	}
	r.Host = r.Header.Get("Host") // empty: the URL's
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, string(body)}
}

// link is the path of a link in mail.
func link(l newsletter.Link) string { return "/u/" + key.Token(l) }

func TestNewFindsFaultsBeforeReadersDo(t *testing.T) {
	good := fstest.MapFS{}
	for _, name := range []string{"layout", "home", "leave", "left", "undone", "proof", "later", "contact", "closed", "won", "refused"} {
		text, err := os.ReadFile("../../templates/web/" + name + ".html")
		if err != nil {
			t.Fatal(err)
		}
		good["web/"+name+".html"] = &fstest.MapFile{Data: text}
	}
	with := func(name, text string) fstest.MapFS {
		files := fstest.MapFS{}
		for k, v := range good {
			files[k] = v
		}
		files["web/"+name] = &fstest.MapFile{Data: []byte(text)}
		return files
	}
	tests := map[string]struct {
		files fstest.MapFS
		url   string
		names string // in the error; empty: there is none
	}{
		"good":             {good, "https://news.example.org", ""},
		"template missing": {fstest.MapFS{"web/layout.html": good["web/layout.html"]}, "https://news.example.org", "home.html"},
		"template broken":  {with("left.html", "{{if}}"), "https://news.example.org", "left.html"},
		"field unknown":    {with("left.html", `{{define "title"}}{{end}}{{define "main"}}{{.Nobody}}{{end}}`), "https://news.example.org", "left.html"},
		"fault in a branch": {
			with("refused.html", `{{define "title"}}{{end}}{{define "main"}}{{if eq .Status 413}}{{.Nobody}}{{end}}{{end}}`),
			"https://news.example.org", "refused.html",
		},
		"no public URL":   {good, "", "public URL"},
		"no scheme":       {good, "news.example.org", "public URL"},
		"not a web URL":   {good, "mailto:news@example.org", "public URL"},
		"not a URL":       {good, "https://news example.org", "public URL"},
		"URL with a path": {good, "https://example.org/news", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(newLedger(), io.Discard)
			c.Files, c.Publisher.PublicURL = tt.files, tt.url
			_, err := web.New(c)
			switch {
			case tt.names == "" && err != nil:
				t.Errorf("New: %v", err)
			case tt.names != "" && (err == nil || !strings.Contains(err.Error(), tt.names)):
				t.Errorf("New = %v, want an error that names %q", err, tt.names)
			}
		})
	}
}
