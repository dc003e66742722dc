package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"dispatcher/internal/newsletter"
)

// mailerLock is the file that whoever sends from this database has locked. It says who that is.
const mailerLock = "mailer.lock"

// Mailer is a process that sends from a database.
type Mailer struct {
	As  string // what it was started as: serve or send
	PID int
}

// LockMailer takes the lock that makes this process the only one to send from this database, until release is called
// or the process ends. It returns newsletter.ErrLocked when another process has it. As is told to those who ask for the Mailer.
func (s *Store) LockMailer(as string) (release func() error, err error) {
	f, err := s.lockFile(mailerLock, syscall.LOCK_EX|syscall.LOCK_NB)
	for looks := 0; errors.Is(err, syscall.EWOULDBLOCK) && looks < 5; looks++ { // who only asks has it for a moment
		time.Sleep(2 * time.Millisecond)
		f, err = s.lockFile(mailerLock, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, newsletter.ErrLocked
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, as, os.Getpid())
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, fmt.Errorf("taking the mailer's lock: %w", err)
	}
	return f.Close, nil
}

// Mailer is who sends from this database at this moment, or newsletter.ErrNotFound when nobody does. It makes no file.
func (s *Store) Mailer() (m Mailer, err error) {
	f, err := os.Open(filepath.Join(filepath.Dir(s.path), mailerLock))
	if errors.Is(err, fs.ErrNotExist) {
		return m, newsletter.ErrNotFound
	}
	if err != nil {
		return m, fmt.Errorf("asking who sends: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch err := flock(f, syscall.LOCK_SH|syscall.LOCK_NB); {
	case err == nil:
		return m, newsletter.ErrNotFound
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return m, fmt.Errorf("asking who sends: %w", err)
	}
	if _, err := fmt.Fscan(f, &m.As, &m.PID); err != nil {
		return m, fmt.Errorf("asking who sends: reading %s: %w", f.Name(), err)
	}
	return m, nil
}

// lockFile opens a file beside the database and takes its lock, which the kernel gives up with the process, however it dies.
func (s *Store) lockFile(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(s.path), name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	giveTo(f, s.path)
	if err := flock(f, how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// giveTo makes the owner of another file or folder the owner of a file: what root's command makes must not keep the daemon out. Nobody but root
// can and needs to.
func giveTo(f *os.File, path string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(path); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
}
