package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

func TestBadCommandLinesSayWhatIsMeant(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, 1)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"sned"}, "did you mean \"send\""},
		{[]string{"help", "sned"}, "did you mean \"send\""},
		{[]string{"help", "items", "bogus"}, `no command "items bogus"; it has close`},
		{[]string{"plan", "--slots", "x"}, "--slots takes a whole number, and was given \"x\"\nRun"},
		{[]string{"items"}, "list, release, set, show"},
		{[]string{"items", "bogus"}, `no command "bogus"`},
		{[]string{"editions", "show"}, "takes ID"},
		{[]string{"editions", "show", "x"}, `"x" is not the number of an edition`},
		{[]string{"send", "daily", "--yes"}, "it has weekly, urgent"},
		{[]string{"fetch", "other"}, "it has gazette"},
		{[]string{"serve", "--nonsense"}, "--help"},
		{[]string{"items", "list", "--state", "lost"}, "queued, held or dropped"},
		{[]string{"subscribers", "add", "nobody"}, "not an e-mail address"},
		{[]string{"send", "weekly", "--to", "nobody"}, "not an e-mail address"},
	} {
		if r := s.run(tt.args...); r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", tt.args, r.code, r.stderr, exitUsage, tt.want)
		}
	}
}

func TestABrokenConfigIsToldWithLinesAndCures(t *testing.T) {
	s := newSite(t, 1)
	s.write("config.yaml", strings.Replace(s.config, "schedule: Mon 09:00", "scheduel: Mon 09:00", 1)+"\nrehersal: true\n")
	for _, command := range []string{"check", "serve", "fetch"} {
		r := s.run(command)
		told := r.stdout + r.stderr
		if r.code != exitUsage || !strings.Contains(told, `did you mean "schedule"`) || !strings.Contains(told, "rehearsal") || !strings.Contains(told, "config.yaml:9") {
			t.Errorf("%s: exit code %d\n%s", command, r.code, told)
		}
	}
}

func TestAScheduleThatNeverComesIsRefusedWithItsLine(t *testing.T) {
	s := newSite(t, 1)
	s.write("config.yaml", strings.Replace(s.config, "schedule: Mon 09:00", `schedule: "0 9 30 2 *"`, 1))
	if r := s.run("fetch"); r.code != exitUsage || !strings.Contains(r.stderr, "config.yaml:9: lists[0].schedule") {
		t.Errorf("%+v", r)
	}
}

func TestOneBadFeedDoesNotStopTheOthers(t *testing.T) {
	s := newSite(t, 1)
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html>Back soon</html>")
	}))
	defer bad.Close()
	s.write("config.yaml", strings.Replace(s.config, "feeds: [", fmt.Sprintf("feeds: [{name: broken, url: %q}, ", bad.URL), 1))
	r := s.run("fetch")
	if r.code != exitFailed || !strings.Contains(r.stderr, "broken") || strings.Contains(r.stderr, "gazette") {
		t.Errorf("%+v", r)
	}
	if articles, _ := sampleItems(t, s); len(articles) == 0 {
		t.Error("the good feed brought nothing")
	}
	if r := s.run("check"); r.code != exitDone || !strings.Contains(r.stdout, "feed broken") { // it is the feed that must be mended, not the config
		t.Errorf("check does not tell, or a reload would fail: %+v", r)
	}
}

func TestBadRowsAreReportedByLineAndGoodOnesImported(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, 1)
	file := s.write("readers.csv", "\uFEFFemail,name,language,timezone,lists,topics\n"+
		"ada@example.net,\"Ada, of the quay\",en,Europe/Berlin,weekly;urgent,Libraries; Tides\n"+
		"not an address,,,,weekly,\n"+
		"ADA@example.net,Ada again,,,weekly,\n"+
		"bo@example.net,Bo,xx-nonsense-language,,weekly,\n"+
		"cy@example.net,Cy,,Mars/Olympus,weekly,\n"+
		"di@example.net,Di,,,monthly,\n"+
		"el@example.net,El,fa,,,\n"+
		"\"broken\n"+
		"jo@example.net,Jos\xe9,,,weekly,\n"+
		"sm@example.net,Smith,en,,weekly,,Jr.\n"+
		"fi@example.net,\"Fi \"\"the pen\"\" Quill\",,,weekly,\r\n")
	var first, again importResult
	s.okJSON(&first, "subscribers", "import", file, "--list", "weekly", "--confirmed", "paper form")
	if first.New != 3 || first.Known != 1 || len(first.Bad) != 7 {
		t.Errorf("imported %+v", first)
	}
	for i, line := range []int{3, 5, 6, 7, 9, 10, 11} {
		if i < len(first.Bad) && first.Bad[i].Line != line {
			t.Errorf("bad row %d is reported for line %d, want %d: %s", i, first.Bad[i].Line, line, first.Bad[i].What)
		}
	}
	for _, b := range first.Bad {
		if strings.Contains(b.What, "@") {
			t.Errorf("a report repeats an address: %s", b.What)
		}
	}
	s.okJSON(&again, "subscribers", "import", file, "--list", "weekly", "--confirmed", "paper form")
	if again.New != 0 || again.Known != 4 {
		t.Errorf("the same file again: %+v", again)
	}
	var ada struct {
		subscriberView
		Copies []copyView
	}
	s.okJSON(&ada, "subscribers", "show", "Ada@Example.NET")
	if ada.Name != "Ada, of the quay" || len(ada.Subscriptions) != 2 || strings.Join(ada.Subscriptions[0].Topics, " ") != "libraries tides" || ada.Subscriptions[0].Consent != "paper form" {
		t.Errorf("kept %+v", ada)
	}
	if r := s.run("subscribers", "import", s.write("bad.csv", "email\nnobody\n"), "--list", "weekly"); r.code != exitFailed {
		t.Errorf("a file with bad rows alone: %+v", r)
	}
	if r := s.run("subscribers", "import", s.write("odd.csv", "mail\na@example.net\n")); r.code != exitUsage || !strings.Contains(r.stderr, "email,name,language") {
		t.Errorf("an unknown header: %+v", r)
	}
	for text, want := range map[string]string{
		"jane@example.net,Jane\n":                 "is a reader and no header",
		"email;name\njane@example.net;Jane\n":     "by commas",
		"\xff\xfee\x00m\x00a\x00i\x00l\x00\n\x00": "UTF-16",
	} {
		if r := s.run("subscribers", "import", s.write("odd.csv", text)); r.code != exitUsage || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "jane") {
			t.Errorf("the header %q: %+v", text, r)
		}
	}
}

func TestTheEditorChangesHoldsAndDrops(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	s.ok("fetch")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "asked")
	articles, actions := sampleItems(t, s)
	s.ok("items", "set", fmt.Sprint(articles[0].ID), "--title", "An editor's own title", "--topics", "Harbour,Tides")
	s.ok("items", "hold", fmt.Sprint(articles[1].ID))
	s.ok("items", "set", fmt.Sprint(actions[0].ID), "--deadline", "2099-12-01", "--urgent=false")
	if r := s.run("items", "set", fmt.Sprint(articles[0].ID), "--deadline", "2099-12-01"); r.code != exitUsage {
		t.Errorf("a deadline for an article: %+v", r)
	}
	if r := s.run("items", "set", fmt.Sprint(actions[0].ID), "--deadline", "soon"); r.code != exitUsage || !strings.Contains(r.stderr, "2026-12-01") {
		t.Errorf("a deadline in words: %+v", r)
	}
	s.ok("send", "weekly", "--wait", "--yes")
	text := strings.Join(strings.Fields(checkMessage(t, relay.Messages()[0].Data)), " ")
	if !strings.Contains(text, "An editor's own title") || strings.Contains(text, articles[0].Title) || strings.Contains(text, articles[1].Title) {
		t.Errorf("the digest does not follow the editor:\n%s", text)
	}
	if !strings.Contains(text, "2099") {
		t.Errorf("the digest does not tell the deadline:\n%s", text)
	}
	s.ok("items", "set", fmt.Sprint(actions[0].ID), "--urgent") // for the alert list, which has not used it
	if r := s.run("items", "hold", fmt.Sprint(articles[2%len(articles)].ID), "999"); r.code != exitFailed || strings.Contains(r.stdout, "is held") {
		t.Errorf("holding one that is there and one that is not: %+v", r)
	}
	if r := s.run("items", "set", fmt.Sprint(articles[0].ID), "--title", "Too late"); r.code != exitFailed || !strings.Contains(r.stderr, "frozen") {
		t.Errorf("changing what is sent: %+v", r)
	}
	var shown itemView
	s.okJSON(&shown, "items", "show", fmt.Sprint(articles[0].ID))
	if len(shown.EditionsOf) != 1 || shown.Title != "An editor's own title" {
		t.Errorf("items show: %+v", shown)
	}
	s.ok("items", "release", fmt.Sprint(articles[1].ID))
	s.ok("send", "weekly", "--wait", "--yes")
	if n := relay.Counts().Accepted; n != 2 {
		t.Errorf("%d digests after the release, want a second one", n)
	}
}

func TestFilesAreImportedOnce(t *testing.T) {
	s := newSite(t, 1)
	file := s.write("letter.md", "---\ntitle: A letter from the lighthouse\nurl: https://magazine.example/lighthouse/\ntopics: [Lighthouses]\n---\nThe lamp was lit again on *Tuesday*.\n")
	lines := s.write("items.jsonl", `{"kind":"action","title":"Keep the lamp lit","petition":"https://actions.example/lamp","deadline":"2099-01-01","urgent":true,"summary":"The keeper needs your name."}`+"\n")
	var took []intakeView
	s.okJSON(&took, "import", file, lines)
	if len(took) != 2 || took[0].New != 1 || took[1].New != 1 {
		t.Errorf("imported %+v", took)
	}
	s.okJSON(&took, "import", file, lines)
	if took[0].New != 0 || took[1].New != 0 {
		t.Errorf("imported again: %+v", took)
	}
	if _, actions := sampleItems(t, s); len(actions) != 1 || !actions[0].Urgent || actions[0].Deadline == nil {
		t.Errorf("the action: %+v", actions)
	}
	if r := s.run("import", s.write("bad.jsonl", "{\"titel\":\"x\"}\n")); r.code != exitFailed || !strings.Contains(r.stderr, "titel") {
		t.Errorf("an unknown key: %+v", r)
	}
}

// Promises 4 and 9, with the real daemon: the link in the mail ends the subscription by one POST and nothing else does, and
// no address comes into the log.
func TestOneClickLeavesAndTheLogKeepsQuiet(t *testing.T) {
	relay := newRelay(t, smtptest.Config{Script: smtptest.To("reader2@example.net", smtptest.Rcpt, smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "<reader2@example.net> no such user"})})
	pages := freePort(t)
	admin := freePort(t)
	s := newSite(t, relay.Port, fmt.Sprintf("http: {listen: \"127.0.0.1:%d\", admin_listen: \"127.0.0.1:%d\"}", pages, admin), "log: {level: debug}")
	s.write("config.yaml", strings.Replace(s.config, "http://127.0.0.1:8080", fmt.Sprintf("http://127.0.0.1:%d", pages), 1))
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3), "--confirmed", "form")
	log, err := os.Create(s.dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	serve := s.prepare("serve")
	serve.Stderr = log
	s.launch(serve)
	alive(t, admin)
	s.ok("send", "weekly", "--wait", "--yes")
	link := regexp.MustCompile(`List-Unsubscribe: <(http://[^>]+)>`).FindSubmatch(relay.Messages()[0].Data)
	if link == nil {
		t.Fatal("the message has no link to leave by")
	}
	state := func() string {
		var v subscriberView
		s.okJSON(&v, "subscribers", "show", relay.Messages()[0].To[0])
		for _, c := range v.Subscriptions {
			if c.List == "weekly" {
				return string(c.State)
			}
		}
		return ""
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
		request, err := http.NewRequest(method, string(link[1]), nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got := state(); got != "confirmed" {
			t.Errorf("after %s the subscription is %s", method, got)
		}
	}
	r, err := http.PostForm(string(link[1]), url.Values{"List-Unsubscribe": {"One-Click"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK || len(r.Cookies()) > 0 || state() != "ended" {
		t.Errorf("the click: %s, cookies %v, the subscription is %s", r.Status, r.Cookies(), state())
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	token := string(link[1][strings.LastIndexByte(string(link[1]), '/')+1:])
	if strings.Contains(string(text), "@") || strings.Contains(string(text), token) || !strings.Contains(string(text), "unsubscribed") {
		t.Errorf("the log has an address or a token, or lacks the leaving:\n%s", text)
	}
}

// What comes back by mail suppresses an address, if it bears the token of a copy that was sent.
func TestABounceThatIsOursSuppresses(t *testing.T) {
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port, "bounce_address: bounces@gazette.example")
	s.ok("fetch")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "asked")
	s.ok("send", "weekly", "--wait", "--yes")
	sender := relay.Messages()[0].From
	if !strings.HasPrefix(sender, "bounces+") {
		t.Fatalf("the envelope sender is %s", sender)
	}
	report := strings.ReplaceAll(`From: MAILER-DAEMON@mx.example
To: SENDER
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; reader@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <reader@example.net>: no such user
--b--
`, "\n", "\r\n")
	read := func(to string) result {
		return s.runWith(process{stdin: strings.NewReader(strings.ReplaceAll(report, "SENDER", to)), now: time.Now}, "bounce", "--recipient", to)
	}
	forged := "bounces+" + strings.Repeat("a", 36) + "@gazette.example"
	if r := read(forged); r.code != exitDone || !strings.Contains(r.stdout, "nothing to write down") {
		t.Errorf("a forged bounce: %+v", r)
	}
	if r := read(sender); r.code != exitDone || !strings.Contains(r.stdout, "hard") || strings.Contains(r.stdout+r.stderr, "reader@") {
		t.Errorf("a real one: %+v", r)
	}
	var shown struct{ Suppressed string }
	s.okJSON(&shown, "subscribers", "show", "reader@example.net")
	if shown.Suppressed == "" {
		t.Error("the address is not suppressed")
	}
}
