package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog knows which parts of a serve are alive: each says how soon its next sign comes, and one that fails to give it is stuck. Its
// clock is the machine's monotonic one, which stands still while the machine is suspended. It may be used from many goroutines.
type watchdog struct {
	begun  time.Time
	mu     sync.Mutex
	hearts map[string]*heart // by part
}

// heart is one part's.
type heart struct {
	until atomic.Int64 // nanoseconds since the watchdog began by which the next sign comes; 0: the part rests
}

func newWatchdog() *watchdog { return &watchdog{begun: time.Now(), hearts: map[string]*heart{}} }

// heart is how a part gives its signs: the next one comes within so long, or 0: it waits for work, or has ended. A part that takes the
// place of one that has ended has the same heart.
func (w *watchdog) heart(part string) func(within time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hearts[part]
	if h == nil {
		h = &heart{}
		w.hearts[part] = h
	}
	return func(within time.Duration) {
		if within > 0 {
			within += time.Since(w.begun)
		}
		h.until.Store(int64(within))
	}
}

// stuck are the parts whose sign is overdue.
func (w *watchdog) stuck() (parts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := int64(time.Since(w.begun))
	for part, h := range w.hearts {
		if until := h.until.Load(); until != 0 && until < now {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return parts
}
