package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExportIsWhatImportReads(t *testing.T) {
	notUnderRace(t)
	here, there := newSite(t, 25), newSite(t, 25)
	here.ok("subscribers", "import", here.write("fair.csv", `email,name,language,timezone,lists,topics
ada@example.net,"Ada, of the harbour",fa,Asia/Tehran,weekly;urgent,harbour;sea
=bea@example.net,=HYPERLINK(1),en,,weekly,
'+cy@example.net,''-Cy,,,urgent,
Dee@Example.NET,@dee,,,urgent,
`), "--confirmed", `form at the "spring fair"`)
	here.ok("subscribers", "add", "eve@example.net", "--list", "weekly,urgent")
	here.ok("subscribers", "add", "eve@example.net", "--list", "weekly", "--confirmed", "by letter")
	path := filepath.Join(here.dir, "data", "dispatcher.db")
	inDatabase(t, path, `UPDATE subscriptions SET state = 'ended', ended_by = 'unsubscribe link', before_end = 'confirmed' WHERE subscriber = 1 AND list = 'urgent'`)
	inDatabase(t, path, `INSERT INTO suppressions SELECT address_hash, 'hard bounce', '', 1 FROM subscribers WHERE id = 4`)
	file := here.ok("subscribers", "export")
	for _, armed := range []string{"\n=", ",=", ",@", "\n+", ",-"} {
		if strings.Contains(file, armed) {
			t.Errorf("a spreadsheet would compute %q in\n%s", armed, file)
		}
	}
	there.ok("subscribers", "import", there.write("all.csv", file))
	var want, got []exportView
	here.okJSON(&want, "subscribers", "export")
	there.okJSON(&got, "subscribers", "export")
	if len(want) != 5 || want[3].Suppressed != "hard bounce" || want[0].Subscriptions[0].State != "ended" || want[1].Name != "=HYPERLINK(1)" || want[2].Name != "'-Cy" {
		t.Errorf("the readers are %+v", want)
	}
	for i := range got {
		got[i].Created = want[min(i, len(want)-1)].Created // they are new there
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(exportView{})); d != "" {
		t.Error(d)
	}
	if again := there.ok("subscribers", "export"); again != file {
		t.Errorf("the file changes on its way:\n%s\nwas\n%s", again, file)
	}
	there.ok("subscribers", "import", there.write("all.csv", file), "--confirmed", "hope")
	if again := there.ok("subscribers", "export"); again != file {
		t.Errorf("a second import has changed\n%s\nwas\n%s", again, file)
	}
}

func TestExportOfSome(t *testing.T) {
	notUnderRace(t)
	s := newSite(t, 25)
	s.ok("subscribers", "add", "ada@example.net", "--list", "weekly", "--confirmed", "the fair")
	s.ok("subscribers", "add", "ada@example.net", "--list", "urgent")
	s.ok("subscribers", "add", "bea@example.net", "--list", "urgent")
	tests := map[string]struct {
		flags []string
		want  string // addresses and lists
	}{
		"all":            {nil, "ada urgent, ada weekly, bea urgent"},
		"of a list":      {[]string{"--list", "weekly"}, "ada weekly"},
		"in a state":     {[]string{"--state", "pending"}, "ada urgent, bea urgent"},
		"both":           {[]string{"--state", "pending", "--list", "weekly"}, ""},
		"those who left": {[]string{"--state", "ended"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var all []exportView
			s.okJSON(&all, append([]string{"subscribers", "export"}, tt.flags...)...)
			var got []string
			for _, e := range all {
				for _, c := range e.Subscriptions {
					local, _, _ := strings.Cut(string(e.Address), "@")
					got = append(got, local+" "+c.List)
				}
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("exported %q, want %q", got, tt.want)
			}
		})
	}
	for _, flags := range [][]string{{"--state", "gone"}, {"--list", "daily"}} {
		if r := s.run(append([]string{"subscribers", "export"}, flags...)...); r.code != exitUsage {
			t.Errorf("%q: exit code %d: %s", flags, r.code, r.stderr)
		}
	}
}

func TestExportToAFile(t *testing.T) {
	s := newSite(t, 25)
	s.ok("subscribers", "import", s.readers(3))
	path := filepath.Join(s.dir, "out.json")
	s.ok("subscribers", "export", "--json", "--out", path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || !json.Valid(text) {
		t.Errorf("the file has mode %v and holds\n%s", info.Mode(), text)
	}
	r := s.run("subscribers", "export", "--out", path)
	after, err := os.ReadFile(path)
	if r.code != exitUsage || err != nil || string(after) != string(text) {
		t.Errorf("exit code %d, error %v: %s", r.code, err, r.stderr)
	}
}

func TestImportOfExportedRowsIsChecked(t *testing.T) {
	s := newSite(t, 25)
	file := s.write("some.csv", `email,lists,state,consent,consent_at
a@example.net,weekly,confirmed,,
b@example.net,weekly,perhaps,,
c@example.net,weekly,confirmed,the fair,yesterday
d@example.net,weekly,confirmed,the fair,2999-01-01T00:00:00Z
e@example.net,weekly,ended,,
`)
	r := s.run("subscribers", "import", file)
	for _, want := range []string{"line 2: not imported: state: it is confirmed, and nothing says where", "line 3: not imported: state: it must be", "line 4: not imported: consent_at", "line 5: not imported: consent_at"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is missing in\n%s", want, r.stderr)
		}
	}
	if !strings.Contains(r.stdout, "5 rows read: 1 new") {
		t.Error(r.stdout)
	}
}

// A restore by export and import: a row keeps the lists that there are, those that are retired too, and who is suppressed stays so, also where
// no list of hers is left.
func TestImportLosesNoReaderForOneOfHerLists(t *testing.T) {
	s := newSite(t, freePort(t))
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "forms at the harbour") // of weekly and urgent
	file := s.dir + "/readers.out"
	s.ok("subscribers", "export", "--out", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "\n")
	row := strings.Repeat(",", strings.Count(head, ",")) + "\n"
	column := slices.Index(strings.Split(head, ","), "suppressed")
	cells := strings.Split(strings.TrimSpace(row), ",")
	cells[0], cells[column] = "gone@example.net", "complaint"
	s.write("readers.out", strings.Replace(string(text), "urgent", "vanished", 1)+strings.Join(cells, ",")+"\n")
	if err := os.RemoveAll(s.dir + "/data"); err != nil {
		t.Fatal(err)
	}
	s.config = strings.Replace(s.config, "{id: weekly, ", "{id: weekly, retired: true, ", 1)
	s.write("config.yaml", s.config)
	r := s.run("subscribers", "import", file)
	if r.code != exitDone || !strings.Contains(r.stderr, "imported in part") || !strings.Contains(r.stderr, "vanished") || !strings.Contains(r.stdout, "3 rows read: 3 new") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if weekly, urgent := s.ok("subscribers", "list", "--list", "weekly"), s.ok("subscribers", "list", "--list", "urgent"); strings.Count(weekly, "@") != 2 || strings.Count(urgent, "@") != 1 {
		t.Errorf("weekly has\n%surgent has\n%s", weekly, urgent)
	}
	if shown := s.ok("subscribers", "show", "gone@example.net"); !strings.Contains(shown, "complaint") {
		t.Errorf("who was suppressed is\n%s", shown)
	}
}

// Whatever is wrong with a row: who is suppressed stays so, and who has left a list has left it.
func TestImportLosesNoWarning(t *testing.T) {
	s := newSite(t, 25)
	s.ok("subscribers", "import", s.write("before.csv", "email,lists\nreader1@example.net,weekly\n"), "--confirmed", "the fair")
	s.renamed("{id: monday, was: weekly, ")
	if err := renaming(t, s).renameLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := s.write("some.csv", `email,lists,timezone,language,state,consent_at,suppressed
zone@example.net,urgent,Europe/Atlantis,,confirmed,,complaint
language@example.net,urgent,,none at all,confirmed,,complaint
evidence@example.net,urgent,,,confirmed,,complaint
moment@example.net,urgent,,,confirmed,2999-01-01T00:00:00Z,complaint
state@example.net,urgent,,,perhaps,,complaint
left@example.net,weekly,Europe/Atlantis,,ended,,
nobody,urgent,,,ended,,complaint
`)
	r := s.run("subscribers", "import", file)
	if r.code != exitDone || strings.Count(r.stderr, ": imported in part: ") != 6 || strings.Count(r.stderr, ": not imported: ") != 1 {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, local := range []string{"zone", "language", "evidence", "moment", "state"} {
		if shown := s.ok("subscribers", "show", local+"@example.net"); !strings.Contains(shown, "complaint") || strings.Contains(shown, "confirmed") {
			t.Errorf("%s is\n%s", local, shown)
		}
	}
	if shown := s.ok("subscribers", "show", "left@example.net"); !strings.Contains(shown, "monday ended") {
		t.Errorf("who has left the list that was renamed is\n%s", shown)
	}
}
