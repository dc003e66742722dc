package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dispatcher/internal/store"
)

func TestStatusWithoutDatabaseMakesNothing(t *testing.T) {
	s := newSite(t, 25)
	if out := s.ok(); !strings.Contains(out, "Nothing here yet") || !strings.Contains(out, "dispatcher serve") {
		t.Errorf("it says nothing of how to begin:\n%s", out)
	}
	var v statusView
	s.okJSON(&v)
	if v.Database != nil {
		t.Errorf("there is a database %s", *v.Database)
	}
	s.run("__complete", "items", "show", "")
	if _, err := os.Stat(filepath.Join(s.dir, "data")); !os.IsNotExist(err) {
		t.Errorf("who looked has made a data folder: %v", err)
	}
}

func TestStatusTellsProblemsFirst(t *testing.T) {
	s := newSite(t, 25)
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(3), "--confirmed", "the fair")
	s.ok("send", "weekly", "--yes")
	s.ok("editions", "pause", "1", "--reason", "a typo in the title")
	before := folder(t, filepath.Join(s.dir, "data"))
	out := s.ok()
	if got := folder(t, filepath.Join(s.dir, "data")); got != before {
		t.Errorf("status has changed the data folder:\n%s\nwas\n%s", got, before)
	}
	last := 0
	for _, want := range []string{"nobody serves", "a typo in the title; `dispatcher editions show 1`", "Not serving.", "digest lane: 3 copies pending", "STATE", "NEXT", "weekly"} {
		if at := strings.Index(out[last:], want); at < 0 {
			t.Errorf("%q is missing or too early in\n%s", want, out)
		} else {
			last += at
		}
	}
	var v statusView
	s.okJSON(&v)
	if len(v.Editions) != 1 || v.Editions[0].Pending != 3 || len(v.Next) != 2 || v.Next[0].List != "weekly" || v.Next[0].Readers != 3 || v.Next[1].At != nil {
		t.Errorf("status is %+v", v)
	}
}

// folder is what a folder holds, by name, size and time.
func folder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(e.Name() + " " + info.ModTime().Format(time.RFC3339Nano) + " " + size(info.Size()) + "\n")
	}
	return b.String()
}

func TestStatusBesideServe(t *testing.T) {
	s := newSite(t, 25)
	s.ok("check")
	db, err := store.Open(t.Context(), filepath.Join(s.dir, "data"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	release, err := db.LockMailer("serve")
	if err != nil {
		t.Fatal(err)
	}
	if out := s.ok(); !strings.Contains(out, "\nServing.") || strings.Contains(out, "nobody serves") {
		t.Errorf("while one holds the mailer's lock status says\n%s", out)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if out := s.ok(); !strings.Contains(out, "nobody serves") {
		t.Errorf("when nobody holds it status says\n%s", out)
	}
}

func TestStatusOfANewerDatabase(t *testing.T) {
	s := newSite(t, 25)
	s.ok("check")
	inDatabase(t, filepath.Join(s.dir, "data", store.FileName), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	if r := s.run(); r.code != exitFailed || !strings.Contains(r.stderr, "install the version that wrote it") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// What may not be read is told with the way to read it. Root may read everything: then nobody asks.
func TestWhatMayNotBeReadIsTold(t *testing.T) {
	s := newSite(t, 25)
	s.ok("check")
	for path, mode := range map[string]os.FileMode{filepath.Dir(s.dir): 0o755, s.dir: 0o755, filepath.Join(s.dir, "config.yaml"): 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"data", "config.yaml"} {
		path = filepath.Join(s.dir, path)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{nil, {"items", "list"}} {
			cmd := s.prepare(args...)
			if os.Getuid() == 0 {
				cmd.Path = "/proc/self/exe" // nobody may not come to the folder that it is in
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), path) || !strings.Contains(stderr.String(), "runuser -u dispatcher --") {
				t.Errorf("%s, %q: %v: %s", path, args, err, stderr.String())
			}
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoConfigYet(t *testing.T) {
	if _, err := os.Stat(standardConfig); err == nil {
		t.Skip("this machine has a config")
	}
	var out, errs strings.Builder
	p := process{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now}
	if code := run(t.Context(), p, []string{}); code != exitDone || !strings.Contains(out.String(), "dispatcher demo   shows") {
		t.Errorf("exit code %d:\n%s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := run(t.Context(), p, []string{"--json"}); code != exitUsage || out.Len() > 0 {
		t.Errorf("a script gets exit code %d and %q", code, out.String())
	}
}

func TestStatusTellsHeldMailAndItems(t *testing.T) {
	s := newSite(t, 25)
	s.ok("fetch")
	s.ok("items", "hold", "1")
	s.ok("send", "urgent", "--yes") // nothing goes: it is no failure
	inDatabase(t, filepath.Join(s.dir, "data", store.FileName), `INSERT INTO house (one, identity, beats, last_seen, held) VALUES (1, 'x', 1, 0, 'the sea has it')`)
	out := s.ok("--json")
	var v statusView
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if v.Held != "the sea has it" || !strings.Contains(out, "`dispatcher release` lets it go") || !strings.Contains(out, "1 item held: by an editor") {
		t.Errorf("status says %s", out)
	}
}
