package config

import (
	"strconv"
	"strings"
	"time"
)

// AtMost is how many alerts and reminders one reader gets in a stretch of time. The zero AtMost is no limit.
type AtMost struct {
	N   int
	Per time.Duration // from an hour to 31 days
}

// UnmarshalText reads N per TIME, such as 1 per 24h, with N from 1 and TIME from an hour to 31 days.
func (a *AtMost) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) == 3 && words[1] == "per" {
		n, err := strconv.ParseUint(words[0], 10, 31)
		per, perErr := parseDuration(words[2])
		if err == nil && n >= 1 && perErr == nil && per >= time.Hour && per <= 31*day {
			*a = AtMost{N: int(n), Per: per}
			return nil
		}
	}
	return &misfit{"is not a limit", "write how many alerts in how long, such as 1 per 24h: 1 or more, from 1h to 31d"}
}

// QuietHours are the hours of a day in which a reader gets no alert, on her own clock. The zero QuietHours are none.
type QuietHours struct {
	From, Until time.Duration // since midnight, less than a day and never equal; they may go over midnight
}

const quietCure = "write two times of day from 00:00 to 23:59, such as 22:00-07:00"

// UnmarshalText reads two times of day, such as 22:00-07:00.
func (q *QuietHours) UnmarshalText(text []byte) error {
	first, second, _ := strings.Cut(string(text), "-")
	from, fromOK := timeOfDay(strings.TrimSpace(first))
	until, untilOK := timeOfDay(strings.TrimSpace(second))
	switch {
	case !fromOK || !untilOK:
		return &misfit{"is not a span of the day", quietCure}
	case from == until:
		return &misfit{"begins and ends at the same time", quietCure + ", or take the line out: then no hour is quiet"}
	}
	*q = QuietHours{From: from, Until: until}
	return nil
}

// String is the hours as they are written.
func (q QuietHours) String() string {
	var midnight time.Time
	return midnight.Add(q.From).Format("15:04") + "-" + midnight.Add(q.Until).Format("15:04")
}

// long reports whether they are more than half of the day.
func (q QuietHours) long() bool {
	return (q.Until-q.From+day)%day > day/2
}

// timeOfDay reads a time as a clock with 24 hours shows it, such as 09:00, and gives how long after midnight it is.
func timeOfDay(text string) (time.Duration, bool) {
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err == nil
}

func (c *checker) alerts() {
	if q := c.cfg.Alerts.QuietHours; q.long() {
		c.warn("alerts.quiet_hours", q.String(), "are more than half of the day", "exchange the two times if those are the hours in which alerts may come")
	}
}
