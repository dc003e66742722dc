package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// administered does what a page tells an admin to do, in her order: commands of dispatcher and of the shell run with the folders of a site in
// place of the package's, and the service is a serve of the test's.
type administered struct {
	*era
	serving *daemon
	paths   *strings.Replacer
}

func administer(e *era) *administered {
	e.t.Helper()
	if err := os.Mkdir(filepath.Join(e.dir, "backups"), 0o700); err != nil {
		e.t.Fatal(err)
	}
	return &administered{era: e, paths: strings.NewReplacer("/var/lib/dispatcher", filepath.Join(e.dir, "data"), "/var/backups", filepath.Join(e.dir, "backups"),
		"-o dispatcher -g dispatcher", fmt.Sprintf("-o %d -g %d", os.Getuid(), os.Getgid()))}
}

func (a *administered) does(line string) {
	a.t.Helper()
	line = strings.TrimSpace(line)
	if words, ok := strings.CutPrefix(line, "15 3 * * * root "); ok {
		line = strings.ReplaceAll(words, `\%`, "%")
	}
	switch line {
	case "systemctl stop dispatcher":
		a.serving.terminate()
	case "systemctl start dispatcher":
		a.serving = a.serve()
	default:
		cmd := exec.Command("bash", "-euc", `dispatcher() { "$BINARY" --config "$CONFIG" "$@"; }`+"\n"+a.paths.Replace(line))
		cmd.Env = append(os.Environ(), runAsMain+"=1", "BINARY="+os.Args[0], "CONFIG="+filepath.Join(a.dir, "config.yaml"))
		if out, err := cmd.CombinedOutput(); err != nil {
			a.t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// commandBlocks are the blocks of a page that are commands, in order.
func commandBlocks(t *testing.T, name string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```(?:console|sh|cron)\n(.*?)```").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// The page about backups, from the first line to the last: a backup while an edition goes out, another edition, the restoring. What had gone out
// already is dealt with as the page says, and nobody gets it twice; what comes after goes.
func TestTheCommandsAboutBackups(t *testing.T) {
	notUnderRace(t)
	require(t, "bash")
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, time.Now(), "  - {id: weekly, schedule: \"0 9 1 1 *\"}\n  - {id: urgent, kind: alert}\n")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	a := administer(e)
	a.serving = e.serve()
	e.ok("send", "weekly", "--yes")
	e.sent(a.serving, "weekly", 1)

	blocks := commandBlocks(t, "backup")
	const makes, nightly, restores, looks, carries, releases, checks = 0, 1, 2, 3, 4, 5, 6
	if len(blocks) != checks+1 {
		t.Fatalf("the page has %d blocks of commands", len(blocks))
	}
	do := func(block int) {
		t.Helper()
		for line := range strings.Lines(blocks[block]) {
			a.does(line)
		}
	}
	do(makes)
	do(nightly)
	e.ok("subscribers", "add", "joined@example.net", "--list", "weekly", "--confirmed", "form")
	e.bring(anArticle("ferry", e.clock.now()))
	e.ok("send", "weekly", "--yes")
	e.sent(a.serving, "weekly", 2)

	do(restores)
	a.serving.says("all mail is held back")
	e.bring(anArticle("ferry", e.clock.now())) // as its feed would
	do(looks)
	if all := e.editions("weekly"); len(all) != 1 || all[0].Sent != 3 {
		t.Errorf("the restored database has %+v", all)
	}
	do(carries)
	do(releases)
	do(checks)
	if r := e.run("send", "weekly", "--yes"); !strings.Contains(r.stdout+r.stderr, "nothing new") {
		t.Errorf("what went out before would go again: %+v", r)
	}
	if n := relay.Counts().Accepted; n != 7 {
		t.Errorf("%d messages are out, want the seven from before the restoring", n)
	}
	e.bring(anArticle("crane", e.clock.now()))
	e.ok("send", "weekly", "--yes")
	e.sent(a.serving, "weekly", 3)
	if n := relay.Counts().Accepted; n != 11 {
		t.Errorf("%d messages are out, want four more", n)
	}
	if files, err := filepath.Glob(filepath.Join(e.dir, "backups", "*")); err != nil || len(files) != 2 {
		t.Errorf("the backups are %q", files)
	}
}

// An edition that was on its way when the backup was made goes on after the restoring: who had it since then gets it twice, under the same
// Message-ID; who had it before gets it once.
func TestARestoredEditionGoesOn(t *testing.T) {
	held := make(chan struct{})
	relay := newRelay(t, smtptest.Config{Script: heldFrom(2, held)})
	e := newEra(t, relay.Port, time.Now(), "  - {id: weekly, schedule: \"0 9 1 1 *\"}\n  - {id: urgent, kind: alert}\n")
	e.config = strings.Replace(e.config, fmt.Sprintf("port: %d", relay.Port), fmt.Sprintf("port: %d, connections: 1", relay.Port), 1)
	e.write("config.yaml", e.config)
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	a := administer(e)
	a.serving = e.serve()
	e.ok("send", "weekly", "--yes")
	eventually(t, "the first copy is sent", func() bool { return e.editions("weekly")[0].Sent == 1 })
	a.does("dispatcher backup /var/backups/dispatcher.db")
	close(held)
	e.sent(a.serving, "weekly", 1)
	for line := range strings.Lines(commandBlocks(t, "backup")[2]) {
		a.does(line)
	}
	a.serving.says("all mail is held back")
	e.ok("release", "--yes")
	e.sent(a.serving, "weekly", 1)
	ids := map[string]int{}
	for _, m := range relay.Messages() {
		ids[regexp.MustCompile(`(?im)^message-id: (.*)\r$`).FindString(string(m.Data))]++
	}
	once, twice := 0, 0
	for _, n := range ids {
		switch n {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	if once != 1 || twice != 2 || len(ids) != 3 {
		t.Errorf("%d messages are out once and %d twice, of %d", once, twice, len(ids))
	}
}
