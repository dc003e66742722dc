package config

import (
	"slices"
	"strconv"
	"time"

	"dispatcher/internal/newsletter"
)

// relayLimits checks how much a relay takes, and how fast.
func (c *checker) relayLimits(key string, relay *Relay) {
	c.upTo(child(key, "connections"), relay.Connections, 1000, "is not a number of connections")
	c.upTo(child(key, "messages_per_connection"), relay.MessagesPerConnection, 1_000_000, "is not a number of messages")
	hourKey := child(key, "per_hour")
	c.quota(hourKey, relay.PerHour)
	c.quota(child(key, "per_day"), relay.PerDay)
	if relay.PerDay > 0 && relay.PerDay < relay.PerHour {
		c.warn(hourKey, strconv.Itoa(relay.PerHour), "is more than per_day allows in a whole day", "mend one of them, or take this one out")
	}
	relay.Zone = c.location(child(key, "timezone"), relay.Timezone)
	c.classRates(child(key, "class_rates"), relay.ClassRates)
}

// quota checks how many messages a relay takes in a time.
func (c *checker) quota(key string, n int) {
	if c.source.given(key) && n < 1 {
		c.problem(key, strconv.Itoa(n), "is too small", "write 1 or more, or take the line out")
	}
}

// classRates checks the limits of classes, and normalises domains.
func (c *checker) classRates(key string, rates []ClassRate) {
	taken := map[string]string{}
	for i := range rates {
		limit := &rates[i]
		classKey := child(element(key, i), "class")
		c.class(classKey, &limit.Class)
		c.unique(taken, classKey, limit.Class)
		if limit.Rate == (Rate{}) {
			c.missing(child(element(key, i), "rate"), "give the most that goes to this class, such as 20/s")
		}
	}
}

// class checks whose mail a limit is for: a class by its name, or a domain, which it normalises. A domain
// that mail is not counted by would make a limit that never holds.
func (c *checker) class(key string, class *string) {
	if *class == "" {
		c.missing(key, "name a class of receivers, such as gmail, or a domain")
		return
	}
	classes := newsletter.Classes()
	if slices.Contains(classes, *class) {
		return
	}
	anyone, err := newsletter.ParseAddress("anyone@" + *class)
	switch {
	case err != nil:
		c.problem(key, *class, "is neither a class of receivers nor a domain", didYouMean(*class, append(classes, "a domain such as example.org")))
	case anyone.Class() != anyone.Domain():
		c.problem(key, *class, "is one of several domains that are counted as one class", "write "+strconv.Quote(anyone.Class()))
	default:
		*class = anyone.Domain()
	}
}

// relayTimeouts checks how long a relay may take. What comes of giving up too early on the answer to
// the end of a message is told by RFC 1047: the relay has it, and gets it again.
func (c *checker) relayTimeouts(key string, t Timeouts) {
	const lost = "a slow relay would be taken for a dead one"
	c.timeout(child(key, "connect"), t.Connect, lost)
	c.timeout(child(key, "command"), t.Command, lost)
	c.timeout(child(key, "end"), t.End, lost+", and readers could get second copies")
}

func (c *checker) timeout(key string, d time.Duration, danger string) {
	const short = 30 * time.Second
	c.atLeast(key, d, time.Second)
	if d >= time.Second && d < short {
		c.warn(key, spell(d), "is short: "+danger, "write "+spell(short)+" or more")
	}
}
