package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// A backup is made in the midst of sending: nobody gets a second copy or none, and the file has a copy for each reader in one state or another.
func TestABackupInTheMidstOfSending(t *testing.T) {
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: paced(random)}})
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(size.readers / 3)
	var made backupView
	file := filepath.Join(t.TempDir(), "backup.db")
	r.okJSON(&made, "backup", file)
	if c := r.done(serve); c.Sent != r.readers {
		t.Errorf("the ledger has %+v", c)
	}
	r.eachOnce()
	info, err := os.Stat(file)
	if err != nil || made.Path != file || made.Bytes != info.Size() || made.Seconds <= 0 || info.Mode() != 0o600 {
		t.Errorf("it says %+v of a file with mode %v (%v)", made, info, err)
	}
	other := newSite(t, 1)
	if err := os.Mkdir(filepath.Join(other.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	shell(t, "cp", file, filepath.Join(other.dir, "data", "dispatcher.db"))
	if c := other.edition(); c.Audience != r.readers || c.Sent < size.readers/3-connections || c.Sent+c.Pending != r.readers {
		t.Errorf("the backup has %+v", c.editionView)
	}
}

func TestWhatBackupSays(t *testing.T) {
	s := newSite(t, 1)
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "form")
	file := filepath.Join(s.dir, "backup.db")
	if out := s.ok("backup", file); !strings.HasPrefix(out, file+": ") || !strings.Contains(out, "readers' addresses") {
		t.Errorf("it says %q", out)
	}
	if r := s.run("backup", file); r.code != exitFailed || !strings.Contains(r.stderr, "--force") || r.stdout != "" {
		t.Errorf("where there is one: %+v", r)
	}
	s.ok("backup", file, "--force")
	if r := s.run("backup", filepath.Join(s.dir, "none", "backup.db")); r.code != exitFailed || !strings.Contains(r.stderr, "make the folder first") {
		t.Errorf("in no folder: %+v", r)
	}
	if r := s.run("backup", filepath.Join(s.dir, "data", "dispatcher.db"), "--force"); r.code != exitFailed || !strings.Contains(r.stderr, "belongs to the database itself") {
		t.Errorf("over the database: %+v", r)
	}
	if r := s.run("backup"); r.code != exitUsage {
		t.Errorf("without a file: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	p := process{stdin: strings.NewReader(""), stdout: &errs, stderr: &errs, now: time.Now}
	another := filepath.Join(s.dir, "another.db")
	if code := run(ctx, p, []string{"--config", filepath.Join(s.dir, "config.yaml"), "backup", another}); code != exitFailed || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("interrupted: %d, %s", code, &errs)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, ".*")); len(left) > 0 {
		t.Errorf("something is left behind: %q", left)
	}
}

// Where there is no room for a backup it says so before it begins; check says it before that. It is a warning: a reload may be a part of the cure.
func TestADiskThatGetsShort(t *testing.T) {
	disk := smallDisk(t)
	s := newSite(t, 1, "data_dir: "+disk)
	said := func() finding {
		t.Helper()
		var found []finding
		r := s.run("check", "--json")
		if err := json.Unmarshal([]byte(r.stdout), &found); err != nil {
			t.Fatalf("check prints no JSON: %v\n%s", err, r.stdout)
		}
		for _, f := range found {
			if f.Where == "disk" {
				if (f.Level == "error") != (r.code == exitFailed) {
					t.Errorf("check ends with %d for %+v", r.code, f)
				}
				return f
			}
		}
		return finding{}
	}
	if f := said(); f.Level != "warning" || !strings.Contains(f.What, "nothing is sent any more") || !strings.Contains(f.What, disk) {
		t.Errorf("with less than 24 MB check says %+v", f)
	}
	shell(t, "mount", "-o", "remount,size=150m", disk)
	if f := said(); f.Level != "warning" || !strings.Contains(f.What, "keep_deliveries") {
		t.Errorf("with less than 150 MB check says %+v", f)
	}
	shell(t, "mount", "-o", "remount,size=400m", disk)
	if f := said(); f != (finding{}) {
		t.Errorf("with 400 MB check says %+v", f)
	}
	shell(t, "mount", "-o", "remount,size=24m", disk)
	fill(t, disk)
	other := newSite(t, 1)
	other.ok("editions", "list")
	if r := other.run("backup", filepath.Join(disk, "backup.db")); r.code != exitFailed || !strings.Contains(r.stderr, "no room in "+disk) || !strings.Contains(r.stderr, "another disk") {
		t.Errorf("a backup onto a full disk: %+v", r)
	}
}
