package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// rename gives a list another id, which must be something to do.
func rename(t *testing.T, s *store.Store, from, to string) {
	t.Helper()
	if !must[bool](t)(s.RenameList(t.Context(), from, to, start)) {
		t.Errorf("there was nothing to do for %s, which is to be %s", from, to)
	}
}

func TestARenamedListKeepsAllThatItHas(t *testing.T) {
	w := newWork(t)
	begin := newsletter.Mark{Considered: start, Schedule: "0 9 * * MON", Zone: "UTC"}
	must[newsletter.Mark](t)(w.s.Mark(t.Context(), "weekly", begin))
	before := must[map[string]store.KnownList](t)(w.s.KnownLists(t.Context()))["weekly"]
	rename(t, w.other, "weekly", "monday")

	known := must[map[string]store.KnownList](t)(w.s.KnownLists(t.Context()))
	if old, still := known["weekly"]; still || known["monday"] != before || before.Readers != 3 || !before.Used {
		t.Errorf("lists are %+v, weekly %+v, was %+v", known, old, before)
	}
	if got := must[newsletter.Mark](t)(w.s.Mark(t.Context(), "monday", newsletter.Mark{})); got != begin {
		t.Errorf("slots are decided up to %+v, were to %+v", got, begin)
	}
	if due := must[[]newsletter.Decided](t)(w.s.DecidedSlots(t.Context(), "monday", time.Time{})); len(due) != 2 {
		t.Errorf("decided slots are %+v", due)
	}
	if all := must[[]newsletter.Edition](t)(w.s.Editions(t.Context(), "monday", 10)); len(all) != 2 {
		t.Errorf("editions are %+v", all)
	}
	d := draft(t, w.s, "monday", start)
	if len(d.Items) > 0 {
		t.Errorf("items %v would be mailed again", d.Items)
	}
	if _, err := w.s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("a slot that has its edition: %v", err)
	}
}

// A reload renames lists while the mailer goes on.
func TestWhatIsOnItsWayGoesOnWhileItsListIsRenamed(t *testing.T) {
	w := newWork(t)
	takeIn(t, w.s, article("What comes after the letters"))
	id := freeze(t, w.s, draft(t, w.s, "weekly", start.Add(time.Second)))
	rename(t, w.other, "weekly", "monday")
	for _, d := range []newsletter.Delivery{w.now, w.next} {
		if due := must[bool](t)(w.s.StillDue(t.Context(), d)); !due {
			t.Errorf("the copy of reader %d stays here", d.Subscriber)
		}
	}
	claimed := claim(t, w.s, start.Add(time.Minute), 10)
	for _, d := range claimed {
		if d.Edition == id && d.List != "monday" {
			t.Errorf("a copy is claimed as of %s", d.List)
		}
	}
	if c := counts(t, w.s, id); c.Withdrawn > 0 || len(claimed) < 3 {
		t.Errorf("%d copies are claimed, the edition has %+v", len(claimed), c)
	}
}

// Links bear the id that a list had when they were made.
func TestLinksInOldMailWorkThroughEveryRename(t *testing.T) {
	s := open(t, t.TempDir())
	readers := enrol(t, s, 2, "a")
	rename(t, s, "a", "b")
	rename(t, s, "b", "c")
	rename(t, s, "c", "b") // back again
	for _, id := range []string{"a", "b", "c"} {
		link := newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: readers[0], List: id}
		for _, step := range []struct {
			do   func() error
			want newsletter.SubscriptionState
		}{
			{func() error { return s.Unsubscribe(t.Context(), link, start) }, newsletter.Ended},
			{func() error { return s.Resubscribe(t.Context(), link, start) }, newsletter.Confirmed},
		} {
			if err := step.do(); err != nil {
				t.Errorf("a link of %s: %v", id, err)
			}
			if got := must[newsletter.SubscriptionState](t)(s.Subscription(t.Context(), link)); got != step.want {
				t.Errorf("by a link of %s the subscription is %s, want %s", id, got, step.want)
			}
		}
	}
	want := []store.Rename{{Former: "a", List: "b", Header: "a"}, {Former: "c", List: "b", Header: "a"}}
	if diff := cmp.Diff(want, must[[]store.Rename](t)(s.Renames(t.Context()))); diff != "" {
		t.Errorf("renames (-want +got):\n%s", diff)
	}
	other := newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: readers[0], List: "d"}
	if err := s.Unsubscribe(t.Context(), other, start); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("a link of another list: %v", err)
	}
}

func TestRenamingAgainChangesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "a")
	rename(t, s, "a", "b")
	for _, from := range []string{"a", "nothing"} {
		if must[bool](t)(s.RenameList(t.Context(), from, "b", start)) {
			t.Errorf("%s was renamed once more", from)
		}
	}
	if n := must[map[string]store.KnownList](t)(s.KnownLists(t.Context()))["b"].Readers; n != 2 {
		t.Errorf("b has %d readers", n)
	}
}

// Nobody could tell afterwards which reader had asked for which.
func TestAListIsNotRenamedToOneThatHasReaders(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "a")
	enrol(t, s, 1, "b")
	if renamed, err := s.RenameList(t.Context(), "a", "b", start); renamed || !errors.Is(err, newsletter.ErrListUsed) {
		t.Errorf("renaming: %v, %v", renamed, err)
	}
	if n := must[map[string]store.KnownList](t)(s.KnownLists(t.Context()))["a"].Readers; n != 2 {
		t.Errorf("a has %d readers", n)
	}
}

// The new id may have been served before `was` was written: slots were skipped for want of readers, and those were not reached.
func TestSlotsThatTheNewIDSkippedAreDecidedAnew(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "a")
	for _, id := range []string{"a", "b"} {
		must[newsletter.Mark](t)(s.Mark(t.Context(), id, newsletter.Mark{Considered: start.Add(-time.Hour)}))
	}
	slot := newsletter.Slot{List: "b", Due: start}
	if err := s.Skip(t.Context(), []newsletter.Decided{{Slot: slot, Fate: newsletter.SkippedNobody}}, start); err != nil {
		t.Fatal(err)
	}
	rename(t, s, "a", "b")
	takeIn(t, s, article("A letter"))
	if id, err := s.Freeze(t.Context(), draft(t, s, "b", start)); err != nil || counts(t, s, id).Audience != 2 {
		t.Errorf("its edition: %v", err)
	}
}

// A serve that still goes by the old id decides nothing in its name.
func TestNothingIsDecidedUnderAFormerID(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "a")
	takeIn(t, s, article("A letter"))
	d := draft(t, s, "a", start)
	rename(t, s, "a", "b")
	if _, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrRenamed) {
		t.Errorf("an edition of a: %v", err)
	}
	if err := s.Skip(t.Context(), []newsletter.Decided{{Slot: d.Slot, Fate: newsletter.SkippedLate}}, start); !errors.Is(err, newsletter.ErrRenamed) {
		t.Errorf("skipping a slot of a: %v", err)
	}
	if due := must[[]newsletter.Decided](t)(s.DecidedSlots(t.Context(), "a", time.Time{})); len(due) > 0 {
		t.Errorf("decided slots of a: %+v", due)
	}
}

// Its readers filter by it.
func TestTheListIDIsTheFirstIDThroughAnyChain(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 1, "a")
	for _, step := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}} {
		rename(t, s, step[0], step[1])
		for _, r := range must[[]store.Rename](t)(s.Renames(t.Context())) {
			if r.Header != "a" || r.List != step[1] {
				t.Errorf("after %v: %+v", step, r)
			}
		}
	}
}

// Links in old mail of the list that had the id would end subscriptions to the other.
func TestAListIsNotGivenWhatAnotherWasCalled(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "weekly")
	enrol(t, s, 1, "urgent")
	rename(t, s, "weekly", "harbour")
	if renamed, err := s.RenameList(t.Context(), "urgent", "weekly", start); renamed || !errors.Is(err, newsletter.ErrListUsed) {
		t.Errorf("renaming: %v, %v", renamed, err)
	}
	rename(t, s, "harbour", "weekly") // its own
}

// An import may run across a rename.
func TestReadersEnrolledByAFormerIDJoinTheListAsItIsNow(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 1, "a")
	rename(t, s, "a", "b")
	e := store.Enrolment{Subscriber: newsletter.Subscriber{Address: "late@example.net"}, Lists: []string{"a"}}
	must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{e}, start))
	e.Confirmed = true
	if done := must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{e}, start)); done[0].Confirmed != 1 {
		t.Errorf("the second time: %+v", done)
	}
	known := must[map[string]store.KnownList](t)(s.KnownLists(t.Context()))
	if _, old := known["a"]; old || known["b"].Readers != 2 {
		t.Errorf("lists are %+v", known)
	}
}

func TestListsAreRenamedTogetherOrNotAtAll(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 1, "a")
	enrol(t, s, 1, "c")
	insert(t, s, `CREATE TRIGGER broken BEFORE INSERT ON renames WHEN NEW.former = 'c' BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	all := []store.Rename{{Former: "a", List: "b"}, {Former: "c", List: "d"}}
	if renamed, err := s.RenameLists(t.Context(), all, start); err == nil || len(renamed) > 0 {
		t.Errorf("renamed %v, %v", renamed, err)
	}
	if left := must[[]store.Rename](t)(s.Renames(t.Context())); len(left) > 0 {
		t.Errorf("renames are %+v", left)
	}
	insert(t, s, `DROP TRIGGER broken`)
	all = append([]store.Rename{{Former: "a", List: "c"}}, all...) // cannot be done
	if renamed := must[[]store.Rename](t)(s.RenameLists(t.Context(), all, start)); len(renamed) != 2 {
		t.Errorf("renamed %v", renamed)
	}
}
