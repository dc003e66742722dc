package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dispatcher/internal/store"
)

// editors is a site whose config is edited by scripts: each line of shell has the copy's path in $1.
type editors struct{ *site }

func newEditors(t *testing.T) editors {
	t.Helper()
	e := editors{newSite(t, freePort(t))}
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "forms at the harbour")
	return e
}

// edit runs config edit with an editor that runs the scripts, one each time it is opened. Somebody at the terminal answers.
func (e editors) edit(answers string, scripts ...string) result {
	e.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\nturn=$(cat %[1]q/turn 2>/dev/null || echo 0)\necho $((turn+1)) >%[1]q/turn\ncase $turn in\n", e.dir)
	for i, script := range scripts {
		fmt.Fprintf(&b, "%d) set -- \"$2\"; %s;;\n", i, script)
	}
	b.WriteString("*) exit 9;;\nesac\n")
	editor := e.write("editor.sh", b.String())
	if err := os.Remove(filepath.Join(e.dir, "turn")); err != nil && !os.IsNotExist(err) {
		e.t.Fatal(err)
	}
	return e.runWith(process{
		stdin: strings.NewReader(answers), now: time.Now, terminal: true,
		environ: []string{"PATH=" + os.Getenv("PATH"), "EDITOR=sh " + editor + " --wait"},
	}, "config", "edit")
}

func (e editors) config() string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, "config.yaml"))
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

// copies are the copies that were left behind.
func (e editors) copies() []string {
	e.t.Helper()
	left, err := filepath.Glob(filepath.Join(e.dir, ".config-*"))
	if err != nil {
		e.t.Fatal(err)
	}
	return left
}

const tuesday = `sed -i 's/Mon 09:00/Tue 10:00/' "$1"`

func TestAnEditedConfigIsTakenWithItsModeAndShowsWhatChanges(t *testing.T) {
	e := newEditors(t)
	path := filepath.Join(e.dir, "config.yaml")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	e.ok("fetch")
	r := e.edit("y\n", tuesday)
	if r.code != exitDone || !strings.Contains(e.config(), "Tue 10:00") || len(e.copies()) > 0 {
		t.Fatalf("exit code %d, left %q\n%s%s%s", r.code, e.copies(), r.stdout, r.stderr, e.config())
	}
	for _, want := range []string{"  - weekly: Mon", "09:00", "  + weekly: Tue", "10:00", "3 readers", "is replaced", "Nobody serves"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, r.stdout)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func TestWhatIsWrongIsToldAndCanBeEditedAgain(t *testing.T) {
	e := newEditors(t)
	r := e.edit("\ny\n", `sed -i 's/Mon 09:00/someday/; s/^publisher:/pulbisher:/' "$1"`, `sed -i 's/someday/Tue 10:00/; s/^pulbisher:/publisher:/' "$1"`)
	if r.code != exitDone || !strings.Contains(e.config(), "Tue 10:00") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, want := range []string{e.dir + `/config.yaml:2: pulbisher: unknown key`, `/config.yaml:9: lists[0].schedule: "someday"`, "Edit it again?"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("it does not say %q:\n%s", want, r.stderr)
		}
	}
}

func TestAConfigThatIsNotTakenStaysAsItWas(t *testing.T) {
	notUnderRace(t)
	for name, tt := range map[string]struct{ answers, script, says string }{
		"nothing changed":         {"", `true`, "Nothing was changed."},
		"not wanted after all":    {"n\n", tuesday, "stays as it was"},
		"wrong, and left":         {"n\n", `echo 'nonsense: 1' >>"$1"`, "nonsense: unknown key"},
		"forgets readers":         {"n\n", `sed -i '/id: weekly/d' "$1"`, `lists: are without weekly, which has 3 readers in the database; put it back, write was: weekly beside its new id, or put it back with retired: true`},
		"the editor fails":        {"y\n", `exit 3`, "running the editor"},
		"somebody else was there": {"y\n", tuesday + `; echo '# mine' >>"$(dirname "$1")/config.yaml"`, "somebody else has changed it meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEditors(t)
			r := e.edit(tt.answers, tt.script)
			if got := e.config(); strings.TrimSuffix(got, "# mine\n") != e.site.config {
				t.Errorf("the config is\n%s", got)
			}
			if !strings.Contains(r.stdout+r.stderr, tt.says) {
				t.Errorf("it does not say %q:\n%s%s", tt.says, r.stdout, r.stderr)
			}
			for _, left := range e.copies() {
				if !strings.Contains(r.stderr, "kept in "+left) {
					t.Errorf("%s was left behind without a word:\n%s", left, r.stderr)
				}
			}
		})
	}
}

func TestEditingWithoutATerminalNeedsYes(t *testing.T) {
	e := newEditors(t)
	p := process{stdin: strings.NewReader(""), now: time.Now, environ: []string{"PATH=" + os.Getenv("PATH"), "EDITOR=" + `sed -i 's/Mon 09:00/Tue 10:00/'`}}
	if r := e.runWith(p, "config", "edit"); r.code != exitUsage || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if r := e.runWith(p, "config", "edit", "--yes"); r.code != exitDone || !strings.Contains(e.config(), "Tue 10:00") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	p.environ[1] = "EDITOR=" + `sed -i 's/Tue 10:00/someday/'`
	if r := e.runWith(p, "config", "edit", "--yes"); r.code != exitUsage || strings.Contains(e.config(), "someday") || len(e.copies()) != 1 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func TestAConfigBehindALinkIsReplacedWhereItIs(t *testing.T) {
	e := newEditors(t)
	path, real := filepath.Join(e.dir, "config.yaml"), filepath.Join(t.TempDir(), "real.yaml")
	if err := os.Rename(path, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	if r := e.edit("y\n", tuesday); r.code != exitDone {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 || !strings.Contains(e.config(), "Tue 10:00") {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
}

// runAsServe makes the test binary hold the lock of the database in a folder.
const runAsServe = "RUN_TEST_BINARY_AS_SERVE_IN"

// beServe holds the lock of a serve. It takes the first new config over, and no other.
func beServe(dir string) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	db, err := store.Open(context.Background(), dir, time.Now())
	if err == nil {
		_, err = db.LockMailer("serve")
	}
	fmt.Println("serving")
	for n := 1; err == nil; n++ {
		<-hangups
		err = db.NoteReloads(store.Reloads{Begun: n, Ended: n, Refused: map[bool]string{false: "the address is taken"}[n == 1]})
	}
	fmt.Println(err)
	os.Exit(exitFailed)
}

func TestARunningServeIsToldOfTheNewConfig(t *testing.T) {
	e := newEditors(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), runAsServe+"="+filepath.Join(e.dir, "data"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.launch(cmd)
	said := make([]byte, 100)
	if n, err := out.Read(said); string(said[:n]) != "serving\n" {
		t.Fatalf("it said %q, %v", said[:n], err)
	}
	r := e.edit("y\n", tuesday)
	if want := fmt.Sprintf("serve, process %d, works by it", cmd.Process.Pid); r.code != exitDone || !strings.Contains(r.stdout, want) {
		t.Errorf("exit code %d, it does not say %q:\n%s%s", r.code, want, r.stdout, r.stderr)
	}
	r = e.edit("y\n", `sed -i 's/Tue 10:00/Wed 11:00/' "$1"`)
	if r.code != exitFailed || !strings.Contains(r.stderr, "goes on by the old one: the address is taken") {
		t.Errorf("of a config that serve refuses: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestTheUnitOfAProcessIsFoundInItsGroups(t *testing.T) {
	for groups, want := range map[string]string{
		"0::/system.slice/dispatcher.service\n":                             "dispatcher.service",
		"0::/system.slice/system-dispatcher.slice/dispatcher@two.service\n": "dispatcher@two.service",
		"12:cpu:/\n1:name=systemd:/system.slice/dispatcher.service\n":       "dispatcher.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice\n":      "",
		"0::/system.slice/cron.service\n":                                   "",
		"0::/\n":                                                            "",
		"":                                                                  "",
	} {
		if got := unitIn(groups); got != want {
			t.Errorf("%q is of %q, want %q", groups, got, want)
		}
	}
}
