package ingest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/ingest"
)

// script answers requests without a network, on the clock of the test, and notes when they came.
type script struct {
	mu      sync.Mutex
	start   time.Time
	asked   map[string][]time.Duration // host -> when, since the start
	answers map[string][]int           // host -> statuses, the last one for ever
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := r.URL.Hostname()
	s.asked[host] = append(s.asked[host], time.Since(s.start))
	status := http.StatusOK
	if left := s.answers[host]; len(left) > 0 {
		status = left[0]
		s.answers[host] = left[min(1, len(left)-1):]
	}
	header := http.Header{}
	switch status {
	case http.StatusTooManyRequests:
		header.Set("Retry-After", "7200")
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", s.start.Add(90*time.Minute).UTC().Format(http.TimeFormat))
	}
	return &http.Response{StatusCode: status, Header: header, Request: r, Body: io.NopCloser(strings.NewReader(rss(post("one", 1))))}, nil
}

func TestRunPollsEachFeedInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{start: time.Now(), asked: map[string][]time.Duration{}, answers: map[string][]int{
			"bad.example": {500},
			"sad.example": {500, 500, 500, 200},
			"shy.example": {429, 200},
			"coy.example": {503, 200},
			"old.example": {200, 410},
		}}
		q := newQueue()
		ctx, cancel := context.WithCancel(t.Context())
		var feeds []ingest.Feed
		for _, name := range []string{"good", "bad", "sad", "shy", "coy", "old"} {
			feed := feedAt("https://" + name + ".example/feed/")
			feed.Name, feed.Poll = name, 20*time.Minute
			feeds = append(feeds, feed)
		}
		done := make(chan error)
		i := newIngester(q, ingest.Settings{Feeds: feeds, Transport: s, Now: time.Now})
		go func() { done <- i.Run(ctx) }()
		time.Sleep(4*time.Hour - time.Second) // of the fake clock
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
		minutes := func(all ...int) (at []time.Duration) {
			for _, m := range all {
				at = append(at, time.Duration(m)*time.Minute)
			}
			return at
		}
		later := func(by time.Duration, at []time.Duration) []time.Duration {
			for n := range at {
				at[n] += by
			}
			return at
		}
		want := map[string][]time.Duration{
			"good.example": minutes(0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220),
			"bad.example":  later(10*time.Second, minutes(0, 20, 60, 120, 180)),
			"sad.example":  later(20*time.Second, minutes(0, 20, 60, 120, 140, 160, 180, 200, 220)),
			"shy.example":  later(30*time.Second, minutes(0, 120, 140, 160, 180, 200, 220)),
			"coy.example":  append([]time.Duration{40 * time.Second}, minutes(90, 110, 130, 150, 170, 190, 210, 230)...),
			"old.example":  later(50*time.Second, minutes(0, 20)),
		}
		if diff := cmp.Diff(want, s.asked); diff != "" {
			t.Errorf("polls (-want +got):\n%s", diff)
		}
		if !q.states["old"].Gone || q.states["bad"].Failures != 5 || q.states["sad"].Failures != 0 {
			t.Errorf("states are %+v", q.states)
		}
	})
}

func TestRunLeavesAFeedThatIsGoneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{start: time.Now(), asked: map[string][]time.Duration{}, answers: map[string][]int{"old.example": {410}}}
		q := newQueue()
		poll := func(url string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := newIngester(q, ingest.Settings{Feeds: []ingest.Feed{feedAt(url)}, Transport: s, Now: time.Now}).Run(ctx); err != nil {
				t.Error(err)
			}
		}
		poll("https://old.example/feed/")
		poll("https://old.example/feed/")
		if n := len(s.asked["old.example"]); n != 1 {
			t.Errorf("the feed that is gone was asked %d times", n)
		}
		poll("https://new.example/feed/")
		if len(s.asked["new.example"]) == 0 || q.states["magazine"].Gone {
			t.Error("the feed's new url is not asked")
		}
	})
}

func TestRunWithoutFeedsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- newIngester(newQueue(), ingest.Settings{}).Run(ctx) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Run has ended")
		default:
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}
