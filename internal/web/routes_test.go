package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// at sets the public URL.
func at(public string) func(*web.Config) {
	return func(c *web.Config) { c.Publisher.PublicURL = public }
}

func TestPathOfPublicURL(t *testing.T) {
	tests := map[string]struct {
		public, prefix string
		status         int // of the link below the prefix
		home           int
	}{
		"none":                     {"https://news.example.org", "", http.StatusOK, http.StatusOK},
		"one":                      {"https://example.org/news", "/news", http.StatusOK, http.StatusOK},
		"taken away by the proxy":  {"https://example.org/news", "", http.StatusOK, http.StatusOK},
		"two parts":                {"https://example.org/a/b", "/a/b", http.StatusOK, http.StatusOK},
		"like a route":             {"https://example.org/u", "/u", http.StatusOK, http.StatusOK},
		"not ASCII":                {"https://example.org/für", "/f%C3%BCr", http.StatusOK, http.StatusOK},
		"another":                  {"https://example.org/news", "/old", http.StatusNotFound, http.StatusNotFound},
		"another that begins like": {"https://example.org/news", "/newsroom", http.StatusNotFound, http.StatusNotFound},
		"half of it":               {"https://example.org/a/b", "/a", http.StatusNotFound, http.StatusNotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, at(tt.public))
			if got := s.do(t, http.MethodGet, tt.prefix+"/", request{}); got.status != tt.home {
				t.Errorf("GET %s/ = %d, want %d", tt.prefix, got.status, tt.home)
			}
			if got := s.do(t, http.MethodGet, tt.prefix, request{}); got.status != tt.home {
				t.Errorf("GET %s = %d, want %d", tt.prefix, got.status, tt.home)
			}
			left := s.do(t, http.MethodPost, tt.prefix+link(reader), byHand)
			if left.status != tt.status || (s.ledger.state(reader) == newsletter.Ended) != (tt.status == http.StatusOK) {
				t.Fatalf("POST = %d, subscription %q, want %d", left.status, s.ledger.state(reader), tt.status)
			}
			if left.status != http.StatusOK {
				return
			}
			if back := pressUndo(t, s, tt.prefix+link(reader), left, nil); back.status != http.StatusOK || s.ledger.state(reader) != newsletter.Confirmed {
				t.Errorf("undo = %d, subscription %q", back.status, s.ledger.state(reader))
			}
		})
	}
}

func TestPathOfPublicURLHidesNoRoute(t *testing.T) {
	s := start(t, at("https://example.org/health"))
	if got := s.do(t, http.MethodGet, "/healthz", request{}); got.status != http.StatusOK || got.body != "ok\n" {
		t.Errorf("GET /healthz = %d", got.status)
	}
}

func TestBodiesAreLimited(t *testing.T) {
	const limit = 8 << 10
	tests := map[string]struct {
		length int
		status int
	}{
		"at the limit":      {limit, http.StatusOK},
		"past the limit":    {limit + 1, http.StatusRequestEntityTooLarge},
		"far past":          {1 << 20, http.StatusRequestEntityTooLarge},
		"far past, unasked": {1 << 20, http.StatusRequestEntityTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			body := oneClick.body + "&" + strings.Repeat("x", tt.length-len(oneClick.body)-1)
			var send io.Reader = strings.NewReader(body)
			if strings.HasSuffix(name, "unasked") {
				send = io.MultiReader(send) // hides the length, so that it goes in chunks
			}
			answer, err := s.Client().Post(s.URL+link(reader), oneClick.header["Content-Type"], send)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			left := s.ledger.state(reader) == newsletter.Ended
			if answer.StatusCode != tt.status || left != (tt.status == http.StatusOK) {
				t.Errorf("%d bytes = %d, left: %t, want %d", tt.length, answer.StatusCode, left, tt.status)
			}
		})
	}
}

func TestWhatIsNotARequestOfOurs(t *testing.T) {
	tests := map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"no such page":         {http.MethodGet, "/nothing", http.StatusNotFound, ""},
		"no token":             {http.MethodPost, "/u/", http.StatusNotFound, ""},
		"slash at the end":     {http.MethodPost, link(reader) + "/", http.StatusNotFound, ""},
		"empty part":           {http.MethodPost, "/" + link(reader), http.StatusNotFound, ""},
		"dotted part":          {http.MethodPost, "/x/.." + link(reader), http.StatusNotFound, ""},
		"escaped dots":         {http.MethodPost, "/x/%2e%2e" + link(reader), http.StatusNotFound, ""},
		"part too many":        {http.MethodPost, link(reader) + "/undo/x", http.StatusNotFound, ""},
		"method of a link":     {http.MethodDelete, link(reader), http.StatusMethodNotAllowed, "GET, HEAD, POST"},
		"unknown method":       {"LEAVE", link(reader), http.StatusMethodNotAllowed, "GET, HEAD, POST"},
		"looking at undo":      {http.MethodGet, link(reader) + "/undo", http.StatusMethodNotAllowed, "POST"},
		"method of the home":   {http.MethodPost, "/", http.StatusMethodNotAllowed, "GET, HEAD"},
		"method of health":     {http.MethodPost, "/healthz", http.StatusMethodNotAllowed, "GET, HEAD"},
		"options of a link":    {http.MethodOptions, link(reader), http.StatusNoContent, "GET, HEAD, POST"},
		"method of an action":  {http.MethodPost, "/a/" + code, http.StatusMethodNotAllowed, "GET, HEAD"},
		"options of an action": {http.MethodOptions, "/a/" + code, http.StatusNoContent, "GET, HEAD"},
		"options of the undo":  {http.MethodOptions, link(reader) + "/undo", http.StatusNoContent, "POST"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			got := s.do(t, tt.method, tt.path, byHand)
			if got.status != tt.status || got.header.Get("Allow") != tt.allow {
				t.Errorf("%s = %d, Allow %q, want %d, %q", tt.method, got.status, got.header.Get("Allow"), tt.status, tt.allow)
			}
			if got.header["Location"] != nil || s.ledger.called() != "" {
				t.Error("the answer is a redirect, or the ledger was asked")
			}
			if tt.status != http.StatusNoContent && !strings.Contains(got.body, "Example Magazine</p>") {
				t.Errorf("the answer is not a page of ours:\n%s", got.body)
			}
		})
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	large := form(strings.Repeat("x", 9<<10))
	asks := map[string]struct {
		method, path string
		send         request
	}{
		"home":        {http.MethodGet, "/", request{}},
		"health":      {http.MethodGet, "/healthz", request{}},
		"question":    {http.MethodGet, link(reader), request{}},
		"head":        {http.MethodHead, link(reader), request{}},
		"one-click":   {http.MethodPost, link(reader), oneClick},
		"by hand":     {http.MethodPost, link(reader), byHand},
		"undo":        {http.MethodPost, link(reader) + "/undo", request{}},
		"test copy":   {http.MethodPost, link(newsletter.Link{Purpose: 'u', Subscriber: -1}), byHand},
		"not found":   {http.MethodGet, "/x", request{}},
		"action":      {http.MethodGet, "/a/" + code, request{}},
		"no action":   {http.MethodGet, "/a/" + code[1:] + "x", request{}},
		"unclean":     {http.MethodGet, "//x", request{}},
		"not allowed": {http.MethodPut, link(reader), request{}},
		"options":     {http.MethodOptions, link(reader), request{}},
		"too large":   {http.MethodPost, link(reader), large},
		"cross-site":  {http.MethodPost, link(reader) + "/undo", request{"", map[string]string{"Sec-Fetch-Site": "cross-site"}}},
	}
	for public, hsts := range map[string]string{"https://news.example.org": "max-age=31536000", "http://news.example.org": ""} {
		s := start(t, at(public))
		s.ledger.items = map[string]newsletter.Item{code: petition}
		for name, ask := range asks {
			t.Run(public+" "+name, func(t *testing.T) {
				got := s.do(t, ask.method, ask.path, ask.send)
				for header, want := range map[string]string{
					"Referrer-Policy":           "no-referrer",
					"X-Robots-Tag":              "noindex",
					"X-Content-Type-Options":    "nosniff",
					"Cache-Control":             "no-store",
					"Strict-Transport-Security": hsts,
					"Set-Cookie":                "",
				} {
					if got.header.Get(header) != want {
						t.Errorf("%s: %q, want %q", header, got.header.Get(header), want)
					}
				}
				checkPolicy(t, got)
			})
		}
	}
}

// checkPolicy tells whether the Content-Security-Policy lets through the page's own style and nothing else.
func checkPolicy(t *testing.T, got response) {
	t.Helper()
	policy := got.header.Get("Content-Security-Policy")
	const want = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-"
	if !strings.HasPrefix(policy, want) || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	_, after, found := strings.Cut(got.body, "<style>")
	if !found {
		return
	}
	style, _, _ := strings.Cut(after, "</style>")
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("policy %q does not let the page's style through", policy)
	}
	for _, foreign := range []string{"<script", "src=", "href=", "style=", "url(", "@import", "http"} {
		if strings.Contains(got.body, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

func TestHealthAndHome(t *testing.T) {
	s := start(t)
	if got := s.do(t, http.MethodGet, "/healthz", request{}); got.status != http.StatusOK || got.body != "ok\n" {
		t.Errorf("GET /healthz = %d %q", got.status, got.body)
	}
	if got := s.do(t, http.MethodGet, "/", request{}); got.status != http.StatusOK || !strings.Contains(got.body, "<h1>Newsletters from <bdi dir=\"auto\">Example Magazine</bdi></h1>") {
		t.Errorf("GET / = %d\n%s", got.status, got.body)
	}
}

func TestAdminListener(t *testing.T) {
	l := newLedger()
	pages, err := web.New(config(l, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	s := site{Server: httptest.NewServer(pages.Admin()), ledger: l}
	defer s.Close()
	if got := s.do(t, http.MethodGet, "/healthz", request{}); got.status != http.StatusOK || got.body != "ok\n" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("GET /healthz = %d %q", got.status, got.body)
	}
	if got := s.do(t, http.MethodPost, "/healthz", request{}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /healthz = %d", got.status)
	}
	if got := s.do(t, http.MethodPost, link(reader), oneClick); got.status != http.StatusNotFound || l.state(reader) != newsletter.Confirmed {
		t.Errorf("a reader's link on the admin listener = %d", got.status)
	}
}
