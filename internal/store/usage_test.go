package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func usage(t *testing.T, s *store.Store, relay string, from time.Time) []newsletter.Usage {
	t.Helper()
	return must[[]newsletter.Usage](t)(s.RelayUsage(t.Context(), relay, from))
}

// A relay's quotas are about what it took, whatever it did with it, and go on after a restart.
func TestWhatARelayTookIsCountedOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	editionFor(t, s, 8, newsletter.FirstWave{})
	d := claim(t, s, start, 8)
	through := func(relay string, o newsletter.Outcome, at time.Time) newsletter.Outcome {
		o.Relay, o.At = relay, at
		return o
	}
	late := start.Add(59*time.Second + 999*time.Millisecond) // the same minute
	next := start.Add(time.Minute)
	record(t, s, through("main", sent(d[0]), next), through("main", sent(d[1]), next), through("spare", sent(d[2]), next))
	record(t, s, through("main", sent(d[3]), start), through("", sent(d[4]), start))
	record(t, s, through("main", putOff(d[5], next), late), through("main", refused(d[6], newsletter.OurContent), late))
	record(t, s, through("", putOff(d[7], next), late))
	for name, s := range map[string]*store.Store{"this process": s, "a restarted one": open(t, dir)} {
		if diff := cmp.Diff([]newsletter.Usage{{Minute: start, Messages: 3}, {Minute: next, Messages: 2}}, usage(t, s, "main", start)); diff != "" {
			t.Errorf("%s: what main took:\n%s", name, diff)
		}
		if diff := cmp.Diff([]newsletter.Usage{{Minute: next, Messages: 1}}, usage(t, s, "spare", start)); diff != "" {
			t.Errorf("%s: what spare took:\n%s", name, diff)
		}
		if diff := cmp.Diff([]newsletter.Usage{{Minute: next, Messages: 2}}, usage(t, s, "main", next)); diff != "" {
			t.Errorf("%s: from the second minute on:\n%s", name, diff)
		}
		if got := usage(t, s, "", time.Time{}); len(got) != 0 {
			t.Errorf("%s: a relay without quotas was counted: %+v", name, got)
		}
	}
}

// What is older than any quota looks back is forgotten when a run begins, and nothing younger is.
func TestOldUsageIsForgotten(t *testing.T) {
	s := open(t, t.TempDir())
	editionFor(t, s, 4, newsletter.FirstWave{})
	for i, d := range claim(t, s, start, 4) {
		o := sent(d)
		o.Relay, o.At = "main", start.Add(time.Duration(i)*time.Hour)
		record(t, s, o)
	}
	for _, tt := range []struct {
		age  time.Duration // of the first
		want int
	}{{48 * time.Hour, 4}, {50 * time.Hour, 4}, {50*time.Hour + time.Minute, 3}, {53 * time.Hour, 1}, {54 * time.Hour, 0}} {
		if _, _, err := s.BeginRun(t.Context(), nil, start.Add(tt.age)); err != nil {
			t.Fatal(err)
		}
		if got := usage(t, s, "main", time.Time{}); len(got) != tt.want || len(got) > 0 && !got[len(got)-1].Minute.Equal(start.Add(3*time.Hour)) {
			t.Errorf("after %v %d minutes are known, want %d: %+v", tt.age, len(got), tt.want, got)
		}
	}
}
