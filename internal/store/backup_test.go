package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// reopened opens a backup as the database of a folder of its own.
func reopened(t *testing.T, file string) *store.Store {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Base(file), filepath.Dir(file), dir)
	if err := os.Rename(filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, store.FileName)); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// names are the files of a folder, without the database's own.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, e := range must[[]os.DirEntry](t)(os.ReadDir(dir)) {
		if !strings.HasPrefix(e.Name(), "dispatcher.") && !strings.HasSuffix(e.Name(), ".lock") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestABackupHoldsEverything(t *testing.T) {
	dir, s := furnished(t)
	to := filepath.Join(t.TempDir(), "a name with # and ?.db")
	size := must[int64](t)(store.Backup{From: dir, To: to}.Make(t.Context()))
	info := must[os.FileInfo](t)(os.Stat(to))
	if info.Size() != size || info.Mode() != 0o600 {
		t.Errorf("the file has %d bytes, which it says are %d, and mode %v", info.Size(), size, info.Mode())
	}
	if left := names(t, filepath.Dir(to)); len(left) != 1 {
		t.Errorf("the folder has %q", left)
	}
	if diff := cmp.Diff(look(t, s), look(t, reopened(t, to))); diff != "" {
		t.Error(diff)
	}
}

// Writers go on while a backup is made: every write is taken at once or in its turn, and the copy is of one moment.
func TestWritersGoOnDuringABackup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	editionFor(t, s, 20_000, newsletter.FirstWave{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	written, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var failed error
		for n := 0; failed == nil && ctx.Err() == nil; n++ {
			_, failed = s.TakeIn(context.Background(), nil, []newsletter.Found{{Item: article(fmt.Sprintf("Meanwhile %d", n))}}, start)
			select {
			case written <- struct{}{}:
			case <-ctx.Done():
			}
		}
		ended <- failed
	}()
	<-written
	type made struct {
		size int64
		err  error
	}
	over := make(chan made, 1)
	to := filepath.Join(t.TempDir(), "backup.db")
	go func() {
		size, err := store.Backup{From: dir, To: to}.Make(context.Background())
		over <- made{size, err}
	}()
	meanwhile := 0
	for waiting := true; waiting; {
		select {
		case <-written:
			meanwhile++
		case m := <-over:
			if waiting = false; m.err != nil {
				t.Error(m.err)
			}
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("a write was refused: %v", err)
	}
	if meanwhile == 0 {
		t.Error("nothing was written while the backup was made")
	}
	t.Logf("%d writes meanwhile", meanwhile)
	if c := counts(t, reopened(t, to), 1); c.Pending != 20_000 {
		t.Errorf("the copy has %+v", c)
	}
}

func TestWhatABackupRefuses(t *testing.T) {
	dir, _ := furnished(t)
	elsewhere := t.TempDir()
	file := filepath.Join(elsewhere, "old.db")
	if err := os.WriteFile(file, []byte("an older backup"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, filepath.Join(elsewhere, "link")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		backup store.Backup
		want   string
	}{
		"a file that is there":    {store.Backup{From: dir, To: file}, "exists already"},
		"a folder":                {store.Backup{From: dir, To: elsewhere, Replace: true}, "name a file in it"},
		"in no folder":            {store.Backup{From: dir, To: filepath.Join(elsewhere, "none", "x.db")}, "make the folder first"},
		"under a file":            {store.Backup{From: dir, To: filepath.Join(file, "x.db")}, "is no folder"},
		"a link":                  {store.Backup{From: dir, To: filepath.Join(elsewhere, "link"), Replace: true}, "no ordinary file"},
		"a device":                {store.Backup{From: dir, To: os.DevNull, Replace: true}, "no ordinary file"},
		"the database":            {store.Backup{From: dir, To: filepath.Join(dir, store.FileName), Replace: true}, "belongs to the database itself"},
		"the database's log":      {store.Backup{From: dir, To: filepath.Join(dir, store.FileName+"-wal"), Replace: true}, "belongs to the database itself"},
		"a log that is not there": {store.Backup{From: dir, To: filepath.Join(dir, store.FileName+"-journal")}, "belongs to the database itself"},
		"a lock":                  {store.Backup{From: dir, To: filepath.Join(dir, "migrate.lock"), Replace: true}, "belongs to the database itself"},
		"of no database":          {store.Backup{From: elsewhere, To: filepath.Join(elsewhere, "x.db")}, "no database to copy"},
		"into the database's own": {store.Backup{From: dir, To: filepath.Join(dir, ".", "x", "..", store.FileName), Replace: true}, "belongs to the database itself"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := tt.backup.Make(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it gives %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := (store.Backup{From: dir, To: file}).Make(t.Context()); !errors.Is(err, store.ErrExists) {
		t.Errorf("callers cannot tell that the file exists: %v", err)
	}
	if text := must[[]byte](t)(os.ReadFile(file)); string(text) != "an older backup" {
		t.Error("the older backup has changed")
	}
	if left := names(t, elsewhere); len(left) != 2 {
		t.Errorf("something is left behind: %q", left)
	}
	must[int64](t)(store.Backup{From: dir, To: file, Replace: true}.Make(t.Context()))
	if info := must[os.FileInfo](t)(os.Stat(file)); info.Mode() != 0o600 {
		t.Errorf("what replaced it has mode %v", info.Mode())
	}
}

// Who interrupts a backup finds what was there before, and nothing else.
func TestAnInterruptedBackupLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	editionFor(t, open(t, dir), 20_000, newsletter.FirstWave{})
	for _, replace := range []bool{false, true} {
		elsewhere := t.TempDir()
		to := filepath.Join(elsewhere, "backup.db")
		if replace {
			if err := os.WriteFile(to, []byte("an older backup"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		began := make(chan struct{})
		go func() { // when it has begun to write
			defer close(began)
			for ctx.Err() == nil {
				parts, _ := filepath.Glob(filepath.Join(elsewhere, ".backup.db.*"))
				if len(parts) > 0 {
					cancel()
				}
			}
		}()
		_, err := store.Backup{From: dir, To: to, Replace: replace}.Make(ctx)
		cancel()
		<-began
		if err == nil {
			t.Fatal("it was not interrupted")
		}
		text, err := os.ReadFile(to)
		if replace && string(text) != "an older backup" || !replace && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file has %d bytes: %v", len(text), err)
		}
		if left := names(t, elsewhere); len(left) > 1 || len(left) == 1 && !replace {
			t.Errorf("something is left behind: %q", left)
		}
	}
}

// A backup tells the schema of the database, not its own: one can be made with the new version before it changes anything.
func TestABackupBringsNothingUpToDate(t *testing.T) {
	dir, _ := unpack(t, "testdata/schema1")
	to := filepath.Join(t.TempDir(), "backup.db")
	must[int64](t)(store.Backup{From: dir, To: to}.Make(t.Context()))
	for _, file := range []string{to, filepath.Join(dir, store.FileName)} {
		if schema := schemaOf(t, file); schema != 1 {
			t.Errorf("%s is of schema %d", file, schema)
		}
	}
}

// A damaged database gives no backup that looks like one.
func TestADamagedDatabaseGivesNoBackup(t *testing.T) {
	dir := t.TempDir()
	with(t, dir, func(s *store.Store) { editionFor(t, s, 2000, newsletter.FirstWave{}) })
	path := filepath.Join(dir, store.FileName)
	content := must[[]byte](t)(os.ReadFile(path))
	for i := len(content) / 2; i < len(content)/2+3*4096; i++ {
		content[i] ^= 0x5a
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if size, err := (store.Backup{From: dir, To: filepath.Join(elsewhere, "backup.db")}).Make(t.Context()); err == nil {
		t.Errorf("it gives a backup of %d bytes", size)
	}
	if left := names(t, elsewhere); len(left) > 0 {
		t.Errorf("something is left behind: %q", left)
	}
}

// Litestream reads the log beside dispatcher, in a transaction that it keeps open so that nobody begins the log anew before it has read it
// (https://litestream.io/how-it-works/). While one is open nothing is lost and nothing stops, also when dispatcher ends and begins again, and
// whoever reads the log then finds every write in it.
func TestALongReaderBesideLosesNothingAndStopsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	editionFor(t, s, 3000, newsletter.FirstWave{N: 3000})
	path := filepath.Join(dir, store.FileName)
	inFile(t, path, func(beside *sql.DB) {
		beside.SetMaxOpenConns(1)
		tx := must[*sql.Tx](t)(beside.BeginTx(t.Context(), nil))
		pending := 0
		count := func() int {
			n := 0
			if err := tx.QueryRow(`SELECT COUNT(*) FROM deliveries WHERE state = 'sent'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if pending = count(); pending != 0 {
			t.Fatalf("%d copies are sent", pending)
		}
		log := int64(0)
		for range 3 {
			for range 10 {
				var outcomes []newsletter.Outcome
				for _, d := range claim(t, s, start, 100) {
					outcomes = append(outcomes, sent(d))
				}
				record(t, s, outcomes...)
			}
			info := must[os.FileInfo](t)(os.Stat(path + "-wal"))
			if info.Size() < log {
				t.Errorf("the log was begun anew beneath its reader: it has %d bytes and had %d", info.Size(), log)
			}
			log = info.Size()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path + "-wal"); err != nil || info.Size() < log {
				t.Errorf("ending has taken the log away: %v", err)
			}
			s = open(t, dir)
		}
		if n := count(); n != 0 {
			t.Errorf("the reader sees %d copies of after its moment", n)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		// Then it copies the log into the database, as it does about each minute; writers wait for that and go on.
		var busy, frames, copied int
		if err := beside.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &copied); err != nil || busy != 0 {
			t.Errorf("the log cannot be taken over: %d, %v", busy, err)
		}
	})
	if c := counts(t, s, 1); c.Sent != 3000 {
		t.Errorf("after all that the ledger has %+v", c)
	}
	must[string](t)(s.Beat(t.Context(), start))
}
