package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

const day = 24 * time.Hour

// furnished is a folder whose database has everything in it. In a year, its weekly editions are old, and its alert that is being sent is not over.
func furnished(t *testing.T) (dir string, s *store.Store) {
	t.Helper()
	dir = t.TempDir()
	s = open(t, dir)
	furnish(t, s)
	return dir, s
}

func prunable(t *testing.T, s *store.Store, before, now time.Time) []newsletter.EditionID {
	t.Helper()
	return must[[]newsletter.EditionID](t)(s.Prunable(t.Context(), before, now))
}

// prune takes steps of n readers until nothing is left to go.
func prune(t *testing.T, s *store.Store, id newsletter.EditionID, n int) (steps int) {
	t.Helper()
	for must[int](t)(s.Prune(t.Context(), id, n)) > 0 {
		steps++
	}
	return steps
}

// editionCounts are the counts of all editions.
func editionCounts(t *testing.T, s *store.Store) map[newsletter.EditionID]newsletter.Counts {
	t.Helper()
	all := map[newsletter.EditionID]newsletter.Counts{}
	for _, e := range must[[]newsletter.Edition](t)(s.Editions(t.Context(), "", 0)) {
		all[e.ID] = e.Counts
	}
	return all
}

// At every moment the counts are what they were, also for whoever opens the database after a process that was killed between two steps.
func TestPrunedEditionsKeepTheirCounts(t *testing.T) {
	dir, s := furnished(t)
	year := start.Add(365 * day)
	before := editionCounts(t, s)
	reasons := map[newsletter.State]int{}
	for _, r := range must[[]store.Reason](t)(s.Reasons(t.Context(), 1, 20)) {
		reasons[r.State] += r.Count
	}
	old := prunable(t, s, year.Add(-60*day), year)
	if want := []newsletter.EditionID{1, 2, 3}; !slices.Equal(old, want) {
		t.Fatalf("%v are prunable, want %v", old, want)
	}
	for _, id := range old {
		for must[int](t)(s.Prune(t.Context(), id, 2)) > 0 {
			if diff := cmp.Diff(before, editionCounts(t, open(t, dir))); diff != "" {
				t.Fatalf("in the midst of pruning edition %d the counts have changed:\n%s", id, diff)
			}
		}
	}
	if left := prunable(t, s, year.Add(-60*day), year); len(left) > 0 {
		t.Errorf("after the pruning %v are prunable", left)
	}
	for table, want := range map[string]int{"deliveries": 10, "attempts": 0, "bounces": 0, "variants": 2, "edition_audience": 2, "edition_items": 6, "slots": 6, "items": 5, "editions": 5} {
		if n := rows(t, s.Path())[table]; n != want {
			t.Errorf("%s has %d rows left, want %d", table, n, want)
		}
	}
	for _, r := range must[[]store.Reason](t)(s.Reasons(t.Context(), 1, 20)) {
		reasons[r.State] -= r.Count
		if r.State == newsletter.Failed && r.Owner == "" {
			t.Errorf("it is not known any more whose failure %+v was", r)
		}
	}
	if diff := cmp.Diff(map[newsletter.State]int{newsletter.Failed: 0, newsletter.Withdrawn: 0, newsletter.Unknown: 0}, reasons); diff != "" {
		t.Errorf("the reasons do not add up to what they were:\n%s", diff)
	}
}

func TestWhatIsNotOverIsKept(t *testing.T) {
	year := start.Add(365 * day)
	tests := map[string]struct {
		happens func(s *store.Store) error
		before  time.Time
		want    []newsletter.EditionID
	}{
		"all that is over":   {func(*store.Store) error { return nil }, year.Add(-60 * day), []newsletter.EditionID{1, 2, 3}},
		"younger":            {func(*store.Store) error { return nil }, start.Add(5 * day), []newsletter.EditionID{1}},
		"too young":          {func(*store.Store) error { return nil }, start.Add(2 * day), nil},
		"cancelled long ago": {func(s *store.Store) error { _, err := s.CancelEdition(t.Context(), 5, "over", start); return err }, year.Add(-60 * day), []newsletter.EditionID{1, 2, 3, 5}},
		"cancelled of late":  {func(s *store.Store) error { _, err := s.CancelEdition(t.Context(), 5, "over", year); return err }, year.Add(-60 * day), []newsletter.EditionID{1, 2, 3}},
		"with an open action": {func(s *store.Store) error {
			later := year.Add(day)
			_, err := s.CancelEdition(t.Context(), 5, "over", start)
			return errors.Join(err, s.ChangeItem(t.Context(), 2, store.ItemChange{Deadline: &later}, start))
		}, year.Add(-60 * day), []newsletter.EditionID{2, 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, s := furnished(t)
			if err := tt.happens(s); err != nil {
				t.Fatal(err)
			}
			if got := prunable(t, s, tt.before, year); !slices.Equal(got, tt.want) {
				t.Errorf("%v are prunable, want %v", got, tt.want)
			}
		})
	}
}

// What has been mailed once is not mailed again when its copies are gone: the slot and the items are known for good.
func TestAPrunedEditionIsNotMadeAgain(t *testing.T) {
	_, s := furnished(t)
	prune(t, s, 1, 100)
	if unused := must[[]newsletter.Item](t)(s.Unused(t.Context(), "weekly", false, time.Time{})); len(unused) != 1 {
		t.Errorf("the list may use %d items, want only the one that was rehearsed", len(unused))
	}
	if _, err := s.Freeze(t.Context(), draft(t, s, "weekly", start)); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("its slot again: %v", err)
	}
	if _, err := s.RetryEdition(t.Context(), 1, store.WhichOurs, start.Add(365*day)); !errors.Is(err, newsletter.ErrTooLate) {
		t.Errorf("trying it again: %v", err)
	}
}

// A reader who was barred from an alert is owed its action while that is open, however old the alert is: it is kept until then.
func TestWhatReadersAreOwedIsKept(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "urgent")
	id := announce(t, s, "urgent", newsletter.Alert, barAll)
	if done := finished(t, s); len(done) != 1 {
		t.Fatalf("%d editions are done", len(done))
	}
	bears := must[[]newsletter.Item](t)(s.EditionItems(t.Context(), id))[0].ID
	year := start.Add(365 * day)
	later := year.Add(day)
	if err := s.ChangeItem(t.Context(), bears, store.ItemChange{Deadline: &later}, start); err != nil {
		t.Fatal(err)
	}
	owed := func(now time.Time) []newsletter.EditionID {
		return idsOf(must[[]newsletter.AlertEdition](t)(s.AlertsSince(t.Context(), now, nil, "urgent", now)))
	}
	if old := prunable(t, s, year, year); len(old) > 0 || !slices.Equal(owed(year), []newsletter.EditionID{id}) {
		t.Errorf("while it is open %v are prunable, and %v owe something", old, owed(year))
	}
	if old := prunable(t, s, year, later.Add(day)); !slices.Equal(old, []newsletter.EditionID{id}) || len(owed(later.Add(day))) > 0 {
		t.Errorf("when it has closed %v are prunable, and %v owe something", old, owed(later.Add(day)))
	}
}

// A complaint that comes when the copy is no longer kept ends the reader's mail as any other does, and is counted.
func TestALateComplaintCounts(t *testing.T) {
	_, s := furnished(t)
	prune(t, s, 1, 3)
	complaint := newsletter.Bounce{DeliveryKey: newsletter.DeliveryKey{Edition: 1, Subscriber: 1}, Kind: newsletter.Complaint, At: start.Add(500 * day)}
	if !must[bool](t)(s.RecordBounce(t.Context(), complaint)) || must[bool](t)(s.RecordBounce(t.Context(), complaint)) {
		t.Error("it is not taken as the first of its kind, or taken twice")
	}
	if x := must[newsletter.Suppression](t)(s.Suppression(t.Context(), storedReader(1))); x.Reason != "complaint" {
		t.Errorf("the reader's address is suppressed for %+v", x)
	}
	if old := prunable(t, s, start.Add(500*day), start.Add(501*day)); !slices.Contains(old, 1) || prune(t, s, 1, 3) != 1 {
		t.Errorf("%v are prunable: the complaint is not taken into the sums", old)
	}
	complaint.Edition = 5
	if _, err := s.RecordBounce(t.Context(), complaint); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("a complaint about a copy that was never sent gives %v", err)
	}
}

// However many readers an edition had, a step takes no more than it was asked for: what waits to be written waits for no more than that.
func TestAStepIsSmall(t *testing.T) {
	s := open(t, t.TempDir())
	const readers, n = 1000, 64
	id := editionFor(t, s, readers, newsletter.FirstWave{})
	must[int](t)(s.CancelEdition(t.Context(), id, "over", start))
	for left := readers; left > 0; {
		gone := must[int](t)(s.Prune(t.Context(), id, n))
		if gone == 0 || gone > n {
			t.Fatalf("a step took %d rows", gone)
		}
		left -= gone
	}
	if c := counts(t, s, id); c.Audience != readers || c.Withdrawn != readers {
		t.Errorf("it has %+v", c)
	}
}

func TestHowFarBackCopiesAreKept(t *testing.T) {
	_, s := furnished(t)
	if until := must[time.Time](t)(s.PrunedUntil(t.Context())); !until.IsZero() {
		t.Errorf("nothing is pruned, but copies are kept from %v on", until)
	}
	prune(t, s, 1, 100)
	if until := must[time.Time](t)(s.PrunedUntil(t.Context())); !until.Equal(start) {
		t.Errorf("copies up to %v are no longer kept, want %v", until, start)
	}
	if copies := must[[]store.Copy](t)(s.Copies(t.Context(), 1, 10)); slices.ContainsFunc(copies, func(c store.Copy) bool { return c.Edition.ID == 1 }) {
		t.Error("the copy of a pruned edition is still there")
	}
}

// Writers and a pruning at the same time: every write is taken, and the sums are right.
func TestPruningBesideWriters(t *testing.T) {
	dir, s := furnished(t)
	before := editionCounts(t, s)
	other := open(t, dir)
	written := make(chan error, 1)
	go func() {
		var errs []error
		for n := range 50 {
			found := []newsletter.Found{{Item: article(fmt.Sprintf("Meanwhile %d", n))}}
			_, err := other.TakeIn(context.Background(), nil, found, start)
			errs = append(errs, err)
		}
		written <- errors.Join(errs...)
	}()
	for _, id := range []newsletter.EditionID{1, 2, 3} {
		prune(t, s, id, 1)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, editionCounts(t, s)); diff != "" {
		t.Error(diff)
	}
}
