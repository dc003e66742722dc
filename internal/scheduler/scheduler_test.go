package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
)

// ledger remembers decided slots, as the store does, and survives the scheduler.
type ledger struct {
	marks map[string]newsletter.Mark
	held  string
	fates map[newsletter.Slot]newsletter.SlotFate
	since map[newsletter.Slot]time.Time // when each was decided
	fail  int                           // how many calls fail
}

func newLedger() *ledger {
	return &ledger{marks: map[string]newsletter.Mark{}, fates: map[newsletter.Slot]newsletter.SlotFate{}, since: map[newsletter.Slot]time.Time{}}
}

func (l *ledger) Beat(context.Context, time.Time) (string, error) { return l.held, nil }

func (l *ledger) Mark(_ context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error) {
	if l.fail > 0 {
		l.fail--
		return newsletter.Mark{}, errors.New("the disk is full")
	}
	if _, known := l.marks[list]; !known {
		l.marks[list] = begin
	}
	return l.marks[list], nil
}

func (l *ledger) SetMark(_ context.Context, list string, m newsletter.Mark) error {
	l.marks[list] = m
	return nil
}

func (l *ledger) Skip(_ context.Context, slots []newsletter.Decided, now time.Time) error {
	for _, d := range slots {
		if err := l.decide(d.Slot, d.Fate, now); err != nil {
			l.consider(d.Slot)
		}
	}
	return nil
}

func (l *ledger) Untimely(_ context.Context, list string, after, now time.Time) (first time.Time, err error) {
	for slot, fate := range l.fates {
		if slot.List == list && slot.Follows == 0 && fate != newsletter.MadeEdition && slot.Due.After(after) && l.since[slot].After(now) && (first.IsZero() || slot.Due.Before(first)) {
			first = slot.Due
		}
	}
	if first.IsZero() {
		return first, newsletter.ErrNotFound
	}
	return first, nil
}

func (l *ledger) consider(slot newsletter.Slot) {
	m := l.marks[slot.List]
	if slot.Follows == 0 && slot.Due.After(m.Considered) {
		m.Considered = slot.Due
		l.marks[slot.List] = m
	}
}

func (l *ledger) decide(slot newsletter.Slot, fate newsletter.SlotFate, now time.Time) error {
	if was, done := l.fates[slot]; done && (was == newsletter.MadeEdition || !l.since[slot].After(now)) {
		return newsletter.ErrSlotTaken
	}
	l.fates[slot], l.since[slot] = fate, now
	l.consider(slot)
	return nil
}

// press makes editions of what a test has queued.
type press struct {
	*ledger
	empty  bool
	jammed int         // how many editions fail
	alerts []time.Time // when urgent actions began to wait
	zones  []string
	owed   []newsletter.Order   // reminders
	spoilt newsletter.EditionID // what follows it cannot be printed
	broken error                // of Zones
	clock  func() time.Time     // nil: time.Now
	orders []newsletter.Order
	at     []time.Time
}

func (p *press) Print(_ context.Context, o newsletter.Order) (newsletter.EditionID, error) {
	if p.spoilt != 0 && o.Slot.Follows == p.spoilt {
		return 0, errors.New("there is no template")
	}
	if p.jammed > 0 {
		p.jammed--
		return 0, errors.New("the press is jammed")
	}
	if p.empty {
		return 0, &newsletter.NoEdition{Fate: newsletter.SkippedNoItems}
	}
	now := time.Now
	if p.clock != nil {
		now = p.clock
	}
	if err := p.decide(o.Slot, newsletter.MadeEdition, now()); err != nil {
		return 0, err
	}
	p.orders, p.at = append(p.orders, o), append(p.at, now())
	return newsletter.EditionID(len(p.orders)), nil
}

func (p *press) AlertDue(_ context.Context, l newsletter.List, after time.Time) (time.Time, error) {
	for _, at := range p.alerts {
		if at.After(after) {
			return at.Add(l.Wait), nil
		}
	}
	return time.Time{}, newsletter.ErrNotFound
}

func (p *press) Reminders(context.Context, newsletter.List) ([]newsletter.Order, time.Time, error) {
	var due []newsletter.Order
	var next time.Time
	for _, o := range p.owed {
		switch _, done := p.fates[o.Slot]; {
		case done:
		case !o.Slot.Due.After(p.clock()):
			due = append(due, o)
		case next.IsZero() || o.Slot.Due.Before(next):
			next = o.Slot.Due
		}
	}
	return due, next, nil
}

func (p *press) Zones(context.Context, string) ([]string, error) { return p.zones, p.broken }

// run lets a scheduler run for a while of the fake clock, as one life of serve.
func run(t *testing.T, p *press, lists []newsletter.List, life time.Duration) string {
	t.Helper()
	var log strings.Builder
	s, err := scheduler.New(p.ledger, p, lists, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), life)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	return log.String()
}

var daily = newsletter.List{ID: "daily", Kind: newsletter.Digest, Schedule: "0 9 * * *", Zone: time.UTC}

func due(orders []newsletter.Order) (all []string) {
	for _, o := range orders {
		all = append(all, o.Slot.Due.Format("02T15:04"))
	}
	return all
}

// Promise 1: a slot yields one edition, however often serve is restarted, and the first is the next one.
func TestEachSlotOnceWhateverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins at midnight, 1 January 2000, UTC
		p := &press{ledger: newLedger()}
		for range 60 {
			run(t, p, []newsletter.List{daily}, 70*time.Minute)
		}
		if got := due(p.orders); !slices.Equal(got, []string{"01T09:00", "02T09:00", "03T09:00"}) {
			t.Errorf("editions for %v", got)
		}
		for i, o := range p.orders {
			if late := p.at[i].Sub(o.Slot.Due); late < 0 || late > 5*time.Second {
				t.Errorf("the edition of %v was made %v late", o.Slot.Due, late)
			}
			if want := o.Slot.Due.AddDate(0, 0, 1); !o.NextSlot.Equal(want) {
				t.Errorf("the edition of %v has %v as its next slot", o.Slot.Due, o.NextSlot)
			}
		}
	})
}

func TestAfterDowntimeTheLatestSlotIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &press{ledger: newLedger()}
		run(t, p, []newsletter.List{daily}, time.Hour)
		time.Sleep(58 * time.Hour) // of the fake clock: the machine is off
		log := run(t, p, []newsletter.List{daily}, time.Hour)
		if got := due(p.orders); !slices.Equal(got, []string{"03T09:00"}) || !strings.Contains(log, "slots=2") {
			t.Errorf("editions for %v; log %s", got, log)
		}
	})
}

func TestASlotWithNothingNewIsDecidedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &press{ledger: newLedger(), empty: true}
		run(t, p, []newsletter.List{daily}, 10*time.Hour)
		p.empty = false
		run(t, p, []newsletter.List{daily}, 10*time.Hour)
		if got := due(p.orders); len(got) != 0 {
			t.Errorf("an item that came after the slot made an edition of it: %v", got)
		}
		if len(p.fates) != 1 {
			t.Errorf("fates %v", p.fates)
		}
	})
}

func TestAnAlertIsMadeWhenItsWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alert := newsletter.List{ID: "urgent", Kind: newsletter.Alert, Wait: 10 * time.Minute}
		p := &press{ledger: newLedger(), alerts: []time.Time{time.Now().Add(-time.Minute), time.Now().Add(time.Hour)}}
		run(t, p, []newsletter.List{alert}, 2*time.Hour)
		if got := due(p.orders); !slices.Equal(got, []string{"01T00:09", "01T01:10"}) {
			t.Errorf("alerts for %v", got)
		}
	})
}

func TestAClockThatWasAheadOnceStopsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &press{ledger: newLedger()}
		p.marks["daily"] = newsletter.Mark{Considered: time.Now().AddDate(5, 0, 0), Schedule: daily.Schedule, Zone: daily.Clock()}
		log := run(t, p, []newsletter.List{daily}, 34*time.Hour)
		if got := due(p.orders); !slices.Equal(got, []string{"01T09:00", "02T09:00"}) || strings.Count(log, "clock was wrong") != 1 {
			t.Errorf("editions for %v; log %s", got, log)
		}
	})
}

func TestAFailureIsToldOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &press{ledger: newLedger()}
		p.fail = 5
		log := run(t, p, []newsletter.List{daily}, 10*time.Hour)
		if got := due(p.orders); !slices.Equal(got, []string{"01T09:00"}) || strings.Count(log, "the disk is full") != 1 {
			t.Errorf("editions for %v; log %s", got, log)
		}
	})
}

func TestOddSchedulesAreRefused(t *testing.T) {
	for _, line := range []string{"", "* * * *", "0 9 * * MON *", "@daily", "@every 1s", "CRON_TZ=UTC 0 9 * * *", "TZ=UTC", "0 0 30 2 *", "0 25 * * *", "0 9 * * MON-XYZ", "22-2 * * * *"} {
		if _, err := scheduler.Parse(line, time.UTC); err == nil {
			t.Errorf("schedule %q is accepted", line)
		}
	}
	_, err := scheduler.New(newLedger(), &press{}, []newsletter.List{{ID: "one", Schedule: "x", Zone: time.UTC}, {ID: "two", Schedule: "y", Zone: time.UTC}}, time.Now, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") {
		t.Errorf("two bad lists: %v", err)
	}
}

func TestSlotsStandOnTheListsWallClock(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scheduler.Parse("0 9 * * MON", newYork)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)
	var got []string
	for range 3 {
		at = s.Next(at)
		got = append(got, at.Format(time.RFC3339))
	}
	if want := "[2026-10-26T13:00:00Z 2026-11-02T14:00:00Z 2026-11-09T14:00:00Z]"; fmt.Sprint(got) != want {
		t.Errorf("slots %v, want %s: nine o'clock before and after the clocks change", got, want)
	}
}
