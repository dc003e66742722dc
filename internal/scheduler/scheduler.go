package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dispatcher/internal/newsletter"
)

// Ledger remembers what became of each slot (package store).
type Ledger interface {
	// Considered is the instant up to which every slot of a list is decided; that of a list that is new is kept as begin.
	Considered(ctx context.Context, list string, begin time.Time) (time.Time, error)
	// Rewind sets that instant back, where the clock was ahead when it was kept.
	Rewind(ctx context.Context, list string, to time.Time) error
	// Skip decides that a slot gets no edition.
	Skip(ctx context.Context, slot newsletter.Slot, fate newsletter.SlotFate, now time.Time) error
}

// Press makes editions (package edition).
type Press interface {
	// Print makes the edition of a slot. It returns a *newsletter.NoEdition when there is nothing to say or nobody
	// to say it to, and newsletter.ErrSlotTaken when the slot is decided already.
	Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error)
	// AlertDue is when an alert list whose slots are decided up to an instant is due for the urgent actions that wait, or
	// newsletter.ErrNotFound.
	AlertDue(ctx context.Context, list newsletter.List, decided time.Time) (time.Time, error)
}

// Scheduler watches the clock for all lists.
type Scheduler struct {
	ledger Ledger
	press  Press
	lists  []planned
	now    func() time.Time
	log    *slog.Logger
}

// planned is a list with its schedule; alert lists have none.
type planned struct {
	newsletter.List
	schedule *Schedule
}

// New checks the schedules of all lists. The error names every list whose schedule cannot be read.
func New(ledger Ledger, press Press, lists []newsletter.List, now func() time.Time, log *slog.Logger) (*Scheduler, error) {
	s := &Scheduler{ledger: ledger, press: press, now: now, log: log}
	var errs []error
	for _, l := range lists {
		p := planned{List: l}
		if l.Schedule != "" {
			schedule, err := Parse(l.Schedule, l.Zone)
			if err != nil {
				errs = append(errs, fmt.Errorf("list %s: schedule %q %w", l.ID, l.Schedule, err))
				continue
			}
			p.schedule = &schedule
		}
		s.lists = append(s.lists, p)
	}
	return s, errors.Join(errs...)
}

// tick is the longest time between two looks at the wall clock: an alert's wait may end, and a suspended machine wake, at any moment.
const tick = 5 * time.Second

// Run decides slots as they come due, until it is cancelled. A list that fails is logged and tried again at the next look.
func (s *Scheduler) Run(ctx context.Context) error {
	failing := map[string]bool{}
	for {
		next := s.now().Add(tick)
		for _, l := range s.lists {
			upcoming, err := s.decide(ctx, l)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !failing[l.ID] {
				s.log.Error("deciding slots failed, will try again", "list", l.ID, "error", err)
			}
			failing[l.ID] = err != nil
			if !upcoming.IsZero() && upcoming.Before(next) {
				next = upcoming
			}
		}
		timer := time.NewTimer(next.Sub(s.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// mostAhead is how far the decided slots may lie ahead of the clock before that is taken for a clock that was wrong. Clocks are set
// back by an hour or two now and then, and no slot is decided twice for that: list and instant are its identity.
const mostAhead = 24 * time.Hour

// decide makes the edition of a list whose slot is due, and says when its next slot is, where that is known.
func (s *Scheduler) decide(ctx context.Context, l planned) (next time.Time, err error) {
	now := s.now()
	begin := now // a new list's first slot is its next one
	if l.Kind == newsletter.Alert {
		begin = time.Time{} // an urgent action that waits already is not late for its first alert
	}
	considered, err := s.ledger.Considered(ctx, l.ID, begin)
	if err != nil {
		return time.Time{}, err
	}
	if ahead := considered.Sub(now); ahead > mostAhead {
		s.log.Error("the slots of a list are decided far ahead: this machine's clock was wrong once; going on from now", "list", l.ID, "until", considered)
		if err := s.ledger.Rewind(ctx, l.ID, now); err != nil {
			return time.Time{}, err
		}
		considered = now
	}
	due, err := s.due(ctx, l, considered, now)
	if errors.Is(err, newsletter.ErrNotFound) {
		if l.schedule == nil {
			return time.Time{}, nil
		}
		return l.schedule.Next(now), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if due.After(now) {
		return due, nil
	}
	return time.Time{}, s.fill(ctx, l, newsletter.Slot{List: l.ID, Due: due}, now)
}

// due is the slot to decide: the latest one that has come, or an alert's, which may still be to come.
func (s *Scheduler) due(ctx context.Context, l planned, considered, now time.Time) (time.Time, error) {
	if l.Kind == newsletter.Alert {
		return s.press.AlertDue(ctx, l.List, considered)
	}
	if l.schedule == nil {
		return time.Time{}, newsletter.ErrNotFound
	}
	due, n := l.schedule.latest(considered, now)
	if n == 0 {
		return time.Time{}, newsletter.ErrNotFound
	}
	if n > 1 {
		s.log.Warn("slots were missed, the latest is made", "list", l.ID, "missed", n-1, "slot", due)
	}
	return due, nil
}

// fill makes the edition of a slot, or writes down why there is none.
func (s *Scheduler) fill(ctx context.Context, l planned, slot newsletter.Slot, now time.Time) error {
	order := newsletter.Order{List: l.List, Slot: slot}
	if l.schedule != nil {
		order.NextSlot = l.schedule.Next(now)
	}
	id, err := s.press.Print(ctx, order)
	var none *newsletter.NoEdition
	switch {
	case errors.As(err, &none):
		s.log.Info("slot skipped", "list", l.ID, "slot", slot.Due, "fate", none.Fate)
		err = s.ledger.Skip(ctx, slot, none.Fate, now)
	case err == nil:
		s.log.Info("edition made", "list", l.ID, "slot", slot.Due, "edition", id)
	}
	if errors.Is(err, newsletter.ErrSlotTaken) { // another process decided it between the look and the deed
		return nil
	}
	return err
}
