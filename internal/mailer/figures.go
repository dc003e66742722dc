package mailer

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dispatcher/internal/newsletter"
)

// Figures counts what mailers do. It outlives them: a process has one for all the mailers that it has one after the other. The zero
// value has counted nothing. It may be used from many goroutines, and costs a message no lock and no memory.
type Figures struct {
	commit    histogram // nanoseconds
	group     histogram // outcomes
	unwritten atomic.Int64

	mu     sync.Mutex
	relays map[string]*relayCounts // by name; those of old configs stay
	pool   *pool                   // of the mailer that runs; nil: none does
}

// relayCounts is what one relay did.
type relayCounts struct {
	taken     atomic.Int64
	refused   [2]ownerCounts // for now, for good
	unreached atomic.Int64
}

type ownerCounts [len(refusers)]atomic.Int64

// refusers are the owners that a refusal can have.
var refusers = [...]newsletter.Owner{
	newsletter.RecipientGone, newsletter.RecipientBusy, newsletter.OurIdentity, newsletter.OurReputation,
	newsletter.OurContent, newsletter.OurQuota, newsletter.Theirs, newsletter.OwnerUnknown,
}

// Upper bounds of the histograms' buckets; what is larger has one more.
var (
	commitBounds = []int64{
		int64(100 * time.Microsecond), int64(250 * time.Microsecond), int64(500 * time.Microsecond),
		int64(time.Millisecond), int64(2500 * time.Microsecond), int64(5 * time.Millisecond),
		int64(10 * time.Millisecond), int64(25 * time.Millisecond), int64(50 * time.Millisecond),
		int64(100 * time.Millisecond), int64(250 * time.Millisecond), int64(500 * time.Millisecond),
		int64(time.Second), int64(2500 * time.Millisecond), int64(10 * time.Second),
	}
	groupBounds = []int64{1, 2, 4, 8, 16, 32, 64, 128, 256}
)

// Read is what was counted so far, and how the mailer that runs stands now.
func (f *Figures) Read() (now newsletter.MailerFigures) {
	now.Commit, now.Group = f.commit.read(commitBounds, float64(time.Second)), f.group.read(groupBounds, 1)
	now.Unwritten = f.unwritten.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, c := range f.relays {
		r := newsletter.RelayFigures{Name: name, Taken: c.taken.Load(), Unreached: c.unreached.Load()}
		for kind := range c.refused {
			for i := range refusers {
				r.Refusals = append(r.Refusals, newsletter.Refused{Owner: refusers[i], Permanent: kind == 1, Count: c.refused[kind][i].Load()})
			}
		}
		if f.pool != nil {
			f.pool.describe(&r)
		}
		now.Relays = append(now.Relays, r)
	}
	slices.SortFunc(now.Relays, func(a, b newsletter.RelayFigures) int { return cmp.Compare(a.Name, b.Name) })
	return now
}

// describe fills in how a relay stands.
func (p *pool) describe(r *newsletter.RelayFigures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if g.Name != r.Name {
			continue
		}
		r.Used, r.Most, r.Rate = true, max(1, g.Connections), g.Rate
		r.CircuitOpen, r.QuotaSpent = g.circuit.open, !g.quota.spent(g.now()).IsZero()
		for _, w := range g.workers {
			if w.busy {
				r.Busy++
			}
		}
		r.Busy = min(r.Busy, g.sessions) // who dials is busy, too
		r.Idle = g.sessions - r.Busy
		for _, c := range g.classes.known {
			if !c.eased.IsZero() {
				r.Slowed++
			}
		}
	}
}

// relay is where a relay's messages are counted.
func (f *Figures) relay(name string) *relayCounts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.relays == nil {
		f.relays = map[string]*relayCounts{}
	}
	if f.relays[name] == nil {
		f.relays[name] = &relayCounts{}
	}
	return f.relays[name]
}

// watch says whose figures are those of now, unwatch that it has ended.
func (f *Figures) watch(p *pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pool = p
}

func (f *Figures) unwatch(p *pool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pool == p {
		f.pool = nil
	}
}

// committed counts a group of outcomes that was written, or was not.
func (f *Figures) committed(outcomes int, took time.Duration, err error) {
	if err != nil {
		f.unwritten.Add(1)
		return
	}
	f.commit.observe(commitBounds, int64(took))
	f.group.observe(groupBounds, int64(outcomes))
}

// tried counts how a try at a message ended. A line that was cut is neither taken nor refused.
func (c *relayCounts) tried(err error) {
	if err == nil {
		c.taken.Add(1)
		return
	}
	var reply *newsletter.ReplyError
	if !errors.As(err, &reply) {
		return
	}
	kind := 0
	if reply.Permanent() {
		kind = 1
	}
	if i := slices.Index(refusers[:], reply.Owner()); i >= 0 {
		c.refused[kind][i].Add(1)
	}
}

// histogram counts values by size. The zero value has counted none.
type histogram struct {
	buckets [16]atomic.Uint64 // one for each bound, and one for what is larger than all
	sum     atomic.Int64
}

func (h *histogram) observe(bounds []int64, value int64) {
	i, _ := slices.BinarySearch(bounds, value)
	h.buckets[i].Add(1)
	h.sum.Add(value)
}

// read gives the values as so many units.
func (h *histogram) read(bounds []int64, unit float64) newsletter.Histogram {
	r := newsletter.Histogram{Sum: float64(h.sum.Load()) / unit, AtMost: map[float64]uint64{}}
	for i := range bounds {
		r.Count += h.buckets[i].Load()
		r.AtMost[float64(bounds[i])/unit] = r.Count
	}
	r.Count += h.buckets[len(bounds)].Load()
	return r
}
