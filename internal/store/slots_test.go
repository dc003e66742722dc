package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
)

// What a clock that was ahead has skipped is decided anew when it comes; what has an edition keeps it, and what was skipped before
// its time while the clock was right stays skipped.
func TestASlotThatAWrongClockSkippedIsDecidedAnew(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 1, "weekly")
	begin := newsletter.Mark{Considered: start, Schedule: "0 9 * * *", Zone: "UTC"}
	must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", begin))
	const day = 24 * time.Hour
	slot := func(days time.Duration) newsletter.Slot {
		return newsletter.Slot{List: "weekly", Due: start.Add(days * day)}
	}
	skip := func(now time.Duration, fate newsletter.SlotFate, days ...time.Duration) {
		t.Helper()
		var decided []newsletter.Decided
		for _, d := range days {
			decided = append(decided, newsletter.Decided{Slot: slot(d), Fate: fate})
		}
		if err := s.Skip(t.Context(), decided, start.Add(now)); err != nil {
			t.Fatal(err)
		}
	}
	skip(0, newsletter.SkippedNewPlan, 1)
	reminder := newsletter.Decided{Slot: newsletter.Slot{List: "weekly", Due: slot(1).Due, Follows: 7}, Fate: newsletter.SkippedLate}
	if err := s.Skip(t.Context(), []newsletter.Decided{reminder}, start.Add(10*day)); err != nil {
		t.Fatal(err)
	}
	skip(10*day, newsletter.SkippedForLater, 2, 3, 4)
	made := draft(t, s, "weekly", start.Add(10*day))
	made.Slot = slot(10)
	freeze(t, s, made)

	if err := s.SetMark(t.Context(), "weekly", begin); err != nil { // the clock is mended
		t.Fatal(err)
	}
	if first := must[time.Time](t)(s.Untimely(t.Context(), "weekly", start, start.Add(time.Hour))); !first.Equal(slot(2).Due) {
		t.Errorf("the first slot that was skipped before its time is %v", first)
	}
	if first, err := s.Untimely(t.Context(), "weekly", slot(4).Due, start.Add(time.Hour)); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("one after the last: %v, %v", first, err)
	}
	skip(day, newsletter.SkippedNobody, 1)
	skip(2*day, newsletter.SkippedNoItems, 2)
	if mark := must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", begin)); !mark.Considered.Equal(slot(2).Due) {
		t.Errorf("the mark stands at %v", mark.Considered)
	}
	takeIn(t, s, article("Who mends the harbour wall"))
	anew := draft(t, s, "weekly", start.Add(3*day))
	anew.Slot = slot(3)
	id := freeze(t, s, anew)
	if _, err := s.Freeze(t.Context(), anew); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("a slot that is decided anew, again: %v", err)
	}
	if e := must[newsletter.Edition](t)(s.Edition(t.Context(), id)); !e.Slot.Equal(slot(3).Due) {
		t.Errorf("the edition that a slot got when it came: %+v", e)
	}
	skip(9*day, newsletter.SkippedMissed, 3, 10)
	want := []newsletter.Decided{
		{Slot: slot(1), Fate: newsletter.SkippedNewPlan},
		reminder,
		{Slot: slot(2), Fate: newsletter.SkippedNoItems},
		{Slot: slot(3), Fate: newsletter.MadeEdition},
		{Slot: slot(4), Fate: newsletter.SkippedMissed},
		{Slot: slot(10), Fate: newsletter.MadeEdition},
	}
	skip(5*day, newsletter.SkippedMissed, 4)
	if first, err := s.Untimely(t.Context(), "weekly", start, start.Add(5*day)); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("one when all are decided: %v, %v", first, err)
	}
	if diff := cmp.Diff(want, must[[]newsletter.Decided](t)(s.DecidedSlots(t.Context(), "weekly", start))); diff != "" {
		t.Errorf("decided are:\n%s", diff)
	}
}
