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

// The next edition reaches nobody whose address is suppressed.
func TestReadersAreThoseWhoCanBeMailed(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 5, "weekly")
	enrol(t, s, 2, "urgent")
	never := store.Enrolment{Subscriber: newsletter.Subscriber{Address: address(0)}, Lists: []string{"weekly"}, Suppressed: "a complaint", Consent: newsletter.Consent{At: start}}
	other := store.Enrolment{Subscriber: newsletter.Subscriber{Address: address(7)}, Lists: []string{"weekly"}, Suppressed: "a complaint", Consent: newsletter.Consent{At: start}}
	must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{never, other}, start)) // other is not confirmed anyway
	if got := must[map[string]int](t)(s.Readers(t.Context())); got["weekly"] != 4 || got["urgent"] != 1 {
		t.Errorf("of five and two readers one each is suppressed, and counted are %v", got)
	}
}

// What a mailer has claimed waits as long as what it has not; what waits for reports does not.
func TestClaimedCopiesWaitToo(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 3, newsletter.FirstWave{})
	claimed := claim(t, s, start, 10)
	look := func() store.Unfinished {
		return must[[]store.Unfinished](t)(s.Unfinished(t.Context(), start.Add(time.Hour)))[0]
	}
	if u := look(); u.ID != id || !u.Oldest.Equal(start) || !u.Last.IsZero() {
		t.Errorf("all copies are claimed: %+v", u)
	}
	record(t, s, sent(claimed[0]))
	if u := look(); !u.Last.Equal(start) {
		t.Errorf("one was sent: %+v", u)
	}
	reports := open(t, t.TempDir())
	editionFor(t, reports, 3, newsletter.FirstWave{N: 1, Wait: 2 * time.Hour})
	recordEach(t, reports, claim(t, reports, start, 10), sentEach)
	if waves := judge(t, reports, start); len(waves) != 1 || waves[0].Waits.IsZero() {
		t.Fatalf("the first wave is out: %+v", waves)
	}
	for hours, want := range map[time.Duration]bool{1: false, 3: true} {
		u := must[[]store.Unfinished](t)(reports.Unfinished(t.Context(), start.Add(hours*time.Hour)))[0]
		if u.Counts.Pending != 2 || u.Oldest.IsZero() == want {
			t.Errorf("the rest waits two hours for reports; after %d hours: %+v", hours, u)
		}
	}
}

func TestEditionsThatEndedBadly(t *testing.T) {
	ours := func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.OurIdentity) }
	gone := func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.RecipientGone) }
	some := func(n int, bad func(int, newsletter.Delivery) newsletter.Outcome) func(int, newsletter.Delivery) newsletter.Outcome {
		return func(i int, d newsletter.Delivery) newsletter.Outcome {
			if i < n {
				return bad(i, d)
			}
			return sent(d)
		}
	}
	for name, tt := range map[string]struct {
		became       func(int, newsletter.Delivery) newsletter.Outcome
		failed, ours int // 0: it is nothing to look at
	}{
		"all sent":              {became: sentEach},
		"one in 400 by us":      {became: some(1, ours)},
		"one in 100 by us":      {some(4, ours), 4, 4},
		"a quarter gone":        {became: some(100, gone)},
		"more than a quarter":   {some(101, gone), 101, 0},
		"all by us, no address": {ours, 400, 400},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			id := editionFor(t, s, 400, newsletter.FirstWave{})
			for d := claim(t, s, start, 500); len(d) > 0; d = claim(t, s, start, 500) {
				recordEach(t, s, d, tt.became)
			}
			done := finished(t, s)
			if len(done) != 1 || done[0].ID != id || done[0].WentBadly() != (tt.failed > 0) {
				t.Errorf("its end is told as %+v", done)
			}
			got := must[[]newsletter.Edition](t)(s.EndedBadly(t.Context(), start.Add(-time.Hour)))
			switch {
			case tt.failed == 0 && len(got) > 0:
				t.Errorf("told is %+v", got)
			case tt.failed > 0 && (len(got) != 1 || got[0].Counts.Audience != 400 || got[0].Counts.Failed != tt.failed || got[0].Ours != tt.ours):
				t.Errorf("told is %+v, want %d and %d of 400", got, tt.failed, tt.ours)
			}
			if old := must[[]newsletter.Edition](t)(s.EndedBadly(t.Context(), start.Add(time.Hour))); len(old) > 0 {
				t.Errorf("told of those that were made later is %+v", old)
			}
		})
	}
}
