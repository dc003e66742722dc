package mailer

import (
	"time"

	"dispatcher/internal/newsletter"
)

// circuit keeps mail from a relay that does not take it. While it is open mail waits, or takes the way of the next relay; now and
// then one delivery goes as a probe, and the first that the relay takes closes the circuit.
type circuit struct {
	open     bool
	refuses  bool // the relay talks with us and will not have our mail, rather than being out of reach
	since    time.Time
	retry    time.Time // when the next probe may go
	wait     time.Duration
	probing  bool
	streak   []streak // tries in a row that were refused for our sake
	troubles int      // tries in a row that ended in the relay's own trouble
}

// streak is one of several tries that were refused for our sake.
type streak struct {
	newsletter.Outcome
	class string
}

// mostInARow is how many refusals for our sake, over several classes of recipients, are no coincidence.
const mostInARow = 5

// mostRemembered is how many refusals in a row are taken back at most when another class shows that the readers are not to blame.
const mostRemembered = 100

// Waits for the next probe double from the first to the last. A relay that is restarted is back within seconds; who may not send
// will not be let in by asking often.
const (
	firstWaitOutOfReach = 100 * time.Millisecond
	lastWaitOutOfReach  = time.Minute
	firstWaitRefused    = 30 * time.Second
	lastWaitRefused     = 15 * time.Minute
)

// isOurs reports whether the streak says that we are refused, and not some readers.
func (c *circuit) isOurs() bool {
	if len(c.streak) < mostInARow {
		return false
	}
	for _, s := range c.streak {
		if s.class != c.streak[0].class {
			return true
		}
	}
	if len(c.streak) > mostRemembered { // one class alone may refuse for ever
		c.streak = c.streak[1:]
	}
	return false
}

// revive turns the streak into outcomes that make its copies pending again.
func (c *circuit) revive(now time.Time) (revived []newsletter.Outcome) {
	for _, s := range c.streak {
		o := s.Outcome
		o.State, o.At, o.Due, o.Owner, o.Revived, o.Untried, o.Relay = newsletter.Pending, now, now, newsletter.OwnerNone, true, true, ""
		revived = append(revived, o)
	}
	c.streak = nil
	return revived
}

// trip opens the gate's circuit, or after a probe that failed keeps it open for longer. The log is told once.
func (g *gate) trip(w *worker, refuses bool, why string) {
	c := &g.circuit
	probe := w.probing
	w.probing = false
	if c.open && !probe {
		return // from before it opened
	}
	first, last := firstWaitOutOfReach, lastWaitOutOfReach
	if refuses {
		first, last = firstWaitRefused, lastWaitRefused
	}
	news := !c.open || c.refuses != refuses
	if news {
		c.wait = first
	} else {
		c.wait = min(2*c.wait, last)
	}
	if !c.open {
		c.since = time.Now()
	}
	c.open, c.refuses, c.probing, c.troubles = true, refuses, false, 0
	c.retry = g.clock().Add(c.wait)
	if news {
		what := "relay out of reach, its mail waits or takes the next relay"
		if refuses {
			what = "relay refuses our mail, which waits or takes the next relay; mend what it says, and it goes on by itself"
		}
		g.log.Error(what, "relay", g.Name, "error", newsletter.Redact(why))
	}
	g.pool.tell()
}

// close closes the gate's circuit.
func (g *gate) close() {
	g.log.Info("relay takes mail again", "relay", g.Name, "after", time.Since(g.circuit.since).Round(time.Second))
	g.circuit = circuit{}
	g.pool.tell()
}

// clock is what the waits of the circuit go by: a relay out of reach is asked again by real time, whoever refuses us when the
// wall clock says so.
func (g *gate) clock() time.Time {
	if g.circuit.refuses {
		return g.now()
	}
	return time.Now()
}
