package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Refusals of every kind, by the real Postfix: whom it does not refuse has her copy, once, and the connection serves the next reader.
func TestPostfixRefuses(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPostfix(t)
	t.Run("readers at RCPT", func(t *testing.T) { p.testRefusedReaders(t) })
	t.Run("the sender at MAIL", func(t *testing.T) { p.testRefusedSender(t) })
	t.Run("messages after DATA", func(t *testing.T) { p.testRefusedMessages(t) })
	t.Run("recipients after DATA", func(t *testing.T) { p.testRefusedRecipientsAfterTheData(t) })
	t.Run("messages that are too large", func(t *testing.T) { p.testLargeMessages(t) })
	t.Run("twenty errors in a row", func(t *testing.T) { p.testTooManyErrors(t) })
}

// locals are n local parts: "reader" and a number, where the number is a multiple of four one of the others instead, in turn.
func locals(n int, others ...string) (all []string) {
	for i := 1; i <= n; i++ {
		word := "reader"
		if i%4 == 0 {
			word = others[i/4%len(others)]
		}
		all = append(all, fmt.Sprintf("%s%d", word, i))
	}
	return all
}

// addressed is a site with readers of the weekly who have these local parts, and so many connections to Postfix.
func (p *postfix) addressed(t *testing.T, locals []string, connections int, more ...string) *site {
	t.Helper()
	s := newSite(t, p.port, more...)
	s.write("config.yaml", strings.Replace(s.config, "}]\nfeeds:", fmt.Sprintf(", connections: %d}]\nfeeds:", connections), 1))
	csv := "email,name,lists\n"
	for _, local := range locals {
		csv += local + "@example.net,Reader,weekly\n"
	}
	s.ok("fetch")
	s.ok("subscribers", "import", s.write("readers.csv", csv), "--confirmed", "form")
	return s
}

// expect waits until each reader of these has a copy, and checks that she has no more than one and nobody else has any.
func (p *postfix) expect(t *testing.T, locals []string) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, local := range locals {
		if strings.HasPrefix(local, "reader") {
			want[local] = 1
		}
	}
	eventually(t, "Postfix delivers", func() bool {
		clear(got)
		copies, err := filepath.Glob(filepath.Join(p.mails, "*", "new", "*"))
		for _, c := range copies {
			got[filepath.Base(filepath.Dir(filepath.Dir(c)))]++
		}
		return err == nil && len(copies) >= len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("copies in the mailboxes (-want +got):\n%s", diff)
	}
	shell(t, "find", p.mails, "-mindepth", "1", "-delete")
}

// talked sends a site's weekly and checks what was said to Postfix for it.
func (p *postfix) talked(t *testing.T, want map[string]int, s *site) {
	t.Helper()
	before := p.dialogue(t)
	s.ok("send", "weekly", "--wait", "--yes")
	got := p.dialogue(t)
	for what := range got {
		if got[what] -= before[what]; got[what] == 0 {
			delete(got, what)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Postfix's log (-want +got):\n%s", diff)
	}
}

// A refused RCPT leaves the connection as it was: no reader after her notices, and no connection is opened for it.
func (p *postfix) testRefusedReaders(t *testing.T) {
	for _, connections := range []int{1, 4} {
		all := locals(60, "gone")
		s := p.addressed(t, all, connections)
		p.talked(t, map[string]int{
			"connections": connections, "mail": 60, "rcpt": 45, "rcpt refused": 15, "data": 45, "data refused": 15, "quit": connections,
		}, s)
		p.expect(t, all)
		e := s.edition()
		if e.Sent != 45 || e.Failed != 15 || len(e.Reasons) != 1 || e.Reasons[0].Owner != "recipient gone" || e.Reasons[0].Code != 550 || e.Reasons[0].Enhanced != "5.1.1" {
			t.Errorf("%d connections: the ledger has %+v", connections, e)
		}
		for i := 4; i <= 60; i += 4 {
			var gone struct{ Suppressed string }
			s.okJSON(&gone, "subscribers", "show", fmt.Sprintf("gone%d@example.net", i))
			if !strings.Contains(gone.Suppressed, "recipient gone") {
				t.Errorf("%d connections: reader %d is not suppressed: %+v", connections, i, gone)
			}
		}
	}
}

// Postfix hangs up on whoever makes twenty errors without a message in between. That is no reader's fault, either.
func (p *postfix) testTooManyErrors(t *testing.T) {
	p.set(t, "smtpd_error_sleep_time = 0")
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("gone%d", i+1))
	}
	all = append(all, locals(3)...)
	s := p.addressed(t, all, 1)
	p.talked(t, map[string]int{"connections": 5, "mail": 43, "rcpt": 3, "rcpt refused": 40, "data": 3, "data refused": 40, "quit": 1}, s)
	p.expect(t, all)
	if e := s.edition(); e.Sent != 3 || e.Failed != 40 || len(e.Reasons) != 1 || e.Reasons[0].Owner != "recipient gone" {
		t.Errorf("the ledger has %+v", e)
	}
}

// book is a log that can be read while it is written.
type book struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A sender whom Postfix does not let send is no reader's fault: mail waits, the log says so once, and when it is mended mail goes on by itself.
func (p *postfix) testRefusedSender(t *testing.T) {
	p.table(t, "senders", "gazette.example REJECT\n")
	p.set(t, "smtpd_delay_reject = no", "smtpd_sender_restrictions = check_sender_access texthash:DIR/etc/senders")
	http, admin := serving(t)
	all := locals(40, "reader")
	s := p.addressed(t, all, 4, http)
	s.ok("send", "weekly", "--yes")
	before := p.dialogue(t)
	var ahead atomic.Int64
	log, stop, done := &book{}, make(chan struct{}), make(chan int)
	serve := process{now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }, stdin: strings.NewReader(""), stdout: log, stderr: log}
	go func() { done <- runUntil(t.Context(), stop, serve, "--config", s.dir+"/config.yaml", "serve") }()
	alive(t, admin)
	eventually(t, "the log tells it", func() bool { return strings.Contains(log.String(), "relay refuses our mail") })
	after := p.dialogue(t)
	if n := after["mail refused"] - before["mail refused"]; n < 1 || n > 4 || after["mail"] != before["mail"] {
		t.Errorf("Postfix refused the sender %d times before mail waited", n)
	}
	foreign := func(r reasonView) bool { return r.Code != 554 || r.Owner != "ours: identity" }
	if e := s.edition(); e.Pending != 40 || len(e.Reasons) == 0 || slices.ContainsFunc(e.Reasons, foreign) {
		t.Errorf("while the sender is refused the ledger has %+v", e)
	}
	p.set(t, "smtpd_sender_restrictions =")
	ahead.Store(int64(31 * time.Second)) // the first probe waits half a minute
	p.expect(t, all)
	eventually(t, "the edition is done", func() bool { return s.edition().State == "done" })
	close(stop)
	code := <-done
	if e := s.edition(); code != exitDone || e.Sent != 40 || strings.Count(log.String(), "refuses our mail") != 1 || strings.Count(log.String(), "takes mail again") != 1 {
		t.Errorf("serve ends with %d, the ledger has %+v, the log\n%s", code, e, log)
	}
}

// A message that is refused after its data costs the readers behind it nothing, and no connection.
func (p *postfix) testRefusedMessages(t *testing.T) {
	p.table(t, "headers", "/^To:.*spam/ REJECT message content rejected\n")
	p.set(t, "header_checks = regexp:DIR/etc/headers")
	all := locals(60, "spam")
	s := p.addressed(t, all, 1)
	p.talked(t, map[string]int{"connections": 1, "mail": 60, "rcpt": 60, "data": 45, "data refused": 15, "quit": 1}, s)
	p.expect(t, all)
	if e := s.edition(); e.Sent != 45 || e.Failed != 15 || len(e.Reasons) != 1 || e.Reasons[0].Owner != "ours: content" || e.Reasons[0].Code != 550 {
		t.Errorf("the ledger has %+v", e)
	}
}

// Where the recipient decides after the data, Postfix does not end the transaction. Nobody behind it gets an empty message for that.
func (p *postfix) testRefusedRecipientsAfterTheData(t *testing.T) {
	p.table(t, "late", "/^late/ REJECT not with us\n")
	p.set(t, "smtpd_end_of_data_restrictions = check_recipient_access regexp:DIR/etc/late")
	all := locals(60, "late")
	s := p.addressed(t, all, 1)
	before := p.dialogue(t)
	s.ok("send", "weekly", "--wait", "--yes")
	after := p.dialogue(t)
	p.expect(t, all)
	if e := s.edition(); e.Sent != 45 || e.Failed != 15 || len(e.Reasons) != 1 || e.Reasons[0].Code != 554 {
		t.Errorf("the ledger has %+v", e)
	}
	if n := after["connections"] - before["connections"]; n > 1+15 {
		t.Errorf("%d connections for 15 refusals", n)
	}
}

// Postfix tells how large a message may be, and then what is larger is not offered. Where it keeps that to itself, it says so at the end.
func (p *postfix) testLargeMessages(t *testing.T) {
	for keyword, tt := range map[string]struct {
		talked map[string]int
		code   int
	}{
		"":     {map[string]int{"connections": 1, "mail": 20, "rcpt": 20, "data": 20, "quit": 1}, 0},
		"size": {map[string]int{"connections": 1, "mail": 21, "rcpt": 21, "data": 20, "data refused": 1, "quit": 1}, 552},
	} {
		all := locals(20, "reader")
		s := p.addressed(t, all, 1)
		s.ok("preview", "weekly", "--out", s.dir)
		usual, err := os.Stat(filepath.Join(s.dir, "weekly.eml"))
		if err != nil {
			t.Fatal(err)
		}
		s.ok("subscribers", "add", "spam1@example.net", "--name", strings.Repeat("Ø", 200), "--list", "weekly", "--confirmed", "form")
		p.set(t, fmt.Sprintf("message_size_limit = %d", usual.Size()+1000), "smtpd_discard_ehlo_keywords = "+keyword)
		p.talked(t, tt.talked, s)
		p.expect(t, all)
		if e := s.edition(); e.Sent != 20 || e.Failed != 1 || len(e.Reasons) != 1 || e.Reasons[0].Code != tt.code {
			t.Errorf("without %q the ledger has %+v", keyword, e)
		}
	}
}
