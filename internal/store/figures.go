package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"dispatcher/internal/newsletter"
)

// Figures are what the database tells of its work. Counting a million rows takes a fifth of a second, so what was counted is
// remembered: an edition that is over is counted once, and what may change as often as its size allows, a million rows every twenty
// seconds, a few at each call. When ctx ends first, the next call goes on from there.
func (s *Store) Figures(ctx context.Context, now time.Time) (f newsletter.Figures, err error) {
	f.Lists = map[string]newsletter.ListFigures{}
	for _, read := range []func(context.Context, *newsletter.Figures, time.Time) error{
		s.figuresOfEditions, s.figuresOfSlots, s.figuresOfReaders, s.figuresOfQueue,
	} {
		if err := read(ctx, &f, now); err != nil {
			return f, fmt.Errorf("reading figures: %w", err)
		}
	}
	if f.Held, err = s.Held(ctx, now); err != nil {
		return f, err
	}
	f.Disk, err = s.Disk()
	return f, err
}

// Disk is what the database takes, and what its file system has left.
func (s *Store) Disk() (d newsletter.Disk, err error) {
	var fileSystem syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.path), &fileSystem); err != nil {
		return d, fmt.Errorf("asking how much room the disk has: %w", err)
	}
	d.Free, d.Size = int64(fileSystem.Bavail)*fileSystem.Bsize, int64(fileSystem.Blocks)*fileSystem.Bsize
	for path, size := range map[string]*int64{s.path: &d.Database, s.path + "-wal": &d.WAL} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the last one to close it takes the log away
		}
		if err != nil {
			return d, fmt.Errorf("asking for the size of the database: %w", err)
		}
		*size = info.Size()
	}
	return d, nil
}

// TryWrite commits a write that changes nothing, as every outcome is committed: it fails where none could be written.
func (s *Store) TryWrite(ctx context.Context) error {
	return s.transact(ctx, "trying to write to the database", func(tx *sql.Tx) error {
		for _, there := range []int{1, -1} { // there and back: SQLite writes no page whose rows are given the values that they have
			if _, err := tx.ExecContext(ctx, `UPDATE house SET beats = beats + $1`, there); err != nil {
				return err
			}
		}
		return nil
	})
}

// counted remembers what was counted. It may be used from many goroutines.
type counted struct {
	counting sync.Mutex // held while something is counted: two that ask at once do not count twice
	editions map[newsletter.EditionID]*editionSums
	readers  remembered
	barred   remembered // addresses
	bounced  remembered

	mu   sync.Mutex
	done map[newsletter.EditionID]bool // that have become done since the last call: what was counted of them before is of another time
}

// remembered is a count by some names, and when it was made.
type remembered struct {
	at   time.Time
	rows int
	by   map[string]int
}

// rowsInASecond is how much time lies between two counts of so many rows; counting them takes a hundredth of that.
const rowsInASecond = 50_000

// worn reports whether a count of so many rows is to be made anew.
func worn(at time.Time, rows int, now time.Time) bool {
	return at.IsZero() || now.Before(at) || now.Sub(at) >= time.Duration(rows/rowsInASecond)*time.Second
}

// recount counts the rows of a table by a column where what is remembered is worn.
func (s *Store) recount(ctx context.Context, r *remembered, now time.Time, query string) error {
	if !worn(r.at, r.rows, now) {
		return nil
	}
	next := remembered{at: now, by: map[string]int{}}
	err := s.tally(ctx, query, func(name string, n int) { next.by[name], next.rows = next.by[name]+n, next.rows+n })
	if err == nil {
		*r = next
	}
	return err
}

// tally runs a query for names and numbers.
func (s *Store) tally(ctx context.Context, query string, add func(name string, n int)) error {
	return tallyIn(ctx, s.read, add, query)
}

func tallyIn(ctx context.Context, db querier, add func(name string, n int), query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var name string
		var n int
		err := r.Scan(&name, &n)
		add(name, n)
		return struct{}{}, err
	})
	return err
}

// querier is a transaction, or the database outside of any.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// figuresOfSlots tells also of a list that has had no slot yet.
func (s *Store) figuresOfSlots(ctx context.Context, f *newsletter.Figures, _ time.Time) error {
	if err := s.tally(ctx, `SELECT id, 0 FROM lists`, func(list string, _ int) { listFigures(f, list) }); err != nil {
		return err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT list, fate, COUNT(*) FROM slots GROUP BY list, fate`)
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var list string
		var fate newsletter.SlotFate
		var n int
		err := r.Scan(&list, &fate, &n)
		l := listFigures(f, list)
		l.Slots[fate] = n
		return struct{}{}, err
	})
	return err
}

// listFigures are a list's figures, whose maps are there to be written to.
func listFigures(f *newsletter.Figures, list string) newsletter.ListFigures {
	l, known := f.Lists[list]
	if !known {
		l.Slots, l.Editions, l.Failed = map[newsletter.SlotFate]int{}, map[newsletter.EditionState]int{}, map[newsletter.Owner]int{}
		f.Lists[list] = l
	}
	return l
}

func (s *Store) figuresOfReaders(ctx context.Context, f *newsletter.Figures, now time.Time) error {
	c := &s.counted
	c.counting.Lock()
	defer c.counting.Unlock()
	for query, r := range map[string]*remembered{
		`SELECT list, COUNT(*) FROM subscriptions WHERE state = 'confirmed' GROUP BY list`:                                 &c.readers,
		`SELECT reason, COUNT(*) FROM suppressions GROUP BY reason`:                                                        &c.barred,
		`SELECT kind, COUNT(*) FROM bounces GROUP BY kind UNION ALL SELECT why, n FROM edition_sums WHERE what = 'bounce'`: &c.bounced,
	} {
		if err := s.recount(ctx, r, now, query); err != nil {
			return err
		}
	}
	for list, n := range c.readers.by {
		l := listFigures(f, list)
		l.Readers = n
		f.Lists[list] = l
	}
	f.Suppressions, f.Bounces = map[string]int{}, map[newsletter.BounceKind]int{}
	for reason, n := range c.barred.by {
		f.Suppressions[reason] = n
	}
	for kind, n := range c.bounced.by {
		f.Bounces[newsletter.BounceKind(kind)] = n
	}
	return nil
}

func (s *Store) figuresOfQueue(ctx context.Context, f *newsletter.Figures, _ time.Time) error {
	f.Items = map[newsletter.ItemState]int{}
	if err := s.tally(ctx, `SELECT state, COUNT(*) FROM items GROUP BY state`, func(state string, n int) { f.Items[newsletter.ItemState(state)] = n }); err != nil {
		return err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+feedColumns+` FROM feeds ORDER BY name`)
	f.Feeds, err = collect(rows, err, func(r *sql.Rows) (newsletter.FeedState, error) { return scanFeed(r) })
	return err
}
