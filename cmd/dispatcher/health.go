package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// vitals are where monitoring finds how a serve does. They last as long as its process; each office has its own look at them.
type vitals struct {
	mailer mailer.Figures
	looked func() time.Time // when the scheduler gave its last sign
}

// Bounds beyond which dispatcher is not ready.
const (
	mostSilent  = 2 * time.Minute // the scheduler gives a sign each minute
	leastRoom   = 16 << 20        // bytes: a write-ahead log of the usual size has room there
	writeWithin = 4 * time.Second // less than what /readyz and a scrape wait for
)

// What /readyz says. docs/monitoring.md tells what to do about each.
const (
	notWritable  = "the database cannot be written: see that its disk is neither full nor read-only"
	notReadable  = "the database cannot be read: `dispatcher check` tells why"
	behindTime   = "the scheduler is late: it gave its last sign %s ago, and no edition is made meanwhile; if that does not end, restart dispatcher"
	neverLooked  = "the scheduler has not begun yet"
	littleRoom   = "the disk of the database is nearly full: %d MB are left; make room, or sending stops"
	allShut      = "no relay takes mail: the log tells why, `dispatcher check --online` tries them"
	oneShut      = "relay %s takes no mail, another does: the log tells why, `dispatcher check --online` tries it"
	mailHeldBack = "mail is held back, `dispatcher release` lets it go: %s"
)

// metrics is what /metrics shows of an office.
func (v *vitals) metrics(o *office) *web.Metrics {
	return &web.Metrics{Version: version(), Figures: o.figures, Mailer: v.mailer.Read, Looked: v.looked}
}

// figures are those of the database, without the feeds that the config has no more.
func (o *office) figures(ctx context.Context) (newsletter.Figures, error) {
	f, err := o.store.Figures(ctx, o.now())
	f.Feeds = slices.DeleteFunc(f.Feeds, func(s newsletter.FeedState) bool {
		return !slices.ContainsFunc(o.config.Feeds, func(c config.Feed) bool { return c.Name == s.Name })
	})
	return f, err
}

// ready is what /readyz says of an office.
func (v *vitals) ready(o *office) func(context.Context) newsletter.Readiness {
	return func(ctx context.Context) (r newsletter.Readiness) {
		because := func(words string, args ...any) { r.Reasons = append(r.Reasons, scrub(fmt.Sprintf(words, args...))) }
		writing, cancel := context.WithTimeout(ctx, writeWithin)
		defer cancel()
		if o.store.TryWrite(writing) != nil {
			because(notWritable)
		} else if disk, err := o.store.Disk(); err == nil && disk.Free < leastRoom {
			because(littleRoom, disk.Free>>20)
		}
		switch looked := v.looked(); {
		case looked.IsZero():
			because(neverLooked)
		case o.now().Sub(looked) > mostSilent:
			because(behindTime, o.now().Sub(looked).Round(time.Second))
		}
		shut := shutRelays(v.mailer.Read())
		if len(shut) > 0 && len(shut) >= len(o.config.Relays) {
			because(allShut)
		} else {
			for _, name := range shut {
				r.Notes = append(r.Notes, scrub(fmt.Sprintf(oneShut, name)))
			}
		}
		switch held, err := o.store.Held(ctx, o.now()); {
		case err != nil:
			because(notReadable)
		case held != "":
			because(mailHeldBack, held)
		}
		return r
	}
}

// shutRelays are the relays in use that take no mail.
func shutRelays(f newsletter.MailerFigures) (names []string) {
	for _, r := range f.Relays {
		if r.Used && r.CircuitOpen {
			names = append(names, r.Name)
		}
	}
	return names
}
