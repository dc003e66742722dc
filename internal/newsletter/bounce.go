package newsletter

import (
	"crypto/hmac"
	"encoding/binary"
	"strings"
	"time"
)

// BounceKind says what came back.
type BounceKind string

// The kinds of what comes back after the relay had taken a copy.
const (
	HardBounce BounceKind = "hard"      // the address is gone for good
	SoftBounce BounceKind = "soft"      // it did not arrive this time
	Complaint  BounceKind = "complaint" // the reader says that it is spam (RFC 5965)
)

// Bounce is a report about one copy that came back by mail, proven by the token of its envelope sender or link.
type Bounce struct {
	DeliveryKey
	Kind   BounceKind
	Status string // enhanced status code such as "5.1.1" (RFC 3463), empty for complaints
	Words  string // the diagnostic, one line, without addresses
	At     time.Time
}

// OpenBounce checks the token of an envelope sender (Key.BounceToken) and says which copy it names. It returns
// ErrBadToken for anything else.
func (ks Keys) OpenBounce(token string) (DeliveryKey, error) {
	b, err := encoding.DecodeString(strings.ToLower(token))
	if err != nil || len(b) < 4+macLength || Purpose(b[0]) != PurposeBounce {
		return DeliveryKey{}, ErrBadToken
	}
	signed, mac := b[:len(b)-macLength], b[len(b)-macLength:]
	id, n := binary.Uvarint(signed[1:])
	key, known := ks[KeyID(id)]
	if n <= 0 || !known || !hmac.Equal(mac, key.mac(signed)) {
		return DeliveryKey{}, ErrBadToken
	}
	rest := signed[1+n:]
	edition, n := binary.Uvarint(rest)
	if n <= 0 {
		return DeliveryKey{}, ErrBadToken
	}
	subscriber, n := binary.Varint(rest[n:])
	if n <= 0 {
		return DeliveryKey{}, ErrBadToken
	}
	return DeliveryKey{EditionID(edition), SubscriberID(subscriber)}, nil
}
