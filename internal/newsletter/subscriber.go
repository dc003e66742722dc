package newsletter

import "time"

// SubscriberID identifies a reader in logs, links and the outbox. It is positive; a negative
// one stands for an address of proof_to, which is nobody's subscription.
type SubscriberID int64

// Proof reports whether this is an address of proof_to and not a reader.
func (id SubscriberID) Proof() bool { return id < 0 }

// Subscriber is a person: one address, language, zone.
type Subscriber struct {
	ID       SubscriberID
	Address  Address
	Name     string // one line; may be empty
	Language string // BCP 47; empty when not known
	Zone     string // IANA name; empty when not known
	Created  time.Time
}

// SubscriptionState is where a subscription stands.
type SubscriptionState string

// The states of a subscription.
const (
	PendingConsent SubscriptionState = "pending"   // not yet confirmed: gets nothing
	Confirmed      SubscriptionState = "confirmed" // gets editions
	Ended          SubscriptionState = "ended"     // left; only the reader's own act begins it again
)

// Subscription ties a subscriber to a list.
type Subscription struct {
	Subscriber SubscriberID
	List       string
	State      SubscriptionState
	Topics     []string // slugs of the topics she chose, sorted; empty means all of the list's
	Consent    Consent
}

// Consent is the evidence that a reader asked for a list.
type Consent struct {
	At     time.Time // when it was given, or recorded here
	Source string    // where it came from, in the admin's words or the form's
}

// Suppression is an address never to be mailed. It holds no address, only its keyed hash.
type Suppression struct {
	Reason string // "recipient gone", "complaint", "admin"
	At     time.Time
}
