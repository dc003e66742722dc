package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// beat returns why mail is held back, which Held has to say too.
func beat(t *testing.T, s *store.Store, now time.Time) string {
	t.Helper()
	held := must[string](t)(s.Beat(t.Context(), now))
	if says := must[string](t)(s.Held(t.Context(), now)); says != held {
		t.Errorf("Beat says %q, and Held %q", held, says)
	}
	return held
}

// with does something with the database in a folder and closes it, so that all is in its one file.
func with(t *testing.T, dir string, do func(s *store.Store)) {
	t.Helper()
	s := open(t, dir)
	do(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func beatOnce(t *testing.T, dir string, now time.Time) {
	t.Helper()
	with(t, dir, func(s *store.Store) {
		if held := beat(t, s, now); held != "" {
			t.Fatalf("mail is held back: %s", held)
		}
	})
}

// copyFile copies a file of one data folder into another.
func copyFile(t *testing.T, name, from, to string) {
	t.Helper()
	content := must[[]byte](t)(os.ReadFile(filepath.Join(from, name)))
	if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// withMail is a folder with an edition for three readers that has not been sent, after some beats.
func withMail(t *testing.T, beats int) string {
	t.Helper()
	dir := t.TempDir()
	with(t, dir, func(s *store.Store) { editionFor(t, s, 3, newsletter.FirstWave{}) })
	for i := range beats {
		beatOnce(t, dir, start.Add(time.Duration(i)*time.Minute))
	}
	return dir
}

func TestWhatHoldsMailBack(t *testing.T) {
	tests := map[string]struct {
		beats  int // before the backup
		change func(t *testing.T, dir string)
		want   string // in the words why; empty: it is not
	}{
		"a restart": {2, func(*testing.T, string) {}, ""},
		"a backup put back after later beats": {2, func(t *testing.T, dir string) {
			backup := t.TempDir()
			copyFile(t, store.FileName, dir, backup)
			beatOnce(t, dir, start.Add(time.Hour))
			copyFile(t, store.FileName, backup, dir)
		}, "restored"},
		"a backup of before the first beat put back": {0, func(t *testing.T, dir string) {
			backup := t.TempDir()
			copyFile(t, store.FileName, dir, backup)
			beatOnce(t, dir, start)
			copyFile(t, store.FileName, backup, dir)
		}, "another"},
		"a copy elsewhere": {1, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, store.BeatFile)); err != nil {
				t.Fatal(err)
			}
		}, "copied"},
		"a file that is cut off": {1, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, store.BeatFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "copied"},
		"another's file": {1, func(t *testing.T, dir string) {
			copyFile(t, store.BeatFile, withMail(t, 1), dir)
		}, "another"},
		"the end of the process between the two writes": {2, func(t *testing.T, dir string) {
			before := t.TempDir()
			copyFile(t, store.BeatFile, dir, before)
			beatOnce(t, dir, start.Add(time.Hour))
			copyFile(t, store.BeatFile, before, dir)
		}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := withMail(t, tt.beats)
			tt.change(t, dir)
			now := start.Add(2 * time.Hour)
			for range 2 { // and again after a restart
				s := open(t, dir)
				held := beat(t, s, now)
				if (held == "") != (tt.want == "") || !strings.Contains(held, tt.want) {
					t.Fatalf("held back because %q, want %q", held, tt.want)
				}
				if got := claim(t, s, now, 10); tt.want != "" && len(got) > 0 {
					t.Errorf("%d are given out", len(got))
				}
			}
			if tt.want == "" {
				return
			}
			s := open(t, dir)
			if err := s.Release(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if held := beat(t, open(t, dir), now); held != "" {
				t.Errorf("held back after the release: %s", held)
			}
			if got := claim(t, s, now, 10); len(got) != 3 {
				t.Errorf("%d of 3 are given out after the release", len(got))
			}
		})
	}
}

func TestWhatIsNotHeldIsNotReleased(t *testing.T) {
	s := open(t, t.TempDir())
	if held := must[string](t)(s.Held(t.Context(), start)); held != "" {
		t.Errorf("held back before it ever served: %s", held)
	}
	for _, when := range []string{"before it ever served", "while mail goes"} {
		if err := s.Release(t.Context(), start); !errors.Is(err, newsletter.ErrNotFound) {
			t.Errorf("a release %s: %v", when, err)
		}
		beat(t, s, start)
	}
}

// A clock that is wrong is found out before everything that waits is too late by it, and no hand is needed once it is right.
func TestAClockFarAheadHoldsUntilItIsRight(t *testing.T) {
	const week = 60 * 24 * time.Hour
	tests := map[string]struct {
		ahead time.Duration
		want  string
	}{
		"a minute":    {time.Minute, ""},
		"a week":      {week, ""},
		"longer":      {week + time.Minute, "2027-01-22 09:01 UTC, 60 days after"},
		"a year":      {365 * 24 * time.Hour, "2027-11-23 09:00 UTC, 365 days after"},
		"an hour ago": {-time.Hour, ""},
		"a year ago":  {-365 * 24 * time.Hour, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := withMail(t, 1)
			s := open(t, dir)
			held := beat(t, s, start.Add(tt.ahead))
			if (held == "") != (tt.want == "") || !strings.Contains(held, tt.want) {
				t.Errorf("held back because %q, want %q", held, tt.want)
			}
			if tt.want == "" {
				return
			}
			if got := claim(t, s, start.Add(tt.ahead), 10); len(got) > 0 {
				t.Errorf("%d are given out", len(got))
			}
			s = open(t, dir)
			if held := beat(t, s, start.Add(time.Minute)); held != "" {
				t.Errorf("held back when the clock is right again: %s", held)
			}
			if got := claim(t, s, start.Add(time.Minute), 10); len(got) != 3 {
				t.Errorf("then %d of 3 are given out", len(got))
			}
		})
	}
}

// A clock set back does not make the time since then count twice.
func TestTheLatestClockCounts(t *testing.T) {
	s := open(t, withMail(t, 1))
	for i, at := range []time.Duration{6 * 24 * time.Hour, 0, 12 * 24 * time.Hour} {
		if held := beat(t, s, start.Add(at)); held != "" {
			t.Errorf("beat %d is held: %s", i, held)
		}
	}
}

func TestAMachineThatWasOffIsReleasedByHand(t *testing.T) {
	s := open(t, withMail(t, 1))
	late := start.Add(90 * 24 * time.Hour)
	beat(t, s, late)
	if err := s.Release(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if held := beat(t, s, late.Add(time.Minute)); held != "" {
		t.Errorf("held back after the release: %s", held)
	}
}

// A command that sends beats beside a running serve, from the first minute on.
func TestProcessesBeatTogether(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, dir)
		wg.Go(func() {
			for range 10 {
				if held, err := s.Beat(t.Context(), start); held != "" || err != nil {
					t.Errorf("held because %q, %v", held, err)
				}
			}
		})
	}
	wg.Wait()
}

// What a beat has begun and not ended does not hold the next one, the first beat least of all.
func TestABeatThatCannotBeToldIsMadeUpFor(t *testing.T) {
	for _, beats := range []int{0, 2} {
		dir := withMail(t, beats)
		inTheWay := filepath.Join(dir, store.BeatFile+".new")
		if err := os.MkdirAll(filepath.Join(inTheWay, "folder"), 0o700); err != nil {
			t.Fatal(err)
		}
		with(t, dir, func(s *store.Store) {
			if held, err := s.Beat(t.Context(), start); held != "" || err == nil {
				t.Errorf("after %d beats: held because %q, %v; want an error", beats, held, err)
			}
		})
		if err := os.RemoveAll(inTheWay); err != nil {
			t.Fatal(err)
		}
		beatOnce(t, dir, start)
	}
}
