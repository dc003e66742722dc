package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// plan is a schedule with the clock that it is on: a zone's, or the readers' own. A slot on the readers' own clocks is named by the
// instant at which UTC shows its time; it opens at the first of the zones in which readers are, and closes at the last.
type plan struct {
	schedule Schedule                  // on the readers' own clocks: in UTC
	zones    map[string]*time.Location // on the readers' own clocks: those where readers are, by name
	fallback *time.Location            // the clock of those whose zone is not known
}

// errNoPlan says that a mark's schedule cannot be read, or its zone is not known.
var errNoPlan = errors.New("no plan")

// planOf is the plan of a list by a mark, which may be an earlier one than that of its config. It returns errNoPlan for a plan that
// cannot be read any more.
func (s *Scheduler) planOf(ctx context.Context, l newsletter.List, mark newsletter.Mark) (plan, error) {
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	if mark.Zone != localClock {
		if mark.Zone != l.Clock() {
			var err error
			if zone, err = time.LoadLocation(mark.Zone); err != nil {
				return plan{}, fmt.Errorf("%w: %w", errNoPlan, err)
			}
		}
		return readPlan(mark.Schedule, zone)
	}
	p, err := readPlan(mark.Schedule, time.UTC)
	if err != nil {
		return plan{}, err
	}
	names, err := s.zones(ctx, l.ID)
	if err != nil {
		return plan{}, err
	}
	if len(names) == 0 {
		names = []string{""}
	}
	p.zones, p.fallback = map[string]*time.Location{}, zone
	for _, name := range names {
		p.zones[name] = p.zone(name)
	}
	return p, nil
}

func readPlan(line string, zone *time.Location) (plan, error) {
	schedule, err := Parse(line, zone)
	if err != nil {
		return plan{}, fmt.Errorf("%w: schedule %q %w", errNoPlan, line, err)
	}
	return plan{schedule: schedule}, nil
}

// zone is where the clock of readers is by the name of their zone.
func (p plan) zone(name string) *time.Location {
	if z, known := p.zones[name]; known {
		return z
	}
	if z, err := time.LoadLocation(name); err == nil && name != "" {
		return z
	}
	return p.fallback
}

// zonesFor is how long the zones of a list's readers are taken for known: to find them is to look at every reader.
const zonesFor = time.Minute

// known are the zones of a list's readers at one time.
type known struct {
	at    time.Time
	names []string
}

func (s *Scheduler) zones(ctx context.Context, list string) ([]string, error) {
	now := s.now()
	if k, ok := s.readers[list]; ok && now.Sub(k.at) < zonesFor && !now.Before(k.at) {
		return k.names, nil
	}
	names, err := s.press.Zones(ctx, list)
	if err == nil {
		s.readers[list] = known{now, names}
	}
	return names, err
}

// localClock is the Mark.Zone of lists on the readers' own clocks; see newsletter.List.Clock.
const localClock = "subscriber"

// position is an instant on the scale of the plan's slots: all slots up to it have opened.
func (p plan) position(now time.Time) (at time.Time) {
	if p.zones == nil {
		return now
	}
	for _, zone := range p.zones {
		at = later(at, reached(now, zone))
	}
	return at
}

// reached is the latest time that a zone's clock has shown by an instant: in an hour that runs a second time, that is the end of the
// first run, so that nothing in it is still to come.
func reached(at time.Time, zone *time.Location) time.Time {
	shown := wall(at, zone)
	if begin, _ := at.In(zone).ZoneBounds(); !begin.IsZero() {
		shown = later(shown, wall(begin.Add(-1), zone))
	}
	return shown
}

// due are the slots that have opened since another one, in order.
func (p plan) due(after, now time.Time) (slots []time.Time) {
	until := p.position(now)
	for next := p.schedule.Next(after); !next.IsZero() && !next.After(until); next = p.schedule.Next(next) {
		slots = append(slots, next)
	}
	return slots
}

// moment is when a slot is on the clock of a zone, an IANA name.
func (p plan) moment(slot time.Time, zone string) time.Time {
	if p.zones == nil {
		return slot
	}
	return instant(slot, p.zone(zone))
}

// opens is the first moment of a slot, closes the last.
func (p plan) opens(slot time.Time) time.Time { return p.edge(slot, time.Time.Before) }

func (p plan) closes(slot time.Time) time.Time { return p.edge(slot, time.Time.After) }

func (p plan) edge(slot time.Time, further func(a, b time.Time) bool) time.Time {
	if p.zones == nil || slot.IsZero() {
		return slot
	}
	var edge time.Time
	for name := range p.zones {
		if at := p.moment(slot, name); edge.IsZero() || further(at, edge) {
			edge = at
		}
	}
	return edge
}

// back is a mark that was ahead, set back to a position: to the last slot of its day up to there, which tells that the day has had one.
func (p plan) back(mark newsletter.Mark, position time.Time) newsletter.Mark {
	mark.Considered = position
	for slot := p.first(p.civil(position)); !slot.IsZero() && !slot.After(position); slot = p.schedule.Next(slot) {
		mark.Considered = slot
	}
	if mark.Day > p.day(position) {
		mark.Day = ""
	}
	return mark
}

// order asks for the edition of a slot. On the readers' own clocks, a copy may be made so late; 0: as late as it is.
func (p plan) order(l newsletter.List, slot time.Time, late time.Duration) newsletter.Order {
	next := p.schedule.Next(slot)
	o := newsletter.Order{List: l, Slot: newsletter.Slot{List: l.ID, Due: slot}, NextSlot: next}
	if p.zones == nil {
		return o
	}
	o.Late = late
	o.Moment = func(zone string) time.Time { return p.moment(slot, zone) }
	if !next.IsZero() {
		o.NextMoment = func(zone string) time.Time { return p.moment(next, zone) }
	}
	return o
}

// change is one from the plan by which a list's slots were decided, up to a mark, to the one in its config, which would begin at another.
type change struct {
	old, next   plan
	mark, begin newsletter.Mark
}

// changePlan goes over from one plan to another. The slots of the old one that have come are decided by it first. Then the day counts, on
// the clock of either plan: it neither has its slot twice nor loses it.
func (s *Scheduler) changePlan(ctx context.Context, l newsletter.List, c change, now time.Time) error {
	if due := c.old.due(c.mark.Considered, now); len(due) > 0 {
		return s.decideDue(ctx, l, c.old, due, now)
	}
	begin := c.begin
	if begin.Day = c.mark.Day; c.old.isSlot(c.mark.Considered) {
		begin.Day = c.old.day(c.mark.Considered)
	}
	if again := c.next.again(begin); len(again) > 0 {
		begin.Considered = again[len(again)-1]
		s.log.Info("the schedule has changed, and the day had its slot", "list", l.ID, "slots", len(again), "until", begin.Considered)
		if err := s.skip(ctx, l, again, newsletter.SkippedNewPlan, now); err != nil {
			return err
		}
	} else if owed := c.owed(); len(owed) > 0 { // they have come just now: however long they are over, that is not late
		begin.Considered = owed[len(owed)-1]
		if err := s.skip(ctx, l, owed[:len(owed)-1], newsletter.SkippedForLater, now); err != nil {
			return err
		}
		if err := s.fill(ctx, c.next.order(l, begin.Considered, 0)); err != nil {
			return err
		}
	}
	s.log.Info("the schedule of a list has changed", "list", l.ID, "schedule", l.Schedule, "zone", l.Clock(), "next", c.next.opens(c.next.schedule.Next(begin.Considered)))
	return s.ledger.SetMark(ctx, l.ID, begin)
}

// again are the slots to come that would be the slot again of the last day that had one. Where the plan has several slots in a day, those
// to come are not the same one again.
func (p plan) again(begin newsletter.Mark) (slots []time.Time) {
	for slot := p.schedule.Next(begin.Considered); p.day(slot) <= begin.Day && p.alone(slot); slot = p.schedule.Next(slot) {
		slots = append(slots, slot)
	}
	return slots
}

// owed are the slots of a day that are all over by the new plan, while by the old one, which has none due, its slot was still to come.
func (c change) owed() (slots []time.Time) {
	day := c.old.civil(c.old.schedule.Next(c.mark.Considered))
	for slot := c.next.first(day); c.next.day(slot) == day.Format(time.DateOnly); slot = c.next.schedule.Next(slot) {
		if slot.After(c.begin.Considered) {
			return nil // it does not lose the day
		}
		slots = append(slots, slot)
	}
	return slots
}

// first is the first slot of the day of a civil time, or of a later day.
func (p plan) first(civil time.Time) time.Time {
	return p.schedule.Next(instant(civil.Truncate(24*time.Hour), p.schedule.zone).Add(-1))
}

// alone reports whether a slot is the only one of its day.
func (p plan) alone(slot time.Time) bool {
	return p.first(p.civil(slot)).Equal(slot) && p.day(p.schedule.Next(slot)) != p.day(slot)
}

// civil is the time that the plan's clock shows, of an instant on the scale of its slots.
func (p plan) civil(position time.Time) time.Time { return wall(position, p.schedule.zone) }

func (p plan) day(slot time.Time) string { return p.civil(slot).Format(time.DateOnly) }

func (p plan) isSlot(at time.Time) bool { return p.schedule.Next(at.Add(-1)).Equal(at) }

// Upcoming is a slot that is still to come.
type Upcoming struct {
	Slot   time.Time // the instant that names it
	Opens  time.Time // when it is due; on the readers' own clocks: in the first of their zones
	Closes time.Time // in the last of them; else the same
}

// Upcoming are the next slots of a list after an instant, at most n.
func (s *Scheduler) Upcoming(ctx context.Context, l newsletter.List, after time.Time, n int) (slots []Upcoming, err error) {
	if l.Schedule == "" {
		return nil, nil
	}
	p, err := s.planOf(ctx, l, newsletter.Mark{Schedule: l.Schedule, Zone: l.Clock()})
	if err != nil {
		return nil, err
	}
	for slot := p.schedule.Next(p.position(after)); len(slots) < n && !slot.IsZero(); slot = p.schedule.Next(slot) {
		slots = append(slots, Upcoming{slot, p.opens(slot), p.closes(slot)})
	}
	return slots, nil
}
