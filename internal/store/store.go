// Package store holds all SQL: the queue, the readers, the editions and the outbox in one SQLite file.
//
// A method is one transaction, is handed the time, and speaks domain types. Every method may be called from many
// goroutines, and from several processes on one file: writes wait for each other, readers wait for nobody.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"dispatcher/internal/newsletter"
)

// Store is an open database. Close it when everything that uses it has ended.
type Store struct {
	path  string
	write *sql.DB // one connection: writers queue here in order, not in SQLite's unfair busy loop
	read  *sql.DB
	keys  newsletter.Keys
	key   newsletter.Key // the newest: what is made now is made with it

	sent    *sql.Stmt // sentStatement, on the writers' connection
	version *sql.Stmt // tells when another process has written, there too

	changes     atomic.Int64 // counts what may take a delivery's reason away; see StillDue
	seenVersion atomic.Int64
	relaxed     atomic.Bool
	relaxing    sync.Mutex   // held while that changes, or does not count
	opened      time.Time    // the clock of looked, which nobody can set
	looked      atomic.Int64 // when version was asked, nanoseconds after opened

	counted counted // for Figures
}

// connections is what all connections have in common. database/sql uses each from one goroutine at a time, so SQLite needs no lock of
// its own around it.
const connections = "_busy_timeout=15000&_stmt_cache_size=64&_mutex=no"

// FileName is the name of the database in the data folder.
const FileName = "dispatcher.db"

// Open opens the database in a folder, makes it where there is none, and brings its schema up to date. A database that
// a newer version has written is refused.
func Open(ctx context.Context, dir string, now time.Time) (_ *Store, err error) {
	s := &Store{path: filepath.Join(dir, FileName), opened: time.Now()}
	if err := s.prepareFolder(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.write, err = sql.Open("sqlite3", s.dsn("_txlock=immediate&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_cache_size=-2000&"+connections)); err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.path, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if err := s.checkPragmas(ctx); err != nil {
		return nil, err
	}
	if s.sent, err = s.write.PrepareContext(ctx, sentStatement); err != nil {
		return nil, fmt.Errorf("preparing to record outcomes: %w", err)
	}
	if s.version, err = s.write.PrepareContext(ctx, "PRAGMA data_version"); err != nil {
		return nil, fmt.Errorf("preparing to look for changes: %w", err)
	}
	if s.read, err = sql.Open("sqlite3", s.dsn("mode=ro&_query_only=1&_cache_size=-500&"+connections)); err != nil {
		return nil, fmt.Errorf("opening %s to read: %w", s.path, err)
	}
	s.read.SetMaxOpenConns(4)
	if err := s.loadKeys(ctx, now); err != nil {
		return nil, err
	}
	return s, nil
}

// prepareFolder makes the folder and the file, both for the owner alone: they hold the readers' addresses.
func (s *Store) prepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w; give `data_dir` a folder that this user may write", err)
	}
	_, err := os.Stat(s.path)
	begins := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the database: %w; `data_dir` must be a folder that this user may write", err)
	}
	if begins {
		giveTo(f, dir)
	}
	return f.Close()
}

// dsn names the file with options.
func (s *Store) dsn(options string) string { return uri(s.path) + "?" + options }

// checkPragmas reads back what the DSN asked for: the driver ignores options that it does not know.
func (s *Store) checkPragmas(ctx context.Context) error {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := s.write.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
			return fmt.Errorf("reading pragma %s: %w", pragma, err)
		}
		if got != want {
			return fmt.Errorf("database %s has %s %q where %q is needed; is it on a file system without locks?", s.path, pragma, got, want)
		}
	}
	return nil
}

// Close closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, statement := range []*sql.Stmt{s.sent, s.version} {
		if statement != nil {
			errs = append(errs, statement.Close())
		}
	}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// Relax makes commits wait for the disk no more: a power cut may then take the last ones back, so that some readers get a second
// copy; the end of the process loses nothing. Without yes they wait again, as they do at first.
func (s *Store) Relax(ctx context.Context, yes bool) error {
	s.relaxing.Lock()
	defer s.relaxing.Unlock()
	s.relaxed.Store(yes)
	return s.synchronous(ctx, yes)
}

// synchronous has the writers' connection wait for the disk, or not. The caller holds relaxing.
func (s *Store) synchronous(ctx context.Context, relaxed bool) error {
	mode := "FULL"
	if relaxed {
		mode = "NORMAL"
	}
	if _, err := s.write.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
		return fmt.Errorf("setting durability: %w", err)
	}
	return nil
}

// Path is where the database file is.
func (s *Store) Path() string { return s.path }

// Keys are all keys of the database.
func (s *Store) Keys() newsletter.Keys { return s.keys }

// Key is the key with which new editions are made.
func (s *Store) Key() newsletter.Key { return s.key }

// loadKeys reads the keys and makes the first one. Two processes that start at once agree on it. It writes only where there is none,
// lest a command wait until another has written an edition.
func (s *Store) loadKeys(ctx context.Context, now time.Time) error {
	if err := s.readKeys(ctx); err != nil || len(s.keys) > 0 {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, `INSERT INTO keys (id, secret, created) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`,
		secret, millis(now)); err != nil {
		return fmt.Errorf("keeping the first key: %w", err)
	}
	return s.readKeys(ctx)
}

func (s *Store) readKeys(ctx context.Context) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id, secret FROM keys ORDER BY id`)
	keys, err := collect(rows, err, func(r *sql.Rows) (k newsletter.Key, err error) { return k, r.Scan(&k.ID, &k.Secret) })
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	s.keys = newsletter.Keys{}
	for _, k := range keys {
		s.keys[k.ID], s.key = k, k
	}
	return nil
}

// addressKey hashes addresses: always the first key, since a hash must be found again.
func (s *Store) addressKey() newsletter.Key { return s.keys[1] }

// transact runs a function in one immediate transaction and says what was being done if it fails.
func (s *Store) transact(ctx context.Context, doing string, do func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := do(tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, back)
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// transactFirmly is transact with a commit that waits for the disk, itself and all that were made before it, also after Relax.
func (s *Store) transactFirmly(ctx context.Context, doing string, do func(tx *sql.Tx) error) error {
	if !s.relaxed.Load() {
		return s.transact(ctx, doing, do)
	}
	s.relaxing.Lock()
	defer s.relaxing.Unlock()
	if err := s.synchronous(ctx, false); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return errors.Join(s.transact(ctx, doing, do), s.synchronous(context.WithoutCancel(ctx), s.relaxed.Load()))
}

// collect scans all rows of a query and closes them. It takes the query's error too, so that a call reads in one line.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (_ []T, failed error) {
	if err != nil {
		return nil, err
	}
	defer func() { failed = errors.Join(failed, rows.Close()) }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// found turns the driver's "no rows" into the domain's.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return newsletter.ErrNotFound
	}
	return err
}

// millis is how an instant is kept: Unix milliseconds UTC, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant is the opposite of millis.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
