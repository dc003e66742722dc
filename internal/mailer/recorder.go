package mailer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dispatcher/internal/newsletter"
)

// recorder writes outcomes down in groups: whatever has come while the last group was being written makes the next.
// A sync costs the same for one outcome as for all. Each connection has at most one outcome here, so a group is hardly ever
// larger than their number.
type recorder struct {
	outbox Outbox
	log    *slog.Logger
	alive  func(within time.Duration)
	busy   *atomic.Int32 // workers that have something to send: a group waits for most of those

	figures *Figures

	mu      sync.Mutex
	waiting []entry
	timer   *time.Timer   // bounds how long the first of a group waits
	come    chan struct{} // has a token when a group may be written, or when it is closed
	closed  bool
	lost    atomic.Bool // it has given up: what was handed in is not on disk
}

// gather is how long an outcome waits for others at most, so that they share a sync. It is a few times what a sync takes on a good
// disk: most of the connections have had their turn by then, unless the relay is far away or lets some of them hang.
const gather = 2 * time.Millisecond

// lastTries is how long outcomes are tried to be written after the mailer was told to stop.
const lastTries = 10 * time.Second

// entry is an outcome and where its worker waits for it; nil: nobody does.
type entry struct {
	outcome newsletter.Outcome
	done    chan<- struct{}
}

func newRecorder(outbox Outbox, log *slog.Logger, busy *atomic.Int32) *recorder {
	r := &recorder{outbox: outbox, log: log, alive: func(time.Duration) {}, busy: busy, figures: &Figures{}, come: make(chan struct{}, 1)}
	r.timer = time.AfterFunc(gather, r.wake)
	return r
}

// enough reports whether n outcomes make a group: with every sync that is spared, what it costs the processor is, too.
func (r *recorder) enough(n int) bool { return 5*n >= 4*int(r.busy.Load()) }

// submit returns at once. When the outcome is on disk, or the recorder has given up, done gets a token; it has room for one. That
// takes as long as it takes: a full disk stops the sending until there is room.
func (r *recorder) submit(o newsletter.Outcome, done chan<- struct{}) {
	r.mu.Lock()
	r.waiting = append(r.waiting, entry{o, done})
	n := len(r.waiting)
	r.mu.Unlock()
	switch {
	case r.enough(n):
		r.wake()
	case n == 1:
		r.timer.Reset(gather)
	}
}

func (r *recorder) wake() { token(r.come) }

// close ends run once nothing is waiting. Nobody may submit any more.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

// run writes until it is closed. It returns an error when outcomes could not be written before the end.
func (r *recorder) run(ctx context.Context) error {
	var group []entry
	var outcomes []newsletter.Outcome
	var failed error
	unrecorded := 0
	for range r.come {
		r.mu.Lock()
		group, r.waiting = r.waiting, group[:0]
		over := r.closed && len(group) == 0
		r.mu.Unlock()
		if over {
			return failed
		}
		if len(group) == 0 {
			continue
		}
		outcomes = outcomes[:0]
		for _, e := range group {
			outcomes = append(outcomes, e.outcome)
		}
		if err := r.write(ctx, outcomes); err != nil {
			unrecorded += len(group)
			failed = fmt.Errorf("%d outcomes could not be recorded before the end, those readers may get a second copy: %w", unrecorded, err)
		}
		for _, e := range group {
			token(e.done)
		}
		r.mu.Lock()
		again := r.closed || len(r.waiting) > 0 && r.enough(len(r.waiting))
		r.mu.Unlock()
		if again {
			r.wake()
		}
	}
	return failed
}

// write keeps trying until the group is on disk, or the mailer has been told to stop for a while.
func (r *recorder) write(ctx context.Context, outcomes []newsletter.Outcome) error {
	defer r.alive(0)
	stop := ctx.Done()
	var over <-chan time.Time
	for wait, failing := 100*time.Millisecond, false; ; wait = min(2*wait, 10*time.Second) {
		r.alive(onDisk) // a full disk is no reason to be stuck: it goes on when there is room
		began := time.Now()
		err := r.outbox.RecordOutcomes(context.WithoutCancel(ctx), outcomes)
		r.figures.committed(len(outcomes), time.Since(began), err)
		if err == nil {
			if failing {
				r.log.Info("outcomes are recorded again")
			}
			return nil
		}
		if !failing {
			r.log.Error("recording outcomes failed: sending waits until it succeeds; is the disk full or read-only?", "error", err)
			failing = true
		}
		if r.lost.Load() {
			return err // the time for trying is over
		}
		select {
		case <-time.After(wait):
		case <-stop:
			stop, over, wait = nil, time.After(lastTries), 50*time.Millisecond
		case <-over:
			r.lost.Store(true)
			return err
		}
	}
}
