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
	ID          string // never changes: it is in the List-Id (RFC 2919)
	Kind        Kind
	Title       string
	Description string
	Schedule    string // five-field cron line on the wall clock of Zone; empty: by hand, or an alert list
	Zone        *time.Location
	Topics      []string      // empty: every item
	MaxItems    int           // 0: no limit; actions come first and are never cut from an alert
	MaxAge      time.Duration // an item that has waited longer is not chosen; 0: no limit
	Wait        time.Duration // alerts: how long actions that come together are gathered
	Subject     string        // text/template; empty: the lead's title
	Language    string        // BCP 47, of the list's own words
	FirstWave   FirstWave
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

// ListID is the label of the List-Id field (RFC 2919). It hangs on the id and the From domain alone, so that no
// new title changes it.
func (p Publisher) ListID(l List) string {
	return l.ID + "." + p.From.Domain()
}
