package mailer

import (
	"time"

	"dispatcher/internal/newsletter"
)

// quota counts the messages that a relay takes, in any 60 minutes and on any day of its zone.
type quota struct {
	perHour, perDay int // 0: no limit
	zone            *time.Location

	minutes []newsletter.Usage // of the last hour, in order
	hour    int                // their sum
	day     int
	dayEnds time.Time
	dayOver bool // the relay has said that the day's allowance is used up
	told    bool // the log knows that it is spent
}

// limited reports whether anything is counted.
func (q *quota) limited() bool { return q.perHour > 0 || q.perDay > 0 }

// load takes in what was counted before this run.
func (q *quota) load(used []newsletter.Usage, now time.Time) {
	q.advance(now)
	dayBegan := beginOfDay(now, q.zone)
	for _, u := range used {
		if !u.Minute.Before(dayBegan) {
			q.day += u.Messages
		}
		if u.Minute.Add(hourOfMinutes).After(now) {
			q.minutes, q.hour = append(q.minutes, u), q.hour+u.Messages
		}
	}
}

// spent is until when nothing may go any more, or zero.
func (q *quota) spent(now time.Time) time.Time {
	if !q.limited() && !q.dayOver {
		return time.Time{}
	}
	q.advance(now)
	switch {
	case q.dayOver || q.perDay > 0 && q.day >= q.perDay:
		return q.dayEnds
	case q.perHour > 0 && q.hour >= q.perHour:
		return q.minutes[0].Minute.Add(hourOfMinutes)
	}
	q.told = false
	return time.Time{}
}

// hourOfMinutes is when a minute is an hour old from its end on.
const hourOfMinutes = 61 * time.Minute

// advance forgets what is over.
func (q *quota) advance(now time.Time) {
	for len(q.minutes) > 0 && !now.Before(q.minutes[0].Minute.Add(hourOfMinutes)) {
		q.hour -= q.minutes[0].Messages
		q.minutes = q.minutes[1:]
	}
	if !now.Before(q.dayEnds) {
		q.day, q.dayOver = 0, false
		q.dayEnds = beginOfDay(now.In(zoneOr(q.zone)).AddDate(0, 0, 1), q.zone)
	}
}

// use counts a message that is about to go, giveBack one that did not go.
func (q *quota) use(now time.Time) {
	if !q.limited() {
		return
	}
	minute := now.Truncate(time.Minute)
	if n := len(q.minutes); n == 0 || q.minutes[n-1].Minute.Before(minute) {
		q.minutes = append(q.minutes, newsletter.Usage{Minute: minute})
	}
	q.minutes[len(q.minutes)-1].Messages++
	q.hour++
	q.day++
}

func (q *quota) giveBack() {
	if n := len(q.minutes); q.limited() && n > 0 && q.minutes[n-1].Messages > 0 {
		q.minutes[n-1].Messages--
		q.hour--
		q.day = max(0, q.day-1)
	}
}

// spendDay says that the relay took nothing more on the day of a try. The answer may come when that day is over.
func (q *quota) spendDay(tried, now time.Time) {
	q.advance(now)
	q.dayOver = q.dayOver || beginOfDay(tried, q.zone).Equal(beginOfDay(now, q.zone))
}

// beginOfDay is the first instant of a day in a zone. time.Date maps a midnight that a change of clocks skips to an instant beside it.
func beginOfDay(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zoneOr(zone)).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, zoneOr(zone))
}

func zoneOr(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}
