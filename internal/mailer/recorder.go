package mailer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dispatcher/internal/newsletter"
)

// recorder writes outcomes down in groups: whatever has come while the last group was being written makes the next.
// A sync costs the same for one outcome as for all. Each connection has at most one outcome here, so a group is never
// larger than their number.
type recorder struct {
	outbox Outbox
	log    *slog.Logger

	mu      sync.Mutex
	working int // workers that have something to send
	waiting []entry
	timer   *time.Timer   // bounds how long the first of a group waits
	come    chan struct{} // has a token when a group may be written, or when it is closed
	closed  bool
}

// gather is how long an outcome waits for others at most, so that they share a sync. It is about what a sync takes on a good
// disk, and nothing beside the way to a relay that is not on this machine.
const gather = time.Millisecond

// entry is an outcome and what its worker waits for.
type entry struct {
	outcome newsletter.Outcome
	done    chan struct{}
}

func newRecorder(outbox Outbox, log *slog.Logger) *recorder {
	r := &recorder{outbox: outbox, log: log, come: make(chan struct{}, 1)}
	r.timer = time.AfterFunc(gather, r.wake)
	return r
}

// busy and idle count the workers that have something to send: a group waits for half of those.
func (r *recorder) busy() { r.count(1) }

func (r *recorder) idle() { r.count(-1) }

func (r *recorder) count(n int) {
	r.mu.Lock()
	r.working += n
	r.mu.Unlock()
}

// submit returns at once with a channel that is closed when the outcome is on disk. That takes as long as it takes: a full
// disk stops the sending until there is room.
func (r *recorder) submit(o newsletter.Outcome) chan struct{} {
	done := make(chan struct{})
	r.mu.Lock()
	r.waiting = append(r.waiting, entry{o, done})
	n, enough := len(r.waiting), 2*len(r.waiting) >= r.working
	r.mu.Unlock()
	switch {
	case enough:
		r.wake()
	case n == 1:
		r.timer.Reset(gather)
	}
	return done
}

func (r *recorder) wake() {
	select {
	case r.come <- struct{}{}:
	default:
	}
}

// close ends run once nothing is waiting. Nobody may submit any more.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

func (r *recorder) run() {
	var group []entry
	var outcomes []newsletter.Outcome
	for range r.come {
		r.mu.Lock()
		group, r.waiting = r.waiting, group[:0]
		over := r.closed && len(group) == 0
		r.mu.Unlock()
		if over {
			return
		}
		if len(group) == 0 {
			continue
		}
		outcomes = outcomes[:0]
		for _, e := range group {
			outcomes = append(outcomes, e.outcome)
		}
		r.write(outcomes)
		for _, e := range group {
			close(e.done)
		}
		r.mu.Lock()
		again := r.closed || len(r.waiting) > 0 && 2*len(r.waiting) >= r.working
		r.mu.Unlock()
		if again {
			r.wake()
		}
	}
}

// write keeps trying until the group is on disk.
func (r *recorder) write(outcomes []newsletter.Outcome) {
	for wait, failing := 100*time.Millisecond, false; ; wait = min(2*wait, 10*time.Second) {
		err := r.outbox.RecordOutcomes(context.Background(), outcomes)
		if err == nil {
			if failing {
				r.log.Info("outcomes are recorded again")
			}
			return
		}
		if !failing {
			r.log.Error("recording outcomes failed: sending waits until it succeeds; is the disk full or read-only?", "error", err)
			failing = true
		}
		time.Sleep(wait)
	}
}
