package newsletter

import (
	"errors"
	"time"
)

// ItemID identifies an item in the queue.
type ItemID int64

// ItemKind tells articles from actions.
type ItemKind string

// The kinds of item.
const (
	Article ItemKind = "article"
	Action  ItemKind = "action" // a take-action item: it has a petition link
)

// ItemState is where an item stands in the queue.
type ItemState string

// The states of an item.
const (
	Queued  ItemState = "queued"  // waits for the editions of its lists
	Held    ItemState = "held"    // waits for an editor's release; Reason says why
	Dropped ItemState = "dropped" // known, never mailed; Reason says why
)

// Item is one piece of content. Its texts are clean: Title, Summary, Author and ImageAlt are
// plain text on one line, Body is HTML sanitised to an allow-list, every link is absolute.
type Item struct {
	ID       ItemID
	Kind     ItemKind
	Feed     string // name of the feed, or of the file it was imported from
	GUID     string // as the feed gave it; empty when it gave none
	URL      string // where readers find it; for an action found in an article, the article
	Title    string
	Summary  string // whole sentences; may be empty
	Body     string // sanitised HTML; may be empty
	Image    string // URL of the lead image; may be empty
	ImageAlt string
	Author   string
	Language string   // BCP 47, of the content; empty when not known
	Topics   []string // as the publisher calls them, each once, case kept

	Published time.Time // as the publisher dates it, or FirstSeen where it does not
	FirstSeen time.Time
	Waiting   time.Time // since when it waits in its present state: first seen, released or made urgent

	Petition string    // actions: the link to sign, call or write
	Deadline time.Time // actions: zero means none was given, and Expires counts
	Expires  time.Time // actions: when one without a deadline is taken to be over
	Urgent   bool      // actions: starts an alert
	Ended    time.Time // actions: when an editor closed it; zero: not
	Won      bool      // actions that have ended: with what it asked for
	Ending   string    // actions that have ended: how, in the editor's words; may be empty
	Code     string    // actions: names its stable link; empty where it has none

	State  ItemState
	Reason string // why it is held or dropped; empty when queued
	Parent ItemID // the article that an action was found in; 0 for none
}

// Closes is the instant from which an action is over and no longer mailed; zero for articles.
func (i Item) Closes() time.Time {
	if i.Kind != Action {
		return time.Time{}
	}
	closes := i.Deadline
	if closes.IsZero() {
		closes = i.Expires
	}
	if !i.Ended.IsZero() && (closes.IsZero() || i.Ended.Before(closes)) {
		return i.Ended
	}
	return closes
}

// Open reports whether the item may still be mailed at an instant. Articles always may.
func (i Item) Open(at time.Time) bool {
	closes := i.Closes()
	return closes.IsZero() || at.Before(closes)
}

// errDeadline says how a deadline is written.
var errDeadline = errors.New("write a date such as 2026-12-01 (the end of that day, UTC) or an instant such as 2026-12-01T18:00:00+01:00")

// ParseDeadline reads a deadline: an instant in RFC 3339, or a date, which stands for the end of that day in UTC. West of it the
// action then closes some hours before its page may; the other way round we would mail petitions that nobody can sign any more.
func ParseDeadline(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errDeadline
	}
	return at.UTC(), nil
}

// FeedState is what is remembered of a feed between polls.
type FeedState struct {
	Name         string
	ETag         string
	LastModified string
	LastPoll     time.Time // zero: never polled
	LastError    string    // empty after a good poll
	Failures     int       // bad polls in a row
	Gone         bool      // the feed answered 410: it is not asked again until its config changes
	URL          string    // where the state was learnt; another URL starts a fresh conditional GET
	BaselineDone bool      // the first poll, which by default mails nothing, is over
}

// Found is one entry of a feed or file: an item, and the actions found inside it. State and Reason of each
// say what shall become of it if it is new.
type Found struct {
	Item
	Inside []Item
}

// Intake counts what one poll or import brought.
type Intake struct {
	New     int // became items
	Changed int // changed an item that is not yet frozen
	Known   int // nothing to do
	Held    int // of New: stopped by the flood gate
	Dropped int // of New: recorded as known by the baseline, not to be mailed
}
