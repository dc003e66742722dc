package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// backup reads the database, which nobody has open.
func (e *era) backup() []byte {
	e.t.Helper()
	file, err := os.ReadFile(filepath.Join(e.dir, "data", "dispatcher.db"))
	if err != nil {
		e.t.Fatal(err)
	}
	return file
}

// restore puts a database back, and leaves everything else as it is.
func (e *era) restore(file []byte) {
	e.t.Helper()
	e.write(filepath.Join("data", "dispatcher.db"), string(file))
}

// life runs a serve for as long as something takes.
func (e *era) life(do func(*daemon)) *daemon {
	e.t.Helper()
	d := e.serve()
	do(d)
	if code := d.terminate(); code != exitDone {
		e.t.Fatalf("serve ended with code %d", code)
	}
	return d
}

// restored is a site whose database was put back to what it was before its edition was mailed.
func restored(t *testing.T, relay *smtptest.Server) *era {
	t.Helper()
	e := newEra(t, relay.Port, time.Now(), "  - {id: weekly, schedule: \"0 9 1 1 *\"}\n  - {id: urgent, kind: alert}\n")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()), anAction("bell", e.clock.now().Add(72*time.Hour), false))
	e.life(func(*daemon) {})
	old := e.backup()
	e.clock.move(2 * time.Minute)
	e.life(func(serve *daemon) {
		e.ok("send", "weekly", "--yes")
		e.sent(serve, "weekly", 1)
	})
	e.restore(old)
	return e
}

// A database that was put back knows nothing of what has gone out since: nothing goes until a person has looked.
func TestARestoredDatabaseHoldsAllMailUntilItIsReleased(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	relay := newRelay(t, smtptest.Config{})
	e := restored(t, relay)
	const because = "this database was restored from a backup"
	serve := e.serve()
	serve.says("all mail is held back; `dispatcher release` lets it go")
	e.ok("send", "weekly", "--yes")

	if r := e.run("plan"); r.code != exitDone || !strings.Contains(r.stderr, "warning: all mail is held back: "+because) || !strings.Contains(r.stderr, "`dispatcher release` lets it go") {
		t.Errorf("plan: %+v", r)
	}
	if r := e.run("release"); r.code != exitUsage || !strings.Contains(r.stderr, because) || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("release where nobody can be asked: %+v", r)
	}
	answer := func(text string) result {
		return e.runWith(process{stdin: strings.NewReader(text), now: e.clock.now, terminal: true}, "release")
	}
	for _, text := range []string{"n\n", "\n", ""} {
		if r := answer(text); r.code != exitDone || !strings.Contains(r.stderr, "All mail is held back: "+because) || !strings.Contains(r.stderr, "It stays as it is.") || r.stdout != "" {
			t.Errorf("answering %q: %+v", text, r)
		}
	}
	if n := relay.Counts().Accepted; n != 3 {
		t.Errorf("%d messages are out, want the three from before the restoring", n)
	}
	if r := answer("y\n"); r.code != exitDone || r.stdout != "Mail goes again.\n" {
		t.Errorf("answering yes: %+v", r)
	}
	serve.says("mail goes again")
	e.sent(serve, "weekly", 1)
	if n := relay.Counts().Accepted; n != 6 {
		t.Errorf("%d messages are out, want three more", n)
	}
	if told := serve.log.lines("all mail is held back"); len(told) != 1 || !strings.Contains(told[0], "level=ERROR") || !strings.Contains(told[0], because) {
		t.Errorf("serve told %d times why: %q", len(told), told)
	}
	serve.terminate()
	e.life(func(*daemon) {})
	if r := e.run("plan"); r.stderr != "" {
		t.Errorf("after the release and a restart, plan says %q", r.stderr)
	}
}

// Where nobody serves, `send --wait` makes the edition, says why it stays, and does not wait for what does not come.
func TestSendWaitSaysThatMailIsHeldBack(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	e := restored(t, relay)
	if r := e.run("send", "weekly", "--wait", "--yes"); r.code != exitFailed || strings.Count(r.stderr, "held back: this database was restored from a backup") != 1 ||
		!strings.Contains(r.stderr, "the edition is made and waits") || !strings.Contains(r.stderr, "`dispatcher release` lets it go") {
		t.Errorf("send --wait: %+v", r)
	}
	if e := e.editions("weekly"); len(e) != 1 || e[0].Pending != 3 || relay.Counts().Accepted != 3 {
		t.Errorf("%d messages are out, the editions: %+v", relay.Counts().Accepted, e)
	}
	if out := e.ok("release", "--yes"); out != "Mail goes again.\n" {
		t.Errorf("release says %q", out)
	}
	e.ok("send", "urgent", "--wait", "--yes") // and with it goes what waited
	e.life(func(serve *daemon) { e.sent(serve, "weekly", 1) })
	if n := relay.Counts().Accepted; n != 9 {
		t.Errorf("%d messages are out, want nine", n)
	}
}

// A clock far ahead holds mail while it is; a release takes its word for the time.
func TestAClockFarAheadHoldsMail(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, time.Now(), "")
	e.life(func(*daemon) {})
	e.clock.move(61 * 24 * time.Hour)
	e.life(func(d *daemon) { d.says("61 days after dispatcher last served") })
	e.clock.move(-61 * 24 * time.Hour)
	if out := e.ok("release"); out != "Nothing is held back.\n" {
		t.Errorf("the clock is right again, but release says %q", out)
	}
	e.clock.move(61 * 24 * time.Hour)
	if out := e.ok("release", "--yes"); out != "Mail goes again.\n" {
		t.Errorf("release says %q", out)
	}
	d := e.life(func(*daemon) {})
	if told := d.log.lines("held back"); len(told) > 0 {
		t.Errorf("after the release: %q", told)
	}
}

func TestNothingIsReleasedWhereNothingIsHeld(t *testing.T) {
	e := newEra(t, 1, time.Now(), "")
	for _, when := range []string{"in a new database", "in one that has served"} {
		for _, args := range [][]string{{"release"}, {"release", "--yes"}} {
			if r := e.run(args...); r.code != exitDone || r.stdout != "Nothing is held back.\n" || r.stderr != "" {
				t.Errorf("%s, %q: %+v", when, args, r)
			}
		}
		e.life(func(*daemon) {})
	}
	if r := e.run("release", "everything"); r.code != exitUsage || !strings.Contains(r.stderr, "Usage: dispatcher release") {
		t.Errorf("with an argument: %+v", r)
	}
}
