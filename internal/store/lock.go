package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"dispatcher/internal/newsletter"
)

// mailerLock is the file that whoever sends from this database has locked. It says who that is.
const mailerLock = "mailer.lock"

// Mailer is a process that sends from a database.
type Mailer struct {
	As      string  `json:"as"` // what it was started as: serve or send
	PID     int     `json:"pid"`
	Reloads Reloads `json:"reloads"`
}

// Reloads is how a process has dealt with changes of its config.
type Reloads struct {
	Begun   int    `json:"begun"`   // how often it has begun to read it again
	Ended   int    `json:"ended"`   // how often it has dealt with what it read
	Refused string `json:"refused"` // why it did not take the last one over; empty: it did
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
		err = writeMailer(f, Mailer{As: as, PID: os.Getpid()})
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, fmt.Errorf("taking the mailer's lock: %w", err)
	}
	return f.Close, nil
}

// NoteReloads tells those who ask for the Mailer how this process, which has its lock, has dealt with changes of its config.
func (s *Store) NoteReloads(r Reloads) (err error) {
	f, err := os.OpenFile(s.lockPath(), os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(writeMailer(f, Mailer{As: "serve", PID: os.Getpid(), Reloads: r}), f.Close())
	}
	if err != nil {
		return fmt.Errorf("telling how a reload went: %w", err)
	}
	return nil
}

// writeMailer writes in one step what one read finds whole.
func writeMailer(f *os.File, m Mailer) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return errors.Join(err, f.Truncate(int64(len(text)+1)))
}

// Mailer is who sends from this database at this moment, or newsletter.ErrNotFound when nobody does. It makes no file.
func (s *Store) Mailer() (m Mailer, err error) {
	for looks := 0; ; looks++ { // it may be writing at this very moment
		var half *json.SyntaxError
		if m, err = s.readMailer(); !errors.As(err, &half) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || looks == 10 {
			return m, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *Store) readMailer() (m Mailer, err error) {
	defer func() {
		if err != nil && !errors.Is(err, newsletter.ErrNotFound) {
			err = fmt.Errorf("asking who sends: %w", err)
		}
	}()
	f, err := os.Open(s.lockPath())
	if errors.Is(err, fs.ErrNotExist) {
		return m, newsletter.ErrNotFound
	}
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch err := flock(f, syscall.LOCK_SH|syscall.LOCK_NB); {
	case err == nil:
		return m, newsletter.ErrNotFound
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return m, err
	}
	if err := json.NewDecoder(f).Decode(&m); err != nil {
		return m, err
	}
	if !s.holds(m.PID) { // of a run that died while another begins, or of a container with numbers of its own
		m.PID = 0
	}
	return m, nil
}

// holds reports whether a process of this number has the lock's file open, so that a signal to it reaches the right one.
func (s *Store) holds(pid int) bool {
	lock, err := os.Stat(s.lockPath())
	if err != nil {
		return false
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(open, func(fd os.DirEntry) bool {
		file, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		return err == nil && os.SameFile(file, lock)
	})
}

func (s *Store) lockPath() string { return filepath.Join(filepath.Dir(s.path), mailerLock) }

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
