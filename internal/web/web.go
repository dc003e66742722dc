// Package web answers HTTP: the pages on which readers leave a list, the stable links of actions, and for the admin whether dispatcher is
// alive and ready, and its figures.
//
// A GET never changes anything, since mail scanners follow every link; a POST to a reader's link ends the
// subscription, whoever sends it, with no cookie, password or redirect (RFC 8058). What a page says depends
// on the text of the link alone and never on whether its signature is right, whether the subscription exists or
// where it stands: who tries links, or comes upon an old one, learns nothing. The signature decides only
// whether the ledger is written to.
//
// The link of an action is the same for every reader and leads on to its petition. Who follows it is neither counted nor logged.
package web

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

// Ledger is where a reader's leaving is written down, and the actions are. Its methods may be called concurrently. Those that take
// a link look at its subscriber and list only, and return newsletter.ErrNotFound when there is no such subscription.
type Ledger interface {
	Subscription(ctx context.Context, l newsletter.Link) (newsletter.SubscriptionState, error)
	// Unsubscribe ends a subscription. Ending it again changes nothing and is no error.
	Unsubscribe(ctx context.Context, l newsletter.Link, at time.Time) error
	// Resubscribe begins one again that was confirmed when a link ended it. Any other is not found.
	Resubscribe(ctx context.Context, l newsletter.Link, at time.Time) error
	// ActionByCode is the action whose stable link has a code, or newsletter.ErrNotFound. No error repeats the code.
	ActionByCode(ctx context.Context, code string) (newsletter.Item, error)
}

// Config is what the pages need.
type Config struct {
	Files      fs.FS // the templates, in its folder web
	Keys       newsletter.Keys
	Ledger     Ledger
	Publisher  newsletter.Publisher
	FormerURLs []string // that the public URL was before: the links of old mail begin with them
	Lists      []newsletter.List
	Now        func() time.Time
	Log        *slog.Logger

	// What the admin listener has for monitoring; nil: nothing.
	Ready   func(context.Context) newsletter.Readiness // called at each look, from any goroutine
	Metrics *Metrics                                   // needs Ready, too
}

// Pages answers requests. It is safe for concurrent use.
type Pages struct {
	keys      newsletter.Keys
	ledger    Ledger
	publisher string
	titles    map[string]string // of the lists, by id
	now       func() time.Time
	log       *slog.Logger
	ready     func(context.Context) newsletter.Readiness
	monitored *Metrics

	templates  templates
	headers    map[string]string // of every answer
	prefixes   []string          // the paths of the public URLs of now and before, without a trailing slash, the longest first
	protection *http.CrossOriginProtection
}

// New parses the templates and runs each on sample data, so that a broken one is found now and not by a reader.
func New(c Config) (*Pages, error) {
	urls, err := parsePublic(append([]string{c.Publisher.PublicURL}, c.FormerURLs...))
	if err != nil {
		return nil, err
	}
	parsed, err := parseTemplates(c.Files)
	if err != nil {
		return nil, fmt.Errorf("reading web templates: %w", err)
	}
	p := &Pages{
		keys:      c.Keys,
		ledger:    c.Ledger,
		publisher: c.Publisher.Name,
		titles:    map[string]string{},
		now:       c.Now,
		log:       c.Log,
		ready:     c.Ready,
		monitored: c.Metrics,
		templates: parsed,
		headers:   headers(parsed.styles, urls[0].Scheme == "https"),
	}
	for _, u := range urls {
		p.prefixes = append(p.prefixes, strings.TrimSuffix(u.Path, "/"))
	}
	slices.SortStableFunc(p.prefixes, func(a, b string) int { return len(b) - len(a) })
	for _, l := range c.Lists {
		p.titles[l.ID] = l.Title
		for _, id := range l.Former { // links in old mail bear it
			p.titles[id] = l.Title
		}
	}
	if p.protection, err = p.protect(urls); err != nil {
		return nil, err
	}
	return p, nil
}

// parsePublic reads the public URLs of now and before.
func parsePublic(texts []string) (urls []*url.URL, err error) {
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fmt.Errorf("reading public URL %q: it must be like https://news.example.org", text)
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// protect refuses a browser that posts from another site. One-click is exempt (RFC 8058 section 3.1: it
// comes without cookies or any other context), and so is the page's own form on the same URL: its
// secret is in the URL already, and who has that can send the one-click body.
func (p *Pages) protect(urls []*url.URL) (*http.CrossOriginProtection, error) {
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /u/{token}")
	protection.SetDenyHandler(p.refusal(http.StatusForbidden))
	for _, u := range urls {
		if err := protection.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("trusting public URL: %w", err)
		}
	}
	return protection, nil
}

// link is what the text of a link says, whoever wrote it.
type link struct {
	title string // of the list; empty when the link does not name one
	proof bool   // it says that it belongs to a test copy
}

// read says what a page may know of a token: its words, unproven. An id that is not configured, as of a list that
// has gone, is its own title if it looks like one; anything else would let strangers write on our pages.
func (p *Pages) read(token string) link {
	claim, err := newsletter.ReadToken(token)
	if err != nil || claim.Purpose != newsletter.PurposeUnsubscribe {
		return link{}
	}
	title := p.titles[claim.List]
	if title == "" && plausibleID(claim.List) {
		title = claim.List
	}
	return link{title: title, proof: claim.Subscriber <= 0}
}

// end ends the subscription that a token stands for. Nothing to end is no error.
func (p *Pages) end(ctx context.Context, token string) error {
	l, state, err := p.subscription(ctx, token)
	if err == nil && state != newsletter.Ended {
		if err = p.ledger.Unsubscribe(ctx, l, p.now()); err == nil {
			p.log.Info("reader unsubscribed", "subscriber", l.Subscriber, "list", l.List)
		}
	}
	return unlessNotFound(err)
}

// resume undoes end. Nothing to undo is no error.
func (p *Pages) resume(ctx context.Context, token string) error {
	l, state, err := p.subscription(ctx, token)
	if err == nil && state == newsletter.Ended {
		if err = p.ledger.Resubscribe(ctx, l, p.now()); err == nil {
			p.log.Info("reader undid unsubscribing", "subscriber", l.Subscriber, "list", l.List)
		}
	}
	return unlessNotFound(err)
}

// subscription looks up what a token stands for. A forged one costs the same look, at nobody's subscription. Only a
// genuine one that changes something takes longer, and who holds that has no need to guess; nobody else can
// make the ledger write, however many he forges.
func (p *Pages) subscription(ctx context.Context, token string) (newsletter.Link, newsletter.SubscriptionState, error) {
	l, forged := p.keys.Open(token, newsletter.PurposeUnsubscribe)
	state, err := p.ledger.Subscription(ctx, l) // of nobody, when forged
	if err == nil && forged != nil {
		err = newsletter.ErrNotFound
	}
	return l, state, err
}

// unlessNotFound takes the error away that nobody must be able to tell from success.
func unlessNotFound(err error) error {
	if errors.Is(err, newsletter.ErrNotFound) {
		return nil
	}
	return err
}

// headers are the headers of every answer. The styles are the hashes that the policy lets through.
func headers(styles [][]byte, secure bool) map[string]string {
	policy := "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if len(styles) > 0 {
		policy += "; style-src"
	}
	for _, sum := range styles {
		policy += " 'sha256-" + base64.StdEncoding.EncodeToString(sum) + "'"
	}
	h := map[string]string{
		"Cache-Control":           "no-store",
		"Content-Security-Policy": policy,
		"Referrer-Policy":         "no-referrer",
		"X-Content-Type-Options":  "nosniff",
		"X-Robots-Tag":            "noindex",
	}
	if secure {
		h["Strict-Transport-Security"] = "max-age=31536000"
	}
	return h
}
