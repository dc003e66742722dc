package store_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func figures(t *testing.T, s *store.Store, now time.Time) newsletter.Figures {
	t.Helper()
	return must[newsletter.Figures](t)(s.Figures(t.Context(), now))
}

// countsByList adds up what `editions show` tells.
func countsByList(t *testing.T, s *store.Store) map[string]newsletter.Counts {
	t.Helper()
	all := map[string]newsletter.Counts{}
	for _, e := range must[[]newsletter.Edition](t)(s.Editions(t.Context(), "", 0)) {
		c := all[e.List]
		for state, n := range map[newsletter.State]int{
			newsletter.Sent: e.Counts.Sent, newsletter.Pending: e.Counts.Pending, newsletter.Failed: e.Counts.Failed,
			newsletter.Withdrawn: e.Counts.Withdrawn, newsletter.Unknown: e.Counts.Unknown,
		} {
			c.Add(state, n)
		}
		all[e.List] = c
	}
	return all
}

// agree compares the figures with what `editions show` tells.
func agree(t *testing.T, s *store.Store, now time.Time) {
	t.Helper()
	got := map[string]newsletter.Counts{}
	for list, l := range figures(t, s, now).Lists {
		got[list] = l.Counts
		failed := 0
		for n := range maps.Values(l.Failed) {
			failed += n
		}
		if failed != l.Counts.Failed {
			t.Errorf("%s: %d failures have an owner, %d copies failed", list, failed, l.Counts.Failed)
		}
	}
	if diff := cmp.Diff(countsByList(t, s), got); diff != "" {
		t.Errorf("the figures are not those of the editions:\n%s", diff)
	}
}

func TestTheFiguresOfAFurnishedDatabase(t *testing.T) {
	_, s := furnished(t)
	agree(t, s, start)
	f := figures(t, s, start.Add(time.Hour))
	weekly := f.Lists["weekly"]
	if weekly.Slots[newsletter.SkippedNoItems] != 1 || weekly.Slots[newsletter.MadeEdition] < 3 || weekly.Editions[newsletter.Done] < 1 || weekly.Editions[newsletter.Cancelled] != 1 {
		t.Errorf("of the list weekly there are slots %v and editions %v", weekly.Slots, weekly.Editions)
	}
	if weekly.Failed[newsletter.OurContent] != 1 || weekly.Failed[newsletter.RecipientGone] != 1 {
		t.Errorf("failures: %v", weekly.Failed)
	}
	if weekly.Readers < 1 || f.Items[newsletter.Held] < 1 || f.Suppressions["recipient gone"] < 1 || f.Bounces[newsletter.SoftBounce] != 1 || f.Bounces[newsletter.HardBounce] != 1 {
		t.Errorf("%d readers, items %v, suppressions %v, bounces %v", weekly.Readers, f.Items, f.Suppressions, f.Bounces)
	}
	if len(f.Feeds) != 1 || f.Feeds[0].Name != "magazine" || !f.Feeds[0].LastPoll.Equal(start) {
		t.Errorf("feeds: %+v", f.Feeds)
	}
	if f.Held != "" || f.Disk.Database == 0 || f.Disk.WAL == 0 || f.Disk.Free == 0 || f.Disk.Size < f.Disk.Free {
		t.Errorf("held %q, disk %+v", f.Held, f.Disk)
	}
}

// A list is told of before anything of it was sent: what grows later has begun at nothing.
func TestTheFiguresOfAListThatIsNew(t *testing.T) {
	s := open(t, t.TempDir())
	must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{Considered: start, Schedule: "0 9 * * *", Zone: "UTC"}))
	if _, told := figures(t, s, start).Lists["weekly"]; !told {
		t.Error("it is not told of")
	}
}

// What became of the copies is told for ever, also when they are no longer kept one by one.
func TestFiguresOutliveTheCopies(t *testing.T) {
	dir, s := furnished(t)
	year := start.Add(365 * day)
	before := figures(t, s, year)
	for _, id := range prunable(t, s, year.Add(-60*day), year) {
		for must[int](t)(s.Prune(t.Context(), id, 2)) > 0 {
			for name, looker := range map[string]*store.Store{"that remembers": s, "that begins": open(t, dir)} {
				now := figures(t, looker, year)
				if diff := cmp.Diff(before.Lists, now.Lists); diff != "" {
					t.Fatalf("to one %s the copies have changed:\n%s", name, diff)
				}
				if diff := cmp.Diff(before.Bounces, now.Bounces); diff != "" {
					t.Fatalf("to one %s the bounces have changed:\n%s", name, diff)
				}
			}
		}
	}
}

// An edition that is over is counted once; one that is taken up again is counted anew, also when it is over again before anybody looks.
func TestEditionsTakenUpAgainAreCountedAnew(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 3, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	agree(t, s, start)
	for i, d := range claim(t, s, start, 10) {
		if i == 0 {
			record(t, s, refused(d, newsletter.OurIdentity))
		} else {
			record(t, s, sent(d))
		}
		agree(t, s, start)
	}
	finished(t, s)
	agree(t, s, start)
	must[int](t)(s.RetryEdition(t.Context(), id, store.WhichOurs, start))
	for _, d := range claim(t, s, start, 10) {
		record(t, s, sent(d))
	}
	finished(t, s)
	agree(t, s, start)
	if c := figures(t, s, start).Lists["weekly"].Counts; c.Sent != 3 || c.Failed != 0 {
		t.Errorf("after the retry: %+v", c)
	}
}

// What has been due for longest is seen whether it waits in the outbox or has been claimed for a relay that takes nothing.
func TestTheOldestCopyOfALane(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 2, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	hour := start.Add(time.Hour)
	digest := func(now time.Time) newsletter.LaneFigures { return figures(t, s, now).Lanes[newsletter.DigestLane] }
	want := func(when string, got newsletter.LaneFigures, pending int, oldest time.Time) {
		t.Helper()
		if got.Pending != pending || !got.Oldest.Equal(oldest) {
			t.Errorf("%s: %d pending, the oldest since %v; want %d since %v", when, got.Pending, got.Oldest, pending, oldest)
		}
	}
	want("both wait", digest(hour), 2, start)
	want("at the very beginning", digest(start), 2, time.Time{})
	all := claim(t, s, start, 10)
	want("both are claimed", digest(hour), 2, start)
	record(t, s, sent(all[0]), newsletter.Outcome{DeliveryKey: all[1].DeliveryKey, State: newsletter.Pending, At: start, Due: start.Add(2 * time.Hour), Attempts: 1, Code: 451})
	want("one is put off", digest(hour), 1, time.Time{})
	want("and late in its turn", digest(start.Add(3*time.Hour)), 1, start.Add(2*time.Hour))
	if err := s.PauseEdition(t.Context(), id, "a wrong date"); err != nil {
		t.Fatal(err)
	}
	want("its edition is paused", digest(start.Add(3*time.Hour)), 1, time.Time{})
	if lanes := figures(t, s, hour).Lanes; len(lanes) != len(newsletter.Lanes()) {
		t.Errorf("only the lanes %v are told of", lanes)
	}
}

// Figures that are not ready in time are none; the next look has them.
func TestFiguresThatTakeTooLong(t *testing.T) {
	_, s := furnished(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Figures(ctx, start); !errors.Is(err, context.Canceled) {
		t.Errorf("figures that nobody waits for: %v", err)
	}
	agree(t, s, start)
}

// The write that tells whether the database can be written is on disk, and changes nothing.
func TestTryWrite(t *testing.T) {
	s := open(t, t.TempDir())
	must[string](t)(s.Beat(t.Context(), start))
	other := must[*sql.DB](t)(sql.Open("sqlite3", s.Path()))
	defer other.Close()
	other.SetMaxOpenConns(1)
	version := func() (n int) {
		t.Helper()
		if err := other.QueryRowContext(t.Context(), `PRAGMA data_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := version()
	if err := s.TryWrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	if version() == before {
		t.Error("nothing was written")
	}
	if held := must[string](t)(s.Beat(t.Context(), start.Add(time.Minute))); held != "" {
		t.Errorf("afterwards mail is held back: %s", held)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.TryWrite(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a try that nobody waits for: %v", err)
	}
}

// BenchmarkFigures is a scrape beside an edition of a million readers that is being sent.
func BenchmarkFigures(b *testing.B) {
	s := outboxOf(b, 1_000_000)
	for name, apart := range map[string]time.Duration{"counted anew": time.Minute, "remembered": time.Second} {
		b.Run(name, func(b *testing.B) {
			for i := range b.N {
				if _, err := s.Figures(b.Context(), start.Add(time.Duration(i+1)*apart)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
