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
	MadeEdition    SlotFate = "edition"
	SkippedNoItems SlotFate = "skipped: nothing new"
	SkippedNobody  SlotFate = "skipped: no readers"
)

// Slot is one due instant of one list, and that pair is its identity. An edition made by hand has the
// instant of its making as slot.
type Slot struct {
	List string
	Due  time.Time
}

// Order asks for an edition.
type Order struct {
	List     List
	Slot     Slot
	NextSlot time.Time // the list's next slot, from which on copies are late; zero: none
	ByHand   bool      // by an admin, outside the schedule
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
	Language string
	Subject  string
	HTML     string
	Text     string
	Message  []byte // the message as go-mail encoded it (RFC 5322), holes and all
	Nonce    string // tells this variant's holes from anything a feed could say
}

// Audience says which readers get which variant: all those of one choice of topics and one language.
type Audience struct {
	Topics   []string // as in Subscription.Topics
	Language string   // as in Subscriber.Language
	Readers  int
	Variant  VariantID // 0: nothing here is for them
}

// Draft is an edition as it is about to be frozen, in one transaction.
type Draft struct {
	List      List
	Slot      Slot
	Made      time.Time
	Expires   time.Time // copies not sent by then fail: their patience ran out
	Subject   string    // of the variant with the most items
	Items     []ItemID  // all that any variant bears: used by this list from now on
	Variants  []Variant
	Audience  []Audience
	Proofs    []Address // get the edition before the readers do
	Rehearsal bool      // only Proofs get it
	ByHand    bool      // made by an admin: it decides no slot of the schedule
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
