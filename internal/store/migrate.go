package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Two processes that start at once take turns, since goose has no lock for SQLite.
func (s *Store) migrate(ctx context.Context) (err error) {
	lock, err := s.lockFile("migrate.lock", syscall.LOCK_EX)
	if err != nil {
		return fmt.Errorf("waiting to bring the database up to date: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
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
