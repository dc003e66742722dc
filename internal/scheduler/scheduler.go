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
	// Beat says that slots are decided, and reports why nothing is mailed at present; the empty text: mail goes.
	Beat(ctx context.Context, now time.Time) (held string, err error)
	// Mark is how far the slots of a list are decided; that of a list that is new is kept as begin.
	Mark(ctx context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error)
	// SetMark sets it, back too.
	SetMark(ctx context.Context, list string, mark newsletter.Mark) error
	// Skip decides that slots get no edition. Those that are decided already stay as they are, but for those that were skipped by a
	// clock that showed a later time than now: they are decided anew.
	Skip(ctx context.Context, slots []newsletter.Decided, now time.Time) error
	// Untimely is the first of a list's own slots after an instant that was skipped so, or newsletter.ErrNotFound.
	Untimely(ctx context.Context, list string, after, now time.Time) (time.Time, error)
}

// Press makes editions (package edition).
type Press interface {
	// Print makes the edition of a slot. It returns a *newsletter.NoEdition when there is nothing to say or nobody
	// to say it to, and newsletter.ErrSlotTaken when the slot is decided already.
	Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error)
	// AlertDue is when an alert list whose slots are decided up to an instant is due for the urgent actions that wait, or
	// newsletter.ErrNotFound.
	AlertDue(ctx context.Context, list newsletter.List, decided time.Time) (time.Time, error)
	// Reminders are those that a list owes the readers of its alerts now, and when the next one is due; zero: none is known yet.
	Reminders(ctx context.Context, list newsletter.List) (orders []newsletter.Order, next time.Time, err error)
	// Zones are the zones of a list's readers, the empty one for those whose zone is not known.
	Zones(ctx context.Context, list string) ([]string, error)
}

// Scheduler watches the clock for all lists.
type Scheduler struct {
	// Alive is how the scheduler says that it is not stuck: its next sign comes within so long, or 0: it has ended. Nil: nobody wants to
	// know. Set it before Run.
	Alive func(within time.Duration)

	ledger  Ledger
	press   Press
	lists   []newsletter.List
	now     func() time.Time
	log     *slog.Logger
	beat    time.Time // when the ledger was last told that slots are decided
	held    string    // what the log knows of why nothing is mailed
	failing map[string]bool
	readers map[string]known // where the readers of lists are
}

// New checks the schedules of all lists. The error names every list whose schedule cannot be read.
func New(ledger Ledger, press Press, lists []newsletter.List, now func() time.Time, log *slog.Logger) (*Scheduler, error) {
	var errs []error
	for _, l := range lists {
		if l.Schedule == "" {
			continue
		}
		if _, err := Parse(l.Schedule, l.Zone); err != nil {
			errs = append(errs, fmt.Errorf("list %s: schedule %q %w", l.ID, l.Schedule, err))
		}
	}
	return &Scheduler{ledger: ledger, press: press, lists: lists, now: now, log: log, failing: map[string]bool{}, readers: map[string]known{}}, errors.Join(errs...)
}

// tick is the longest time between two looks at the wall clock: an alert's wait may end, and a suspended machine wake, at any moment.
const tick = 5 * time.Second

// Run decides slots as they come due, until it is cancelled. A list that fails is logged and tried again at the next look.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.alive(0)
	for ctx.Err() == nil {
		next := s.Look(ctx)
		wait := tick
		if until := next.Sub(s.now()); !next.IsZero() && until < tick {
			wait = max(until, time.Millisecond)
		}
		s.alive(wait + listPatience)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
	return nil
}

// listPatience is how long the slots of one list may take: an edition for millions is made in less than a minute.
const listPatience = 10 * time.Minute

func (s *Scheduler) alive(within time.Duration) {
	if s.Alive != nil {
		s.Alive(within)
	}
}

// beatEvery is how often the ledger is told that slots are decided.
const beatEvery = time.Minute

// Look decides all slots that are due by now, and returns when the next one is that is known of; zero: none is. While mail is held
// back it decides nothing. A list that fails has its next turn at the next look, whenever that is.
func (s *Scheduler) Look(ctx context.Context) (next time.Time) {
	now := s.now()
	if away := now.Sub(s.beat); away >= beatEvery || away < 0 || s.held != "" {
		if !s.mayMail(ctx, now) {
			return time.Time{}
		}
	}
	for _, l := range s.lists {
		s.alive(listPatience)
		upcoming, err := s.decide(ctx, l)
		if ctx.Err() != nil {
			return time.Time{}
		}
		if err != nil && !s.failing[l.ID] {
			s.log.Error("deciding slots failed, will try again", "list", l.ID, "error", err)
		}
		s.failing[l.ID] = err != nil
		if err == nil && !upcoming.IsZero() && (next.IsZero() || upcoming.Before(next)) {
			next = upcoming
		}
	}
	return next
}

// mayMail asks the ledger whether mail is held back, and tells it once.
func (s *Scheduler) mayMail(ctx context.Context, now time.Time) bool {
	held, err := s.ledger.Beat(ctx, now)
	if err != nil {
		if ctx.Err() == nil && !s.failing[""] {
			s.log.Error("noting that slots are decided failed, will try again", "error", err)
		}
		s.failing[""] = true
		return false
	}
	s.failing[""] = false
	switch {
	case held != "" && s.held == "":
		s.log.Error("all mail is held back; `dispatcher release` lets it go", "because", held)
	case held == "" && s.held != "":
		s.log.Info("mail goes again")
	}
	s.held = held
	if held == "" {
		s.beat = now
	}
	return held == ""
}

// decide does what a list is due for, and says when to look at it again, where that is known.
func (s *Scheduler) decide(ctx context.Context, l newsletter.List) (next time.Time, err error) {
	if l.Kind == newsletter.Alert {
		return s.decideAlert(ctx, l)
	}
	if l.Schedule == "" {
		return time.Time{}, nil
	}
	return s.decideDigest(ctx, l)
}

// decideAlert makes the alert that is due, and the reminders.
func (s *Scheduler) decideAlert(ctx context.Context, l newsletter.List) (time.Time, error) {
	now := s.now()
	// An urgent action that waits already is not late for the first alert of a list that is new.
	mark, err := s.ledger.Mark(ctx, l.ID, newsletter.Mark{})
	if err != nil {
		return time.Time{}, err
	}
	if ahead := mark.Considered.Sub(now); ahead > 0 { // an alert is never decided before its time
		if ahead > mostAhead {
			s.tellWrongClock(l, mark)
		}
		mark.Considered = now
		if err := s.ledger.SetMark(ctx, l.ID, mark); err != nil {
			return time.Time{}, err
		}
	}
	next, err := s.press.AlertDue(ctx, l, mark.Considered)
	switch {
	case errors.Is(err, newsletter.ErrNotFound):
	case err != nil:
		return time.Time{}, err
	case !next.After(now):
		return now, s.fill(ctx, newsletter.Order{List: l, Slot: newsletter.Slot{List: l.ID, Due: next}})
	}
	orders, reminder, err := s.press.Reminders(ctx, l)
	if err != nil {
		return time.Time{}, err
	}
	var errs []error           // one that fails holds up no other
	for _, o := range orders { // however late: what they ask for can still be done
		errs = append(errs, s.fill(ctx, o))
	}
	if err := errors.Join(errs...); err != nil {
		return time.Time{}, err
	}
	if !reminder.IsZero() && (next.IsZero() || reminder.Before(next)) {
		next = reminder
	}
	return next, nil
}

// mostAhead is how far the decided slots of a digest may lie ahead of the clock before that alone says that a clock was wrong: the readers
// of the most eastern zone leave, a day before the next ones, and a change of plan skips what is left of a day. Nearer than that, slots
// that were skipped at a later time than now say so.
const mostAhead = 48 * time.Hour

func (s *Scheduler) tellWrongClock(l newsletter.List, mark newsletter.Mark) {
	s.log.Error("the slots of a list are decided ahead: this machine's clock was wrong once; those that were skipped then are decided anew", "list", l.ID, "until", mark.Considered)
}

// rewound is a list's mark, set back where a clock that was ahead has left it. What that clock skipped is decided anew when it comes; what
// it made is made, since list and instant are the identity of a slot.
func (s *Scheduler) rewound(ctx context.Context, l newsletter.List, p plan, mark newsletter.Mark, now time.Time) (newsletter.Mark, error) {
	position := p.position(now)
	ahead := mark.Considered.Sub(position)
	if ahead <= 0 {
		return mark, nil
	}
	if ahead > mostAhead {
		s.tellWrongClock(l, mark)
		return p.back(mark, position), nil
	}
	first, err := s.ledger.Untimely(ctx, l.ID, position, now)
	switch {
	case errors.Is(err, newsletter.ErrNotFound):
		return mark, nil
	case err != nil || first.After(mark.Considered):
		return mark, err
	}
	s.tellWrongClock(l, mark)
	mark.Considered = first.Add(-time.Millisecond)
	return mark, nil
}

// decideDigest decides the slots of a list that have come.
func (s *Scheduler) decideDigest(ctx context.Context, l newsletter.List) (time.Time, error) {
	now := s.now()
	next, err := s.planOf(ctx, l, newsletter.Mark{Schedule: l.Schedule, Zone: l.Clock()})
	if err != nil {
		return time.Time{}, err
	}
	begin := newsletter.Mark{Considered: next.position(now), Schedule: l.Schedule, Zone: l.Clock()} // a new list's first slot is its next one
	mark, err := s.ledger.Mark(ctx, l.ID, begin)
	if err != nil {
		return time.Time{}, err
	}
	p, changed := next, mark.Schedule != begin.Schedule || mark.Zone != begin.Zone
	if changed {
		p, err = s.planOf(ctx, l, mark)
	}
	if errors.Is(err, errNoPlan) { // nothing can be said about the old one
		return now, s.ledger.SetMark(ctx, l.ID, begin)
	}
	back := mark
	if err == nil {
		back, err = s.rewound(ctx, l, p, mark, now)
	}
	switch {
	case err != nil:
		return time.Time{}, err
	case back != mark:
		return now, s.ledger.SetMark(ctx, l.ID, back)
	case changed:
		return now, s.changePlan(ctx, l, change{old: p, next: next, mark: mark, begin: begin}, now)
	}
	if due := p.due(mark.Considered, now); len(due) > 0 {
		return now, s.decideDue(ctx, l, p, due, now)
	}
	return p.opens(p.schedule.Next(mark.Considered)), nil
}

// decideDue makes the edition of the latest of the slots that are due, unless it is too late for that, and writes down what became of
// the others.
func (s *Scheduler) decideDue(ctx context.Context, l newsletter.List, p plan, due []time.Time, now time.Time) error {
	latest, missed := due[len(due)-1], due[:len(due)-1]
	fate, late, most := newsletter.SkippedForLater, now.Sub(p.closes(latest)), time.Duration(0) // with its edition each reader's copy goes
	switch {
	case late > lateness(l):
		missed, fate = due, newsletter.SkippedLate
	case l.OnMissed == newsletter.MissedSkip && late > punctual:
		missed, fate = due, newsletter.SkippedMissed
	case l.OnMissed == newsletter.MissedSkip:
		fate, most = newsletter.SkippedMissed, punctual
	}
	if len(missed) > 0 {
		s.log.Warn("slots were missed", "list", l.ID, "slots", len(missed), "from", missed[0], "until", missed[len(missed)-1], "fate", fate)
		if err := s.skip(ctx, l, missed, fate, now); err != nil {
			return err
		}
	}
	if len(missed) == len(due) {
		return nil
	}
	return s.fill(ctx, p.order(l, latest, most))
}

// skipAtOnce bounds how many slots one transaction decides.
const skipAtOnce = 10_000

func (s *Scheduler) skip(ctx context.Context, l newsletter.List, slots []time.Time, fate newsletter.SlotFate, now time.Time) error {
	for len(slots) > 0 {
		n := min(len(slots), skipAtOnce)
		var decided []newsletter.Decided
		for _, due := range slots[:n] {
			decided = append(decided, newsletter.Decided{Slot: newsletter.Slot{List: l.ID, Due: due}, Fate: fate})
		}
		if err := s.ledger.Skip(ctx, decided, now); err != nil {
			return err
		}
		slots = slots[n:]
	}
	return nil
}

// fill makes the edition of a slot, or writes down why there is none.
func (s *Scheduler) fill(ctx context.Context, order newsletter.Order) error {
	id, err := s.press.Print(ctx, order)
	slot, kind := order.Slot, order.Kind
	if kind == "" {
		kind = order.List.Kind
	}
	var none *newsletter.NoEdition
	switch {
	case errors.As(err, &none):
		s.log.Info("slot skipped", "list", slot.List, "kind", kind, "slot", slot.Due, "fate", none.Fate)
		err = s.ledger.Skip(ctx, []newsletter.Decided{{Slot: slot, Fate: none.Fate}}, s.now())
	case errors.Is(err, newsletter.ErrSlotTaken): // by another process between the look and the deed, or by a clock that was ahead
		s.log.Info("slot is decided already", "list", slot.List, "kind", kind, "slot", slot.Due)
		return s.ledger.Skip(ctx, []newsletter.Decided{{Slot: slot, Fate: newsletter.MadeEdition}}, s.now())
	case err == nil:
		s.log.Info("edition made", "list", slot.List, "kind", kind, "slot", slot.Due, "edition", id)
	}
	return err
}

// punctual is how late a slot may be and not be missed: the scheduler looks at the clock every few seconds, and a machine may be busy.
const punctual = 2 * time.Minute

// lateness is how late a slot of a list may be made.
func lateness(l newsletter.List) time.Duration {
	if l.MaxLateness > 0 {
		return l.MaxLateness
	}
	return 12 * time.Hour
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
