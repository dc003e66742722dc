package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestKeysLastAsLongAsTheDatabase(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	link := newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 3, List: "weekly"}
	token := first.Key().Token(link)
	if got, err := open(t, dir).Keys().Open(token, newsletter.PurposeUnsubscribe); err != nil || got != link {
		t.Errorf("a link made before a restart opens as %v, %v", got, err)
	}
	if got, err := open(t, t.TempDir()).Keys().Open(token, newsletter.PurposeUnsubscribe); err == nil {
		t.Errorf("another database opens the link as %v", got)
	}
}

func TestADatabaseFromANewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := open(t, dir).Path()
	db := must[*sql.DB](t)(sql.Open("sqlite3", path))
	must[sql.Result](t)(db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), dir, start)
	if err == nil || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "install the version") {
		t.Errorf("opening it gives %v, want an error with the cure", err)
	}
}

func TestAFolderThatCannotBeWrittenIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), file, start); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("opening a database under a file gives %v, want an error that names data_dir", err)
	}
}

func TestTheFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir)
	for _, path := range []string{dir, filepath.Join(dir, store.FileName)} {
		info := must[os.FileInfo](t)(os.Stat(path))
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

// Commands work beside a running serve: many stores on one file write at once, and no write is refused.
func TestProcessesShareTheDatabase(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), dir, start)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 25 {
				item := article(fmt.Sprintf("process %d article %d", p, i))
				if _, err := s.TakeIn(context.Background(), nil, []newsletter.Found{{Item: item}}, start); err != nil {
					t.Error(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if items := must[[]newsletter.Item](t)(open(t, dir).Items(t.Context(), "", 0)); len(items) != 100 {
		t.Errorf("%d of 100 items are there", len(items))
	}
}

func TestTheMailersLockIsHeldOnce(t *testing.T) {
	dir := t.TempDir()
	release := must[func() error](t)(open(t, dir).LockMailer("serve"))
	if _, err := open(t, dir).LockMailer("send"); !errors.Is(err, newsletter.ErrLocked) {
		t.Errorf("a second mailer gets %v", err)
	}
	if m := must[store.Mailer](t)(open(t, dir).Mailer()); m != (store.Mailer{As: "serve", PID: os.Getpid()}) {
		t.Errorf("the mailer is %+v", m)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if m, err := open(t, dir).Mailer(); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("after the release the mailer is %+v, %v", m, err)
	}
	if _, err := open(t, dir).LockMailer("serve"); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

// Whoever only reads waits for no writer: a listing answers while an edition for a million readers is being written.
func TestOpeningToReadWaitsForNoWriter(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	writer, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, store.FileName)+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	tx, err := writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // less than a writer waits for another
	defer cancel()
	s, err := store.Open(ctx, dir, start)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Editions(ctx, "", 0); err != nil {
		t.Error(err)
	}
}
