package newsletter

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// RunID identifies one life of the mailer.
type RunID int64

// Lane is an order of precedence in the outbox.
type Lane string

// The lanes, the most urgent first.
const (
	NoticeLane Lane = "notice" // somebody waits before a screen for it
	AlertLane  Lane = "alert"
	DigestLane Lane = "digest"
)

// Lanes are all lanes in the order in which the mailer serves them.
func Lanes() []Lane { return []Lane{NoticeLane, AlertLane, DigestLane} }

// Lane is where the editions of a kind of list go.
func (k Kind) Lane() Lane {
	if k == Alert || k == Reminder {
		return AlertLane
	}
	return DigestLane
}

// Patience is how long a lane tries at most, from the making of an edition on.
func (l Lane) Patience() time.Duration {
	switch l {
	case NoticeLane:
		return 24 * time.Hour
	case AlertLane:
		return 48 * time.Hour
	}
	return 72 * time.Hour
}

// State is the state of a delivery.
type State string

// The states of a delivery. The store knows one more, claimed, which counts as pending.
const (
	Pending   State = "pending"
	Sent      State = "sent"      // the relay took responsibility; not proof of arrival
	Failed    State = "failed"    // refused for good, or patience ran out
	Withdrawn State = "withdrawn" // the reader left, the address is suppressed, the deadline has passed
	Unknown   State = "unknown"   // the line was cut after the end of DATA
)

// DeliveryKey is the identity of a delivery.
type DeliveryKey struct {
	Edition    EditionID
	Subscriber SubscriberID
}

// Delivery is one edition for one subscriber, as claimed by the mailer.
type Delivery struct {
	DeliveryKey
	List     string
	Lane     Lane
	Variant  VariantID
	Until    time.Time // names the variant's form to be sent, which is good before it; zero: always
	Closes   time.Time // when the first action in it does; zero: never
	Address  Address
	Name     string
	Attempts int       // tries that are behind it
	FirstDue time.Time // fixes the message's Date for life
	Expires  time.Time // no try is made from then on
	KeyID    KeyID     // the key its links and Message-ID are made with
	Follows  Followed
	Seen     int64 // what the outbox knew of the readers' wishes when it gave the delivery out; for its own use
}

// Followed is the edition that another one answers, in a thread. The zero value: none.
type Followed struct {
	Edition EditionID
	KeyID   KeyID // the key that its Message-IDs are made with
}

// Claim asks the outbox for deliveries.
type Claim struct {
	Run        RunID
	Lane       Lane
	Now        time.Time
	N          int  // at most
	ProofsOnly bool // rehearsal: no reader's copy is given out
}

// Message is a delivery ready for SMTP: the envelope, and RFC 5322 bytes as DATA takes them.
type Message struct {
	From Address
	To   Address
	Data []byte // lines end in CRLF, the last one too; dots at line starts are doubled (DotStuff)
}

// DotStuff doubles the dots with which lines begin (RFC 5321 section 4.5.2). It returns data itself where there are none.
func DotStuff(data []byte) []byte {
	if !bytes.HasPrefix(data, []byte(".")) && !bytes.Contains(data, []byte("\n.")) {
		return data
	}
	stuffed := make([]byte, 0, len(data)+16)
	for line := range bytes.Lines(data) {
		if line[0] == '.' {
			stuffed = append(stuffed, '.')
		}
		stuffed = append(stuffed, line...)
	}
	return stuffed
}

// Owner says whose fault a refusal is, and with that what is to be done about it.
type Owner string

// The owners of a failure.
const (
	OwnerNone     Owner = ""               // no failure
	RecipientGone Owner = "recipient gone" // the mailbox is not there: the address is suppressed
	RecipientBusy Owner = "recipient busy" // full or out of reach for now
	OurIdentity   Owner = "ours: identity" // who we are or may send as: SPF, DKIM, DMARC, a sender that is not verified
	OurReputation Owner = "ours: reputation"
	OurContent    Owner = "ours: content"
	OurQuota      Owner = "ours: quota" // more than the relay or the recipient's host lets us send
	Theirs        Owner = "theirs"      // the relay or a host on the way is not well
	OwnerUnknown  Owner = "unknown"

	Barred Owner = "barred" // no failure: the reader has had alerts enough, or it is her night; the action joins her next mail
)

// Ours reports whether the publisher or admin can mend it.
func (o Owner) Ours() bool { return strings.HasPrefix(string(o), "ours") }

// Outcome is what one attempt, or its omission, meant for a delivery.
type Outcome struct {
	DeliveryKey
	State    State
	At       time.Time
	Due      time.Time // when Pending: the next try
	Attempts int       // tries that are behind it now
	Code     int       // the relay's reply, 0 when there was none
	Enhanced string    // such as "4.7.1" (RFC 3463), empty when the relay gave none
	Words    string    // the relay's own words, or the reason for withdrawing; never an address
	Owner    Owner
	Untried  bool   // the delivery goes back as it was, to be judged again: no try was made
	Revived  bool   // it had failed for a reason that was not its own, and is pending again
	Relay    string // counts a sent message against this relay's quotas; empty: it has none
}

// Trial is what the first copies of an edition showed.
type Trial struct {
	Edition EditionID
	List    string
	Readers int       // how many got it first
	Gone    int       // of how many of those the address is gone
	Waits   time.Time // until when the rest waits for reports; zero: the rest goes, unless Paused
	Paused  bool
}

// Usage is how many messages a relay took in one minute.
type Usage struct {
	Minute   time.Time // its beginning
	Messages int
}

// Stage is the point of the dialogue at which a relay answered.
type Stage string

// The stages at which a reply is about more than the connection.
const (
	StageConnect Stage = "connect" // dial, greeting, EHLO, TLS, AUTH
	StageMail    Stage = "mail"
	StageRcpt    Stage = "rcpt"
	StageData    Stage = "data" // the reply to DATA itself
	StageEnd     Stage = "end"  // the reply to the end of DATA
)

// ReplyError is the relay refusing, in its own words.
type ReplyError struct {
	Stage    Stage
	Code     int    // such as 451
	Enhanced string // such as "4.7.1"; empty when the relay gave none
	Text     string // without the enhanced code; may name the recipient, so it is cleaned before it is kept
}

func (e *ReplyError) Error() string {
	if e.Enhanced == "" {
		return fmt.Sprintf("relay at %s: %d %s", e.Stage, e.Code, e.Text)
	}
	return fmt.Sprintf("relay at %s: %d %s %s", e.Stage, e.Code, e.Enhanced, e.Text)
}

// Permanent reports whether sending the same message again is pointless.
func (e *ReplyError) Permanent() bool { return e.Code/100 == 5 }

// Attempt is a try whose outcome was not a plain 250, kept for `subscribers show`.
type Attempt struct {
	DeliveryKey
	At       time.Time
	State    State
	Code     int
	Enhanced string
	Words    string
}
