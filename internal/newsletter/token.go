package newsletter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"strings"
	"sync"
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
func (k Key) Token(l Link) string { return NewSigner(k).Token(l) }

// BounceToken names a delivery in the envelope sender of its message (VERP), so that nobody can forge a bounce.
func (k Key) BounceToken(d DeliveryKey) string { return NewSigner(k).BounceToken(d) }

// MessageID derives the Message-ID (RFC 5322 section 3.6.4, without the angle brackets) of a delivery: the same
// on every try, telling nothing about the reader.
func (k Key) MessageID(d DeliveryKey, domain string) string { return NewSigner(k).MessageID(d, domain) }

func (k Key) mac(signed []byte) []byte {
	return NewSigner(k).sum(nil, signed)[:macLength]
}

// Signer makes what a key signs, many times over: setting a keyed hash up costs more than using it. It may be used by several
// goroutines at once.
type Signer struct {
	id     KeyID
	hashes sync.Pool
}

// NewSigner makes a signer.
func NewSigner(k Key) *Signer {
	s := &Signer{id: k.ID}
	s.hashes.New = func() any { return hmac.New(sha256.New, k.Secret) }
	return s
}

// sum appends the keyed hash of some bytes.
func (s *Signer) sum(to []byte, signed []byte) []byte {
	h := s.hashes.Get().(hash.Hash)
	h.Reset()
	h.Write(signed)
	to = h.Sum(to)
	s.hashes.Put(h)
	return to
}

// Token is Key.Token.
func (s *Signer) Token(l Link) string {
	b := append(make([]byte, 0, 128), byte(l.Purpose))
	b = binary.AppendUvarint(b, uint64(s.id))
	b = binary.AppendVarint(b, int64(l.Subscriber))
	b = append(b, l.List...)
	return s.sign(b)
}

// BounceToken is Key.BounceToken.
func (s *Signer) BounceToken(d DeliveryKey) string {
	b := append(make([]byte, 0, 128), byte(PurposeBounce))
	b = binary.AppendUvarint(b, uint64(s.id))
	b = binary.AppendUvarint(b, uint64(d.Edition))
	b = binary.AppendVarint(b, int64(d.Subscriber))
	return s.sign(b)
}

// sign makes a token of bytes and their hash.
func (s *Signer) sign(b []byte) string {
	n := len(b)
	return encoding.EncodeToString(s.sum(b, b)[:n+macLength])
}

// MessageID is Key.MessageID.
func (s *Signer) MessageID(d DeliveryKey, domain string) string {
	b := append(make([]byte, 0, 64), useMessageID...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.Edition))
	b = binary.BigEndian.AppendUint64(b, uint64(d.Subscriber))
	id := make([]byte, 0, 64)
	id = encoding.AppendEncode(id, s.sum(b, b)[len(b):len(b)+messageLen])
	return string(append(append(id, '@'), domain...))
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

// AddressHash is the keyed hash under which an address is compared and suppressed. It outlives the
// subscriber and does not tell the address to who has no key.
func (k Key) AddressHash(a Address) []byte {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(useAddress))
	h.Write([]byte(a.Folded()))
	return h.Sum(nil)[:16]
}
