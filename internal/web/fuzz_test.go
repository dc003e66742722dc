package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// FuzzLeave states what holds for whatever is sent: nobody leaves but by a genuine link and a POST, a POST
// to a link is answered as if it were genuine, and nothing sent becomes markup.
func FuzzLeave(f *testing.F) {
	genuine := key.Token(reader)
	for _, kind := range []string{"", "application/x-www-form-urlencoded", "multipart/form-data; boundary=cut", "multipart/form-data"} {
		f.Add(true, genuine, kind, oneClick.body)
		f.Add(false, genuine, kind, oneClick.body)
		f.Add(true, forge(genuine), kind, byHand.body)
		f.Add(true, strings.ToUpper(genuine), kind, multipart("from", "page").body)
		f.Add(true, genuine+"/undo", kind, "")
	}
	f.Add(true, "..", "", "")
	f.Add(true, `"><script>`, "application/x-www-form-urlencoded", "from=page")
	f.Add(true, "javascript:x", "application/x-www-form-urlencoded", "from=page")
	f.Add(true, newsletter.Key{ID: 1 << 40}.Token(newsletter.Link{Purpose: 'u', Subscriber: -1 << 62, List: "<b>"}), "", "from=page")
	l := newLedger()
	pages, err := web.New(config(l, io.Discard))
	if err != nil {
		f.Fatal(err)
	}
	handler := pages.Reader()
	f.Fuzz(func(t *testing.T, post bool, token, kind, body string) {
		l.rows = newLedger().rows
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		if post {
			r.Method = http.MethodPost
		}
		r.URL = &url.URL{Path: "/u/" + token}
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)

		_, forged := newsletter.Keys{key.ID: key}.Open(token, newsletter.PurposeUnsubscribe)
		left := l.state(reader) == newsletter.Ended
		if want := post && forged == nil && len(body) <= 8<<10; left != want {
			t.Errorf("left: %t, want %t", left, want)
		}
		ours := token != "" && token != "." && token != ".." && !strings.Contains(token, "/") && len(body) <= 8<<10
		if ours && w.Code != http.StatusOK {
			t.Errorf("status %d, want 200", w.Code)
		}
		if page := w.Body.String(); strings.Contains(page, "<script") || strings.Contains(page, `"javascript:`) {
			t.Errorf("what was sent became markup:\n%s", page)
		}
		if w.Header()["Location"] != nil || w.Header()["Set-Cookie"] != nil {
			t.Error("the answer redirects or sets a cookie")
		}
	})
}
