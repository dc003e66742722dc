package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// Mark is how far the slots of a list are decided. For a list that is new, that is begin, and is kept.
func (s *Store) Mark(ctx context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error) {
	m, err := scanMark(s.read.QueryRowContext(ctx, `SELECT considered, schedule, zone, day FROM lists WHERE id = $1`, list))
	if errors.Is(err, sql.ErrNoRows) {
		m, err = scanMark(s.write.QueryRowContext(ctx, `INSERT INTO lists (id, considered, schedule, zone) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET considered = lists.considered RETURNING considered, schedule, zone, day`,
			list, millis(begin.Considered), begin.Schedule, begin.Zone))
	}
	if err != nil {
		return m, fmt.Errorf("reading how far the slots of %s are decided: %w", list, err)
	}
	return m, nil
}

func scanMark(row *sql.Row) (m newsletter.Mark, err error) {
	var at int64
	err = row.Scan(&at, &m.Schedule, &m.Zone, &m.Day)
	m.Considered = instant(at)
	return m, err
}

// SetMark sets a list's mark, back too. Slots that are decided stay so, but for those of which Untimely speaks.
func (s *Store) SetMark(ctx context.Context, list string, m newsletter.Mark) error {
	if _, err := s.write.ExecContext(ctx, `UPDATE lists SET considered = $1, schedule = $2, zone = $3, day = $4 WHERE id = $5`,
		millis(m.Considered), m.Schedule, m.Zone, m.Day, list); err != nil {
		return fmt.Errorf("setting how far the slots of %s are decided: %w", list, err)
	}
	return nil
}

// Skip decides that slots get no edition, all in one transaction. Those that are decided already stay as they are, but for those that a
// clock that was ahead has skipped.
func (s *Store) Skip(ctx context.Context, decided []newsletter.Decided, now time.Time) error {
	return s.transact(ctx, "skipping slots", func(tx *sql.Tx) error {
		for _, d := range decided {
			if err := decide(ctx, tx, d.Slot, d.Fate, now); err != nil && !errors.Is(err, newsletter.ErrSlotTaken) {
				return err
			}
			if err := consider(ctx, tx, d.Slot); err != nil {
				return err
			}
		}
		return nil
	})
}

// Untimely is the first of a list's own slots after an instant that was skipped at a later time than now, by a clock that was ahead; or
// newsletter.ErrNotFound. It is decided anew when it comes.
func (s *Store) Untimely(ctx context.Context, list string, after, now time.Time) (time.Time, error) {
	var due int64
	err := s.read.QueryRowContext(ctx, `SELECT due FROM slots
		WHERE list = $1 AND due > $2 AND follows = 0 AND edition IS NULL AND decided > $3 ORDER BY due LIMIT 1`, list, millis(after), millis(now)).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, newsletter.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("finding slots of %s that were skipped before their time: %w", list, err)
	}
	return instant(due), nil
}

// decide writes down what became of a slot. It returns newsletter.ErrSlotTaken when the slot is decided already, and newsletter.ErrRenamed for
// an id that its list no longer has. A slot that was skipped
// at a later time than now is not: a clock that was ahead has skipped it, and it is decided anew now that it has come. One that got an
// edition keeps it, whatever the clock was.
func decide(ctx context.Context, tx *sql.Tx, slot newsletter.Slot, fate newsletter.SlotFate, now time.Time) error {
	if err := notRenamed(ctx, tx, slot.List); err != nil {
		return err
	}
	n := 0
	err := countRows(&n)(tx.ExecContext(ctx, `
		INSERT INTO slots (list, due, follows, fate, decided) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (list, due, follows) DO UPDATE SET fate = excluded.fate, decided = excluded.decided
			WHERE slots.edition IS NULL AND slots.decided > excluded.decided`,
		slot.List, millis(slot.Due), slot.Follows, fate, millis(now)))
	if err == nil && n == 0 {
		return newsletter.ErrSlotTaken
	}
	return err
}

// consider moves the list's mark; it never moves back. What follows an edition moves none.
func consider(ctx context.Context, tx *sql.Tx, slot newsletter.Slot) error {
	if slot.Follows != 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE lists SET considered = $1 WHERE id = $2 AND considered < $1`, millis(slot.Due), slot.List)
	return err
}

// DecidedSlots are the slots of a list from an instant on, and what became of them, in order.
func (s *Store) DecidedSlots(ctx context.Context, list string, from time.Time) ([]newsletter.Decided, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT due, follows, fate FROM slots WHERE list = $1 AND due >= $2 ORDER BY due, follows`, list, millis(from))
	slots, err := collect(rows, err, func(r *sql.Rows) (d newsletter.Decided, err error) {
		var due int64
		err = r.Scan(&due, &d.Slot.Follows, &d.Fate)
		d.Slot.List, d.Slot.Due = list, instant(due)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the slots of %s: %w", list, err)
	}
	return slots, nil
}

// Marks are the marks of all lists that have one. Nothing is written.
func (s *Store) Marks(ctx context.Context) (map[string]newsletter.Mark, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, considered, schedule, zone, day FROM lists`)
	marks := map[string]newsletter.Mark{}
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var id string
		var at int64
		var m newsletter.Mark
		err := r.Scan(&id, &at, &m.Schedule, &m.Zone, &m.Day)
		m.Considered = instant(at)
		marks[id] = m
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading how far the slots are decided: %w", err)
	}
	return marks, nil
}
