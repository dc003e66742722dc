package render

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"dispatcher/internal/newsletter"
)

// Variants is where frozen variants are kept (package store).
type Variants interface {
	Variant(ctx context.Context, edition newsletter.EditionID, variant newsletter.VariantID, until time.Time) (newsletter.Variant, error)
}

// Composer makes readers' messages out of frozen variants. It may be used by several goroutines at once.
type Composer struct {
	Variants  Variants
	Keys      newsletter.Keys
	Publisher newsletter.Publisher

	mu       sync.Mutex
	compiled map[form]*Message
	signers  map[newsletter.KeyID]*newsletter.Signer
}

// form names one form of one variant.
type form struct {
	edition newsletter.EditionID
	variant newsletter.VariantID
	until   time.Time
}

// keptForms bounds the memory for compiled variants: more than this many are seldom sent at one time.
const keptForms = 100

// Compose makes the message of one delivery. Its data is appended to buffer, which may be nil.
func (c *Composer) Compose(ctx context.Context, d newsletter.Delivery, buffer []byte) (newsletter.Message, error) {
	m, s, err := c.tools(ctx, d)
	if err != nil {
		return newsletter.Message{}, err
	}
	return newsletter.Message{From: c.sender(s.own, d), To: d.Address, Data: m.AppendStuffed(buffer, c.personal(s, d))}, nil
}

// signing is what signs in a delivery's message.
type signing struct {
	own      *newsletter.Signer
	followed *newsletter.Signer // of the edition that is answered; nil: of none
}

// tools are the compiled variant of a delivery, and what signs in its message.
func (c *Composer) tools(ctx context.Context, d newsletter.Delivery) (m *Message, s signing, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.own, err = c.signer(d.Edition, d.KeyID); err != nil {
		return nil, s, err
	}
	if d.Follows.Edition != 0 {
		if s.followed, err = c.signer(d.Follows.Edition, d.Follows.KeyID); err != nil {
			return nil, s, err
		}
	}
	m, err = c.message(ctx, form{d.Edition, d.Variant, d.Until})
	return m, s, err
}

// signer finds what signs with the key that an edition was made with.
func (c *Composer) signer(edition newsletter.EditionID, id newsletter.KeyID) (*newsletter.Signer, error) {
	if s := c.signers[id]; s != nil {
		return s, nil
	}
	key, known := c.Keys[id]
	if !known {
		return nil, fmt.Errorf("edition %d was made with key %d: %w", edition, id, newsletter.ErrNotFound)
	}
	if c.signers == nil {
		c.signers = map[newsletter.KeyID]*newsletter.Signer{}
	}
	c.signers[id] = newsletter.NewSigner(key)
	return c.signers[id], nil
}

// message compiles a variant, or finds it compiled.
func (c *Composer) message(ctx context.Context, f form) (*Message, error) {
	if m := c.compiled[f]; m != nil {
		return m, nil
	}
	v, err := c.Variants.Variant(ctx, f.edition, f.variant, f.until)
	if err != nil {
		return nil, err
	}
	m, err := Compile(v)
	if err != nil {
		return nil, err
	}
	if c.compiled == nil {
		c.compiled = map[form]*Message{}
	}
	if len(c.compiled) >= keptForms {
		for other := range c.compiled { // any of them
			delete(c.compiled, other)
			break
		}
	}
	c.compiled[f] = m
	return m, nil
}

// Personal is what a delivery splices in: the same on every try.
func (c *Composer) Personal(d newsletter.Delivery) newsletter.Personal {
	s := signing{own: newsletter.NewSigner(c.Keys[d.KeyID])}
	if d.Follows.Edition != 0 {
		s.followed = newsletter.NewSigner(c.Keys[d.Follows.KeyID])
	}
	return c.personal(s, d)
}

func (c *Composer) personal(s signing, d newsletter.Delivery) newsletter.Personal {
	token := s.own.Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: d.Subscriber, List: d.List})
	p := newsletter.Personal{
		Address: d.Address, Name: d.Name, Date: d.FirstDue,
		MessageID:   s.own.MessageID(d.DeliveryKey, c.Publisher.From.Domain()),
		Unsubscribe: c.Publisher.PublicURL + "/u/" + token,
	}
	if s.followed != nil {
		earlier := newsletter.DeliveryKey{Edition: d.Follows.Edition, Subscriber: d.Subscriber}
		p.Follows = s.followed.MessageID(earlier, c.Publisher.From.Domain())
	}
	if c.Publisher.Unsubscribe != "" {
		p.Mailto = "mailto:" + string(c.Publisher.Unsubscribe) + "?subject=" + url.PathEscape("unsubscribe "+token)
	}
	return p
}

// sender is the envelope's: where bounces are read, a variable one that tells which copy came back (VERP).
func (c *Composer) sender(signer *newsletter.Signer, d newsletter.Delivery) newsletter.Address {
	if c.Publisher.Bounces == "" {
		return c.Publisher.From
	}
	local, domain, _ := strings.Cut(string(c.Publisher.Bounces), "@")
	return newsletter.Address(local + "+" + signer.BounceToken(d.DeliveryKey) + "@" + domain)
}

// Language is the language of a variant for readers who ask for one of these, the first that there are words for:
// hers, then the list's. English serves where there is none.
func (r *Renderer) Language(wanted ...string) string {
	for _, w := range wanted {
		if best := r.words.of(w, nil); best != nil {
			return best.tag.String()
		}
	}
	return r.words.words[0].tag.String()
}
