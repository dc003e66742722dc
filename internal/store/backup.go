package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Backup says where a copy of a database is to go.
type Backup struct {
	From     string                  // the data folder
	To       string                  // the file
	Replace  bool                    // where there is one, replace it
	Progress func(done, total int64) // is told, some times a second and from another goroutine, how many bytes are copied of about how many; may be nil
}

// ErrExists is that the file of a backup is there already.
var ErrExists = errors.New("the file exists already")

// NoRoomError is that a disk has too little room left for what is to be written.
type NoRoomError struct {
	Folder      string
	Needs, Free int64 // bytes
}

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("no room in %s: it takes %.1f MB, and %.1f MB are free", e.Folder, float64(e.Needs)/1e6, float64(e.Free)/1e6)
}

// Make copies the database as it is at this moment into one file, for the owner alone: it holds the readers' addresses and the keys. Whoever
// works in the database goes on meanwhile, writers too. The file appears under its name only when it is whole, checked and on disk; where the
// context is cancelled or anything fails, nothing of it stays. It returns the file's size in bytes, ErrExists, or a *NoRoomError before it begins.
//
// The database is not brought up to date first: the copy is of the schema that the database has, so that one can be made before an upgrade.
func (b Backup) Make(ctx context.Context) (size int64, err error) {
	if b.To, err = filepath.Abs(b.To); err != nil {
		return 0, fmt.Errorf("making a backup: %w", err)
	}
	source := filepath.Join(b.From, FileName)
	if err := b.mayWrite(source); err != nil {
		return 0, fmt.Errorf("making a backup: %w", err)
	}
	db, err := sql.Open("sqlite3", uri(source)+"?mode=rw&_cache_size=-2000&"+connections) // a read-only one may not copy
	if err != nil {
		return 0, fmt.Errorf("opening %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	total, err := b.fits(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("making a backup: %w", err)
	}
	part, err := os.CreateTemp(filepath.Dir(b.To), "."+filepath.Base(b.To)+".*.part") // its mode is 0600
	if err != nil {
		return 0, fmt.Errorf("making a backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = part.Close() // it may be closed, and have its name already
			if left := os.Remove(part.Name()); !errors.Is(left, fs.ErrNotExist) {
				err = errors.Join(err, left)
			}
		}
	}()
	if err := b.copy(ctx, db, part.Name(), total); err != nil {
		return 0, fmt.Errorf("making a backup: %w", err)
	}
	return b.keep(part)
}

// ownFiles are those that SQLite and dispatcher have in a data folder, or may have at another moment.
var ownFiles = []string{FileName, FileName + "-wal", FileName + "-shm", FileName + "-journal", BeatFile, "mailer.lock", "migrate.lock"}

// mayWrite refuses what must not be overwritten.
func (b Backup) mayWrite(source string) error {
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database to copy: %w", err)
	} else if err != nil {
		return fmt.Errorf("looking for the database: %w", err)
	}
	folder, err := os.Stat(filepath.Dir(b.To))
	if err != nil {
		return fmt.Errorf("%w: make the folder first", err)
	}
	if !folder.IsDir() {
		return fmt.Errorf("%s is no folder", filepath.Dir(b.To))
	}
	if data, err := os.Stat(b.From); err != nil || os.SameFile(data, folder) && slices.Contains(ownFiles, filepath.Base(b.To)) {
		return cmp.Or(err, fmt.Errorf("%s belongs to the database itself", b.To))
	}
	there, err := os.Lstat(b.To)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case there.IsDir():
		return fmt.Errorf("%s is a folder: name a file in it", b.To)
	case !there.Mode().IsRegular():
		return fmt.Errorf("%s is no ordinary file", b.To)
	case !b.Replace:
		return fmt.Errorf("%s: %w", b.To, ErrExists)
	}
	return nil
}

// fits reports how many bytes the copy will have, at most, or that there is no room for them.
func (b Backup) fits(ctx context.Context, db *sql.DB) (total int64, err error) {
	if err := db.QueryRowContext(ctx, `SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&total); err != nil {
		return 0, fmt.Errorf("reading the size of the database: %w", err)
	}
	var fileSystem syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(b.To), &fileSystem); err != nil {
		return 0, fmt.Errorf("asking how much room the disk has: %w", err)
	}
	needs := total
	if sameFileSystem(filepath.Dir(b.To), filepath.Dir(b.From)) {
		needs += roomForSending
	}
	if free := int64(fileSystem.Bavail) * fileSystem.Bsize; free < needs {
		return 0, &NoRoomError{filepath.Dir(b.To), needs, free}
	}
	return total, nil
}

// roomForSending is what a backup beside the database leaves to it, in bytes: what is sent meanwhile, and after.
const roomForSending = 50e6

func sameFileSystem(a, b string) bool {
	var one, other syscall.Stat_t
	return syscall.Stat(a, &one) == nil && syscall.Stat(b, &other) == nil && one.Dev == other.Dev
}

// copy writes the copy into an empty file and looks whether it is good.
func (b Backup) copy(ctx context.Context, db *sql.DB, path string, total int64) error {
	if b.Progress != nil {
		defer b.watch(path, total)()
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	written, err := sql.Open("sqlite3", uri(path)+"?mode=ro&immutable=1")
	if err != nil {
		return fmt.Errorf("opening the copy: %w", err)
	}
	var verdict string
	err = written.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	if err = errors.Join(err, written.Close()); err != nil {
		return fmt.Errorf("checking the copy: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("the copy is not good, and the database may not be either: %s", verdict)
	}
	return nil
}

// watch tells how far the copy has got until it is stopped. SQLite does not say, but the file grows.
func (b Backup) watch(path string, total int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(200 * time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				if file, err := os.Stat(path); err == nil {
					b.Progress(min(file.Size(), total), total)
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// keep gives a whole copy its name, and has all of that on disk when it returns.
func (b Backup) keep(part *os.File) (size int64, err error) {
	info, err := part.Stat()
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return 0, fmt.Errorf("bringing the backup to disk: %w", err)
	}
	if err := os.Rename(part.Name(), b.To); err != nil {
		return 0, fmt.Errorf("naming the backup: %w", err)
	}
	folder, err := os.Open(filepath.Dir(b.To))
	if err != nil {
		return 0, fmt.Errorf("bringing the backup to disk: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return 0, fmt.Errorf("bringing the backup to disk: %w", err)
	}
	return info.Size(), nil
}

// uri names a file to SQLite. A path may hold any character, so it travels escaped.
func uri(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }
