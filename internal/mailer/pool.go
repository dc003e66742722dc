package mailer

import (
	"sync"
	"sync/atomic"
	"time"

	"dispatcher/internal/newsletter"
)

// pool is where the lanes meet the relays: it holds what is claimed and not yet carried, and says who may carry what next.
//
// The lanes take turns by stride scheduling: of a hundred messages that could all go, the more urgent lane gets nearly all, and none
// starves. A worker first waits until its relay may take a message, and only then is one chosen: so an alert waits behind no digest,
// however slow the relay is.
type pool struct {
	mu      sync.Mutex
	lanes   []*lane // the most urgent first
	gates   []*gate // in the order in which they are preferred
	pass    int     // of the lane that was served last
	changed chan struct{}
	broken  map[newsletter.EditionID]bool // the log knows that messages of it cannot be composed

	busy    atomic.Int32  // workers that carry something
	drained chan struct{} // has a token when nothing waits and nobody carries anything
}

// lane is what is claimed of one lane.
type lane struct {
	name    newsletter.Lane
	stride  int // the reciprocal of its share
	pass    int
	waiting []newsletter.Delivery
	enough  int           // fewer than this waiting, and more is wanted
	wanted  chan struct{} // has a token then, or when the outbox should be looked at at once
}

// strides give each lane 16 messages to one of the next, where all of them could go.
var strides = map[newsletter.Lane]int{newsletter.NoticeLane: 1, newsletter.AlertLane: 16, newsletter.DigestLane: 256}

func newPool() *pool {
	p := &pool{changed: make(chan struct{}), drained: make(chan struct{}, 1), broken: map[newsletter.EditionID]bool{}}
	for _, name := range newsletter.Lanes() {
		p.lanes = append(p.lanes, &lane{name: name, stride: strides[name], wanted: make(chan struct{}, 1)})
	}
	return p
}

// token puts a token into a channel that holds one.
func token(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// push adds what was claimed of a lane, and says that less than half of it is to be waiting before more is wanted.
func (p *pool) push(l *lane, deliveries []newsletter.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.waiting) == 0 {
		l.pass = max(l.pass, p.pass)
	}
	l.waiting = append(l.waiting, deliveries...)
	l.enough = (len(deliveries) + 1) / 2
	p.tell()
	if len(l.waiting) < l.enough {
		token(l.wanted)
	}
}

// putBack returns a delivery that was not sent to the head of its lane.
func (p *pool) putBack(d newsletter.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		if l.name == d.Lane {
			l.waiting = append([]newsletter.Delivery{d}, l.waiting...)
		}
	}
	p.tell()
}

// breaks notes that a message of an edition cannot be composed, and reports whether that is news.
func (p *pool) breaks(id newsletter.EditionID) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	news = !p.broken[id]
	p.broken[id] = true
	return news
}

// tell wakes all who wait for a change. The caller holds the lock.
func (p *pool) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// lookAgain has each lane's outbox looked at now.
func (p *pool) lookAgain() {
	for _, l := range p.lanes {
		token(l.wanted)
	}
}

// turn is the answer to a worker that asks for something to carry.
type turn struct {
	newsletter.Delivery
	ok      bool
	changed <-chan struct{} // not ok: ask again when this is closed
	wait    time.Duration   // not ok: or after this; 0: not before
	shut    bool            // the relay does not take mail; ok: the delivery is a probe
}

// next gives a worker the delivery that it may carry now.
func (p *pool) next(w *worker) turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.mostUrgent()
	if l == nil {
		return p.rest(w, 0)
	}
	if wait := p.gateOpens(w); wait != 0 {
		return p.rest(w, wait)
	}
	d := l.waiting[0]
	l.waiting[0] = newsletter.Delivery{}
	l.waiting = l.waiting[1:]
	p.pass, l.pass = l.pass, l.pass+l.stride
	if len(l.waiting) < l.enough {
		token(l.wanted)
	}
	if !w.busy {
		w.busy = true
		p.busy.Add(1)
	}
	return turn{Delivery: d, ok: true, shut: w.gate.circuit.open}
}

// rest tells a worker to wait. When it is the last, and nothing is left, the pool is drained.
func (p *pool) rest(w *worker, wait time.Duration) turn {
	if w.busy && !w.companion {
		w.busy = false
		if p.busy.Add(-1) == 0 && p.mostUrgent() == nil {
			token(p.drained)
		}
	}
	return turn{changed: p.changed, wait: max(wait, 0), shut: w.gate.circuit.open}
}

// mostUrgent is the lane whose turn it is, or nil when nothing waits.
func (p *pool) mostUrgent() (first *lane) {
	for _, l := range p.lanes {
		if len(l.waiting) > 0 && (first == nil || l.pass < first.pass) {
			first = l
		}
	}
	return first
}

// never is the wait for something that only a change brings about.
const never = -1

// gateOpens says how long a worker has to wait until it may carry a message: 0 not at all.
func (p *pool) gateOpens(w *worker) time.Duration {
	for _, g := range p.gates {
		if g == w.gate {
			break
		}
		if g.available() {
			return never // a relay that is preferred to this one takes mail
		}
	}
	return w.gate.opens(w)
}
