package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
)

// era is a site whose commands run under a clock that the test moves. Its feed brings nothing: what there is was imported.
type era struct {
	*site
	t     *testing.T
	clock movable
	admin int
}

// newEra makes a site at an instant, with these lines as the lists in its config; none: those of every site.
func newEra(t *testing.T, relayPort int, now time.Time, lists string, more ...string) *era {
	t.Helper()
	pages, admin := serving(t)
	e := &era{site: newSite(t, relayPort, append(more, pages)...), t: t, admin: admin}
	e.clock.move(time.Until(now))
	e.config = strings.Replace(e.config, "first_poll: newest 20", "first_poll: none", 1)
	if before, after, ok := strings.Cut(e.config, "lists:\n"); ok && lists != "" {
		lines := strings.SplitAfter(after, "\n")
		e.config = before + "lists:\n" + lists + strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  - {id:") }), "")
	}
	e.write("config.yaml", e.config)
	return e
}

func (e *era) run(args ...string) result {
	e.t.Helper()
	return e.runWith(process{stdin: strings.NewReader(""), now: e.clock.now}, args...)
}

func (e *era) ok(args ...string) string {
	e.t.Helper()
	r := e.run(args...)
	if r.code != exitDone {
		e.t.Fatalf("%q: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

func (e *era) okJSON(into any, args ...string) {
	e.t.Helper()
	out := e.ok(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		e.t.Fatalf("%q prints no JSON: %v\n%s", args, err, out)
	}
}

// serve runs a serve within this process, under the clock. Any signal asks it to end.
func (e *era) serve() *daemon {
	e.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.t.Context()))
	d := &daemon{t: e.t, name: "serve", log: &journal{}, ended: make(chan struct{})}
	d.signal = func(os.Signal) error { cancel(); return nil }
	p := process{stdin: strings.NewReader(""), stdout: d.log, stderr: d.log, now: e.clock.now}
	go func() {
		defer close(d.ended)
		d.code = run(ctx, p, []string{"--config", filepath.Join(e.dir, "config.yaml"), "serve"})
	}()
	e.t.Cleanup(func() {
		d.kill()
		d.show()
	})
	d.says("msg=serving")
	return d
}

// bring imports items, written as JSON Lines.
func (e *era) bring(lines ...string) {
	e.t.Helper()
	e.ok("import", e.write("items.jsonl", strings.Join(lines, "\n")+"\n"))
}

// anAction is a line for bring. Its petition ends with the slug.
func anAction(slug string, deadline time.Time, urgent bool) string {
	return fmt.Sprintf(`{"kind": "action", "title": "Ask about the %[1]s", "url": "https://magazine.example/%[1]s/", "petition": "https://actions.example/%[1]s", "deadline": %[2]q, "urgent": %[3]t}`,
		slug, deadline.Format(time.RFC3339), urgent)
}

// anArticle is a line for bring.
func anArticle(slug string, published time.Time) string {
	return fmt.Sprintf(`{"kind": "article", "title": "News of the %[1]s", "url": "https://magazine.example/%[1]s/", "summary": "Something happened at the %[1]s.", "published": %[2]q}`,
		slug, published.Format(time.RFC3339))
}

// item is how the item stands whose title ends with a slug.
func (e *era) item(slug string) (v itemView) {
	e.t.Helper()
	var all []itemView
	e.okJSON(&all, "items", "list")
	for _, i := range all {
		if strings.HasSuffix(i.Title, " "+slug) {
			e.okJSON(&v, "items", "show", fmt.Sprint(i.ID))
			return v
		}
	}
	e.t.Fatalf("there is no item about the %s", slug)
	return v
}

// stands checks an action's standing.
func (e *era) stands(slug, want string) {
	e.t.Helper()
	if v := e.item(slug); v.Standing != want {
		e.t.Errorf("the action about the %s is %q, want %q", slug, v.Standing, want)
	}
}

// editions are those of a list, the oldest first.
func (e *era) editions(list string) (all []editionView) {
	e.t.Helper()
	e.okJSON(&all, "editions", "list", "--list", list)
	slices.Reverse(all)
	return all
}

// sent waits until a list's nth edition is done.
func (e *era) sent(d *daemon, list string, n int) (v editionView) {
	e.t.Helper()
	eventually(e.t, fmt.Sprintf("edition %d of %s is done", n, list), func() bool {
		d.mustRun()
		all := e.editions(list)
		if len(all) < n || all[n-1].State != newsletter.Done {
			return false
		}
		v = all[n-1]
		return true
	})
	return v
}

// threaded is a message as its reader's program sorts it.
type threaded struct{ id, inReplyTo, references, subject, text string }

// thread reads a mailbox of n messages, and puts what begins a thread first.
func (p *postfix) thread(t *testing.T, local string, n int) (all []threaded) {
	t.Helper()
	eventually(t, fmt.Sprintf("Postfix delivers %d messages to %s", n, local), func() bool { return len(p.mailbox(t, local)) >= n })
	for _, data := range p.mailbox(t, local) {
		data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		m, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("reading a message of %s: %v", local, err)
		}
		all = append(all, threaded{
			m.Header.Get("Message-Id"), m.Header.Get("In-Reply-To"), m.Header.Get("References"), m.Header.Get("Subject"),
			strings.Join(strings.Fields(checkMessage(t, data)), " "),
		})
	}
	slices.SortStableFunc(all, func(a, b threaded) int { return strings.Compare(a.inReplyTo, b.inReplyTo) })
	return all
}

// The life of actions, from the queue to the victory, through a real Postfix into real mailboxes: a reminder reaches those alone who
// have not acted, the update everybody who got the alert, each in the thread of the reader's own copy.
func TestAnActionIsAnnouncedRemindedOfAndWon(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPostfix(t)
	e := newEra(t, p.port, time.Now(), "  - {id: weekly, schedule: \"0 9 1 1 *\"}\n  - {id: urgent, kind: alert, reminder: 48h}\n", "action_links: stable")
	deadline := e.clock.now().Add(4 * 24 * time.Hour).Truncate(time.Second)
	const readers = 6
	e.ok("subscribers", "import", e.readers(readers), "--confirmed", "form at the harbour fair")
	e.bring(anAction("lighthouse", deadline, false), anAction("ferry", deadline, false))
	e.stands("lighthouse", "queued")

	serve := e.serve()
	e.ok("send", "urgent", "--yes")
	if alert := e.sent(serve, "urgent", 1); alert.Kind != newsletter.Alert || alert.Sent != readers {
		t.Fatalf("the alert: %+v", alert)
	}
	e.stands("lighthouse", "announced")
	e.stands("ferry", "announced")

	lighthouse, ferry := e.item("lighthouse"), e.item("ferry")
	e.ok("items", "done", fmt.Sprint(lighthouse.ID), "--subscriber", "Reader1@Example.NET")
	var done doneResult
	e.okJSON(&done, "items", "done", fmt.Sprint(lighthouse.ID), "--file", e.write("signers.csv", "signed on,EMAIL\nMonday,reader2@example.net\nTuesday,stranger@example.org\n"))
	if done.Rows != 2 || done.Known != 1 || len(done.Bad) != 0 {
		t.Errorf("the signers: %+v", done)
	}
	if v := e.item("lighthouse"); v.Done != 2 {
		t.Errorf("%d readers have acted, want 2", v.Done)
	}
	e.ok("items", "close", fmt.Sprint(ferry.ID))
	e.stands("ferry", "closed")

	e.clock.move(deadline.Add(-47 * time.Hour).Sub(e.clock.now()))
	reminder := e.sent(serve, "urgent", 2)
	if reminder.Kind != newsletter.Reminder || reminder.Sent != readers-2 || !reminder.Slot.Equal(deadline.Add(-48*time.Hour)) {
		t.Errorf("the reminder: %+v", reminder)
	}
	e.stands("lighthouse", "reminded")
	e.stands("ferry", "closed")

	serve = e.closeWhatWaits(serve, anAction("bell", deadline, false), readers)

	if out := e.ok("items", "close", fmt.Sprint(lighthouse.ID), "--won", "The lamp is lit again.", "--yes"); !strings.Contains(out, fmt.Sprintf("tells %d readers of urgent", readers)) {
		t.Errorf("close says %q", out)
	}
	if update := e.sent(serve, "urgent", 4); update.Kind != newsletter.Update || update.Sent != readers {
		t.Errorf("the update: %+v", update)
	}
	e.stands("lighthouse", "won")
	if v := e.item("lighthouse"); !v.Won || v.Ending != "The lamp is lit again." || v.Ended == nil || len(v.EditionsOf) != 3 {
		t.Errorf("the action at its end: %+v", v)
	}
	if r := e.run("send", "weekly", "--yes"); r.code != exitDone || !strings.Contains(r.stderr, "nothing new") {
		t.Errorf("a digest when all actions have ended: %+v", r)
	}
	for i := range readers {
		checkThread(t, e, p, i+1, i < 2)
	}
}

// closeWhatWaits closes an action, about a bell, while its alert waits for a serve: its copies are withdrawn. It returns the serve that
// goes on.
func (e *era) closeWhatWaits(serve *daemon, action string, readers int) *daemon {
	e.t.Helper()
	if code := serve.terminate(); code != exitDone {
		e.t.Fatalf("serve ended with code %d", code)
	}
	e.bring(action)
	e.ok("send", "urgent", "--yes")
	e.stands("bell", "announced")
	e.ok("items", "close", e.id("bell"))
	serve = e.serve()
	if alert := e.sent(serve, "urgent", 3); alert.Sent != 0 || alert.Withdrawn != readers {
		e.t.Errorf("the alert whose action is closed: %+v", alert)
	}
	return serve
}

// checkThread checks what a reader has in her mailbox at the end: the alert, the reminder unless she has acted, and the update.
func checkThread(t *testing.T, e *era, p *postfix, reader int, acted bool) {
	t.Helper()
	local, want := fmt.Sprintf("reader%d", reader), 3
	if acted {
		want = 2
	}
	got := p.thread(t, local, want)
	if len(got) != want {
		t.Errorf("%s has %d messages, want %d", local, len(got), want)
		return
	}
	lighthouse, ferry := e.item("lighthouse"), e.item("ferry")
	alert := got[0]
	if alert.inReplyTo != "" || alert.references != "" || alert.id == "" {
		t.Errorf("%s: the alert is in a thread: %+v", local, alert)
	}
	for _, action := range []itemView{lighthouse, ferry} {
		if !strings.Contains(action.Link, "http://127.0.0.1:8080/a/") || !strings.Contains(alert.text, action.Link) || strings.Contains(alert.text, action.Petition) {
			t.Errorf("%s: the alert does not have the stable link %q, or it has the petition's own: %s", local, action.Link, alert.text)
		}
	}
	updates := 0
	for _, m := range got[1:] {
		if m.inReplyTo != alert.id || m.references != alert.id {
			t.Errorf("%s: %q is in reply to %q and refers to %q; the alert is %q", local, m.subject, m.inReplyTo, m.references, alert.id)
		}
		if m.id == alert.id {
			t.Errorf("%s: two messages have one Message-ID", local)
		}
		if strings.Contains(m.text, "ferry") || strings.Contains(m.text, "bell") {
			t.Errorf("%s: an action that is closed is in %q: %s", local, m.subject, m.text)
		}
		if strings.Contains(m.text, "The lamp is lit again.") {
			updates++
		} else if !strings.Contains(m.text, lighthouse.Link) {
			t.Errorf("%s: the reminder lacks the link: %s", local, m.text)
		}
	}
	if updates != 1 {
		t.Errorf("%s has %d updates", local, updates)
	}
}
