package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// multipart is a body in the encoding that RFC 8058 section 3.2 prefers.
func multipart(name, value string) request {
	return request{
		"--cut\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n--cut--\r\n",
		map[string]string{"Content-Type": "multipart/form-data; boundary=cut"},
	}
}

func TestLookingChangesNothing(t *testing.T) {
	s := start(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
		for range 1000 {
			s.do(t, method, link(reader), request{})
		}
		s.do(t, method, link(reader), oneClick)
		s.do(t, method, link(reader)+"?List-Unsubscribe=One-Click", request{})
		s.do(t, method, link(reader)+"/undo", request{})
	}
	if calls := s.ledger.called(); calls != "" || s.ledger.state(reader) != newsletter.Confirmed {
		t.Errorf("after looking the ledger was asked %q and says %q", calls, s.ledger.state(reader))
	}
	page := s.do(t, http.MethodGet, link(reader), request{})
	if page.status != http.StatusOK || strings.Count(page.body, "<button") != 1 || strings.Count(page.body, "<a ") != 0 {
		t.Errorf("GET = %d with %d buttons, want 200 and one", page.status, strings.Count(page.body, "<button"))
	}
}

func TestEveryPostUnsubscribes(t *testing.T) {
	const text, page = "text/plain; charset=utf-8", "text/html; charset=utf-8"
	tests := map[string]struct {
		send request
		kind string
	}{
		"one-click, urlencoded":      {oneClick, text},
		"one-click, multipart":       {multipart("List-Unsubscribe", "One-Click"), text},
		"empty":                      {request{}, text},
		"empty form":                 {form(""), text},
		"pair of another case":       {form("list-unsubscribe=one-click"), text},
		"no content type":            {request{body: "List-Unsubscribe=One-Click"}, text},
		"JSON":                       {request{`{"a":1}`, map[string]string{"Content-Type": "application/json"}}, text},
		"multipart without a border": {request{"x", map[string]string{"Content-Type": "multipart/form-data"}}, text},
		"form that is not one":       {form("%zz=%"), text},
		"with a provider's cookie":   {request{oneClick.body, map[string]string{"Content-Type": oneClick.header["Content-Type"], "Cookie": "a=b"}}, text},
		"from a mail site's page":    {request{oneClick.body, map[string]string{"Content-Type": oneClick.header["Content-Type"], "Sec-Fetch-Site": "cross-site", "Origin": "https://mail.example.net"}}, text},
		"the page's own form":        {byHand, page},
		"the page's own, multipart":  {multipart("from", "page"), page},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			first := s.do(t, http.MethodPost, link(reader), tt.send)
			if first.status != http.StatusOK || first.header.Get("Content-Type") != tt.kind {
				t.Errorf("POST = %d %s, want 200 %s", first.status, first.header.Get("Content-Type"), tt.kind)
			}
			for _, name := range []string{"Location", "Set-Cookie", "Refresh"} {
				if first.header[name] != nil {
					t.Errorf("the answer has a %s", name)
				}
			}
			if tt.kind == text && len(first.body) > 40 {
				t.Errorf("the answer to a machine has %d bytes", len(first.body))
			}
			want := map[who]subscription{
				{7, "weekly"}: {newsletter.Ended, true, true, noon},
				{7, "alerts"}: {state: newsletter.Confirmed},
			}
			if diff := cmp.Diff(want, s.ledger.rows, cmp.AllowUnexported(subscription{})); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
			again := s.do(t, http.MethodPost, link(reader), tt.send)
			if again.status != first.status || again.body != first.body {
				t.Errorf("the second POST answers %d, otherwise than the first", again.status)
			}
		})
	}
}

func TestLinksSurviveTheirCaseBeingChanged(t *testing.T) {
	s := start(t)
	s.do(t, http.MethodPost, "/u/"+strings.ToUpper(key.Token(reader)), oneClick)
	if got := s.ledger.state(reader); got != newsletter.Ended {
		t.Errorf("after a POST to the link in capitals: %q", got)
	}
}

func TestUnconfirmedSubscriptionEnds(t *testing.T) {
	s := start(t)
	s.ledger.rows[who{7, "weekly"}] = subscription{state: newsletter.PendingConsent}
	s.do(t, http.MethodPost, link(reader), oneClick)
	if got := s.ledger.state(reader); got != newsletter.Ended {
		t.Errorf("after a POST: %q, want it ended", got)
	}
}

// forge breaks the signature of a token and nothing else.
func forge(token string) string {
	i := len(token) - 8
	other := "b"
	if token[i] == 'b' {
		other = "c"
	}
	return token[:i] + other + token[i+1:]
}

func TestAnswersDoNotTellGenuineFromForged(t *testing.T) {
	token := key.Token(reader)
	same := map[string]struct {
		token string
		row   *subscription // of subscriber 7 and weekly; nil: none
		keeps bool          // the subscription stays as it is
	}{
		"confirmed":      {token, &subscription{state: newsletter.Confirmed}, false},
		"ended already":  {token, &subscription{state: newsletter.Ended}, true},
		"not confirmed":  {token, &subscription{state: newsletter.PendingConsent}, false},
		"erased":         {token, nil, true},
		"forged":         {forge(token), &subscription{state: newsletter.Confirmed}, true},
		"other key":      {others.Token(reader), &subscription{state: newsletter.Confirmed}, true},
		"key not known":  {newsletter.Key{ID: 9, Secret: key.Secret}.Token(reader), &subscription{state: newsletter.Confirmed}, true},
		"forged, ended":  {forge(token), &subscription{newsletter.Ended, true, true, noon}, true},
		"forged, erased": {forge(token), nil, true},
	}
	sends := map[string]struct {
		method, after string
		send          request
	}{
		"GET":       {http.MethodGet, "", request{}},
		"HEAD":      {http.MethodHead, "", request{}},
		"one-click": {http.MethodPost, "", oneClick},
		"by hand":   {http.MethodPost, "", byHand},
		"undo":      {http.MethodPost, "/undo", request{}},
	}
	for what, send := range sends {
		t.Run(what, func(t *testing.T) {
			var want response
			for name, tt := range same {
				s := start(t)
				delete(s.ledger.rows, who{7, "weekly"})
				if tt.row != nil {
					s.ledger.rows[who{7, "weekly"}] = *tt.row
				}
				before := s.ledger.state(reader)
				got := s.do(t, send.method, "/u/"+tt.token+send.after, send.send)
				got.header.Del("Date")
				got.header.Del("Content-Length") // follows from the body
				got.body = strings.ReplaceAll(got.body, tt.token, "TOKEN")
				if want.status == 0 {
					want = got
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(response{})); diff != "" {
					t.Errorf("%s is answered otherwise (-others +this):\n%s", name, diff)
				}
				if tt.keeps && s.ledger.state(reader) != before {
					t.Errorf("%s: the subscription went from %q to %q", name, before, s.ledger.state(reader))
				}
				if calls := s.ledger.called(); tt.token != token && send.method == http.MethodPost && calls != "look" {
					t.Errorf("%s: the ledger was asked %q, want one look", name, calls)
				}
			}
		})
	}
}

func TestForgedLinkTouchesNobody(t *testing.T) {
	s := start(t)
	s.ledger.rows[who{}] = subscription{state: newsletter.Confirmed} // as a damaged ledger might have
	s.do(t, http.MethodPost, "/u/"+forge(key.Token(reader)), oneClick)
	if calls := s.ledger.called(); calls != "look" {
		t.Errorf("the ledger was asked %q, want one look", calls)
	}
}

func TestLinksOfOtherPurposesDoNotUnsubscribe(t *testing.T) {
	s := start(t)
	for _, purpose := range []newsletter.Purpose{newsletter.PurposeBounce, 0} {
		got := s.do(t, http.MethodPost, link(newsletter.Link{Purpose: purpose, Subscriber: 7, List: "weekly"}), oneClick)
		if got.status != http.StatusOK || s.ledger.state(reader) != newsletter.Confirmed {
			t.Errorf("purpose %c: status %d, subscription %q", purpose, got.status, s.ledger.state(reader))
		}
	}
}

func TestTestCopiesChangeNothing(t *testing.T) {
	for _, subscriber := range []newsletter.SubscriberID{0, -1, -7} {
		s := start(t)
		path := link(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: subscriber, List: "weekly"})
		for _, after := range []string{"", "/undo"} {
			if got := s.do(t, http.MethodPost, path+after, byHand); got.status != http.StatusOK || !strings.Contains(got.body, "test copy") {
				t.Errorf("subscriber %d: POST %s = %d, want a page that says it was a test copy", subscriber, after, got.status)
			}
		}
		if got := s.do(t, http.MethodPost, path, oneClick); got.status != http.StatusOK || !strings.Contains(got.body, "test copy") {
			t.Errorf("subscriber %d: one-click = %d %q", subscriber, got.status, got.body)
		}
		if calls := s.ledger.called(); calls != "" {
			t.Errorf("subscriber %d: the ledger was asked %q", subscriber, calls)
		}
	}
}

var action = regexp.MustCompile(`action="([^"]*)"`)

// pressUndo follows the form on the page that answered a POST to path.
func pressUndo(t *testing.T, s site, path string, page response, header map[string]string) response {
	t.Helper()
	found := action.FindStringSubmatch(page.body)
	if found == nil {
		t.Fatalf("no form with an action on the page:\n%s", page.body)
	}
	here, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	there, err := here.Parse(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, http.MethodPost, there.Path, request{header: header})
}

func TestUndo(t *testing.T) {
	tests := map[string]struct {
		row  subscription
		want newsletter.SubscriptionState
	}{
		"confirmed before":        {subscription{state: newsletter.Confirmed}, newsletter.Confirmed},
		"never confirmed":         {subscription{state: newsletter.PendingConsent}, newsletter.Ended},
		"ended otherwise already": {subscription{state: newsletter.Ended, confirmed: true}, newsletter.Ended},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.ledger.rows[who{7, "weekly"}] = tt.row
			left := s.do(t, http.MethodPost, link(reader), byHand)
			for range 2 {
				if got := pressUndo(t, s, link(reader), left, nil); got.status != http.StatusOK || got.header["Location"] != nil {
					t.Errorf("undo = %d", got.status)
				}
				if got := s.ledger.state(reader); got != tt.want {
					t.Errorf("after undo: %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestRepeatsAreNotWritten(t *testing.T) {
	s := start(t)
	for _, step := range []struct{ after, calls string }{{"", "look end"}, {"", "look"}, {"/undo", "look resume"}, {"/undo", "look"}} {
		s.do(t, http.MethodPost, link(reader)+step.after, oneClick)
		if calls := s.ledger.called(); calls != step.calls {
			t.Errorf("POST %s: the ledger was asked %q, want %q", step.after, calls, step.calls)
		}
	}
	if log := s.log.String(); strings.Count(log, "\n") != 2 {
		t.Errorf("log, want one line for each change:\n%s", log)
	}
}

func TestUndoComesFromOurOwnPage(t *testing.T) {
	tests := map[string]struct {
		header map[string]string
		status int
	}{
		"our page":                          {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "null"}, http.StatusOK},
		"another site":                      {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://other.example"}, http.StatusForbidden},
		"a sibling's site":                  {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.org"}, http.StatusForbidden},
		"another site, old browser":         {map[string]string{"Origin": "https://other.example"}, http.StatusForbidden},
		"our page, old browser, in a proxy": {map[string]string{"Origin": "https://news.example.org", "Host": "127.0.0.1"}, http.StatusOK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			left := s.do(t, http.MethodPost, link(reader), byHand)
			if !strings.Contains(left.body, `<meta name="referrer" content="strict-origin">`) {
				t.Error("the page lets a browser post with Origin: null")
			}
			got := pressUndo(t, s, link(reader), left, tt.header)
			back := s.ledger.state(reader) == newsletter.Confirmed
			if got.status != tt.status || back != (tt.status == http.StatusOK) {
				t.Errorf("undo = %d, subscribed again: %t, want %d", got.status, back, tt.status)
			}
		})
	}
}

func TestLedgerOutOfReach(t *testing.T) {
	for name, path := range map[string]string{"genuine": link(reader), "forged": "/u/" + forge(key.Token(reader)), "unreadable": "/u/x"} {
		for what, send := range map[string]request{"one-click": oneClick, "by hand": byHand, "undo": {}} {
			t.Run(name+" "+what, func(t *testing.T) {
				s := start(t)
				s.ledger.err = errors.New("reading subscription: disk I/O error")
				to := path
				if what == "undo" {
					to += "/undo"
				}
				got := s.do(t, http.MethodPost, to, send)
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "120" {
					t.Errorf("POST = %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
				}
				if !strings.Contains(got.body, "try again") || strings.Contains(got.body, "have left") {
					t.Errorf("the answer does not say to try again:\n%s", got.body)
				}
				if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "disk I/O error") {
					t.Errorf("log = %s, want the error once", log)
				}
				s.ledger.err = nil
				if name == "genuine" && what == "by hand" {
					if s.do(t, http.MethodPost, to, form("from=page")); s.ledger.state(reader) != newsletter.Ended {
						t.Error("trying again did not unsubscribe")
					}
				}
			})
		}
	}
}

func TestWhoHangsUpHasLeftAllTheSame(t *testing.T) {
	l := newLedger()
	pages, err := web.New(config(l, &journal{}))
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequestWithContext(gone, http.MethodPost, link(reader), http.NoBody)
	pages.Reader().ServeHTTP(httptest.NewRecorder(), r)
	if got := l.state(reader); got != newsletter.Ended {
		t.Errorf("subscription = %q, want it ended", got)
	}
}

func TestPagesNameTheList(t *testing.T) {
	tests := map[string]struct {
		list, want string
	}{
		"title":             {"weekly", `<bdi dir="auto">Example Weekly</bdi>`},
		"title with markup": {"alerts", `<bdi dir="auto">&lt;b&gt;Act&lt;/b&gt; &amp; tell</bdi>`},
		"right to left":     {"persian", `<bdi dir="auto">دیدبان ایران</bdi>`},
		"no title":          {"untitled", `<bdi dir="auto">untitled</bdi>`},
		"gone from config":  {"old_weekly-2", `<bdi dir="auto">old_weekly-2</bdi>`},
		"not an id":         {"call evil.example", "this list"},
		"a site's name":     {"evil.example", "this list"},
		"too long":          {strings.Repeat("a", 64), "this list"},
		"none":              {"", "this list"},
	}
	s := start(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := link(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 8, List: tt.list})
			for _, got := range []response{s.do(t, http.MethodGet, path, request{}), s.do(t, http.MethodPost, path, byHand), s.do(t, http.MethodPost, path+"/undo", byHand)} {
				if !strings.Contains(got.body, tt.want) {
					t.Errorf("page lacks %q:\n%s", tt.want, got.body)
				}
				title, _, _ := strings.Cut(got.body, "</title>")
				if tt.list != "" && strings.Contains(title, tt.want) {
					t.Error("the list is in the title, which stays in the browser's history")
				}
			}
		})
	}
}

func TestLogHasNoToken(t *testing.T) {
	s := start(t)
	for _, token := range []string{key.Token(reader), forge(key.Token(reader)), "x"} {
		for _, after := range []string{"", "/undo", "/nothing"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
				s.do(t, method, "/u/"+token+after, byHand)
			}
		}
	}
	log := s.log.String()
	if strings.Contains(log, key.Token(reader)[:12]) || strings.Contains(log, "/u/") {
		t.Errorf("the log has a link:\n%s", log)
	}
	if strings.Count(log, "\n") != 2 || strings.Count(log, "level=INFO") != 2 || strings.Count(log, "subscriber=7 list=weekly") != 2 {
		t.Errorf("log, want one line for leaving and one for undoing it:\n%s", log)
	}
}
