package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// filesIn are the names of what a folder holds.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	for _, e := range must[[]os.DirEntry](t)(os.ReadDir(dir)) {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestLookingMakesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.Look(t.Context(), dir); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("where there is no database it says %v", err)
	}
	if got := filesIn(t, dir); got != "" {
		t.Errorf("it has made %s", got)
	}
	s := must[*store.Store](t)(store.Open(t.Context(), dir, start))
	enrol(t, s, 3, "weekly")
	look := must[*store.Store](t)(store.Look(t.Context(), dir)) // beside one that writes
	enrol(t, s, 5, "weekly")
	if n := must[int64](t)(look.CountSubscribers(t.Context())); n != 5 {
		t.Errorf("beside a writer it sees %d readers, want 5", n)
	}
	for _, s := range []*store.Store{look, s} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	before := filesIn(t, dir)
	look = must[*store.Store](t)(store.Look(t.Context(), dir))
	if got := must[map[string]int](t)(look.Readers(t.Context())); got["weekly"] != 5 {
		t.Errorf("it counts %v", got)
	}
	if _, err := look.Enrol(t.Context(), []store.Enrolment{{Lists: []string{"weekly"}}}, start); err == nil {
		t.Error("it writes")
	}
	if err := look.Close(); err != nil {
		t.Error(err)
	}
	if after := filesIn(t, dir); after != before {
		t.Errorf("it leaves %s where there were %s", after, before)
	}
}

func TestUnfinishedEditionsSayHowLongTheyWait(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 4, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	for name, tt := range map[string]struct {
		now  time.Time
		want time.Time
	}{
		"before its time": {start.Add(-time.Hour), time.Time{}},
		"an hour later":   {start.Add(time.Hour), start},
	} {
		all := must[[]store.Unfinished](t)(s.Unfinished(t.Context(), tt.now))
		if len(all) != 1 || all[0].ID != id || all[0].Lane != newsletter.DigestLane || all[0].Counts.Pending != 4 || !all[0].Oldest.Equal(tt.want) {
			t.Errorf("%s: %+v, want the oldest at %v", name, all, tt.want)
		}
	}
	if _, err := s.CancelEdition(t.Context(), id, "enough", start); err != nil {
		t.Fatal(err)
	}
	if all := must[[]store.Unfinished](t)(s.Unfinished(t.Context(), start)); len(all) != 0 {
		t.Errorf("it is over, and yet there is %+v", all)
	}
}

// Pages must join without a gap, and a filter must not end the export early.
func TestExportGoesThroughAllPages(t *testing.T) {
	s := open(t, t.TempDir())
	const readers = 1201
	enrol(t, s, readers, "weekly")
	last := fmt.Sprint(readers - 1)
	enrolment := store.Enrolment{Subscriber: newsletter.Subscriber{Address: newsletter.Address("reader" + last + "@example.net")}, Lists: []string{"urgent"}}
	if _, err := s.Enrol(t.Context(), []store.Enrolment{enrolment}, start); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		list  string
		state newsletter.SubscriptionState
		want  int
	}{
		"all": {"", "", readers}, "of a list": {"urgent", "", 1}, "in a state": {"", newsletter.PendingConsent, 1}, "nobody": {"urgent", newsletter.Ended, 0},
	} {
		seen := map[newsletter.SubscriberID]bool{}
		err := s.Export(t.Context(), tt.list, tt.state, func(e store.Export) error {
			seen[e.ID] = true
			return nil
		})
		if err != nil || len(seen) != tt.want {
			t.Errorf("%s: %d readers, error %v, want %d", name, len(seen), err, tt.want)
		}
	}
}
