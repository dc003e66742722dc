package main

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// newEdition makes a site with an edition of three readers that nobody sends yet.
func newEdition(t *testing.T, relay *smtptest.Server, more ...string) *site {
	t.Helper()
	s := newSite(t, relay.Port, more...)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3), "--confirmed", "form")
	s.ok("send", "weekly", "--yes")
	return s
}

// edition is how edition 1 stands.
func (s *site) edition() (e editionDetail) {
	s.t.Helper()
	s.okJSON(&e, "editions", "show", "1")
	return e
}

// squeeze makes one space of each gap, so that a table can be searched.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestTheHelpOfSteeringSaysWhatItDoes(t *testing.T) {
	s := newSite(t, 1)
	for command, want := range map[string][]string{
		"pause":  {"editions pause ID", "What is on the line at this moment is finished", "its patience goes on", "--reason"},
		"resume": {"editions resume ID", "is not judged again"},
		"cancel": {"editions cancel ID", "copies that have not been sent never are", "--yes", "--reason"},
		"retry":  {"editions retry ID --owner ours | --unknown", "a reader may get a second copy, with the same Message-ID"},
	} {
		r := s.run("editions", command, "--help")
		for _, words := range append(want, "--json") {
			if r.code != exitDone || !strings.Contains(squeeze(r.stdout), words) {
				t.Errorf("the help of %s lacks %q: %+v", command, words, r)
			}
		}
	}
	if r := s.run("editions", "--help"); !strings.Contains(squeeze(r.stdout), "retry Try copies of an edition again that had ended") {
		t.Errorf("the group's help does not name them: %+v", r)
	}
}

// A line that cannot be followed is told apart from an edition that is not where it would have to be.
func TestSteeringRefusesWithReasons(t *testing.T) {
	notUnderRace(t)
	s := newEdition(t, newRelay(t, smtptest.Config{}))
	before := s.edition()
	for _, tt := range []struct {
		line string
		code int
		want string
	}{
		{"pause", exitUsage, "takes ID"},
		{"pause 1 2", exitUsage, "takes ID"},
		{"pause one", exitUsage, "\"one\" is not the number of an edition; `dispatcher editions list` shows them"},
		{"resume 0", exitUsage, `"0" is not the number of an edition`},
		{"cancel 9999999999999999999 --yes", exitUsage, "is not the number of an edition"},
		{"cancel 1", exitUsage, "cancel cannot be undone: give --yes where nobody can be asked"},
		{"retry 1", exitUsage, "retry needs one of --owner ours and --unknown"},
		{"retry 1 --owner ours --unknown", exitUsage, "retry needs one of --owner ours and --unknown"},
		{"retry 1 --owner theirs", exitUsage, `--owner "theirs" cannot be tried again: only what is ours can be mended; give --owner ours`},
		{"retry 1 --nonsense", exitUsage, "--help"},
		{"pause 7", exitFailed, "edition 7 is not being sent; `dispatcher editions list` shows how editions stand"},
		{"resume 1", exitFailed, "edition 1 is not paused"},
		{"cancel 7 --yes", exitFailed, "edition 7 is not being sent or paused"},
		{"retry 7 --unknown", exitFailed, "edition 7 is not there, or was cancelled"},
	} {
		for _, json := range []bool{false, true} {
			args := append([]string{"editions"}, strings.Fields(tt.line)...)
			if json {
				args = append(args, "--json")
			}
			if r := s.run(args...); r.code != tt.code || !strings.HasPrefix(r.stderr, "dispatcher: ") || strings.Count(r.stderr, tt.want) != 1 || r.stdout != "" {
				t.Errorf("%q: %+v; want code %d and once %q", args, r, tt.code, tt.want)
			}
		}
	}
	if after := s.edition(); after.editionView != before.editionView {
		t.Errorf("what was refused has changed the edition: %+v", after.editionView)
	}
}

// An edition that is paused waits while others go out, and goes on where it stood.
func TestPauseAndResume(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	http, admin := serving(t)
	s := newEdition(t, relay, http)
	if out := s.ok("editions", "pause", "1"); out != "Edition 1 is paused; `dispatcher editions resume 1` goes on.\n" {
		t.Errorf("pause says %q", out)
	}
	if e := s.edition(); e.State != "paused" || e.Reason != "paused by hand" {
		t.Errorf("without a reason: %+v", e.editionView)
	}
	s.ok("send", "urgent", "--wait", "--yes")
	if e, n := s.edition(), relay.Counts().Accepted; n != 3 || e.Pending != 3 {
		t.Errorf("%d messages are out, want the three alerts; the edition: %+v", n, e.editionView)
	}
	var e editionView
	if s.okJSON(&e, "editions", "resume", "1"); e.ID != 1 || e.State != "sending" || e.Reason != "" || e.Pending != 3 {
		t.Errorf("resume says %+v", e)
	}
	if s.okJSON(&e, "editions", "pause", "1", "--reason", "the lead has a wrong date"); e.State != "paused" || e.Reason != "the lead has a wrong date" {
		t.Errorf("pause says %+v", e)
	}
	shown := squeeze(s.ok("editions", "show", "1"))
	if !strings.Contains(shown, "state paused because the lead has a wrong date") || !strings.Contains(shown, "audience 3 = 0 sent + 3 pending + 0 failed") {
		t.Errorf("show does not tell the reason: %s", shown)
	}
	if r := s.run("editions", "pause", "1"); r.code != exitFailed || !strings.Contains(r.stderr, "edition 1 is not being sent") {
		t.Errorf("pausing it twice: %+v", r)
	}
	s.start("serve")
	alive(t, admin)
	if out := s.ok("editions", "resume", "1"); out != "Edition 1 goes on.\n" {
		t.Errorf("resume says %q", out)
	}
	eventually(t, "the edition is done", func() bool { return s.edition().State == "done" })
	if e, n := s.edition(), relay.Counts().Accepted; e.Sent != 3 || n != 6 {
		t.Errorf("%d messages are out, the edition: %+v", n, e.editionView)
	}
	if r := s.run("editions", "cancel", "1", "--yes"); r.code != exitFailed || !strings.Contains(r.stderr, "not being sent or paused") {
		t.Errorf("cancelling what is done: %+v", r)
	}
}

func TestCancelAsksAndIsFinal(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	s := newEdition(t, relay)
	answer := func(text string, more ...string) result {
		return s.runWith(process{stdin: strings.NewReader(text), now: time.Now, terminal: true}, append([]string{"editions", "cancel", "1"}, more...)...)
	}
	const question = "Withdraw all copies of edition 1 that have not been sent? This cannot be undone. [y/N] "
	for _, text := range []string{"n\n", "\n", ""} {
		if r := answer(text); r.code != exitDone || strings.TrimSpace(r.stderr) != strings.TrimSpace(question) || r.stdout != "Nothing was cancelled.\n" || s.edition().State != "sending" {
			t.Errorf("answering %q: %+v", text, r)
		}
	}
	if r := answer("y\n", "--reason", "it names a source"); r.code != exitDone || r.stderr != question || r.stdout != "Edition 1 is cancelled, 3 copies withdrawn.\n" {
		t.Errorf("answering yes: %+v", r)
	}
	if e := s.edition(); e.State != "cancelled" || e.Reason != "it names a source" || e.Withdrawn != 3 || len(e.Reasons) != 1 || e.Reasons[0].Words != "the edition was cancelled" {
		t.Errorf("the edition: %+v", e)
	}
	for verb, want := range map[string]string{
		"pause": "not being sent", "resume": "not paused", "cancel --yes": "not being sent or paused", "retry --unknown": "not there, or was cancelled", "retry --owner ours": "not there, or was cancelled",
	} {
		words := strings.Fields(verb)
		args := slices.Concat([]string{"editions", words[0], "1"}, words[1:])
		if r := s.run(args...); r.code != exitFailed || !strings.Contains(r.stderr, "edition 1 is "+want) {
			t.Errorf("%q after the end: %+v", args, r)
		}
	}
	s.ok("send", "urgent", "--wait", "--yes")
	if n := relay.Counts().Accepted; n != 3 {
		t.Errorf("%d messages are out, want the three alerts alone", n)
	}
}

// What the relay refused for a reason of ours goes out once that is mended, and `show` says whose it was until then.
func TestRetryOfWhatWasOurs(t *testing.T) {
	notUnderRace(t)
	var mended atomic.Bool
	refuse := smtptest.At(smtptest.EndOfData, smtptest.Answer{Code: 550, Enhanced: "5.7.26", Text: "This message does not pass authentication checks"})
	relay := newRelay(t, smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if mended.Load() {
			return smtptest.Answer{}
		}
		return refuse(e)
	}})
	http, admin := serving(t)
	s := newEdition(t, relay, http)
	s.start("serve")
	alive(t, admin)
	eventually(t, "the edition is done", func() bool { return s.edition().State == "done" })
	e := s.edition()
	if e.Failed != 3 || len(e.Reasons) != 1 || e.Reasons[0].Owner != "ours: identity" || e.Reasons[0].Count != 3 || e.Reasons[0].Enhanced != "5.7.26" {
		t.Errorf("the edition: %+v", e)
	}
	if shown := squeeze(s.ok("editions", "show", "1")); !strings.Contains(shown, "3 failed ours: identity: 550 5.7.26 This message does not pass authentication checks") {
		t.Errorf("show does not tell the owner: %s", shown)
	}
	if out := s.ok("editions", "retry", "1", "--unknown"); out != "0 copies of edition 1 will be tried again.\n" {
		t.Errorf("retry of what is unknown says %q", out)
	}
	late := process{stdin: strings.NewReader(""), now: func() time.Time { return e.Expires }}
	if r := s.runWith(late, "editions", "retry", "1", "--owner", "ours"); r.code != exitFailed || !strings.Contains(r.stderr, "edition 1 is too old to be sent: its patience has ended") || !strings.Contains(r.stderr, "copies expire") {
		t.Errorf("retry too late: %+v", r)
	}
	mended.Store(true)
	if out := s.ok("editions", "retry", "1", "--owner", "ours"); out != "3 copies of edition 1 will be tried again.\n" {
		t.Errorf("retry says %q", out)
	}
	eventually(t, "the edition is done again", func() bool { return s.edition().State == "done" })
	if e := s.edition(); e.Sent != 3 || e.Failed != 0 || len(e.Reasons) != 0 || relay.Counts().Accepted != 3 {
		t.Errorf("%d messages are out, the edition: %+v", relay.Counts().Accepted, e)
	}
}

// Where copies are held whose fate nobody knows, an admin sends them again, as the same message.
func TestRetryOfWhatIsUnknown(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{Script: smtptest.Times(1, smtptest.To("reader2@example.net", smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter}))})
	http, admin := serving(t)
	s := newEdition(t, relay, http, "on_unknown: {digest: hold}")
	s.start("serve")
	alive(t, admin)
	eventually(t, "the edition is done", func() bool { return s.edition().State == "done" })
	if e := s.edition(); e.Sent != 2 || e.Unknown != 1 || len(e.Reasons) != 1 || !strings.Contains(e.Reasons[0].Words, "cut after the end of the message") {
		t.Errorf("the edition: %+v", e)
	}
	var e editionView
	if s.okJSON(&e, "editions", "retry", "1", "--unknown"); e.State != "sending" && e.State != "done" || e.Unknown != 0 || e.Sent+e.Pending != 3 {
		t.Errorf("retry says %+v", e)
	}
	eventually(t, "the edition is done again", func() bool { return s.edition().State == "done" })
	ids := map[string]bool{}
	for _, m := range relay.Messages() {
		if m.To[0] == "reader2@example.net" {
			ids[m.MessageID] = true
		}
	}
	if e := s.edition(); e.Sent != 3 || relay.Counts().Accepted != 4 || len(ids) != 1 {
		t.Errorf("%d messages are out, the reader's under %d Message-IDs, the edition: %+v", relay.Counts().Accepted, len(ids), e.editionView)
	}
}

// An edition whose first wave shows a rotten list pauses itself, and says why.
func TestAnEditionThatPausesItselfSaysWhy(t *testing.T) {
	relay := newRelay(t, smtptest.Config{Script: smtptest.To("reader1@example.net", smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "<reader1@example.net> no such user"})})
	http, admin := serving(t)
	s := newSite(t, relay.Port, http)
	s.write("config.yaml", strings.Replace(s.config, "schedule: Mon 09:00,", "schedule: Mon 09:00, first_wave: 2 then 1h,", 1))
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(4), "--confirmed", "form")
	s.start("serve")
	alive(t, admin)
	s.ok("send", "weekly", "--yes")
	eventually(t, "the edition has paused itself", func() bool { return s.edition().State == "paused" })
	shown := squeeze(s.ok("editions", "show", "1"))
	for _, want := range []string{"state paused because 1 of the first 2 addresses are gone", "4 = 1 sent + 2 pending + 1 failed", "1 failed recipient gone: 550 5.1.1"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show lacks %q: %s", want, shown)
		}
	}
	s.ok("editions", "resume", "1")
	eventually(t, "the edition is done", func() bool { return s.edition().State == "done" })
	if e := s.edition(); e.Sent != 3 || e.Failed != 1 || e.Reason != "" {
		t.Errorf("the edition: %+v", e.editionView)
	}
}
