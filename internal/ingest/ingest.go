// Package ingest turns outside content into items: it polls feeds, reads files that an editor imports, cleans what it
// finds, tells articles from actions, and holds what looks like a flood.
//
// It hides the dialects of feeds (gofeed), conditional GET, the guard that keeps a redirect out of the private network,
// what WordPress adds to a post, and the HTML allow-list (bluemonday). Nothing that it hands on needs cleaning again:
// titles and summaries are one line of plain text, bodies are sanitised, links are absolute.
package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/microcosm-cc/bluemonday"

	"dispatcher/internal/newsletter"
)

// Queue is where ingest puts what it finds.
type Queue interface {
	// FeedState gives what is remembered of a feed; the zero state for one that was never polled.
	FeedState(ctx context.Context, name string) (newsletter.FeedState, error)
	// Known tells for each item whether one of its Identities is known.
	Known(ctx context.Context, items []newsletter.Item) ([]bool, error)
	// TakeIn does all of a poll in one transaction: new items enter with the State and Reason that they bear, known
	// ones are updated unless they are frozen, and the feed's state is saved when it is not nil.
	TakeIn(ctx context.Context, state *newsletter.FeedState, found []newsletter.Found, now time.Time) (newsletter.Intake, error)
}

// Settings are what an Ingester works with beside its queue.
type Settings struct {
	Feeds     []Feed            // what Run watches
	UserAgent string            // such as "dispatcher/1.0 (+https://news.example.org)"
	Timeout   time.Duration     // of one request with its redirects and its body; 0: 30 seconds
	MaxBytes  int64             // of one document once it is unpacked; 0: 10 MiB
	Transport http.RoundTripper // nil: the network, behind the guard of addresses
	Now       func() time.Time
	Log       *slog.Logger
}

const (
	defaultPoll     = 15 * time.Minute
	defaultTimeout  = 30 * time.Second
	defaultMaxBytes = 10 << 20

	spread       = time.Minute    // within which the first polls of all feeds begin
	longestPause = time.Hour      // to which failures stretch a shorter interval
	longestAsked = 24 * time.Hour // of what a server may ask for with Retry-After
	atOnce       = 4              // polls at a time: bounds memory, not speed
)

// Ingester polls feeds and imports files. It is safe for concurrent use.
type Ingester struct {
	queue  Queue
	set    Settings
	policy *bluemonday.Policy
	slots  chan struct{} // one for each poll under way
}

// New makes an Ingester. It reads nothing and starts nothing.
func New(queue Queue, s Settings) *Ingester {
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = defaultMaxBytes
	}
	return &Ingester{queue: queue, set: s, policy: mailPolicy(), slots: make(chan struct{}, atOnce)}
}

// Run polls each feed at its interval, the first time within a minute, until ctx is cancelled; then it returns nil.
// A feed that fails is asked less and less often, and one that is gone no more; the others go on.
func (i *Ingester) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for n, feed := range i.set.Feeds {
		first := spread / time.Duration(len(i.set.Feeds)) * time.Duration(n)
		all.Go(func() { i.watch(ctx, feed, first) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// watch polls one feed until ctx is cancelled or the feed is gone.
func (i *Ingester) watch(ctx context.Context, feed Feed, wait time.Duration) {
	log := i.set.Log.With("feed", feed.Name)
	if state, err := i.queue.FeedState(ctx, feed.Name); err == nil && state.Gone && state.URL == feed.URL {
		log.WarnContext(ctx, "feed is gone and not polled", "cure", goneCure)
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		intake, err := i.pollInTurn(ctx, feed)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrGone):
			log.WarnContext(ctx, "feed is gone and not polled any more", "cure", goneCure)
			return
		case err != nil:
			failures++
			wait = pause(feed, failures, err)
			log.WarnContext(ctx, "poll failed", "error", err, "failures", failures, "next", wait)
		default:
			failures = 0
			wait = pause(feed, failures, nil)
			logIntake(ctx, log, intake)
		}
		timer.Reset(wait)
	}
}

// pollInTurn waits for one of the slots and polls.
func (i *Ingester) pollInTurn(ctx context.Context, feed Feed) (newsletter.Intake, error) {
	select {
	case <-ctx.Done():
		return newsletter.Intake{}, ctx.Err()
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	}
	return i.Fetch(ctx, feed)
}

// logIntake tells the admin of polls that brought something.
func logIntake(ctx context.Context, log *slog.Logger, n newsletter.Intake) {
	level := slog.LevelInfo
	if n.New == 0 && n.Changed == 0 {
		level = slog.LevelDebug
	}
	log.Log(ctx, level, "feed polled", "new", n.New, "changed", n.Changed, "held", n.Held, "dropped", n.Dropped)
}

// pause is how long to wait for the next poll: the interval, doubled with each failure but the first, or what the
// server asked for when that is longer.
func pause(feed Feed, failures int, err error) time.Duration {
	wait := feed.Poll
	if wait <= 0 {
		wait = defaultPoll
	}
	longest := max(wait, longestPause)
	for n := 1; n < failures && wait < longest; n++ {
		wait *= 2
	}
	wait = min(wait, longest)
	var refused *statusError
	if errors.As(err, &refused) {
		wait = max(wait, min(refused.after, longestAsked))
	}
	return wait
}
