package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// replica is a Litestream beside a rig's database, with the config and the commands of the page about backups.
type replica struct {
	r      *rig
	binary string
	paths  *strings.Replacer
}

// newReplica builds Litestream, which takes minutes and a hundred modules: only the long form of the tests has it.
func newReplica(t *testing.T, r *rig) *replica {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "litestream")
	build := exec.Command("go", "build", "-modfile=tools/litestream.mod", "-o", binary, "github.com/benbjohnson/litestream/cmd/litestream")
	build.Dir, build.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building Litestream: %v\n%s", err, out)
	}
	return &replica{r, binary, strings.NewReplacer("/var/lib/dispatcher", r.data, "/var/backups", r.dir, "s3://backups.example.org", "file://"+filepath.Join(r.dir, "replica"))}
}

// start has it replicate, by the config of the page.
func (l *replica) start() *daemon {
	l.r.t.Helper()
	var conf string
	for _, block := range codeBlocks(l.r.t, filepath.Join(repository, "docs/backup.md"), "yml") {
		if strings.HasPrefix(block, "# /etc/litestream.yml\n") {
			conf = l.r.write("litestream.yml", l.paths.Replace(block))
		}
	}
	if conf == "" {
		l.r.t.Fatal("the page has no litestream.yml")
	}
	return startDaemon(l.r.t, exec.Command(l.binary, "replicate", "-config", conf), "litestream")
}

// restore does what the page says, and returns the file.
func (l *replica) restore() (file string, err error) {
	l.r.t.Helper()
	page, err := os.ReadFile(filepath.Join(repository, "docs/backup.md"))
	if err != nil {
		l.r.t.Fatal(err)
	}
	_, command, found := strings.Cut(string(page), "litestream restore ")
	command, _, ended := strings.Cut(command, "\n")
	if !found || !ended {
		l.r.t.Fatal("the page does not say how to restore")
	}
	file = filepath.Join(l.r.dir, "dispatcher.db")
	if err := os.RemoveAll(file); err != nil {
		l.r.t.Fatal(err)
	}
	out, err := exec.Command(l.binary, append([]string{"restore"}, strings.Fields(l.paths.Replace(command))...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return file, err
}

// contents are all rows of all tables of a database but Litestream's own, in order.
func contents(t *testing.T, file string) (rows []string) {
	t.Helper()
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	each := func(query string, columns int, do func(row []any)) {
		found, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		if names, err := found.Columns(); err == nil && columns == 0 {
			columns = len(names)
		}
		for found.Next() {
			row, into := make([]any, columns), make([]any, columns)
			for i := range row {
				into[i] = &row[i]
			}
			if err := found.Scan(into...); err != nil {
				t.Fatal(err)
			}
			do(row)
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
	}
	var tables []string
	each(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%litestream%' AND name NOT LIKE 'sqlite%'`, 1, func(row []any) { tables = append(tables, fmt.Sprint(row[0])) })
	for _, table := range tables {
		each(`SELECT * FROM `+table, 0, func(row []any) { rows = append(rows, fmt.Sprintf("%s %q", table, row)) })
	}
	slices.Sort(rows)
	return rows
}

// Beside a real Litestream an edition goes out, through a kill and a stop, and what is restored is the database to the last row.
func TestLitestreamBesideServe(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK=1 builds Litestream and runs it")
	}
	random := seeded(t)
	r := newRig(t, setting{readers: sizes().readers, relay: smtptest.Config{Script: paced(random)}})
	l := newReplica(t, r)
	litestream := l.start()
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(r.readers / 3)
	serve.kill()
	serve = r.serve()
	r.accepted(r.readers * 2 / 3)
	serve.terminate()
	serve = r.serve()
	if c := r.done(serve); c.Sent != r.readers {
		t.Errorf("the ledger has %+v", c)
	}
	if again := r.againInFlight(); again > connections {
		t.Errorf("%d second copies over %d connections", again, connections)
	}
	if code := serve.terminate(); code != exitDone || len(serve.log.lines("level=ERROR")) > 0 {
		t.Errorf("serve ends with %d", code)
	}
	if code := litestream.terminate(); code != 0 {
		t.Errorf("Litestream ends with %d", code)
	}
	file, err := l.restore()
	if err != nil {
		t.Fatal(err)
	}
	want, got := contents(t, filepath.Join(r.data, store.FileName)), contents(t, file)
	if len(want) < r.readers || !slices.Equal(want, got) {
		t.Errorf("the database has %d rows, what was restored %d, or other ones", len(want), len(got))
	}
}

// The machine is lost in mid-send. What Litestream had is restored as the page says: mail is held, and after the release everybody is reached.
func TestLitestreamRestoresWhatWasLostInMidSend(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK=1 builds Litestream and runs it")
	}
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	size, taken := sizes(), 0
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData {
			if taken++; taken > size.readers/2 {
				<-goOn
			}
		}
		return smtptest.Answer{}
	}}})
	l := newReplica(t, r)
	litestream := l.start()
	serve := r.serve()
	r.answers(serve)
	r.send()
	var file string
	eventually(t, "the replica has the middle of the edition", func() (has bool) {
		var err error
		file, err = l.restore()
		return err == nil && countIn(t, file, `SELECT COUNT(*) FROM deliveries WHERE state = 'sent'`) > 0
	})
	serve.kill()
	_ = litestream.signal(syscall.SIGKILL)
	<-litestream.ended
	release()
	lost, err := filepath.Glob(filepath.Join(r.data, "dispatcher.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(lost, filepath.Join(r.data, ".dispatcher.db-litestream")) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if file, err = l.restore(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(r.data, store.FileName)); err != nil {
		t.Fatal(err)
	}
	known := r.ledger().Counts.Sent
	serve = r.serve()
	serve.says("all mail is held back")
	litestream = l.start()
	r.ok("release", "--yes")
	if c := r.done(serve); c.Sent != r.readers || known == 0 {
		t.Errorf("%d were known to be sent, the ledger has %+v", known, c)
	}
	if reached := len(r.copies()); reached != r.readers {
		t.Errorf("%d of %d readers are reached", reached, r.readers)
	}
	serve.terminate()
	litestream.terminate()
}
