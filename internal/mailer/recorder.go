package mailer

import (
	"context"
	"log/slog"
	"time"

	"dispatcher/internal/newsletter"
)

// recorder writes outcomes down in groups: whatever has come while the last group was being written makes the next.
// A sync costs the same for one outcome as for all.
type recorder struct {
	outbox Outbox
	log    *slog.Logger
	in     chan entry
	stop   chan struct{}
}

// entry is an outcome and the worker that waits for it.
type entry struct {
	outcome newsletter.Outcome
	done    chan struct{}
}

func newRecorder(outbox Outbox, log *slog.Logger) *recorder {
	return &recorder{outbox: outbox, log: log, in: make(chan entry), stop: make(chan struct{})}
}

// record returns when the outcome is on disk. It takes as long as it takes: what cannot be recorded must not be followed
// by another message, so a full disk stops the sending until there is room.
func (r *recorder) record(o newsletter.Outcome) {
	e := entry{o, make(chan struct{})}
	r.in <- e
	<-e.done
}

// close ends run. Nobody may call record any more.
func (r *recorder) close() { close(r.stop) }

func (r *recorder) run() {
	for {
		select {
		case e := <-r.in:
			r.write(r.gather(e))
		case <-r.stop:
			return
		}
	}
}

// gather takes what else is waiting already.
func (r *recorder) gather(first entry) []entry {
	group := []entry{first}
	for {
		select {
		case e := <-r.in:
			group = append(group, e)
		default:
			return group
		}
	}
}

// write keeps trying until the group is on disk.
func (r *recorder) write(group []entry) {
	outcomes := make([]newsletter.Outcome, len(group))
	for i, e := range group {
		outcomes[i] = e.outcome
	}
	for wait, failing := 100*time.Millisecond, false; ; wait = min(2*wait, 10*time.Second) {
		err := r.outbox.RecordOutcomes(context.Background(), outcomes)
		if err == nil {
			if failing {
				r.log.Info("outcomes are recorded again")
			}
			break
		}
		if !failing {
			r.log.Error("recording outcomes failed: sending waits until it succeeds; is the disk full or read-only?", "error", err)
			failing = true
		}
		time.Sleep(wait)
	}
	for _, e := range group {
		close(e.done)
	}
}
