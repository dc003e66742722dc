package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

const code = "abcdefg234567"

// petition is an open action.
var petition = newsletter.Item{
	Kind: newsletter.Action, State: newsletter.Queued, Code: code, Language: "en", Title: "Sign for the <printers>",
	URL: "https://magazine.example/printers", Petition: "https://actions.example/printers?from=mail#sign", Deadline: noon.Add(time.Hour),
}

// with is the petition after a change.
func with(change func(*newsletter.Item)) newsletter.Item {
	i := petition
	change(&i)
	return i
}

// standing serves one action.
func standing(t testing.TB, i newsletter.Item) site {
	s := start(t)
	s.ledger.items = map[string]newsletter.Item{code: i}
	return s
}

func TestAnOpenActionLeadsToItsPetition(t *testing.T) {
	tests := map[string]struct {
		petition, location string
	}{
		"web":              {petition.Petition, petition.Petition},
		"plain HTTP":       {"http://actions.example/", "http://actions.example/"},
		"capital scheme":   {"HTTPS://actions.example/a", "https://actions.example/a"},
		"Persian":          {"https://actions.example/امضا", "https://actions.example/%D8%A7%D9%85%D8%B6%D8%A7"},
		"Persian in query": {"https://actions.example/?q=ا", "https://actions.example/?q=%d8%a7"},
		"with ampersands":  {"https://actions.example/?a=1&b=%26", "https://actions.example/?a=1&b=%26"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := standing(t, with(func(i *newsletter.Item) { i.Petition = tt.petition }))
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, query := range []string{"", "?to=https://evil.example/", "?url=//evil.example&petition=x"} {
					got := s.do(t, method, "/a/"+code+query, request{header: map[string]string{"Referer": "https://mail.example.net/"}})
					if got.status != http.StatusFound || got.header.Get("Location") != tt.location {
						t.Errorf("%s %s = %d to %q, want 302 to %q", method, query, got.status, got.header.Get("Location"), tt.location)
					}
					if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" || got.header["Set-Cookie"] != nil {
						t.Errorf("headers %v", got.header)
					}
				}
			}
		})
	}
}

func TestTheLinkFollowsThePetition(t *testing.T) {
	s := standing(t, petition)
	s.do(t, http.MethodGet, "/a/"+code, request{})
	s.ledger.items[code] = with(func(i *newsletter.Item) { i.Petition = "https://elsewhere.example/" })
	if got := s.do(t, http.MethodGet, "/a/"+code, request{}); got.header.Get("Location") != "https://elsewhere.example/" {
		t.Errorf("after the petition has moved the link leads to %q", got.header.Get("Location"))
	}
}

func TestAnActionWithoutARedirect(t *testing.T) {
	tests := map[string]struct {
		action newsletter.Item
		status int
		want   []string // in the page
		lacks  string
	}{
		"letter": {with(func(i *newsletter.Item) {
			i.Petition = "mailto:embassy@consul.example?subject=Free%20her&body=%22a%22"
		}), http.StatusOK, []string{
			`href="mailto:embassy@consul.example?subject=Free%20her&amp;body=%22a%22"`, `Write to <bdi dir="ltr">embassy@consul.example</bdi>`,
			"Sign for the &lt;printers&gt;", "sees your address",
		}, "telephone"},
		"letter to whom she likes": {with(func(i *newsletter.Item) { i.Petition = "mailto:?subject=x" }), http.StatusOK, []string{`href="mailto:?subject=x">Write</a>`}, "Write to"},
		"call":                     {with(func(i *newsletter.Item) { i.Petition = "tel:+1-202-555-0100" }), http.StatusOK, []string{`href="tel:&#43;1-202-555-0100"`, "Call <bdi"}, "Write"},
		"deadline over": {with(func(i *newsletter.Item) { i.Deadline = noon }), http.StatusOK, []string{
			"<h1>This action has closed</h1>", "Sign for the &lt;printers&gt;", `<time datetime="2026-11-22T12:00:00Z">22 November 2026, 12:00 UTC</time>`,
			`href="https://magazine.example/printers"`,
		}, "actions.example"},
		"deadline a day":     {with(func(i *newsletter.Item) { i.Deadline = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }), http.StatusOK, []string{"21 November 2026, 23:59 UTC"}, "22 November"},
		"expired":            {with(func(i *newsletter.Item) { i.Deadline, i.Expires = time.Time{}, noon.Add(-time.Hour) }), http.StatusOK, []string{"22 November 2026, 11:00 UTC"}, ""},
		"no story beside it": {with(func(i *newsletter.Item) { i.Deadline, i.URL = noon, i.Petition }), http.StatusOK, []string{"has closed"}, "href"},
		"closed by an editor": {with(func(i *newsletter.Item) { i.Ended, i.Ending = noon.Add(-time.Hour), "<b>One</b>\r\n  two\n \n\nthree" }), http.StatusOK, []string{
			"has closed", "22 November 2026, 11:00 UTC", "<p>&lt;b&gt;One&lt;/b&gt; two</p>\n<p>three</p>",
		}, "<b>"},
		"won": {with(func(i *newsletter.Item) {
			i.Ended, i.Won, i.Ending, i.Title, i.Language = noon.Add(-time.Hour), true, "آزاد شد", "آزادی برای چاپگران", "fa"
		}), http.StatusOK, []string{"<h1>This action was won</h1>", `<p class="title" lang="fa" dir="auto">آزادی برای چاپگران</p>`, "آزاد شد", "11:00 UTC"}, "actions.example"},
		"won, without words": {with(func(i *newsletter.Item) { i.Ended, i.Won = noon, true }), http.StatusOK, []string{"was won"}, "<blockquote"},
		"dropped":            {with(func(i *newsletter.Item) { i.State = newsletter.Dropped }), http.StatusGone, []string{"was withdrawn"}, "printers"},
		"not a link":         {with(func(i *newsletter.Item) { i.Petition = "://" }), http.StatusNotFound, []string{"no such page"}, "printers"},
		"no host":            {with(func(i *newsletter.Item) { i.Petition = "https:///evil" }), http.StatusNotFound, []string{"no such page"}, "evil"},
		"of our site":        {with(func(i *newsletter.Item) { i.Petition = "/u/x" }), http.StatusNotFound, []string{"no such page"}, ""},
		"script":             {with(func(i *newsletter.Item) { i.Petition = "javascript:alert(1)" }), http.StatusNotFound, []string{"no such page"}, "alert"},
		"header injected":    {with(func(i *newsletter.Item) { i.Petition = "https://a.example/\r\nSet-Cookie: a=b" }), http.StatusNotFound, []string{"no such page"}, "a=b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := standing(t, tt.action).do(t, http.MethodGet, "/a/"+code+"?to=https://evil.example", request{})
			if got.status != tt.status || got.header["Location"] != nil {
				t.Errorf("GET = %d to %q, want %d and no redirect", got.status, got.header.Get("Location"), tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.body, want) {
					t.Errorf("the page lacks %q:\n%s", want, got.body)
				}
			}
			if _, main, _ := strings.Cut(got.body, "<main>"); tt.lacks != "" && strings.Contains(main, tt.lacks) {
				t.Errorf("the page has %q:\n%s", tt.lacks, main)
			}
			if title, _, _ := strings.Cut(got.body, "</title>"); strings.Contains(title, "printers") {
				t.Error("the action is in the title, which stays in the browser's history")
			}
		})
	}
}

func TestCodesThatCannotBeAreNotLookedUp(t *testing.T) {
	s := standing(t, petition)
	for _, path := range []string{
		"", "x", code + "a", code[1:], strings.ToUpper(code), "abcdefg23456%20", "abcdefg23456%00", "abcdefg234561", "abcdefg23456-",
		"%61bcdefg23456%2f", "..", "%2e%2e", "..%2f" + code, code + "/", code + "/x", code + "%3Fx", strings.Repeat("a", 4000), "abcdefg2345%C3%A9", "%D8%A7%D8%A7%D8%A7",
	} {
		if got := s.do(t, http.MethodGet, "/a/"+path, request{}); got.status != http.StatusNotFound || !strings.Contains(got.body, "<h1>There is no such page</h1>") {
			t.Errorf("GET /a/%s = %d, want our page for 404", path, got.status)
		}
	}
	if calls := s.ledger.called(); calls != "" {
		t.Errorf("the ledger was asked %q", calls)
	}
	unknown := strings.Repeat("a", 13)
	if got := s.do(t, http.MethodGet, "/a/"+unknown, request{}); got.status != http.StatusNotFound || s.ledger.called() != "action" {
		t.Errorf("a code of no action = %d, want 404 after one look", got.status)
	}
}

func TestFollowingWritesNothing(t *testing.T) {
	s := standing(t, petition)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut} {
		s.do(t, method, "/a/"+code, byHand)
	}
	if calls := s.ledger.called(); calls != "action action" {
		t.Errorf("the ledger was asked %q, want two looks", calls)
	}
}

// Nothing of a request for an action gets into the log: not when it is answered, not when the ledger fails or the code panics, and not
// by way of the server's own log.
func TestLogKnowsNothingOfWhoFollows(t *testing.T) {
	s := site{ledger: newLedger(), log: &journal{}}
	pages, err := web.New(config(s.ledger, s.log))
	if err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, listener, pages.Reader(), config(s.ledger, s.log).Log) }()
	s.Server = httptest.NewUnstartedServer(nil)
	s.Server.Start()
	t.Cleanup(s.Server.Close)
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.URL = "http://" + listener.Addr().String()

	ask := func(want int) {
		t.Helper()
		for _, path := range []string{"/a/" + code, "/a/" + code + "?secretquery=1;2", "//a/" + code, "/a/" + code + "/secretpath", "/a/secretcode"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := s.do(t, method, path, request{header: map[string]string{"Referer": "https://secretreferrer.example/", "User-Agent": "secretagent"}})
				if method == http.MethodGet && strings.HasSuffix(path, code) && !strings.HasPrefix(path, "//") && got.status != want {
					t.Errorf("GET %s = %d, want %d", path, got.status, want)
				}
			}
		}
	}
	s.ledger.items = map[string]newsletter.Item{code: petition}
	ask(http.StatusFound)
	s.ledger.items = nil
	ask(http.StatusNotFound)
	if log := s.log.String(); log != "" {
		t.Errorf("when nothing fails the log has:\n%s", log)
	}
	s.ledger.items = map[string]newsletter.Item{code: with(func(i *newsletter.Item) { i.Petition = "panic" })}
	ask(http.StatusInternalServerError)
	s.ledger.err = errors.New("disk I/O error")
	ask(http.StatusServiceUnavailable)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	log := s.log.String()
	if strings.Count(log, "panic\"") != 2 || strings.Count(log, "disk I/O error") != 2 {
		t.Errorf("the log should tell of two panics and two errors:\n%s", log)
	}
	for _, secret := range []string{code, "/a/", "secret", "127.0.0.1", "actions.example"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}

func TestAnActionWhenTheLedgerFails(t *testing.T) {
	s := standing(t, petition)
	s.ledger.err = errors.New("disk I/O error")
	got := s.do(t, http.MethodGet, "/a/"+code, request{})
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "try again in a few minutes") {
		t.Errorf("GET = %d, Retry-After %q\n%s", got.status, got.header.Get("Retry-After"), got.body)
	}
}

// FuzzFollow states what holds for whatever is asked and whatever the petition is: a redirect goes to the petition's own host over
// HTTP, and only from a code of the right form; nothing becomes markup that can run.
func FuzzFollow(f *testing.F) {
	for _, to := range []string{petition.Petition, "javascript:x", "//evil.example", `https://a.example/"><script>`, "mailto:a@b.example", "tel:1", "https://[::1", "mailto:\"><script>"} {
		f.Add(code, "", to)
		f.Add("..", "to=https://evil.example", to)
	}
	f.Add("abcdefg23456\x00", "", petition.Petition)
	l := newLedger()
	c := config(l, io.Discard)
	c.Log = slog.New(slog.DiscardHandler)
	pages, err := web.New(c)
	if err != nil {
		f.Fatal(err)
	}
	handler := pages.Reader()
	f.Fuzz(func(t *testing.T, text, query, to string) {
		if to == "panic" {
			t.Skip()
		}
		l.items = map[string]newsletter.Item{text: with(func(i *newsletter.Item) { i.Petition, i.Title = to, to })}
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.URL = &url.URL{Path: "/a/" + text, RawQuery: query}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)

		if location := w.Header().Get("Location"); location != "" {
			u, err := url.Parse(location)
			want, _ := url.Parse(to)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Hostname() != want.Hostname() {
				t.Errorf("%q leads to %q", to, location)
			}
			if w.Code != http.StatusFound || len(text) != 13 {
				t.Errorf("a redirect with status %d from the code %q", w.Code, text)
			}
		}
		if page := w.Body.String(); strings.Contains(page, "<script") || strings.Contains(page, `"javascript:`) {
			t.Errorf("what was given became markup:\n%s", page)
		}
		if calls := l.called(); calls != "" && (len(text) != 13 || calls != "action") {
			t.Errorf("the code %s made the ledger be asked %q", fmt.Sprintf("%q", text), calls)
		}
	})
}
