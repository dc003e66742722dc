package newsletter

import "time"

// EditionID identifies an edition.
type EditionID int64

// EditionState is where an edition stands.
type EditionState string

// The states of an edition.
const (
	Sending   EditionState = "sending"
	Paused    EditionState = "paused"
	Done      EditionState = "done" // nothing of it is pending
	Cancelled EditionState = "cancelled"
)

// SlotFate is what became of a slot.
type SlotFate string

// The fates of a slot.
const (
	MadeEdition     SlotFate = "edition"
	SkippedNoItems  SlotFate = "skipped: nothing new"
	SkippedNobody   SlotFate = "skipped: no readers"
	SkippedLate     SlotFate = "skipped: too late"
	SkippedMissed   SlotFate = "skipped: missed"
	SkippedForLater SlotFate = "skipped: missed, a later slot stands for it"
	SkippedNewPlan  SlotFate = "skipped: the schedule has changed, and this day had its slot"
)

// Slot is one due instant of one list, and that pair is its identity; what follows an edition has its own. An edition made by
// hand has the instant of its making as slot. A list whose slots come at a time of each reader's own clock has, as instant of a
// slot, the one at which that time is shown by a clock of UTC.
type Slot struct {
	List    string
	Due     time.Time
	Follows EditionID // of a reminder or update: the alert; 0: of a list's own editions
}

// Mark is how far the slots of a list are decided, and by which plan.
type Mark struct {
	Considered time.Time // every slot up to here is decided
	Schedule   string    // cron line
	Zone       string    // as in List.Clock
	Day        string    // YYYY-MM-DD: an earlier plan gave this civil day its slot; empty: none did
}

// Decided is a slot that gets no edition.
type Decided struct {
	Slot Slot
	Fate SlotFate
}

// Order asks for an edition.
type Order struct {
	List     List
	Slot     Slot
	NextSlot time.Time // the list's next slot, from which on copies are late; zero: none
	ByHand   bool      // by an admin, outside the schedule

	Kind  Kind   // empty: the list's
	Items []Item // of a reminder or update: what it is about

	// Where each reader gets it at a time of her own clock: when that is in a zone (an IANA name, empty where hers is not known), when
	// the next one is there, and how late a copy may be made; 0: as late as it is. Moment is nil: everybody at once.
	Moment, NextMoment func(zone string) time.Time
	Late               time.Duration
}

// NoEdition is the error that there is no edition to make, and why.
type NoEdition struct {
	Fate SlotFate
}

func (e *NoEdition) Error() string { return string(e.Fate) }

// Content is what one variant of an edition says: what the templates are run on.
type Content struct {
	List      List
	Kind      Kind   // empty: the list's
	Language  string // BCP 47, of the variant's own words
	Items     []Item // in reading order, the lead first
	Reminders []Item // a digest's open actions that its readers have had as an alert: a line each, and no news
	Follows   bool   // it answers an earlier message to the same reader, in a thread (RFC 5322 section 3.6.4)
	Moment    time.Time
}

// Personal is what differs from reader to reader: it is spliced into the holes of a variant.
type Personal struct {
	Address     Address
	Name        string // one line; empty: the greeting does without
	MessageID   string // without angle brackets
	Follows     string // the Message-ID of the message that this one answers; empty: of none
	Date        time.Time
	Unsubscribe string // URL, https: the page for a GET, one-click for a POST (RFC 8058)
	Mailto      string // URI that asks to leave by mail (RFC 6068); empty: no mail to us is read
}

// VariantID numbers the variants of one edition, from 1.
type VariantID int

// Variant is an edition's content for one language, format and set of items, rendered once. HTML, Text and
// Message have holes where the personal parts go; only package render knows how they are marked. Where its
// actions close one after the other it is frozen in several forms, each good until the next deadline.
type Variant struct {
	ID       VariantID
	Until    time.Time // this form may be sent before this instant; zero: always
	Items    []ItemID  // that this form bears
	Language string
	Subject  string
	HTML     string
	Text     string
	Message  []byte // the message as go-mail encoded it (RFC 5322), holes and all
	Nonce    string // tells this variant's holes from anything a feed could say
}

// AudienceQuestion says whom an edition may go to, and what has to be known of them.
type AudienceQuestion struct {
	List    string
	Follows EditionID   // only those who have this edition, and to whom the list still may be mailed; 0: all
	Waiting bool        // with those whose copy of that one still waits
	Zones   bool        // tell readers apart by their zone
	Lists   []string    // and by their confirmed subscriptions to these
	Alerts  []EditionID // and by their copies of these: what they have got, and were barred from
	Done    []ItemID    // and by which of these actions they have taken
}

// Copy is what one reader was to have of an edition.
type Copy struct {
	Edition EditionID
	Variant VariantID
}

// Audience says which readers get which variant: all those who are alike in what the question asks for, in their choice of topics
// and in their language.
type Audience struct {
	Topics   []string            // as in Subscription.Topics
	Language string              // as in Subscriber.Language
	Zone     string              // as in Subscriber.Zone, where it was asked for
	Lists    map[string][]string // topics by list: those confirmed subscriptions that were asked for
	Got      []Copy
	Barred   []Copy
	Done     []ItemID
	Readers  int

	Variant VariantID // 0: nothing here is for them
	Due     time.Time // when their copies may go
	Bar     string    // why they get none although there is something for them; empty: they get it
}

// Draft is an edition as it is about to be frozen, in one transaction.
type Draft struct {
	List      List
	Slot      Slot
	Kind      Kind // empty: the list's
	Made      time.Time
	Life      time.Duration // copies not sent so long after their moment fail: their patience ran out
	Expires   time.Time     // no copy lives longer
	Subject   string        // of the variant with the most items
	Items     []ItemID      // all that any variant bears as news: used by this list from now on
	Again     []ItemID      // what it bears that the list has used before
	Variants  []Variant
	Quiet     QuietHours       // in which no copy goes that can wait for their end; on the list's clock where a reader's is not known
	Question  AudienceQuestion // that Audience answers
	Audience  []Audience
	Proofs    []Address // get the edition before the readers do
	Rehearsal bool      // only Proofs get it
	ByHand    bool      // made by an admin: it decides no slot of the schedule
}

// AlertEdition is an edition that brought readers an action: an alert or reminder, and a digest where the action was owed them.
type AlertEdition struct {
	ID        EditionID
	List      string
	Kind      Kind
	Made      time.Time
	Cancelled bool // while some may have had it
	Items     []Item
	Bears     map[VariantID][]ItemID // which of them a variant brings, before any of them closes

	// Of an alert: what has been done to remind its readers.
	Reminded []ItemID    // of these there was a reminder
	Decided  []time.Time // these slots of its reminders are decided
}

// FirstWave is how many readers get an edition first, and how long the others wait for the reports about those copies.
type FirstWave struct {
	N    int // 0: TrialCopies, and the others wait only until those have been tried
	Wait time.Duration
}

// An edition of which more than MostGone of the first TrialCopies are refused because the address is gone pauses itself: the list
// is not what it was, and sending to the rest of it would cost the publisher the good name that its mail arrives by.
const (
	TrialCopies = 500
	MostGone    = 0.05
)

// Edition is the frozen content of one list at one slot, with how far it has been sent.
type Edition struct {
	ID        EditionID
	List      string
	Kind      Kind
	Slot      time.Time
	Made      time.Time
	Expires   time.Time
	State     EditionState
	Subject   string
	Rehearsal bool
	Reason    string // why it is paused or cancelled
	Counts    Counts
	Ours      int // of the copies that failed: those that did so for our own side's sake
}

// WentBadly reports whether somebody should look at the edition: a hundredth of its copies or more failed for our own side's sake, or more
// than a quarter for whatever reason.
func (e Edition) WentBadly() bool {
	return e.Ours > 0 && 100*e.Ours >= e.Counts.Audience || 4*e.Counts.Failed > e.Counts.Audience
}

// Counts is what became of an edition's deliveries. Proof copies are not in it.
type Counts struct {
	Audience  int
	Sent      int
	Pending   int // with what is claimed at the moment
	Failed    int
	Withdrawn int
	Unknown   int
}

// Add counts n deliveries of one state.
func (c *Counts) Add(s State, n int) {
	c.Audience += n
	switch s {
	case Sent:
		c.Sent += n
	case Failed:
		c.Failed += n
	case Withdrawn:
		c.Withdrawn += n
	case Unknown:
		c.Unknown += n
	default:
		c.Pending += n
	}
}
