package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"testing"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

// stranger is a value that some library might log: text in each format is its own affair.
type stranger struct {
	Name  string
	Inner *inner
}

type inner struct{ To string }

// No value of a line of the log holds an address, whatever its type, and the other values stay what they are.
func TestNoLineOfTheLogHasAnAddress(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			log := newLogger(process{stderr: &out}, config.Log{Level: "debug", Format: format}, slog.LevelDebug)
			log.With("feed", "of jane.reader@example.net").WithGroup("try").Info("to <jane.reader@example.net>",
				"error", fmt.Errorf("trying: %w", errors.New(`550 "jane reader"@example.net is not here`)),
				"words", []string{"no", "jane.reader@example.net"},
				"value", stranger{Name: "a", Inner: &inner{To: "jane.reader@example.net"}},
				slog.Group("deep", "to", "jane.reader%40example.net"),
				"state", newsletter.State("jane.reader＠example.net"),
				"link", "https://news.example.org/u/"+strings.Repeat("abcd2345", 5),
				"edition", newsletter.EditionID(7), "lists", []string{"weekly", "urgent"}, "fate", newsletter.SkippedLate)
			line := out.String()
			for _, secret := range []string{"jane", "@", "example.net", "abcd2345"} {
				if strings.Contains(line, secret) {
					t.Errorf("the log has %q: %s", secret, line)
				}
			}
			if strings.Count(line, "[address]") < 6 || !strings.Contains(line, "/u/[token]") {
				t.Errorf("what was taken out is not marked: %s", line)
			}
			for _, kept := range []string{map[string]string{"text": `try.edition=7`, "json": `"edition":7`}[format], "weekly", "skipped: too late", "level"} {
				if !strings.Contains(line, kept) {
					t.Errorf("the log lost %q: %s", kept, line)
				}
			}
			if format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("the line is no JSON: %s", line)
			}
		})
	}
}

func TestScrub(t *testing.T) {
	token := newsletter.Key{ID: 1, Secret: make([]byte, 32)}.Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 7, List: "weekly"})
	bounce := newsletter.Key{ID: 1, Secret: make([]byte, 32)}.BounceToken(newsletter.DeliveryKey{Edition: 1, Subscriber: 7})
	tests := map[string]string{
		"550 5.1.1 <jane@example.net> no such user":             "550 5.1.1 <[address]> no such user",
		"to jane @ example.net":                                 "to [address]",
		"jane&#64;example.net, jane%2540example.net":            "[address], [address]",
		"=?utf-8?q?jane=40example.net?= failed":                 "[address]= failed",
		`{"to":"jane\u0040example.net"}`:                        `{"to":"[address]"}`,
		"code=404 within=40s":                                   "code=404 within=40s",
		"POST /u/" + token + "/undo HTTP/1.1":                   "POST /u/[token]/undo HTTP/1.1",
		"POST /U/" + strings.ToUpper(token):                     "POST /u/[token]",
		"sender bounces+" + bounce:                              "sender bounces+[token]",
		"reading feed magazine: dial tcp 192.0.2.1:443: refuse": "reading feed magazine: dial tcp 192.0.2.1:443: refuse",
		"/tmp/TestTheServiceManagerIsTold123/001/dispatcher.db": "/tmp/TestTheServiceManagerIsTold123/001/dispatcher.db",
	}
	for text, want := range tests {
		if got := scrub(text); got != want {
			t.Errorf("scrub(%q) = %q, want %q", text, got, want)
		}
	}
}

// Whatever surrounds an address, nothing of it is left, and nothing that is left is an address.
func FuzzScrub(f *testing.F) {
	for _, seed := range [][2]string{
		{"550 <", "> unknown"},
		{`"`, `"`},
		{"a,", ";b@c.de"},
		{"x@", "@y"},
		{"%", "%40"},
		{"&#", ";"},
		{"=?utf-8?q?", "?="},
		{"/u/", "/undo"},
		{"(", ") @d.example"},
		{"\xff", "\xfe"},
		{"@", ""},
		{`\`, `\u0040`},
		{"＠", "﹫"},
		{"mailto:", "?subject=x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, at := range []string{"@", "%40", "＠", "&#64;", `\u0040`} {
			got := scrub(before + "zq9.reader" + at + "zqhost.example" + after)
			if !strings.Contains(before+after, "zq") && strings.Contains(got, "zq9.reader") {
				t.Errorf("%q keeps the local part", got)
			}
			if anAt.MatchString(got) || newsletter.Redact(got) != got {
				t.Errorf("%q still holds an address", got)
			}
			if again := scrub(got); again != got {
				t.Errorf("scrubbed again, %q is %q", got, again)
			}
			for _, word := range strings.Fields(got) {
				if _, err := mail.ParseAddress(word); err == nil {
					t.Errorf("%q has the address %q", got, word)
				}
			}
		}
	})
}
