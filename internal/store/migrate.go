package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"

	"dispatcher/internal/newsletter"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Two processes that start at once take turns, since goose has no lock for SQLite.
func (s *Store) migrate(ctx context.Context) (err error) {
	release, err := lockFile(filepath.Join(filepath.Dir(s.path), "migrate.lock"), syscall.LOCK_EX)
	if err != nil {
		return fmt.Errorf("waiting to bring the database up to date: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, files)
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the version of %s: %w; is it a dispatcher database?", s.path, err)
	}
	if have > want {
		return fmt.Errorf("database %s is of schema %d and this dispatcher knows %d: install the version that wrote it, or restore a backup from before", s.path, have, want)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bringing %s up to date: %w", s.path, err)
	}
	return nil
}

// LockMailer takes the lock that makes this process the only one to send from this database, until release is called
// or the process ends. It returns newsletter.ErrLocked when another process has it.
func (s *Store) LockMailer() (release func() error, err error) {
	release, err = lockFile(filepath.Join(filepath.Dir(s.path), "mailer.lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, newsletter.ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("taking the mailer's lock: %w", err)
	}
	return release, nil
}

// lockFile takes a lock that the kernel gives up with the process, however it dies.
func lockFile(path string, how int) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
