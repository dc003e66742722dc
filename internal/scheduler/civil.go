package scheduler

import "time"

// A civil time is what a wall clock shows. Here it is a time.Time in UTC that shows the same: the civil times of a zone then
// follow each other without a gap and without a repeat, as the fields of a cron line take them to. Only wall and instant
// go between them and the instants of the zone.

// wall is the civil time that a zone's clock shows at an instant.
func wall(at time.Time, zone *time.Location) time.Time {
	_, offset := at.In(zone).Zone()
	return time.Unix(at.Unix()+int64(offset), int64(at.Nanosecond())).UTC() // this leaves a monotonic reading behind, too
}

// eastmost is more than any zone's clock is ahead of UTC (RFC 9636 section 3.2: less than 26 hours).
const eastmost = 26 * time.Hour

// instant is the first instant, in UTC, at which a zone's clock shows a civil time or a later one. So a time that comes
// twice is its first coming, and one that a gap swallows is the first instant after the gap. A later civil time has never an
// earlier instant, which is what lets Next step through civil time.
func instant(civil time.Time, zone *time.Location) time.Time {
	at := civil.Add(-eastmost) // the clock is still short of civil, and each turn below leaves it so, until it is reached
	for {
		_, offset := at.In(zone).Zone()
		shown := civil.Add(-time.Duration(offset) * time.Second)
		end := offsetEnd(at, zone)
		if end.IsZero() || shown.Before(end) {
			if shown.Before(at) { // the change of clocks at this instant went past civil
				return at
			}
			return shown
		}
		at = end
	}
}

// offsetEnd is an instant after at, in UTC, up to which the zone's offset stays as it is, or the zero time where it stays so for ever.
func offsetEnd(at time.Time, zone *time.Location) time.Time {
	_, end := at.In(zone).ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		// Where a zone's table has ended and its rule goes on, Go takes each year for one of 365 days, and so sets the
		// bound of 31 December of a leap year in the past (golang/go#81583). The offset stays to the end of that year.
		return time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return end.UTC()
}
