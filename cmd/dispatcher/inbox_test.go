package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

// crlfLines makes a message of lines that end as mail's do.
func crlfLines(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

// serveInbox serves an inbox with these messages, the oldest first, and returns its address.
func serveInbox(t *testing.T, messages ...[]byte) string {
	t.Helper()
	var all []smtptest.Message
	for i, data := range messages {
		all = append(all, smtptest.Message{Data: data, Received: time.Date(2026, time.November, 30, 9, 0, i, 0, time.UTC)})
	}
	handler, err := newInbox(func() []smtptest.Message { return all }, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// inboxPage asks for a page and returns it with its answer.
func inboxPage(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestInboxShowsTheNewestFirst(t *testing.T) {
	message := func(subject string) []byte {
		return crlfLines("From: News <news@example.org>", "To: Ada <ada@example.net>", "Subject: "+subject,
			"List-Id: =?utf-8?q?=C3=89clair?= <weekly.example.org>", "", "Hello")
	}
	url := serveInbox(t, message("The first"), message("=?utf-8?q?Second_=E2=80=93_of_two?="))
	_, page := inboxPage(t, url+"/")
	first, second := strings.Index(page, "The first"), strings.Index(page, "Second – of two")
	if first < 0 || second < 0 || second > first {
		t.Errorf("the first message is at %d, the second at %d; want the second above:\n%s", first, second, page)
	}
	for _, want := range []string{"2 messages", "Ada", "ada@example.net", "News", "Éclair", "Mon 09:00:01"} {
		if !strings.Contains(page, want) {
			t.Errorf("the list lacks %q", want)
		}
	}
}

func TestInboxViewsOfAMessage(t *testing.T) {
	message := crlfLines("From: news@example.org", "To: ada@example.net", "Subject: Two parts", "X-Folded: one", "\ttwo", "MIME-Version: 1.0",
		`Content-Type: multipart/alternative; boundary="b"`, "", "--b", "Content-Type: text/plain; charset=utf-8", "", "In <plain> words", "--b",
		"Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "",
		`<!doctype html><html><head><title>T</title></head><body><a href=3D"https://magazine.example/">In colour</a></body></html>`, "--b--")
	url := serveInbox(t, message)
	for view, want := range map[string][]string{
		"":             {`<iframe src="/messages/1/body" sandbox="`, "Two parts"},
		"/html":        {`<iframe`},
		"/text":        {"In &lt;plain&gt; words"},
		"/source":      {"--b--", "X-Folded: one\r\n\ttwo"},
		"/headers":     {"X-Folded</th><td>one two", "Content-Type"},
		"/body":        {`<head><base target="_blank"><title>T`, `<a href="https://magazine.example/">In colour</a>`},
		"/message.eml": {string(message)},
	} {
		answer, page := inboxPage(t, url+"/messages/1"+view)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", view, answer.Status)
		}
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("the view %q lacks %q:\n%s", view, w, page)
			}
		}
	}
}

func TestHostileMailRunsNoScriptInTheInbox(t *testing.T) {
	const script = `<script>alert(1)</script>`
	message := crlfLines(`From: "`+script+`" <news@example.org>`, `To: "><img src=x onerror=alert(1)> <ada@example.net>`, "Subject: "+script,
		"List-Id: "+script+" <weekly.example.org>", "X-"+script+": "+script, "MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b"`, "",
		"--b", "Content-Type: text/plain", "", "</pre>"+script, "--b", "Content-Type: text/html", "", "<head></head>"+script+`<img src=https://tracker.example/1.gif>`, "--b--")
	url := serveInbox(t, message)
	for _, path := range []string{"/", "/messages/1", "/messages/1/text", "/messages/1/source", "/messages/1/headers"} {
		answer, page := inboxPage(t, url+path)
		for _, bad := range []string{script, "<img", "</pre><script"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: what the mail says stands unescaped: %s", path, bad)
			}
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe-inline") {
			t.Errorf("%s: the policy lets too much run: %s", path, policy)
		}
	}
	if _, page := inboxPage(t, url+"/messages/1"); strings.Contains(page, "allow-scripts") || strings.Contains(page, "allow-same-origin") {
		t.Error("the frame lets the message run scripts or take our origin")
	}
	answer, body := inboxPage(t, url+"/messages/1/body")
	policy := answer.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "allow-scripts") || strings.Contains(policy, "script-src") {
		t.Errorf("the message alone may run scripts: %s", policy)
	}
	if !strings.Contains(policy, "img-src http://127.0.0.1:* data:;") {
		t.Errorf("the message may load pictures from elsewhere: %s", policy)
	}
	if !strings.Contains(body, script) {
		t.Error("the frame does not show the message as it is")
	}
}

func TestInboxKnowsWhatIsNotThere(t *testing.T) {
	url := serveInbox(t, crlfLines("Subject: The only one", "", "Hello"))
	for _, path := range []string{"/messages/0", "/messages/2", "/messages/x", "/messages/1/nothing", "/messages/2/body", "/messages/-1/message.eml", "/nothing"} {
		if answer, _ := inboxPage(t, url+path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", path, answer.Status)
		}
	}
}

func TestInboxPagesAreUTF8WhateverTheMailIs(t *testing.T) {
	broken := crlfLines("From: \xff\xfe <news@example.org>", "Subject: =?utf-8?q?=FF=FE?= and \xe9", "Content-Type: text/plain", "", "\xe9t\xe9 \xff")
	url := serveInbox(t, broken, []byte("no header at all"), nil)
	for _, path := range []string{"/", "/messages/1", "/messages/1/text", "/messages/1/source", "/messages/1/headers", "/messages/1/body", "/messages/2", "/messages/2/source", "/messages/3"} {
		answer, page := inboxPage(t, url+path)
		if answer.StatusCode != http.StatusOK || !utf8.ValidString(page) {
			t.Errorf("GET %s: %s, valid UTF-8: %t", path, answer.Status, utf8.ValidString(page))
		}
	}
}

func TestReadLetter(t *testing.T) {
	tests := map[string]struct {
		message    []byte
		text, html string
	}{
		"bare": {crlfLines("Subject: x", "", "Hello", "there"), "Hello\nthere\n", ""},
		"latin-1": {
			crlfLines("Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "", "=E9t=E9"), "été\n", "",
		},
		"base64": {crlfLines("Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: base64", "", "PHA+SGk8", "L3A+"), "", "<p>Hi</p>"},
		"nested": {
			crlfLines("Content-Type: multipart/mixed; boundary=o", "", "--o", "Content-Type: multipart/alternative; boundary=i", "",
				"--i", "", "plain", "--i", "Content-Type: text/html", "", "<b>html</b>", "--i--", "--o", "Content-Type: text/plain", "", "attached", "--o--"),
			"plain", "<b>html</b>",
		},
		"cut off": {
			crlfLines("Content-Type: multipart/alternative; boundary=o", "", "--o", "Content-Type: text/plain", "", "what came"), "what came", "",
		},
		"no boundary": {crlfLines("Content-Type: multipart/alternative", "", "text"), "", ""},
		"no message":  {[]byte("\x00"), "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readLetter(tt.message)
			if diff := cmp.Diff([]string{tt.text, tt.html}, []string{got.Text, got.HTML}); diff != "" {
				t.Errorf("text and HTML (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzReadLetter(f *testing.F) {
	f.Add(crlfLines("From: =?iso-8859-1?q?=E9?= <a@example.org>", "To: a@example.net, \"b\" <b@example.net>", "List-Id: \"x\" <y.example.org>", "", "text"))
	f.Add(crlfLines("Content-Type: multipart/alternative; boundary=b", "", "--b", "Content-Transfer-Encoding: base64", "", "aGk=", "--b--"))
	f.Add(crlfLines("Content-Type: text/html; charset=utf-16", "Content-Transfer-Encoding: quoted-printable", "", "=00<=", "p"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := readLetter(data)
		texts := []string{l.Subject, l.List, l.ListID, l.HTML, l.Text}
		for _, field := range l.Fields {
			texts = append(texts, field.Name, field.Value)
		}
		for _, who := range append(l.From, l.To...) {
			texts = append(texts, who.Name, who.Address)
		}
		for _, text := range texts {
			if !utf8.ValidString(text) {
				t.Errorf("%q is no UTF-8", text)
			}
		}
	})
}
