package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

// renamed writes the config with another beginning of the list weekly.
func (s *site) renamed(line string) {
	s.t.Helper()
	changed := strings.Replace(s.config, "{id: weekly, ", line, 1)
	if changed == s.config {
		s.t.Fatal("the config has no list weekly")
	}
	s.write("config.yaml", changed)
}

// opened is the office of a command.
func (s *site) opened() *office {
	s.t.Helper()
	e := editing{process: testProcess(), path: filepath.Join(s.dir, "config.yaml")}
	o, err := e.office(s.t.Context(), e.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = o.leave() })
	return o
}

func TestCheckTellsReadersWhomTheConfigForgets(t *testing.T) {
	notUnderRace(t)
	const cure = "put it back, write was: weekly beside its new id, or put it back with retired: true"
	for name, tt := range map[string]struct{ line, says string }{
		"gone":         {"{id: monday, ", "lists: are without weekly, which has 3 readers in the database; " + cure},
		"renamed":      {"{id: monday, was: weekly, ", ""},
		"retired":      {"{id: weekly, retired: true, ", ""},
		"was another":  {"{id: monday, was: daily, ", cure},
		"two into one": {"{id: weekly, was: urgent, ", `lists[0].was: "urgent" is used in the database, and so is the id weekly: two lists cannot become one`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, freePort(t))
			s.ok("subscribers", "import", s.readers(3), "--confirmed", "forms at the harbour")
			if name == "two into one" {
				s.config = strings.Replace(s.config, "  - {id: urgent,", "  - {id: other,", 1)
			}
			s.renamed(tt.line)
			r := s.run("check")
			if !strings.Contains(r.stdout, tt.says) || (r.code == exitFailed) != (tt.says != "") {
				t.Errorf("exit code %d, it does not say %q:\n%s%s", r.code, tt.says, r.stdout, r.stderr)
			}
		})
	}
}

func TestNothingIsMadeForARetiredListAndItsReadersStayKnown(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, freePort(t))
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "forms at the harbour")
	s.renamed("{id: weekly, retired: true, ")
	for _, args := range [][]string{{"send", "weekly"}, {"preview", "weekly"}, {"subscribers", "add", "new@example.net", "--list", "weekly"}, {"plan", "--list", "weekly"}} {
		if r := s.run(args...); r.code != exitUsage || !strings.Contains(r.stderr, `take "retired: true" out of the config`) {
			t.Errorf("%q: exit code %d: %s", args, r.code, r.stderr)
		}
	}
	if r := s.run("subscribers", "import", "--list", "weekly", s.readers(3)); r.code != exitUsage || !strings.Contains(r.stderr, "retired") {
		t.Errorf("import --list: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if plan := s.ok("plan"); strings.Contains(plan, "weekly") {
		t.Errorf("plan has it:\n%s", plan)
	}
	if readers := s.ok("subscribers", "list", "--list", "weekly"); strings.Count(readers, "@example.net") != 2 {
		t.Errorf("its readers are\n%s", readers)
	}
}

// Between an edit and the reload the running serve has the old config, and so has the database.
func TestARenamedListKeepsItsOldIDUntilServeTakesTheConfigOver(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, freePort(t))
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "forms at the harbour")
	s.renamed("{id: monday, was: weekly, ")
	s.ok("subscribers", "add", "third@example.net", "--list", "monday", "--confirmed", "a form")
	if readers := s.ok("subscribers", "list", "--list", "weekly"); strings.Count(readers, "@example.net") != 3 {
		t.Errorf("readers of weekly are\n%s", readers)
	}
	o := renaming(t, s)
	for range 2 { // `was` is still there at the next start
		if err := o.renameLists(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if l := o.lists[0]; l.ID != "monday" || o.publisher.ListID(l) != "weekly.gazette.example" {
		t.Errorf("the list is %q with the List-Id %q", l.ID, o.publisher.ListID(l))
	}
	for _, line := range []string{"{id: monday, was: weekly, ", "{id: monday, "} {
		s.renamed(line)
		if l := s.opened().lists[0]; l.ID != "monday" || s.opened().publisher.ListID(l) != "weekly.gazette.example" {
			t.Errorf("with %sthe list is %+v", line, l)
		}
		if readers := s.ok("subscribers", "list", "--list", "monday"); strings.Count(readers, "@example.net") != 3 {
			t.Errorf("with %sits readers are\n%s", line, readers)
		}
		if r := s.run("check"); r.code != exitDone {
			t.Errorf("with %scheck says\n%s", line, r.stdout)
		}
	}
	if r := s.run("send", "weekly"); r.code != exitUsage || !strings.Contains(r.stderr, `it is called "monday" now`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func TestAnIDThatAListHadIsForNoOther(t *testing.T) {
	s := newSite(t, freePort(t))
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "forms at the harbour")
	s.renamed("{id: monday, was: weekly, ")
	if err := renaming(t, s).renameLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"{id: monday}\n  - {id: weekly, ": `lists[1].id: "weekly" is what the list monday was called before, and links in its old mail bear that id; ` +
			`choose another id, or write was: monday beside it to give the list its old id back`,
		"{id: weekly,  ":             `lists[0].id: "weekly" is what the list monday was called before`,
		"{id: weekly, was: monday, ": "",
		"{id: friday, was: monday, ": "",
	} {
		s.renamed(line)
		if r := s.run("check"); (r.code == exitFailed) != (want != "") || !strings.Contains(r.stdout, want) {
			t.Errorf("with %sexit code %d, it does not say %q:\n%s%s", line, r.code, want, r.stdout, r.stderr)
		}
	}
}

func TestFormerIDsAreThoseOfAllRenames(t *testing.T) {
	s := newSite(t, freePort(t))
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "forms at the harbour")
	for _, line := range []string{"{id: b, was: weekly, ", "{id: c, was: b, "} {
		s.renamed(line)
		if err := renaming(t, s).renameLists(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.renamed("{id: d, was: c, ")
	o := renaming(t, s)
	if err := o.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := newsletter.List{ID: "d", Former: []string{"weekly", "b", "c"}}
	if diff := cmp.Diff(want, newsletter.List{ID: o.lists[0].ID, Former: o.lists[0].Former}); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
}

// renaming is the office of a serve.
func renaming(t *testing.T, s *site) *office {
	t.Helper()
	cfg, err := config.Load(filepath.Join(s.dir, "config.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := openOffice(t.Context(), testProcess(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.store.Close() })
	return o
}

func testProcess() process { return process{stdout: os.Stdout, stderr: os.Stderr, now: time.Now} }

// A start goes on where a reload is refused, since the readers of the other lists wait for their mail: it says what is wrong, and a list keeps
// what it has.
func TestAStartTellsWhatAReloadRefuses(t *testing.T) {
	notUnderRace(t)
	for name, tt := range map[string]struct{ before, line, says string }{
		"gone":         {"", "{id: monday, ", "are without weekly, which has 3 readers"},
		"two into one": {"", "{id: urgent, was: weekly, ", "two lists cannot become one"},
		"another's":    {"{id: monday, was: weekly, ", "{id: monday}\n  - {id: weekly, ", "is what the list monday was called before"},
	} {
		t.Run(name, func(t *testing.T) {
			http, _ := serving(t)
			s := newSite(t, freePort(t), http)
			s.ok("subscribers", "import", s.readers(3), "--confirmed", "forms at the harbour")
			held := "weekly"
			if tt.before != "" {
				held = "monday"
				s.renamed(tt.before)
				if err := renaming(t, s).renameLists(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if name == "two into one" {
				s.config = strings.Replace(s.config, "  - {id: urgent,", "  - {id: other,", 1)
			}
			s.renamed(tt.line)
			serve := startDaemon(t, s.prepare("serve"), "serve")
			serve.says("msg=serving")
			serve.kill()
			if said := serve.log.String(); !strings.Contains(said, "level=ERROR msg=config problem=") || !strings.Contains(said, tt.says) {
				t.Errorf("it does not say %q", tt.says)
			}
			if known, err := renaming(t, s).store.KnownLists(t.Context()); err != nil || known[held].Readers != 3 {
				t.Errorf("%v: the lists are %+v, and %s had 3 readers", err, known, held)
			}
		})
	}
}

// Promise 2 over a rename: whoever waits for her copy gets it.
func TestAListIsRenamedInMidSend(t *testing.T) {
	r := newRig(t, setting{readers: sizes().many})
	serve := r.serve()
	r.answers(serve)
	r.send()
	ids := []string{"id: weekly", "id: monday, was: weekly", "id: friday, was: monday", "id: weekly, was: friday"}
	for n, id := range ids[1:] {
		r.accepted(r.readers * (n + 1) / 6)
		r.write("config.yaml", strings.Replace(r.config, ids[0], id, 1))
		serve.reload(reloaded, n+1)
	}
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
}
