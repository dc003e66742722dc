package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"dispatcher/internal/config"
	"dispatcher/internal/smtptest"
)

// adminPages are the pages about running dispatcher whose every command is run here.
var adminPages = []string{"install", "configure", "relays", "dns", "bounces", "privacy", "troubleshooting"}

// allPages are the README and all of docs.
func allPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		pages = append(pages, filepath.Join(repository, name))
	}
	return pages
}

func page(name string) string { return filepath.Join(repository, "docs", name+".md") }

func text(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newspage is a site as a page of the docs finds it: items in the queue, one of them urgent, and a reader.
func newspage(t *testing.T) *site {
	t.Helper()
	s := newSite(t, newRelay(t, smtptest.Config{}).Port)
	s.write("items.jsonl", `{"title":"A letter from the north wing","url":"https://magazine.example/letter","summary":"A letter."}
{"title":"Open the doors","url":"https://magazine.example/doors","summary":"Sign.","petition":"https://act.example/doors","urgent":true}
`)
	s.ok("import", s.dir+"/items.jsonl")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "asked for it herself")
	t.Chdir(s.dir) // where previews go
	return s
}

// Every command of every page about running dispatcher does what it is there for: it is run, in the order in which it stands there.
func TestTheCommandsOfTheAdminsPages(t *testing.T) {
	notUnderRace(t)
	for _, name := range adminPages {
		t.Run(name, func(t *testing.T) {
			s := newspage(t)
			for _, block := range codeBlocks(t, page(name), "console") {
				for line := range strings.Lines(block) {
					words := split(line)
					if len(words) == 0 || words[0] != "dispatcher" {
						t.Fatalf("%q is not a command of dispatcher: it belongs into a block of another kind", line)
					}
					s.ok(words[1:]...)
				}
			}
		})
	}
}

// What the pages have a shell do is at least something that a shell can read, and where it calls dispatcher there is such a command.
func TestTheShellOfTheAdminsPages(t *testing.T) {
	require(t, "bash")
	ours := regexp.MustCompile(`(?m)(?:^|-- |=\S+ )dispatcher (.+)$`)
	for _, file := range allPages(t) {
		for _, block := range append(codeBlocks(t, file, "sh"), codeBlocks(t, file, "console")...) {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(block)
			if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s: bash cannot read\n%s%s", filepath.Base(file), block, out)
			}
			for _, m := range ours.FindAllStringSubmatch(block, -1) {
				root := newRootCommand(process{})
				cmd, rest, err := root.Find(split(m[1]))
				if err != nil || cmd == root {
					t.Errorf("%s: %q: no such command (%v)", filepath.Base(file), m[0], err)
				} else if err := cmd.ParseFlags(rest); err != nil {
					t.Errorf("%s: %q: %v", filepath.Base(file), m[0], err)
				}
			}
		}
	}
}

// around is a whole config, by its sections. A section that a page shows takes the place of the one here.
var around = []struct{ section, text string }{
	{"public_url", "public_url: https://news.example.org\n"},
	{"publisher", "publisher: {name: Example Magazine, from: news@example.org, postal_address: \"1 Example Street, Springfield\"}\n"},
	{"relays", "relays: [{host: smtp.example.org, username: news, password_file: relay.password}]\n"},
	{"topics", "topics: [{id: justice}]\n"},
	{"feeds", "feeds: [{url: \"https://magazine.example/feed/\"}]\n"},
	{"lists", "lists: [{id: weekly, schedule: Mon 09:00, timezone: America/New_York}]\n"},
}

// Every piece of config on every page can be used as it stands: it is read without a problem or a warning.
func TestTheConfigsOfThePages(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "relay.password"), []byte("a password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := 0
	files := []string{filepath.Join(repository, "README.md")}
	for _, name := range adminPages {
		files = append(files, page(name))
	}
	for _, file := range files {
		for _, block := range codeBlocks(t, file, "yaml") {
			whole := block
			for _, part := range around {
				if !regexp.MustCompile(`(?m)^` + part.section + `:`).MatchString(block) {
					whole += part.text
				}
			}
			path := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(path, nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(file), err, block)
			} else if warnings := cfg.Warnings(); len(warnings) > 0 {
				t.Errorf("%s: %v\n%s", filepath.Base(file), warnings, block)
			}
			read++
		}
	}
	if read < 15 {
		t.Errorf("only %d pieces of config are found", read)
	}
}

// The web servers' examples lead to the readers' pages, and nothing leads to the admin listener.
func TestTheWebServersOfThePages(t *testing.T) {
	listen := config.Default().HTTP
	found := 0
	for _, kind := range []string{"nginx", "caddy"} {
		for _, block := range codeBlocks(t, page("install"), kind) {
			found++
			if strings.Count(block, "{") != strings.Count(block, "}") {
				t.Errorf("%s: a brace is not closed\n%s", kind, block)
			}
			if !strings.Contains(block, listen.Listen) || strings.Contains(block, listen.AdminListen) {
				t.Errorf("%s: it must lead to %s alone\n%s", kind, listen.Listen, block)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d examples of web servers are found", found)
	}
}

// The statements that erase a reader leave nothing of her in the database's files, and an import does not bring her back.
func TestTheStatementsThatErase(t *testing.T) {
	notUnderRace(t)
	s := newspage(t)
	const address, name = "wanda.forget@example.net", "Wanda Forget"
	for i := range 5 {
		s.ok("subscribers", "add", fmt.Sprintf("reader%d@example.net", i), "--list", "weekly", "--confirmed", "form")
	}
	s.ok("subscribers", "add", address, "--name", name, "--list", "weekly", "--confirmed", "a letter of Wanda Forget")
	if shown := s.ok("subscribers", "show", address); !strings.Contains(shown, "subscriber    7\n") {
		t.Fatalf("she has another number than on the page:\n%s", shown)
	}
	s.ok("send", "weekly", "--yes")
	s.ok("items", "done", "2", "--subscriber", address)
	data := filepath.Join(s.dir, "data")
	inDatabase(t, filepath.Join(data, "dispatcher.db"), codeBlocks(t, page("privacy"), "sql")[0])
	files, err := filepath.Glob(filepath.Join(data, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content := text(t, file)
		if strings.Contains(content, address) || strings.Contains(content, name) {
			t.Errorf("%s still has her", filepath.Base(file))
		}
	}
	if said := s.ok("subscribers", "add", address, "--list", "weekly", "--confirmed", "an old file"); !strings.Contains(said, "suppressed and gets nothing") {
		t.Errorf("she is added again: %s", said)
	}
}

// Where a page says what the log or a command says, something in dispatcher says it.
func TestWhatThePagesQuote(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"cmd/dispatcher/*.go", "internal/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				source.WriteString(text(t, file))
			}
		}
	}
	quoted := 0
	for _, name := range adminPages {
		for _, m := range regexp.MustCompile("(?:says|prints|log|line in the log,?) \\(?`([^`]+)`").FindAllStringSubmatch(strings.ReplaceAll(text(t, page(name)), "\n", " "), -1) {
			quoted++
			if !strings.Contains(source.String(), m[1]) {
				t.Errorf("%s: nothing says %q", name, m[1])
			}
		}
	}
	if quoted < 10 {
		t.Errorf("only %d quotations are found", quoted)
	}
}

// Links in the documents lead somewhere: to a file that is there, and to a heading that it has.
func TestTheDocumentsLinksLeadSomewhere(t *testing.T) {
	anchors := map[string][]string{}
	link := regexp.MustCompile(`(?:\]\(|src=")([^)#" ]*)(?:#([^)" ]*))?[)"]`)
	for _, file := range allPages(t) {
		for _, m := range link.FindAllStringSubmatch(text(t, file), -1) {
			if strings.HasPrefix(m[1], "http") {
				continue
			}
			target := file
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
				continue
			}
			if m[2] == "" {
				continue
			}
			if anchors[target] == nil {
				anchors[target] = headings(text(t, target))
			}
			if !slices.Contains(anchors[target], m[2]) {
				t.Errorf("%s: %s has no heading %q", filepath.Base(file), filepath.Base(target), m[2])
			}
		}
	}
}

// headings are the anchors of a page's headings, as GitHub makes them.
func headings(page string) (anchors []string) {
	page = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return anchors
}
