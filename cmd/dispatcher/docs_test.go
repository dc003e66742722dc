package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// codeBlocks are the fenced blocks of one kind in a Markdown file.
func codeBlocks(t *testing.T, file, kind string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// The five minutes of the README, as they stand there: its config, with the host names of this machine, and then its
// commands one after the other. What is the system's own, such as systemctl, is left out.
func TestTheReadmesFirstDigest(t *testing.T) {
	notUnderRace(t)
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port)
	commands := strings.Join(codeBlocks(t, filepath.Join(repository, "README.md"), "console"), "")
	m := regexp.MustCompile(`(?s)cat > /etc/dispatcher/config.yaml <<'END'\n(.*?)END\n`).FindStringSubmatch(commands)
	if m == nil {
		t.Fatal("the README writes no config")
	}
	config := m[1]
	for from, to := range map[string]string{
		"host: 127.0.0.1, port: 25}":     fmt.Sprintf("host: 127.0.0.1, port: %d}", relay.Port),
		"https://magazine.example/feed/": s.feed.URL + "/wordpress.xml",
		"data_dir: /var/lib/dispatcher":  "data_dir: " + s.dir,
	} {
		if !strings.Contains(config, from) {
			t.Fatalf("the README's config has no %q", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	s.write("config.yaml", config)
	t.Chdir(s.dir)
	ran := 0
	for line := range strings.Lines(commands) {
		words := split(line)
		if len(words) == 0 || words[0] != "dispatcher" {
			continue
		}
		// The feed's items are older than max_age by the time this test runs: the clock stands where they are new.
		r := s.runWith(process{stdin: strings.NewReader(""), now: func() time.Time { return fixtureTime }}, words[1:]...)
		if r.code != exitDone {
			t.Errorf("%q ends with %d\n%s%s", line, r.code, r.stdout, r.stderr)
		}
		ran++
	}
	if ran < 9 || relay.Counts().Accepted != 2 {
		t.Errorf("%d commands were run, %d messages sent; want the test copy and the edition", ran, relay.Counts().Accepted)
	}
}

// The commands of the page about delivery, one after the other, on an edition that is being sent.
func TestTheCommandsAboutDelivery(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, newRelay(t, smtptest.Config{}).Port)
	s.ok("fetch")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "asked for it herself")
	s.ok("send", "weekly", "--yes")
	for _, block := range codeBlocks(t, "../../docs/delivery.md", "console") {
		for line := range strings.Lines(block) {
			s.ok(split(strings.TrimPrefix(strings.TrimSpace(line), "dispatcher "))...)
		}
	}
	if e := s.edition(); e.State != "cancelled" || e.Withdrawn != 1 {
		t.Errorf("after the commands the edition is %+v", e.editionView)
	}
}

// The commands of the page about time, one after the other, on a queue with an article and an action.
func TestTheCommandsAboutTime(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, newRelay(t, smtptest.Config{}).Port)
	s.write("items.jsonl", `{"title":"A letter from the north wing","url":"https://magazine.example/letter","summary":"A letter."}
{"title":"Open the doors","url":"https://magazine.example/doors","summary":"Sign.","petition":"https://act.example/doors"}
`)
	s.ok("import", s.dir+"/items.jsonl")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "asked for it herself")
	for _, block := range codeBlocks(t, "../../docs/time.md", "console") {
		for line := range strings.Lines(block) {
			s.ok(split(strings.TrimPrefix(strings.TrimSpace(line), "dispatcher "))...)
		}
	}
	if shown := s.ok("items", "show", "2"); !strings.Contains(shown, "standing") || !strings.Contains(shown, "won") {
		t.Errorf("after the commands the action is\n%s", shown)
	}
}

// The page about delivery quotes the log word by word: every line that it names is one of the mailer's, and it leaves none out.
func TestTheLogIsQuotedWordByWord(t *testing.T) {
	page, err := os.ReadFile("../../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../internal/mailer/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			source.Write(text)
		}
	}
	_, table, _ := strings.Cut(string(page), "## What the log says\n")
	table, _, _ = strings.Cut(table, "\n## ")
	quoted := regexp.MustCompile("(?m)^\\| `+(.+?) ?`+ \\| (?:error|warning|info) \\|").FindAllStringSubmatch(table, -1)
	for _, m := range quoted {
		if !strings.Contains(source.String(), `"`+m[1]+`"`) {
			t.Errorf("nothing logs %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`[lL]og\.(?:Error|Warn|Info)\("([^"]+)"`).FindAllStringSubmatch(source.String(), -1) {
		if !strings.Contains(table, m[1]) {
			t.Errorf("docs/delivery.md does not tell what to do about %q", m[1])
		}
	}
	if len(quoted) < 10 {
		t.Errorf("only %d lines of the log are found", len(quoted))
	}
}

// fixtureTime is shortly after the newest entry of the sample feed.
var fixtureTime = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

// repository is the root of the checkout, for tests that change the folder.
var repository = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// split splits a command line at blanks outside double quotes.
func split(line string) (words []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}

// Every command that a document names exists, with the flags that it names.
func TestTheDocumentsNameRealCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	span := regexp.MustCompile("`dispatcher ([^`]+)`")
	for _, file := range append(files, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.Join(codeBlocks(t, file, "console"), "\n"), "\n")
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, "dispatcher "+m[1])
		}
		for _, line := range lines {
			words, ok := strings.CutPrefix(strings.TrimSpace(line), "dispatcher ")
			if !ok {
				continue
			}
			root := newRootCommand(process{now: time.Now})
			cmd, rest, err := root.Find(split(words))
			if err != nil || cmd == root && !strings.HasPrefix(words, "-") {
				t.Errorf("%s: %q: no such command (%v)", file, line, err)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %q: %v", file, line, err)
			}
		}
	}
}
