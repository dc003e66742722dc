package scheduler

import (
	"context"
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

// planOf is the plan of a list by a mark, which may be an earlier one than that of its config.
func (s *Scheduler) planOf(ctx context.Context, l newsletter.List, mark newsletter.Mark) (plan, error) {
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	if mark.Zone != localClock {
		if mark.Zone != l.Clock() {
			var err error
			if zone, err = time.LoadLocation(mark.Zone); err != nil {
				return plan{}, err
			}
		}
		schedule, err := Parse(mark.Schedule, zone)
		return plan{schedule: schedule}, err
	}
	schedule, err := Parse(mark.Schedule, time.UTC)
	if err != nil {
		return plan{}, err
	}
	names, err := s.press.Zones(ctx, l.ID)
	if len(names) == 0 {
		names = []string{""}
	}
	p := plan{schedule: schedule, zones: map[string]*time.Location{}, fallback: zone}
	for _, name := range names {
		p.zones[name] = p.zone(name)
	}
	return p, err
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

// localClock is the Mark.Zone of lists on the readers' own clocks; see newsletter.List.Clock.
const localClock = "subscriber"

// position is an instant on the scale of the plan's slots: all slots up to it have opened.
func (p plan) position(now time.Time) (at time.Time) {
	if p.zones == nil {
		return now
	}
	for _, zone := range p.zones {
		at = later(at, wall(now, zone))
	}
	return at
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

// changePlan goes over from the plan by which a list's slots were decided to the one in its config. The slots of the old one that have come
// are decided by it first. Then the day counts, on the clock of either plan: it neither has its slot twice nor loses it.
func (s *Scheduler) changePlan(ctx context.Context, l newsletter.List, next plan, mark newsletter.Mark, now time.Time) error {
	begin := newsletter.Mark{Considered: next.position(now), Schedule: l.Schedule, Zone: l.Clock()}
	old, err := s.planOf(ctx, l, mark)
	if err != nil { // of a zone that is no more: nothing can be said about it
		return s.ledger.SetMark(ctx, l.ID, begin)
	}
	if due := old.due(mark.Considered, now); len(due) > 0 {
		return s.decideDue(ctx, l, old, due, now)
	}
	today := next.civil(begin.Considered)
	first := next.schedule.Next(next.midnight(today).Add(-1)) // of today, or of a later day
	isToday := next.day(first) == today.Format(time.DateOnly)
	switch {
	case isToday && old.day(mark.Considered) == today.Format(time.DateOnly) && old.isSlot(mark.Considered):
		// Today had its slot. Where there are several in a day, what follows is not the same one again.
		if second := next.schedule.Next(first); next.day(second) != next.day(first) && first.After(begin.Considered) {
			begin.Considered = first
			s.log.Info("the schedule has changed, and today had its edition", "list", l.ID, "slot", first)
			if err := s.skip(ctx, l, []time.Time{first}, newsletter.SkippedNewPlan, now); err != nil {
				return err
			}
		}
	case isToday && old.day(old.schedule.Next(mark.Considered)) == today.Format(time.DateOnly) && !first.After(begin.Considered):
		begin.Considered = first.Add(-1) // today's slot was still to come, and is now earlier than this moment
	}
	s.log.Info("the schedule of a list has changed", "list", l.ID, "schedule", l.Schedule, "zone", l.Clock(), "next", next.opens(next.schedule.Next(begin.Considered)))
	return s.ledger.SetMark(ctx, l.ID, begin)
}

// civil is the time that the plan's clock shows, of an instant on the scale of its slots.
func (p plan) civil(position time.Time) time.Time { return wall(position, p.schedule.zone) }

// midnight is when the day of a civil time begins, on the scale of the plan's slots.
func (p plan) midnight(civil time.Time) time.Time {
	return instant(civil.Truncate(24*time.Hour), p.schedule.zone)
}

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
