package newsletter

import "time"

// Kind is the kind of a list and of its editions.
type Kind string

// The kinds. A list is a digest or an alert; an alert may be followed by the other two, which go to those who got it.
const (
	Digest   Kind = "digest"   // many items on a schedule
	Alert    Kind = "alert"    // one or a few actions, at once
	Reminder Kind = "reminder" // an action closes soon
	Update   Kind = "update"   // an action has ended
)

// List is what people subscribe to.
type List struct {
	ID          string
	Former      []string // ids that it had before; the first is in the List-Id (RFC 2919), which never changes
	Retired     bool     // no edition is made for it; its readers and the links in its mail stay known
	Kind        Kind
	Title       string
	Description string
	Schedule    string // five-field cron line on the wall clock of Zone; empty: by hand, or an alert list
	Zone        *time.Location
	Local       bool          // the schedule is on each reader's own clock, and on that of Zone where hers is not known
	OnMissed    OnMissed      // what becomes of slots that came while nothing ran
	MaxLateness time.Duration // a slot that is later is skipped
	Topics      []string      // empty: every item
	MaxItems    int           // 0: no limit; actions come first and are never cut from an alert
	MaxAge      time.Duration // an item that has waited longer is not chosen; 0: no limit
	Wait        time.Duration // alerts: how long actions that come together are gathered
	Subject     string        // text/template; empty: the lead's title
	Language    string        // BCP 47, of the list's own words
	FirstWave   FirstWave
	Reminder    time.Duration // alerts: how long before an action's deadline those who got it are reminded; 0: never
}

// OnMissed says what becomes of slots that came while nothing ran.
type OnMissed string

// What may become of them.
const (
	MissedLatest OnMissed = "latest" // one edition for all of them
	MissedSkip   OnMissed = "skip"
)

// Clock names the clock that the schedule is on: an IANA zone, or the readers' own.
func (l List) Clock() string {
	switch {
	case l.Local:
		return "subscriber"
	case l.Zone == nil:
		return "UTC"
	}
	return l.Zone.String()
}

// Publisher is whose mail it is.
type Publisher struct {
	Name          string
	From          Address
	ReplyTo       Address // empty: none
	PostalAddress string
	PublicURL     string  // base of every link, no trailing slash
	Unsubscribe   Address // where mail that asks to leave is read; empty: nowhere
	Bounces       Address // where bounces are read, with a token for each copy; empty: they go to From
}

// ListID is the label of the List-Id field (RFC 2919). It hangs on the first id and the From domain alone, so that no
// new title or id changes it: readers filter by it.
func (p Publisher) ListID(l List) string {
	first := l.ID
	if len(l.Former) > 0 {
		first = l.Former[0]
	}
	return first + "." + p.From.Domain()
}

// AtMost is how many alerts a reader gets in a stretch of time. The zero value: no limit.
type AtMost struct {
	N   int
	Per time.Duration
}

// QuietHours are the hours of a day, on a reader's own clock, in which she gets no alert. The zero value: none.
type QuietHours struct {
	From, Until time.Duration // since midnight; they may go over midnight
}

// End reports whether an instant lies in the quiet hours of a zone, and when those end.
func (q QuietHours) End(at time.Time, zone *time.Location) (end time.Time, quiet bool) {
	if q.From == q.Until {
		return time.Time{}, false
	}
	year, month, day := at.In(zone).Date()
	for _, d := range []int{day - 1, day} { // they may have begun yesterday
		begin := onClock(year, month, d, q.From, zone)
		end = onClock(year, month, d, q.Until, zone)
		if q.Until < q.From {
			end = onClock(year, month, d+1, q.Until, zone)
		}
		if !at.Before(begin) && at.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

func onClock(year int, month time.Month, day int, since time.Duration, zone *time.Location) time.Time {
	return time.Date(year, month, day, int(since/time.Hour), int(since%time.Hour/time.Minute), 0, 0, zone)
}
