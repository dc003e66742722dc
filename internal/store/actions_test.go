package store_test

import (
	"errors"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// digestOf freezes a digest of an article and an action whose deadline lies beyond its patience, with the spare form that the desk makes.
func digestOf(t *testing.T, s *store.Store, deadline time.Duration, spare bool) (newsletter.EditionID, newsletter.ItemID) {
	t.Helper()
	act := action("Open the doors")
	act.Deadline = start.Add(deadline)
	takeIn(t, s, article("A letter from the north wing"), act)
	enrol(t, s, 3, "weekly")
	d := draft(t, s, "weekly", start)
	var story, open newsletter.ItemID
	for _, i := range items(t, s) {
		if i.Kind == newsletter.Action {
			open = i.ID
		} else {
			story = i.ID
		}
	}
	d.Variants[0].Items = []newsletter.ItemID{story, open}
	if spare {
		d.Variants = append(d.Variants, d.Variants[0])
		d.Variants[1].Until, d.Variants[1].Items = d.Expires.Add(time.Hour), []newsletter.ItemID{story}
	}
	return freeze(t, s, d), open
}

// Promise 5, when an editor closes an action or learns of an earlier deadline: later copies leave without it.
func TestWhatIsClosedByHandIsMailedNoMore(t *testing.T) {
	ends := map[string]func(s *store.Store, id newsletter.ItemID) error{
		"closed": func(s *store.Store, id newsletter.ItemID) error {
			return s.EndAction(t.Context(), id, store.Ending{At: start})
		},
		"an earlier deadline": func(s *store.Store, id newsletter.ItemID) error {
			earlier := start.Add(time.Minute)
			return s.ChangeItem(t.Context(), id, store.ItemChange{Deadline: &earlier}, start)
		},
	}
	for name, end := range ends {
		for _, spare := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				s := open(t, t.TempDir())
				edition, id := digestOf(t, s, 300*time.Hour, spare)
				first := claim(t, s, start, 1)
				if len(first) != 1 || !first[0].Until.IsZero() {
					t.Fatalf("before its end: %+v", first)
				}
				if err := end(s, id); err != nil {
					t.Fatal(err)
				}
				if must[bool](t)(s.StillDue(t.Context(), first[0])) {
					t.Error("a copy in hand still leaves with it")
				}
				record(t, s, givenBack(first[0], start))
				rest := claim(t, s, start.Add(time.Hour), 5)
				switch {
				case spare && (len(rest) != 3 || rest[0].Until.IsZero()):
					t.Errorf("%d copies leave without it: %+v", len(rest), rest)
				case !spare && (len(rest) != 0 || counts(t, s, edition).Withdrawn != 3):
					t.Errorf("nothing else is in them, and %d leave: %+v", len(rest), counts(t, s, edition))
				}
			})
		}
	}
}

// A copy that is taken up again after its edition was done asks for nothing that was closed meanwhile.
func TestWhatIsClosedStaysSoAfterARetry(t *testing.T) {
	s := open(t, t.TempDir())
	edition, id := digestOf(t, s, 300*time.Hour, false)
	for _, d := range claim(t, s, start, 3) {
		record(t, s, refused(d, newsletter.OurIdentity))
	}
	finished(t, s)
	if err := s.EndAction(t.Context(), id, store.Ending{At: start, Won: true, Words: "They are open."}); err != nil {
		t.Fatal(err)
	}
	if n := must[int](t)(s.RetryEdition(t.Context(), edition, store.WhichOurs, start)); n != 3 {
		t.Fatalf("%d copies are taken up again", n)
	}
	if again := claim(t, s, start.Add(time.Minute), 5); len(again) != 0 {
		t.Errorf("%d copies ask for what is closed", len(again))
	}
}

// She is freed months after her petition has closed.
func TestWhatHasClosedMayBeWonLater(t *testing.T) {
	s := open(t, t.TempDir())
	_, id := digestOf(t, s, time.Hour, false)
	end := func(e store.Ending) error { return s.EndAction(t.Context(), id, e) }
	if err := end(store.Ending{At: start}); err != nil {
		t.Fatal(err)
	}
	if err := end(store.Ending{At: start}); !errors.Is(err, newsletter.ErrFrozen) {
		t.Errorf("closed twice: %v", err)
	}
	won := store.Ending{At: start.Add(time.Hour), Won: true, Words: "They are open."}
	if err := end(won); err != nil {
		t.Fatal(err)
	}
	if i := must[newsletter.Item](t)(s.Item(t.Context(), id)); !i.Won || !i.Ended.Equal(won.At) || i.Ending != won.Words {
		t.Errorf("it is %+v", i)
	}
	for _, e := range []store.Ending{won, {At: start}} {
		if err := end(e); !errors.Is(err, newsletter.ErrFrozen) {
			t.Errorf("what is won ends once more: %v", err)
		}
	}
}

func TestWhoHasActedIsKnown(t *testing.T) {
	s := open(t, t.TempDir())
	_, id := digestOf(t, s, time.Hour, false)
	known := must[int](t)(s.RecordDone(t.Context(), id, []newsletter.Address{address(0), address(1), "stranger@example.com"}, start))
	must[int](t)(s.RecordDone(t.Context(), id, []newsletter.Address{address(1)}, start))
	if done := must[int](t)(s.Done(t.Context(), id)); known != 2 || done != 2 {
		t.Errorf("%d known, %d have acted; want two", known, done)
	}
}
