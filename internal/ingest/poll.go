package ingest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"

	"dispatcher/internal/newsletter"
)

const (
	maxPages     = 10
	pagePatience = 2 // bad polls in a row after which an older page that cannot be read is done without
)

// poll is one poll of one feed.
type poll struct {
	*Ingester
	feed  Feed
	state *newsletter.FeedState
	now   time.Time
	http  *http.Client
}

// read asks for the feed, and for the older pages of a WordPress feed as long as they may hold what is not known. What
// goes wrong on the feed's side comes as a feedError. The state learns the validators of the first page, and only once all
// is read.
func (p poll) read(ctx context.Context) (*take, error) {
	target, err := url.Parse(p.feed.URL)
	if err != nil || !isWeb(p.feed.URL) || target.Hostname() == "" {
		return nil, &feedError{errScheme}
	}
	p.http = p.client(target)
	defer p.http.CloseIdleConnections()
	first, doc, err := p.page(ctx, p.feed.URL, p.state)
	if err != nil {
		return nil, err
	}
	got := &take{}
	for page := 1; ; page++ {
		added, known, err := got.add(ctx, p.queue, p.items(ctx, doc, first.url))
		if err != nil {
			return nil, err
		}
		if page == maxPages || !isWordPress(doc) || !p.readsOn(page, got, added, known) {
			break
		}
		_, doc, err = p.page(ctx, pageOf(first.url, page+1), nil)
		if isLastPage(err) || err != nil && p.state.Failures >= pagePatience {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	got.joinMentions()
	p.state.ETag, p.state.LastModified = first.header.Get("ETag"), first.header.Get("Last-Modified")
	return got, nil
}

// page asks for one document and parses it.
func (p poll) page(ctx context.Context, link string, state *newsletter.FeedState) (answer, *gofeed.Feed, error) {
	a, err := p.get(ctx, p.http, link, state)
	if errors.Is(err, errNotModified) {
		return answer{}, nil, err
	}
	if err != nil {
		return answer{}, nil, &feedError{err}
	}
	doc, err := parseDocument(a.body, a.header.Get("Content-Type"))
	if err != nil {
		return answer{}, nil, &feedError{err}
	}
	return a, doc, nil
}

// items turns a document's entries into items.
func (p poll) items(ctx context.Context, doc *gofeed.Feed, base *url.URL) []newsletter.Found {
	found, unusable := reader{feed: p.feed, policy: p.policy, now: p.now, doc: doc, base: base}.found()
	if unusable > 0 {
		p.set.Log.InfoContext(ctx, "entries left out, for they have no link or no title", "feed", p.feed.Name, "entries", unusable)
	}
	return found
}

// readsOn reports whether the next page may hold something new: on a first poll until there are as many as it lets
// through; later if the oldest of the first page is not known, and until a page has a known one. A page that adds
// nothing is the same document again, from a server that does not look at the query.
func (p poll) readsOn(page int, got *take, added []newsletter.Item, known []bool) bool {
	switch {
	case len(added) == 0:
		return false
	case !p.state.BaselineDone:
		return len(got.found) < p.feed.FirstPoll
	case page > 1:
		return !slices.Contains(known, true)
	}
	oldest := 0
	for n := range added {
		if !added[n].Published.After(added[oldest].Published) {
			oldest = n
		}
	}
	return !known[oldest]
}

// isLastPage reports whether an error means that there is no such page: WordPress answers 404, others refuse, or show
// a web page.
func isLastPage(err error) bool {
	var refused *statusError
	if errors.As(err, &refused) {
		return refused.code/100 == 4 && refused.code != http.StatusTooManyRequests && refused.code != http.StatusRequestTimeout
	}
	return errors.Is(err, ErrGone) || errors.Is(err, errNotFeed)
}

// isWordPress reports whether a feed says that WordPress made it.
func isWordPress(doc *gofeed.Feed) bool {
	return strings.Contains(strings.ToLower(doc.Generator), "wordpress")
}

// pageOf is the URL under which WordPress serves an older page of a feed.
func pageOf(feed *url.URL, page int) string {
	u := *feed
	query := u.Query()
	query.Set("paged", strconv.Itoa(page))
	u.RawQuery = query.Encode()
	return u.String()
}
