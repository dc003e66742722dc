package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// reload has a serve read the config again, and waits until it has said so as often as it was asked to.
func (d *daemon) reload(event string, times int) {
	d.t.Helper()
	if err := d.signal(syscall.SIGHUP); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, event, func() bool {
		d.mustRun()
		return len(d.log.lines(event)) >= times
	})
}

const (
	reloaded = "config reloaded"
	refused  = "config refused"
)

// Promise 2 over reloads in mid-send: nobody is lost and nobody has two copies, whether the mailer goes on or begins anew.
func TestReloadsInMidSendLoseNobody(t *testing.T) {
	for name, change := range map[string]struct {
		from, to string
		goesOn   bool
	}{
		"of the lists":  {"\npublic_url", "\naction_links: stable\npublic_url", true},
		"of the relays": {fmt.Sprintf("connections: %d", connections), "connections: 5", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setting{readers: sizes().many, relay: smtptest.Config{}})
			serve := r.serve()
			r.answers(serve)
			r.send()
			changed := strings.Replace("\n"+r.config, change.from, change.to, 1)
			if changed == "\n"+r.config {
				t.Fatalf("the config has no %q", change.from)
			}
			for n := range 4 {
				r.accepted(r.readers * (n + 1) / 6)
				r.write("config.yaml", []string{changed, r.config}[n%2])
				serve.reload(reloaded, n+1)
			}
			r.done(serve)
			r.eachOnce()
			r.sentAtFirst()
			if n := len(serve.log.lines(fmt.Sprintf("mailer_goes_on=%t", change.goesOn))); n != 4 {
				t.Errorf("at %d of 4 reloads mailer_goes_on is %t", n, change.goesOn)
			}
			if code := serve.terminate(); code != exitDone {
				t.Errorf("serve ends with %d", code)
			}
		})
	}
}

// Promise 7: a config that cannot be used changes nothing, and one line tells why.
func TestABadConfigChangesNothing(t *testing.T) {
	r := newRig(t, setting{readers: 20})
	serve := r.serve()
	r.answers(serve)
	other := newRelay(t, smtptest.Config{}) // something that has a port
	times := 0
	for name, bad := range map[string]struct{ config, says string }{
		"broken YAML":         {r.config + "\n  relays: [", "config.yaml"},
		"an unknown key":      {r.config + "\nlists_: []", "lists_"},
		"two problems":        {r.config + "\nlists_: []\nfeeds_: []", "problems=2"},
		"another database":    {strings.Replace(r.config, "data_dir: "+r.data, "data_dir: "+t.TempDir(), 1), "another folder"},
		"a port that is gone": {strings.Replace(r.config, fmt.Sprintf("%d", r.admin), fmt.Sprintf("%d", other.Port), 1), "http.admin_listen"},
		"an empty file":       {"", "is empty"},
	} {
		r.write("config.yaml", bad.config)
		times++
		serve.reload(refused, times)
		lines := serve.log.lines(refused)
		if last := lines[len(lines)-1]; !strings.Contains(last, bad.says) || !strings.Contains(last, "dispatcher check") {
			t.Errorf("%s: serve says %s", name, last)
		}
	}
	r.write("config.yaml", r.config)
	r.send()
	r.done(serve)
	r.eachOnce()
}

// A reload takes effect: an address that the pages have from then on, what they say, and the form of the log.
func TestAReloadTakesEffect(t *testing.T) {
	r := newRig(t, setting{readers: 5})
	serve := r.serve()
	r.answers(serve)
	pages := freePort(t)
	changed := regexp.MustCompile(`http: \{listen: "127.0.0.1:\d+"`).ReplaceAllString(r.config, fmt.Sprintf(`http: {listen: "127.0.0.1:%d"`, pages))
	changed = strings.Replace(changed, "Harbour Gazette", "Example Gazette", 1)
	r.write("config.yaml", changed+"\nlog: {format: json}\n")
	serve.reload(reloaded, 1)
	got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", pages))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if page, err := io.ReadAll(got.Body); err != nil || !strings.Contains(string(page), "Example Gazette") {
		t.Errorf("the page says %s (%v)", page, err)
	}
	if last := serve.log.lines(reloaded)[0]; !strings.HasPrefix(last, "{") {
		t.Errorf("the log goes on as %s", last)
	}
}

// Promise 1 over a reload: a list has its slots by the new schedule, each once, and no more by the old.
func TestAReloadChangesTheSchedule(t *testing.T) {
	r := newRig(t, setting{readers: 3})
	var c movable
	serve := r.serveUnder(&c)
	serve.signal = func(os.Signal) error { return syscall.Kill(os.Getpid(), syscall.SIGHUP) }
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	slot := c.now().In(zone).Add(time.Hour)
	r.write("config.yaml", regexp.MustCompile(`schedule: "[^"]+"`).ReplaceAllString(r.config, "schedule: "+slot.Format("daily 15:04")))
	serve.reload(reloaded, 1)
	serve.says("the schedule of a list has changed")
	serve.reload(reloaded, 2)
	c.move(time.Hour)
	serve.says("edition done")
	r.eachOnce()
	serve.reload(reloaded, 3)
	c.move(24 * time.Hour)
	serve.says("skipped: nothing new") // tomorrow's slot
	if e := r.ledger(); !isDone(e) {
		t.Errorf("the edition is %+v", e)
	}
}

// Once a reload has been told, nothing of the shift before works any more: an old scheduler would make slots by the old schedule.
func TestNothingOfTheOldShiftGoesOn(t *testing.T) {
	r := newRig(t, setting{readers: 1})
	path := filepath.Join(r.dir, "config.yaml")
	cfg, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := openOffice(t.Context(), process{stderr: io.Discard, now: time.Now}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer o.store.Close()
	s, err := newService(t.Context(), o, path)
	if err != nil {
		t.Fatal(err)
	}
	s.begin(t.Context(), s.shift)
	s.send(t.Context(), s.shift)
	old := s.shift
	rooms := append(slices.Clone(old.rooms), old.sending)
	r.write("config.yaml", r.config+"\nlog: {format: json}\n") // which the mailer knows, too
	s.reload(t.Context())
	if s.shift == old {
		t.Fatal("the config was refused")
	}
	for i, room := range rooms {
		select {
		case <-room.ended:
		default:
			t.Errorf("room %d of the old shift goes on", i)
		}
	}
	leave(append(s.shift.rooms, s.shift.sending)...)
	if err := errors.Join(s.failure(), s.pages.close(), s.admin.close()); err != nil {
		t.Error(err)
	}
}

// While one reload follows another, each request has its answer, over connections that are kept too.
func TestReloadsCutNoRequestOff(t *testing.T) {
	r := newRig(t, setting{readers: 1})
	serve := r.serve()
	r.answers(serve)
	done, asked := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(asked)
		for {
			select {
			case <-done:
				return
			default:
			}
			got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", r.admin))
			if err != nil {
				asked <- err
				return
			}
			got.Body.Close()
			if got.StatusCode != http.StatusOK {
				asked <- fmt.Errorf("status %s", got.Status)
				return
			}
		}
	}()
	for n := range 10 {
		serve.reload(reloaded, n+1)
	}
	close(done)
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

// Promise 7: a list id that vanishes while it has readers is refused with its cure; under another id, with was, the list keeps its readers, the
// links of its old mail and its List-Id; retired, it gets no mail.
func TestAReloadForgetsNoReaders(t *testing.T) {
	r := newRig(t, setting{readers: 3})
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.done(serve)
	old := r.relay.Messages()[0]

	r.write("config.yaml", strings.Replace(r.config, "id: weekly", "id: harbour", 1))
	serve.reload(refused, 1)
	if line := serve.log.lines(refused)[0]; !strings.Contains(line, "3 readers") || !strings.Contains(line, "was: weekly") || !strings.Contains(line, "retired: true") {
		t.Errorf("serve says %s", line)
	}
	if got := r.run("check"); got.code == exitDone || !strings.Contains(got.stdout, "was: weekly") {
		t.Errorf("check ends with %d and says %s", got.code, got.stdout)
	}

	renamed := strings.Replace(r.config, "id: weekly", "id: harbour, was: weekly", 1)
	r.write("config.yaml", renamed)
	r.ok("check")
	serve.reload(reloaded, 1)
	post := headerOf(t, old, "List-Unsubscribe")
	link := regexp.MustCompile(`/u/[^>]+`).FindString(post)
	got, err := http.PostForm(fmt.Sprintf("http://127.0.0.1:%d%s", r.pagesPort(), link), map[string][]string{"List-Unsubscribe": {"One-Click"}})
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	r.write("news.jsonl", `{"title":"A second letter","url":"https://magazine.example/second","summary":"News."}`+"\n")
	r.ok("import", filepath.Join(r.dir, "news.jsonl"))
	r.ok("send", "harbour", "--yes")
	eventually(t, "the second edition is sent", func() bool { return r.relay.Counts().Accepted == 5 }) // one of three has left
	if now, was := headerOf(t, r.relay.Messages()[4], "List-Id"), headerOf(t, old, "List-Id"); now != was {
		t.Errorf("the List-Id is %s, and was %s", now, was)
	}

	r.write("config.yaml", strings.Replace(renamed, "id: harbour, was: weekly", "id: harbour, retired: true", 1))
	serve.reload(reloaded, 2)
	if got := r.run("send", "harbour", "--yes"); got.code != exitUsage || !strings.Contains(got.stderr, "retired") {
		t.Errorf("send to a retired list: %+v", got)
	}
}

// pagesPort is where the readers' pages listen.
func (r *rig) pagesPort() (port int) {
	r.t.Helper()
	found := regexp.MustCompile(`listen: "127\.0\.0\.1:(\d+)"`).FindStringSubmatch(r.config)
	port, err := strconv.Atoi(found[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return port
}

func headerOf(t *testing.T, m smtptest.Message, name string) string {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header.Get(name)
}

// Whoever asks for a reload is told how it went: also where only the serve itself finds what is wrong.
func TestReloadTellsHowItWent(t *testing.T) {
	r := newRig(t, setting{readers: 1})
	serve := r.serve()
	r.answers(serve)
	r.ok("reload")
	overlapping := regexp.MustCompile(`listen: "127\.0\.0\.1:(\d+)"`).ReplaceAllString(r.config, `listen: "0.0.0.0:$1"`)
	r.write("config.yaml", overlapping)
	r.ok("check")
	if got := r.run("reload"); got.code != exitFailed || !strings.Contains(got.stderr, "goes on by the old one") || !strings.Contains(got.stderr, "restart") {
		t.Errorf("of an address that only a restart can take: %+v", got)
	}
	r.write("config.yaml", strings.Replace(r.config, "data_dir: "+r.data, "data_dir: "+t.TempDir(), 1))
	if got := r.run("reload"); got.code != exitFailed || !strings.Contains(got.stderr, "nobody serves from") {
		t.Errorf("of another data_dir: %+v", got)
	}
	r.write("config.yaml", r.config)
	r.ok("reload")
	if n := len(serve.log.lines(reloaded)); n != 2 {
		t.Errorf("%d reloads", n)
	}
	if got := r.run("send", "weekly", "--yes"); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	r.done(serve)
}

// Promise 2: while another command writes to the database, a reload waits for it: nothing that is on its way is sent again, and serve goes on.
func TestAReloadWaitsForWhoeverWrites(t *testing.T) {
	stalls, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := newRig(t, setting{readers: 1, relay: smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData {
			once.Do(func() { close(stalls) })
			<-goOn
		}
		return smtptest.Answer{}
	}}})
	m := newManager(t)
	serve := r.process([]string{"NOTIFY_SOCKET=" + m.socket}, "serve")
	r.answers(serve)
	r.send()
	<-stalls
	r.write("config.yaml", r.config+"\nlog: {level: debug}\n") // which begins another mailer
	if err := serve.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reload has begun", func() bool { return strings.Contains(m.last("STATUS="), "Taking over") })
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(r.data, store.FileName)+"?_txlock=immediate&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	close(goOn)
	r.accepted(1)
	serve.mustRun()
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	r.done(serve)
	eventually(t, reloaded, func() bool { return len(serve.log.lines(reloaded)) == 1 })
	r.eachOnce()
	r.sentAtFirst()
}
