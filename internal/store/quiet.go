package store

import (
	"time"

	"dispatcher/internal/newsletter"
)

// quietHours are those that an edition keeps. They have kept readers out when it was made already; here they are for copies that were
// held up into the night.
type quietHours struct {
	newsletter.QuietHours
	zone  string                    // of readers whose own is not known
	zones map[string]*time.Location // those that were looked up
}

// zoneColumn is where a claim finds the zone of a subscriber r, where that is needed.
func (q quietHours) zoneColumn() string {
	if q.QuietHours == (newsletter.QuietHours{}) {
		return `''`
	}
	return `COALESCE(r.zone, '')`
}

// over is when the quiet hours end in which a candidate is to wait. It is not where it is day, nor where what its form asks for, or its
// own life, would be over by then.
func (q quietHours) over(d candidate, f form, now time.Time) (end time.Time, waits bool) {
	if q.QuietHours == (newsletter.QuietHours{}) || d.Subscriber < 0 {
		return end, false
	}
	end, quiet := q.End(now, q.at(d.zone))
	return end, quiet && end.Before(d.Expires) && (f.closes == 0 || millis(end) < f.closes)
}

// at is a reader's zone by its name.
func (q quietHours) at(name string) *time.Location {
	if z, known := q.zones[name]; known {
		return z
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "" {
		if z, err = time.LoadLocation(q.zone); err != nil {
			z = time.UTC
		}
	}
	q.zones[name] = z
	return z
}
