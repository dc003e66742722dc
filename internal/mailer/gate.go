package mailer

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"dispatcher/internal/newsletter"
)

// gate stands before one relay and says when a message may go there: while the relay takes mail (its circuit), and not faster nor
// more than the admin and the relay allow (rate, quotas, classes of recipients). All its fields are guarded by the pool's lock.
type gate struct {
	*Relay
	pool     *pool
	now      func() time.Time
	log      *slog.Logger
	limiter  *rate.Limiter // nil: no limit
	quota    quota
	classes  classes
	circuit  circuit
	dialling int  // connections that are being opened
	sessions int  // connections that are open
	crowded  bool // the log knows that the relay takes fewer than asked for

	workers []*worker    // all are there before anybody looks
	counts  *relayCounts // guarded by nothing
}

func newGate(m *Mailer, p *pool, r *Relay) *gate {
	g := &gate{Relay: r, pool: p, now: m.Now, log: m.Log, quota: quota{perHour: r.PerHour, perDay: r.PerDay, zone: r.Zone}, classes: newClasses(r.ClassRates)}
	if r.Rate > 0 {
		g.limiter = rate.NewLimiter(rate.Limit(r.Rate), max(1, int(r.Rate/20)))
	}
	return g
}

// recheck bounds the waits that end by the wall clock, which may be set meanwhile.
const recheck = time.Second

// available reports whether the relay takes mail, so that those behind it in the config are not needed.
func (g *gate) available() bool {
	return !g.circuit.open && g.quota.spent(g.now()).IsZero()
}

// opens says how long a worker has to wait until it may carry a message to the relay: 0 not at all, and then the message is counted.
func (g *gate) opens(w *worker) time.Duration {
	if wait := time.Until(w.crowdedOut); wait > 0 {
		return wait
	}
	probe := false
	if g.circuit.open {
		if g.circuit.probing && !w.probing {
			return never
		}
		if wait := g.circuit.retry.Sub(g.clock()); wait > g.circuit.wait {
			g.circuit.retry = g.clock().Add(g.circuit.wait) // the clock was set back
			return min(g.circuit.wait, recheck)
		} else if wait > 0 {
			return min(wait, recheck)
		}
		if w.companion {
			return never // a probe goes alone
		}
		probe = true
	}
	if until := g.quota.spent(g.now()); !until.IsZero() {
		g.tellSpent(until)
		return min(max(until.Sub(g.now()), time.Millisecond), recheck)
	}
	if wait := g.paced(w); wait > 0 {
		return wait
	}
	g.quota.use(g.now())
	w.permit = time.Time{}
	if probe {
		g.circuit.probing, w.probing = true, true
	}
	return 0
}

// paced says how long the relay's rate makes a worker wait. A place in the line is the worker's until it is used.
func (g *gate) paced(w *worker) time.Duration {
	if g.limiter == nil {
		return 0
	}
	if spacing := time.Duration(float64(time.Second) / g.Rate); w.permit.IsZero() || time.Since(w.permit) > spacing { // one from before a pause is void
		now := time.Now()
		w.permit = now.Add(g.limiter.ReserveN(now, 1).DelayFrom(now))
	}
	return time.Until(w.permit)
}

func (g *gate) tellSpent(until time.Time) {
	if !g.quota.told {
		g.quota.told = true
		g.log.Warn("relay quota used up, its mail waits or takes the next relay", "relay", g.Name, "until", until.UTC().Format(time.RFC3339))
		g.pool.tell() // the next relay may take over
	}
}

// admit says when a delivery may go to the class of its recipient: zero now.
func (g *gate) admit(d *newsletter.Delivery) time.Time {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return g.classes.admit(d.Address.Class(), d.Lane, g.now())
}

// unused gives back the count of a message that did not go.
func (g *gate) unused() {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.quota.giveBack()
}

// dials says that a worker is about to open a connection. Then comes connected or unreached.
func (g *gate) dials() {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.dialling++
}

// connected says that a worker has opened a connection.
func (g *gate) connected(w *worker) {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.dialling--
	g.sessions++
	w.crowding = 0
}

// disconnected says that a worker's connection is closed.
func (g *gate) disconnected() {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.sessions--
}

// unreached says that a worker got no connection. Where others have one, or are getting one, the relay takes no more at a time than
// those.
func (g *gate) unreached(w *worker, err error) {
	g.counts.unreached.Add(1)
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.dialling--
	var reply *newsletter.ReplyError
	talks := errors.As(err, &reply)
	refused := talks && reply.Permanent()
	if g.sessions == 0 && (refused || g.dialling == 0 || !talks) {
		g.trip(w, refused, err.Error())
		return
	}
	w.crowding = min(max(2*w.crowding, time.Second), time.Minute)
	w.crowdedOut = time.Now().Add(w.crowding)
	if !g.crowded && g.sessions > 0 && talks {
		g.crowded = true
		g.log.Warn("relay takes no more connections at once, going on with those it takes; give it a lower `connections`", "relay", g.Name,
			"open", g.sessions, "wanted", g.Connections, "error", newsletter.Redact(err.Error()))
	}
}

// stalled says that a worker waited in vain for the relay, and reports whether mail is kept from it now. Each such wait takes minutes:
// with few connections it would take hours to see five of them.
func (g *gate) stalled(w *worker, err error) bool {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.circuit.troubles += max(1, mostInARow/max(1, g.Connections))
	if g.circuit.open || g.circuit.troubles >= mostInARow {
		g.trip(w, false, err.Error())
	}
	return g.circuit.open
}

// learn takes in what a try said about the relay and the class of its recipient. It returns the outcomes to be recorded again, as
// pending: those of a streak that was not the readers' fault.
func (g *gate) learn(w *worker, f *freight, v verdict, o newsletter.Outcome) (revived []newsletter.Outcome) {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	class := f.Address.Class()
	if v.throttled {
		g.classes.throttled(class, g.now(), g.log)
	}
	switch v.about {
	case aboutNobody:
		g.classes.accepted(class)
		if w.probing || !g.circuit.open { // what was on the line before it opened proves nothing
			g.circuit.streak, g.circuit.troubles = g.circuit.streak[:0], 0
		}
		if w.probing && g.circuit.open {
			g.close()
		}
	case aboutReader:
		g.circuit.troubles = 0
		g.answered(w)
	case aboutUs:
		g.circuit.troubles = 0
		g.circuit.streak = append(g.circuit.streak, streak{o, class})
		if g.circuit.open || g.circuit.isOurs() {
			revived = g.circuit.revive(g.now())
			g.trip(w, true, said(o))
		} else {
			g.answered(w)
		}
	case aboutSender:
		g.trip(w, true, said(o))
	case aboutRelay:
		g.circuit.troubles++
		if g.circuit.open || g.circuit.troubles >= mostInARow {
			g.trip(w, false, said(o))
		}
	case aboutDay:
		g.quota.spendDay(f.looked, g.now())
		g.answered(w)
	}
	w.probing = false
	return revived
}

// said is what a relay said, for the log.
func said(o newsletter.Outcome) string {
	if o.Code == 0 {
		return o.Words
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", o.Code, o.Enhanced, o.Words)), " ")
}

// answered ends a probe that got an answer about its reader: the relay is there, and whether it still refuses us is not known.
func (g *gate) answered(w *worker) {
	switch {
	case !g.circuit.open || !w.probing:
	case !g.circuit.refuses:
		g.close()
	default:
		g.circuit.probing = false
		g.pool.tell()
	}
}

// abandoned says that a worker's delivery was neither sent nor refused.
func (g *gate) abandoned(w *worker) {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.quota.giveBack()
	if g.limiter != nil {
		w.permit = time.Now() // nothing went: the place in the line is still the worker's
	}
	if w.probing {
		w.probing, g.circuit.probing = false, false
		g.pool.tell()
	}
}
