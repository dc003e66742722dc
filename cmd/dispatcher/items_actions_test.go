package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// anAlert makes a site with an article and two actions, the lighthouse announced to three readers and the ferry not.
func anAlert(t *testing.T, relay *smtptest.Server) *era {
	t.Helper()
	e := newEra(t, relay.Port, time.Now(), "")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	deadline := e.clock.now().Add(96 * time.Hour)
	e.bring(anArticle("pier", e.clock.now()), anAction("lighthouse", deadline, false))
	e.ok("send", "urgent", "--wait", "--yes")
	e.bring(anAction("ferry", deadline, false))
	return e
}

// id is an item's number as an argument.
func (e *era) id(slug string) string {
	e.t.Helper()
	return fmt.Sprint(e.item(slug).ID)
}

func TestClosingAndDoneRefuseWithReasons(t *testing.T) {
	notUnderRace(t)
	e := anAlert(t, newRelay(t, smtptest.Config{}))
	article, action, closed := e.id("pier"), e.id("lighthouse"), e.id("ferry")
	e.ok("items", "close", closed)
	good := e.write("good.csv", "email\nreader1@example.net\n")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"close"}, exitUsage, "takes ID"},
		{[]string{"close", action, closed}, exitUsage, "takes ID"},
		{[]string{"close", "one"}, exitUsage, `"one" is not the number of an item`},
		{[]string{"close", "77"}, exitFailed, "there is no item 77"},
		{[]string{"close", article}, exitUsage, "is an article: only an action can be taken and closed"},
		{[]string{"close", closed}, exitFailed, "is closed already, since "},
		{[]string{"close", action, "--won", "", "--yes"}, exitUsage, "--won needs words"},
		{[]string{"close", action, "--won", " \n ", "--yes"}, exitUsage, "--won needs words"},
		{[]string{"close", action, "--won", "The lamp is lit."}, exitUsage, "give --yes where nobody can be asked"},
		{[]string{"close", action, "--lost"}, exitUsage, "--help"},
		{[]string{"done"}, exitUsage, "takes ID"},
		{[]string{"done", article, "--subscriber", "reader1@example.net"}, exitUsage, "is an article"},
		{[]string{"done", "0", "--file", good}, exitUsage, `"0" is not the number of an item`},
		{[]string{"done", action}, exitUsage, "give either --subscriber ADDRESS or --file FILE"},
		{[]string{"done", action, "--subscriber", "reader1@example.net", "--file", good}, exitUsage, "give either --subscriber ADDRESS or --file FILE"},
		{[]string{"done", action, "--subscriber", "reader1"}, exitUsage, "not an e-mail address"},
		{[]string{"done", action, "--subscriber", "reader1@@example.net"}, exitUsage, "--subscriber"},
		{[]string{"done", action, "--subscriber", "stranger@example.org"}, exitFailed, "nobody subscribes under this address"},
		{[]string{"done", action, "--file", "nowhere.csv"}, exitFailed, "nowhere.csv"},
		{[]string{"done", action, "--file", e.write("empty.csv", "")}, exitUsage, "no header line"},
		{[]string{"done", action, "--file", e.write("headless.csv", "reader1@example.net\n")}, exitUsage, "is a reader and no header"},
		{[]string{"done", action, "--file", e.write("other.csv", "name,mail\nAda,reader1@example.net\n")}, exitUsage, `the column "email" is missing`},
		{[]string{"done", action, "--file", e.write("semicolons.csv", "email;name\nreader1@example.net;Ada\n")}, exitUsage, "separate the columns by commas"},
		{[]string{"done", action, "--file", e.write("wide.csv", "\xff\xfee\x00m\x00")}, exitUsage, "UTF-16"},
	} {
		args := append([]string{"items"}, tt.args...)
		if r := e.run(args...); r.code != tt.code || !strings.HasPrefix(r.stderr, "dispatcher: ") || strings.Count(r.stderr, tt.want) != 1 || r.stdout != "" || strings.Contains(r.stderr, "@") {
			t.Errorf("%q: %+v; want code %d and once %q", args, r, tt.code, tt.want)
		}
	}
	if v := e.item("lighthouse"); v.Standing != "announced" || v.Done != 0 || v.Ended != nil {
		t.Errorf("what was refused has changed the action: %+v", v)
	}
}

func TestDoneCountsReadersAndTellsOfBadRows(t *testing.T) {
	notUnderRace(t)
	e := anAlert(t, newRelay(t, smtptest.Config{}))
	action := e.id("lighthouse")
	file := e.write("signers.csv", "\uFEFFsigned,Email,country\nyes,READER1@example.net,NL\nno,stranger@example.org,\nyes,\"broken\nyes,reader2@example.net,DE\nyes,not one,\n\nyes,reader1@example.net,NL\n")
	first := e.run("items", "done", action, "--file", file)
	if first.code != exitDone || first.stdout != "6 rows read: 3 readers of ours, 2 bad\n" || strings.Count(first.stderr, "line ") != 2 ||
		!strings.Contains(first.stderr, "line 4: its quotes") || !strings.Contains(first.stderr, "line 6: ") {
		t.Errorf("for people: %+v", first)
	}
	out := e.run("items", "done", action, "--file", file, "--json")
	if out.code != exitDone || !strings.Contains(squeeze(out.stdout), fmt.Sprintf(`{ "item": %s, "rows": 6, "known": 3, "bad": [ { "line": 4, "what": "its quotes`, action)) {
		t.Errorf("as JSON: %+v", out)
	}
	if strings.Contains(first.stderr+first.stdout+out.stderr+out.stdout, "@") {
		t.Errorf("an address is repeated:\n%s%s", first.stderr, out.stdout)
	}
	if v := e.item("lighthouse"); v.Done != 2 {
		t.Errorf("%d readers have acted, want 2: one is there twice", v.Done)
	}
	var one doneResult
	e.okJSON(&one, "items", "done", action, "--subscriber", "reader3@example.net")
	if one.Rows != 1 || one.Known != 1 || one.Bad == nil || len(one.Bad) != 0 {
		t.Errorf("one reader: %+v", one)
	}
	r := e.runWith(process{stdin: strings.NewReader("email\nreader3@example.net\n"), now: e.clock.now}, "items", "done", action, "--file", "-")
	if r.code != exitDone || r.stdout != "1 row read: 1 reader of ours, 0 bad\n" {
		t.Errorf("from standard input: %+v", r)
	}
	if shown := squeeze(e.ok("items", "show", action)); !strings.Contains(shown, "standing announced") || !strings.Contains(shown, "done by 3 readers") {
		t.Errorf("show says %s", shown)
	}
}

func TestClosingAsksBeforeItMails(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	e := anAlert(t, relay)
	action := e.id("lighthouse")
	answer := func(text string) result {
		return e.runWith(process{stdin: strings.NewReader(text), now: e.clock.now, terminal: true}, "items", "close", action, "--won", "The lamp is lit.")
	}
	for _, text := range []string{"n\n", "\n", ""} {
		if r := answer(text); r.code != exitDone || !strings.Contains(r.stderr, `Close "Ask about the lighthouse" and send an update to 3 readers? [y/N]`) || !strings.Contains(r.stderr, "Nothing was changed.") || r.stdout != "" {
			t.Errorf("answering %q: %+v", text, r)
		}
	}
	e.stands("lighthouse", "announced")
	if r := answer("y\n"); r.code != exitDone || r.stdout != fmt.Sprintf("item %s is closed\nedition 2 tells 3 readers of urgent\n", action) {
		t.Errorf("answering yes: %+v", r)
	}
	e.stands("lighthouse", "won")
	if out := e.ok("items", "close", e.id("ferry"), "--won", "They sail.", "--yes"); !strings.Contains(out, "nobody is known to have had an alert about it") {
		t.Errorf("closing what nobody has heard of says %q", out)
	}
	e.life(func(serve *daemon) {
		if u := e.sent(serve, "urgent", 2); u.Sent != 3 {
			t.Errorf("the update: %+v", u)
		}
		if log := serve.log.String(); strings.Contains(log, "reader") || strings.Contains(log, "@") {
			t.Errorf("the log has an address:\n%s", log)
		}
	})
	if n := relay.Counts().Accepted; n != 6 {
		t.Errorf("%d messages are out, want three alerts and three updates", n)
	}
}
