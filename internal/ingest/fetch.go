package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"dispatcher/internal/newsletter"
)

// ErrGone says that the feed's server answered 410: the feed is there no more, for good.
var ErrGone = errors.New("the feed is gone (410)")

const goneCure = "remove the feed from the config or give its new url"

var (
	errNotModified = errors.New("not modified")
	errRedirects   = errors.New("more than 5 redirects")
	errScheme      = errors.New("not an http or https url")
)

const (
	maxRedirects = 5
	accepted     = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, */*;q=0.1"
)

// feedError is a poll that failed through the feed or its server. Its text goes into logs and reports, so it leaves out
// what may be a secret: passwords and query strings of URLs.
type feedError struct{ err error }

var secretParts = regexp.MustCompile(`(://)[^/@\s"]*@|\?[^\s"]*`)

func (e *feedError) Error() string {
	return newsletter.OneLine(secretParts.ReplaceAllString(e.err.Error(), "$1"), 300)
}

func (e *feedError) Unwrap() error { return e.err }

// statusError is a server answering with something else than a document.
type statusError struct {
	code  int
	after time.Duration // what Retry-After asks for; 0: nothing
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

// Fetch polls one feed now and takes in what it finds. What the server says, good or bad, is recorded in the feed's
// state; an error of the feed leaves the queue as it was. ErrGone means that asking again is pointless.
func (i *Ingester) Fetch(ctx context.Context, feed Feed) (newsletter.Intake, error) {
	intake, err := i.fetch(ctx, feed)
	if err != nil {
		return intake, fmt.Errorf("polling feed %s: %w", feed.Name, err)
	}
	return intake, nil
}

func (i *Ingester) fetch(ctx context.Context, feed Feed) (newsletter.Intake, error) {
	state, err := i.queue.FeedState(ctx, feed.Name)
	if err != nil {
		return newsletter.Intake{}, err
	}
	if state.URL != feed.URL { // nothing that the old URL taught holds for the new one
		state = newsletter.FeedState{BaselineDone: state.BaselineDone, LastPoll: state.LastPoll}
	}
	state.Name, state.URL = feed.Name, feed.URL
	now := i.set.Now()
	got, err := poll{Ingester: i, feed: feed, state: &state, now: now}.read(ctx)
	state.LastPoll = now
	var found []newsletter.Found
	var fault *feedError
	switch {
	case errors.Is(err, errNotModified):
	case errors.As(err, &fault):
		return newsletter.Intake{}, i.recordFailure(ctx, state, fault)
	case err != nil:
		return newsletter.Intake{}, err
	default:
		g := gate{source: feed.Name, maxNew: feed.MaxNew, maxAge: feed.MaxAge, baseline: !state.BaselineDone, newest: feed.FirstPoll, now: now}
		if err := g.judge(ctx, i.queue, i.set.Log, got); err != nil {
			return newsletter.Intake{}, err
		}
		found = got.found
		state.BaselineDone = true
	}
	state.Failures, state.LastError, state.Gone = 0, "", false
	return i.queue.TakeIn(ctx, &state, found, i.set.Now()) // items wait from now on, however long the server took
}

// recordFailure writes down a failed poll. Being stopped is nobody's failure.
func (i *Ingester) recordFailure(ctx context.Context, state newsletter.FeedState, fault *feedError) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	state.Failures++
	state.LastError = fault.Error()
	state.Gone = errors.Is(fault, ErrGone)
	if _, err := i.queue.TakeIn(ctx, &state, nil, state.LastPoll); err != nil {
		return errors.Join(fault, err)
	}
	return fault
}

// client makes the HTTP client of one poll. Its connections are for this feed alone, so that none which the guard
// let through for one feed serves the redirect of another.
func (i *Ingester) client(feed *url.URL) *http.Client {
	transport := i.set.Transport
	if transport == nil {
		transport = guardedTransport(feed)
	}
	return &http.Client{
		Transport: transport,
		Timeout:   i.set.Timeout,
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			request.Header.Del("Referer") // it would carry a secret of the URL to another host
			if len(via) > maxRedirects {
				return errRedirects
			}
			return nil
		},
	}
}

// answer is one document as a server gave it.
type answer struct {
	body   []byte
	url    *url.URL // after redirects
	header http.Header
}

// get asks for one document. With a state it asks whether there is anything new, and returns errNotModified where
// there is not.
func (i *Ingester) get(ctx context.Context, client *http.Client, link string, state *newsletter.FeedState) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("User-Agent", i.set.UserAgent)
	request.Header.Set("Accept", accepted)
	conditional := false
	if state != nil && state.ETag != "" {
		request.Header.Set("If-None-Match", state.ETag)
		conditional = true
	}
	if state != nil && state.LastModified != "" {
		request.Header.Set("If-Modified-Since", state.LastModified)
		conditional = true
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && conditional:
		return answer{}, errNotModified
	case response.StatusCode == http.StatusGone:
		return answer{}, ErrGone
	case response.StatusCode != http.StatusOK:
		return answer{}, &statusError{response.StatusCode, retryAfter(response.Header.Get("Retry-After"), i.set.Now())}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, i.set.MaxBytes+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > i.set.MaxBytes {
		return answer{}, fmt.Errorf("the document is larger than %d bytes", i.set.MaxBytes)
	}
	return answer{body, response.Request.URL, response.Header}, nil
}

// retryAfter reads the header of RFC 9110 section 10.2.3; 0 when it is not there or makes no sense.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestAsked/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
