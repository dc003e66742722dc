package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dispatcher/internal/newsletter"
)

// mostUnseen is how far the clock may be ahead of when it was last seen before that is taken for a clock
// that is wrong. Where mail goes out by hand alone, weeks may lie between.
const mostUnseen = 60 * 24 * time.Hour

// BeatFile is the name of the file beside the database that tells how far this house has got.
const BeatFile = "dispatcher.beat"

// house is what the database knows of itself.
type house struct {
	identity string
	beats    int64
	lastSeen time.Time
	held     string
}

// Beat says that dispatcher serves from this database, and reports why mail is held back; the empty text: it is not. Mail is held
// back in a database that has gone back in time or is a copy, lest readers get again what they have, and while the clock is far
// ahead, lest everything that waits be too late at once. While it is, ClaimDeliveries gives nothing out. Call it every minute.
//
// The database and the file beside it tell the same name and the same number, which each beat raises. A database that is behind
// the file was restored from a backup, and one without its file was copied from elsewhere.
func (s *Store) Beat(ctx context.Context, now time.Time) (held string, err error) {
	var h house
	begins := false
	// What the file tells must be on disk in the database first: after a power cut it may be behind, but never ahead.
	err = s.transactFirmly(ctx, "noting that dispatcher serves", func(tx *sql.Tx) error {
		name, beats, err := s.readBeat()
		if err != nil {
			return err
		}
		if h, err = s.findHouse(ctx, tx, now); err != nil {
			return err
		}
		if h.held == "" {
			h.held = h.restored(name, beats)
		}
		if h.held != "" || h.aheadBy(now) > mostUnseen {
			_, err := tx.ExecContext(ctx, `UPDATE house SET held = $1`, h.held)
			return err
		}
		if begins = name == ""; begins { // from the first beat on the file is never missed
			return nil
		}
		h.beats, h.lastSeen = h.beats+1, later(now, h.lastSeen)
		_, err = tx.ExecContext(ctx, `UPDATE house SET beats = $1, last_seen = $2`, h.beats, millis(h.lastSeen))
		return err
	})
	if err != nil {
		return "", err
	}
	if held := h.why(now); held != "" {
		return held, nil
	}
	if err := s.tellBeat(ctx); err != nil || !begins {
		return "", err
	}
	return s.Beat(ctx, now)
}

// findHouse reads what the database knows of itself, and names a database that has never served.
func (s *Store) findHouse(ctx context.Context, tx *sql.Tx, now time.Time) (house, error) {
	h, err := readHouse(ctx, tx)
	if errors.Is(err, sql.ErrNoRows) {
		h = house{identity: rand.Text(), lastSeen: now}
		_, err = tx.ExecContext(ctx, `INSERT INTO house (one, identity, beats, last_seen, held) VALUES (1, $1, 0, $2, '')`, h.identity, millis(now))
	}
	return h, err
}

// tellBeat copies into the file what is on disk in the database, while nobody else writes either.
func (s *Store) tellBeat(ctx context.Context) error {
	return s.transact(ctx, "noting that dispatcher serves", func(tx *sql.Tx) error {
		h, err := readHouse(ctx, tx)
		if err != nil {
			return err
		}
		return s.writeBeat(h)
	})
}

// Held is why mail is held back; the empty text: it is not.
func (s *Store) Held(ctx context.Context, now time.Time) (string, error) {
	name, beats, err := s.readBeat() // the file first: a beat meanwhile only raises the database above it
	if err != nil {
		return "", err
	}
	h, err := readHouse(ctx, s.read)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading why mail is held back: %w", err)
	}
	h.held = cmp.Or(h.held, h.restored(name, beats)) // or what the next beat will find
	return h.why(now), nil
}

// Release lets mail go again that was held back. It returns newsletter.ErrNotFound where none was. The file is written first: where
// the process ends between the two, mail is still held back.
func (s *Store) Release(ctx context.Context, now time.Time) error {
	return s.transactFirmly(ctx, "releasing mail", func(tx *sql.Tx) error {
		h, err := readHouse(ctx, tx)
		if err != nil {
			return found(err)
		}
		name, beats, err := s.readBeat()
		if err != nil {
			return err
		}
		h.held = cmp.Or(h.held, h.restored(name, beats))
		if h.why(now) == "" {
			return newsletter.ErrNotFound
		}
		h = house{identity: rand.Text(), beats: h.beats + 1, lastSeen: now}
		if err := s.writeBeat(h); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE house SET identity = $1, beats = $2, last_seen = $3, held = ''`, h.identity, h.beats, millis(h.lastSeen))
		return err
	})
}

// restored is why a database is not the one that last served here; the empty text: it is.
func (h house) restored(name string, beats int64) string {
	switch {
	case name == "" && h.beats == 0: // it begins
		return ""
	case name == "":
		return "this database was copied here, or restored: the file " + BeatFile + " of its data folder is not beside it"
	case name != h.identity:
		return "this is another database than the one that last served from this data folder"
	case beats > h.beats:
		return "this database was restored from a backup: it is older than the one that last served from this data folder"
	}
	return ""
}

func (h house) aheadBy(now time.Time) time.Duration { return now.Sub(h.lastSeen) }

func (h house) why(now time.Time) string {
	if h.held != "" {
		return h.held
	}
	if ahead := h.aheadBy(now); ahead > mostUnseen {
		return fmt.Sprintf("the clock says %s, %d days after dispatcher last served: either it is wrong, or nothing ran all that time",
			now.UTC().Format("2006-01-02 15:04 UTC"), int(ahead.Hours()/24))
	}
	return ""
}

// inOrOutside is a transaction, or the database outside of any.
type inOrOutside interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readHouse(ctx context.Context, db inOrOutside) (h house, err error) {
	var seen int64
	err = db.QueryRowContext(ctx, `SELECT identity, beats, last_seen, held FROM house`).Scan(&h.identity, &h.beats, &seen, &h.held)
	h.lastSeen = instant(seen)
	return h, err
}

// readBeat reads the file beside the database. No file is no error.
func (s *Store) readBeat() (name string, beats int64, err error) {
	text, err := os.ReadFile(s.beatPath())
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("reading how far this database has got: %w", err)
	}
	if _, err := fmt.Sscan(string(text), &name, &beats); err != nil {
		return "", 0, nil // not what writeBeat writes: as good as none
	}
	return name, beats, nil
}

// writeBeat replaces the file in one step. After a power cut it may be behind the database, never cut off.
func (s *Store) writeBeat(h house) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing how far this database has got: %w", err)
		}
	}()
	if err := os.Remove(s.beatPath() + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return err
	}
	next, err := os.OpenFile(s.beatPath()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	giveTo(next, s.path)
	_, err = fmt.Fprintf(next, "%s %d\n", h.identity, h.beats)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), s.beatPath())
}

func (s *Store) beatPath() string {
	return filepath.Join(filepath.Dir(s.path), BeatFile)
}
