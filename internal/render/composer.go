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
	m, signer, err := c.tools(ctx, d)
	if err != nil {
		return newsletter.Message{}, err
	}
	return newsletter.Message{From: c.sender(signer, d), To: d.Address, Data: m.AppendStuffed(buffer, c.personal(signer, d))}, nil
}

// tools are the compiled variant of a delivery, and what signs its links.
func (c *Composer) tools(ctx context.Context, d newsletter.Delivery) (*Message, *newsletter.Signer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	signer, err := c.signer(d)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.message(ctx, form{d.Edition, d.Variant, d.Until})
	return m, signer, err
}

// signer finds what signs with the key that an edition was made with.
func (c *Composer) signer(d newsletter.Delivery) (*newsletter.Signer, error) {
	if s := c.signers[d.KeyID]; s != nil {
		return s, nil
	}
	key, known := c.Keys[d.KeyID]
	if !known {
		return nil, fmt.Errorf("edition %d was made with key %d: %w", d.Edition, d.KeyID, newsletter.ErrNotFound)
	}
	if c.signers == nil {
		c.signers = map[newsletter.KeyID]*newsletter.Signer{}
	}
	c.signers[d.KeyID] = newsletter.NewSigner(key)
	return c.signers[d.KeyID], nil
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
	return c.personal(newsletter.NewSigner(c.Keys[d.KeyID]), d)
}

func (c *Composer) personal(signer *newsletter.Signer, d newsletter.Delivery) newsletter.Personal {
	token := signer.Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: d.Subscriber, List: d.List})
	p := newsletter.Personal{
		Address: d.Address, Name: d.Name, Date: d.FirstDue,
		MessageID:   signer.MessageID(d.DeliveryKey, c.Publisher.From.Domain()),
		Unsubscribe: c.Publisher.PublicURL + "/u/" + token,
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
