package mailer

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"dispatcher/internal/newsletter"
)

// ClassRate is how fast mail goes to one class of recipients' domains at most.
type ClassRate struct {
	Class string  // as in newsletter.Address.Class
	Rate  float64 // messages per second
}

// classes know how fast each class of recipients takes mail. A class that asks us to slow down is given a rest, then half of what it
// took, and a tenth more after each while without complaint, until it is as it was. What is too fast for a class goes back to the
// outbox until its time comes, so that it is in nobody's way.
type classes struct {
	fixed map[string]float64
	known map[string]*class
}

type class struct {
	begun    time.Time // of counting
	count    int       // messages since then
	before   float64   // messages per second, counted before that
	inARow   int       // refusals that asked us to slow down
	full     float64   // messages per second before it complained; 0: it has not
	limiter  *rate.Limiter
	rests    int       // how often it complained
	resting  time.Time // nothing goes before
	eased    time.Time // when the rate was changed last
	nextTurn map[newsletter.Lane]time.Time
}

// How a class that complains is treated (field practice: halve, rest, add a tenth back for each clean ten minutes).
const (
	firstRest   = time.Minute
	longestRest = 15 * time.Minute
	easeEvery   = 10 * time.Minute
	slowest     = 0.1              // messages per second
	farthest    = 10 * time.Minute // how far ahead a turn is given at most: the class may be faster again by then
	countFor    = 10 * time.Second // over which the rate is observed
	mostKnown   = 10_000           // classes
)

func newClasses(fixed []ClassRate) classes {
	c := classes{fixed: map[string]float64{}, known: map[string]*class{}}
	for _, f := range fixed {
		c.fixed[f.Class] = f.Rate
	}
	return c
}

// of finds a class. Those that never complained can be forgotten.
func (cs *classes) of(name string, now time.Time) *class {
	if c := cs.known[name]; c != nil {
		return c
	}
	if len(cs.known) >= mostKnown {
		for name, c := range cs.known {
			if c.full == 0 {
				delete(cs.known, name)
			}
		}
	}
	c := &class{begun: now}
	if r := cs.fixed[name]; r > 0 {
		c.full = r
		c.limit(r)
	}
	cs.known[name] = c
	return c
}

// admit says when a message may go to a class: zero now, else it has to come back at that time.
func (cs *classes) admit(name string, lane newsletter.Lane, now time.Time) time.Time {
	c := cs.of(name, now)
	if now.Sub(c.begun) >= countFor {
		c.before = c.rate(now)
		c.begun, c.count = now, 0
	}
	if c.limiter == nil {
		c.count++
		return time.Time{}
	}
	c.ease(now, cs.fixed[name])
	if c.limiter == nil {
		return time.Time{}
	}
	urgent := c.nextTurn[newsletter.NoticeLane].After(now) || c.nextTurn[newsletter.AlertLane].After(now)
	if !now.Before(c.resting) && (lane != newsletter.DigestLane || !urgent) && c.limiter.AllowN(now, 1) {
		return time.Time{}
	}
	turn := c.nextTurn[lane]
	if turn.Before(now) || turn.Before(c.resting) {
		turn = slices.MaxFunc([]time.Time{now, c.resting}, time.Time.Compare)
	}
	turn = turn.Add(time.Duration(float64(time.Second) / float64(c.limiter.Limit())))
	if turn.Sub(now) > farthest { // it comes again and asks anew: that takes no turn from anybody
		return now.Add(farthest + time.Duration(rand.Float64()*float64(farthest)/10))
	}
	c.nextTurn[lane] = turn
	return turn
}

// rate is how many messages per second went since counting began.
func (c *class) rate(now time.Time) float64 {
	return float64(c.count) / max(now.Sub(c.begun).Seconds(), 1)
}

func (c *class) limit(perSecond float64) {
	c.limiter = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
	if c.nextTurn == nil {
		c.nextTurn = map[newsletter.Lane]time.Time{}
	}
}

// ease gives a class back a tenth of what it had for each while without complaint.
func (c *class) ease(now time.Time, fixed float64) {
	if c.eased.IsZero() {
		return
	}
	steps := int(now.Sub(c.eased) / easeEvery)
	if steps <= 0 {
		return
	}
	c.eased = c.eased.Add(time.Duration(steps) * easeEvery)
	faster := float64(c.limiter.Limit()) + float64(steps)*c.full/10
	switch {
	case faster < c.full:
		c.limiter.SetLimitAt(now, rate.Limit(faster))
		c.limiter.SetBurstAt(now, max(1, int(faster)))
	case fixed > 0:
		c.limit(fixed)
		c.eased, c.rests = time.Time{}, 0
	default:
		*c = class{begun: now}
	}
}

// accepted says that a class took a message.
func (cs *classes) accepted(name string) {
	if c := cs.known[name]; c != nil {
		c.inARow = 0
	}
}

// throttled says that a class asked us to slow down. One such reply may be about one reader; several in a row are about us.
func (cs *classes) throttled(name string, now time.Time, log *slog.Logger) {
	c := cs.of(name, now)
	if c.inARow++; c.inARow < mostInARow || now.Before(c.resting) {
		return
	}
	c.inARow = 0
	was := max(c.before, c.rate(now))
	if c.limiter != nil {
		was = float64(c.limiter.Limit())
	}
	c.full = max(c.full, was, slowest)
	c.limit(max(was/2, slowest))
	rest := min(firstRest<<c.rests, longestRest)
	c.rests = min(c.rests+1, 4)
	c.resting, c.eased = now.Add(rest), now.Add(rest)
	clear(c.nextTurn)
	log.Warn("a class of recipients asks us to slow down", "class", name, "rests_for", rest, "then_per_second", float64(c.limiter.Limit()))
}
