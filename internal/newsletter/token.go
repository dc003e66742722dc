package newsletter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// KeyID numbers the keys of a database, from 1.
type KeyID int64

// Key signs links and derives Message-IDs. Its secret is 32 random bytes that never leave the database.
type Key struct {
	ID     KeyID
	Secret []byte
}

// Purpose separates the uses of a key, so that a token made for one is worthless for another.
type Purpose byte

// The purposes of a token. Their values are in mail that is out there: they never change.
const (
	PurposeUnsubscribe Purpose = 'u' // and to undo it
	PurposeBounce      Purpose = 'b'
)

// Uses of the keyed hash that are not tokens.
const (
	useMessageID = "message-id"
	useAddress   = "address"
)

// Link is what a signed link says: this subscriber, this list.
type Link struct {
	Purpose    Purpose
	Subscriber SubscriberID
	List       string
}

const (
	macLength  = 12 // bytes: 96 bits
	messageLen = 15 // bytes: 24 letters
)

// encoding is lower-case base32: it survives mail programs and relays that change the case.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token signs a link. The token is lower-case letters and digits, holds no address and does not expire:
// leaving must work from old mail (CASL wants 60 days, readers want for ever).
func (k Key) Token(l Link) string {
	b := []byte{byte(l.Purpose)}
	b = binary.AppendUvarint(b, uint64(k.ID))
	b = binary.AppendVarint(b, int64(l.Subscriber))
	b = append(b, l.List...)
	return encoding.EncodeToString(append(b, k.mac(b)...))
}

// BounceToken names a delivery in the envelope sender of its message (VERP), so that nobody can forge a bounce.
func (k Key) BounceToken(d DeliveryKey) string {
	b := []byte{byte(PurposeBounce)}
	b = binary.AppendUvarint(b, uint64(k.ID))
	b = binary.AppendUvarint(b, uint64(d.Edition))
	b = binary.AppendVarint(b, int64(d.Subscriber))
	return encoding.EncodeToString(append(b, k.mac(b)...))
}

func (k Key) mac(signed []byte) []byte {
	h := hmac.New(sha256.New, k.Secret)
	h.Write(signed)
	return h.Sum(nil)[:macLength]
}

// Keys are all keys of a database, by id.
type Keys map[KeyID]Key

// Open checks a token made for a purpose and says what it stands for. It returns ErrBadToken for anything else, whatever
// is wrong with it.
func (ks Keys) Open(token string, purpose Purpose) (Link, error) {
	c, err := readClaims(token)
	if err != nil {
		return Link{}, err
	}
	key, known := ks[c.key]
	if !known || !hmac.Equal(c.mac, key.mac(c.signed)) || c.link.Purpose != purpose {
		return Link{}, ErrBadToken
	}
	return c.link, nil
}

// ReadToken reads what a token claims, without asking whether it is ours. Its words may be anybody's: they are fit for
// showing, and Keys.Open alone says whether anything may be done. It returns ErrBadToken for what is no token at all.
func ReadToken(token string) (Link, error) {
	c, err := readClaims(token)
	return c.link, err
}

// claims is a token taken apart.
type claims struct {
	key    KeyID
	link   Link
	signed []byte
	mac    []byte
}

func readClaims(token string) (claims, error) {
	b, err := encoding.DecodeString(strings.ToLower(token))
	if err != nil || len(b) < 3+macLength {
		return claims{}, ErrBadToken
	}
	c := claims{signed: b[:len(b)-macLength], mac: b[len(b)-macLength:]}
	id, n := binary.Uvarint(c.signed[1:])
	if n <= 0 {
		return claims{}, ErrBadToken
	}
	rest := c.signed[1+n:]
	subscriber, n := binary.Varint(rest)
	if n <= 0 {
		return claims{}, ErrBadToken
	}
	c.key, c.link = KeyID(id), Link{Purpose(c.signed[0]), SubscriberID(subscriber), string(rest[n:])}
	return c, nil
}

// MessageID derives the Message-ID (RFC 5322 section 3.6.4, without the angle brackets) of a delivery: the same
// on every try, telling nothing about the reader.
func (k Key) MessageID(d DeliveryKey, domain string) string {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(useMessageID))
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(d.Edition))
	binary.BigEndian.PutUint64(b[8:], uint64(d.Subscriber))
	h.Write(b[:])
	return encoding.EncodeToString(h.Sum(nil)[:messageLen]) + "@" + domain
}

// AddressHash is the keyed hash under which an address is compared and suppressed. It outlives the
// subscriber and does not tell the address to who has no key.
func (k Key) AddressHash(a Address) []byte {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(useAddress))
	h.Write([]byte(a.Folded()))
	return h.Sum(nil)[:16]
}
