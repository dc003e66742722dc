package ingest

import (
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/mmcdole/gofeed"
	feedatom "github.com/mmcdole/gofeed/atom"
	feedjson "github.com/mmcdole/gofeed/json"

	"dispatcher/internal/newsletter"
)

const (
	maxTitle  = 300
	maxName   = 200 // of authors together, and of one topic
	maxTopics = 50
	maxGUID   = 1000 // bytes; a longer one is used as none
	maxURL    = 2000
)

// reader turns the entries of one document into items.
type reader struct {
	feed   Feed
	policy *bluemonday.Policy
	now    time.Time
	doc    *gofeed.Feed
	base   *url.URL // what the document's own links hang on; may be nil
}

// found is what a document brings. unusable counts the entries that have nothing to show or no address.
func (r reader) found() (found []newsletter.Found, unusable int) {
	if site := absolute(r.base, r.doc.Link); site != nil {
		r.base = site
	}
	shared := r.sharedGUIDs()
	for n, e := range r.doc.Items {
		if r.feed.Exclude.leavesOut(e) {
			continue
		}
		f, ok := r.entry(n, e)
		if !ok {
			unusable++
			continue
		}
		if shared[f.GUID] {
			f.GUID = ""
		}
		found = append(found, f)
	}
	return found, unusable
}

// sharedGUIDs are those that several entries with different links bear. Whoever made them did not make identities.
func (r reader) sharedGUIDs() map[string]bool {
	first := map[string]string{}
	shared := map[string]bool{}
	for _, e := range r.doc.Items {
		guid, to := guidOf(e), newsletter.CanonicalURL(r.link(e))
		if before, ok := first[guid]; ok && before != to {
			shared[guid] = true
		}
		first[guid] = to
	}
	return shared
}

func guidOf(e *gofeed.Item) string {
	if len(e.GUID) > maxGUID {
		return ""
	}
	return newsletter.OneLine(e.GUID, 0)
}

// entry makes an item of one entry. It reports false where there is no address or nothing to call it.
func (r reader) entry(n int, e *gofeed.Item) (newsletter.Found, bool) {
	categories := plainAll(e.Categories)
	item := newsletter.Item{
		Kind: newsletter.Article, Feed: r.feed.Name, GUID: guidOf(e), URL: r.link(e), Title: plainText(e.Title, maxTitle),
		Author: r.author(e), Language: r.language(n, e), Published: r.published(e), FirstSeen: r.now, Waiting: r.now,
		Topics: topics(r.feed, categories),
	}
	self, err := url.Parse(item.URL)
	if err != nil || item.URL == "" {
		return newsletter.Found{}, false
	}
	excerpt, body := readContent(e.Description, self), readContent(r.html(n, e), self)
	excerpt.dropBoilerplate(item.URL, item.Title)
	body.dropBoilerplate(item.URL, item.Title)
	prompts := r.feed.Actions.ParagraphPrefixes
	item.Summary = summarise(excerpt.prose(prompts), body.prose(prompts))
	item.Body = body.body(r.policy)
	item.Image, item.ImageAlt = leadImage(e, body, excerpt, self)
	if item.Title == "" {
		item.Title = newsletter.OneLine(item.Summary, maxCard)
	}
	if item.Title == "" {
		return newsletter.Found{}, false
	}
	return classify(r.feed.Actions, item, body, categories), true
}

// classify tells actions from articles, and finds the actions inside an article.
func classify(rules ActionRules, item newsletter.Item, body content, categories []string) newsletter.Found {
	if rules.isAction(item.Title, categories) {
		rules.becomeAction(&item, body, categories)
		return newsletter.Found{Item: item}
	}
	return newsletter.Found{Item: item, Inside: rules.inside(item, body, categories)}
}

// link is where an entry is: its link, else its guid where that is one.
func (r reader) link(e *gofeed.Item) string {
	for _, candidate := range append([]string{e.Link}, e.Links...) {
		if to := absoluteLink(r.base, candidate); to != "" && len(to) <= maxURL {
			return to
		}
	}
	if isWeb(e.GUID) && len(e.GUID) <= maxURL {
		return absoluteLink(nil, e.GUID)
	}
	return ""
}

// html is the content of an entry, or its description where it has no more. Plain text, as JSON Feed and Atom may carry
// it, becomes paragraphs.
func (r reader) html(n int, e *gofeed.Item) string {
	if e.Content == "" {
		return e.Description
	}
	plain := false
	switch original := r.doc.OriginalFeed().(type) {
	case *feedjson.Feed:
		plain = original.Items[n].ContentHTML == ""
	case *feedatom.Feed:
		plain = original.Entries[n].Content.Type == "text" || original.Entries[n].Content.Type == "text/plain"
	}
	if !plain {
		return e.Content
	}
	paragraphs := strings.ReplaceAll(html.EscapeString(e.Content), "\r\n", "\n")
	paragraphs = strings.ReplaceAll(paragraphs, "\n\n", "</p><p>")
	return "<p>" + strings.ReplaceAll(paragraphs, "\n", "<br>") + "</p>"
}

// published is the entry's date. One that is missing, absurd or more than a day ahead is taken to be now.
func (r reader) published(e *gofeed.Item) time.Time {
	for _, at := range []*time.Time{e.PublishedParsed, e.UpdatedParsed} {
		if at != nil {
			return plausible(*at, r.now)
		}
	}
	return r.now
}

// plausible is a date of publication, or now where it cannot be one: before there was a web, or more than a day ahead.
func plausible(at, now time.Time) time.Time {
	if at.Year() < 1990 || at.After(now.Add(24*time.Hour)) {
		return now
	}
	return at.UTC()
}

// author is the byline. Names only: an address is nobody's byline.
func (r reader) author(e *gofeed.Item) string {
	var names []string
	if e.DublinCoreExt != nil {
		names = append(names, e.DublinCoreExt.Creator...)
	}
	people := e.Authors
	if len(people) == 0 && len(names) == 0 && r.doc.FeedType != "rss" {
		people = r.doc.Authors // RFC 4287 section 4.2.1, and JSON Feed likewise
	}
	for _, p := range people {
		if p != nil {
			names = append(names, p.Name)
		}
	}
	var bylines []string
	for _, name := range plainAll(names) {
		if !strings.Contains(name, "@") {
			bylines = newsletter.AddTopics(bylines, name) // each once
		}
	}
	return newsletter.OneLine(strings.Join(bylines, ", "), maxName)
}

// language is that of the entry, else of the whole feed; empty when it is none.
func (r reader) language(n int, e *gofeed.Item) string {
	candidates := []string{r.doc.Language}
	if original, ok := r.doc.OriginalFeed().(*feedjson.Feed); ok {
		candidates = []string{original.Items[n].Language, r.doc.Language}
	}
	if e.DublinCoreExt != nil {
		candidates = append(e.DublinCoreExt.Language, candidates...)
	}
	for _, c := range candidates {
		c = strings.ReplaceAll(strings.TrimSpace(c), "_", "-")
		if languageTag.MatchString(c) {
			return c
		}
	}
	return ""
}

// topics are the categories that are subjects, and those that the admin adds.
func topics(feed Feed, categories []string) []string {
	var subjects []string
	for _, c := range categories[:min(len(categories), maxTopics)] {
		if _, ok := feed.Actions.cutDeadline(c); !ok {
			subjects = append(subjects, c)
		}
	}
	return newsletter.AddTopics(subjects, feed.Topics...)
}

func plainAll(texts []string) []string {
	plain := make([]string, 0, len(texts))
	for _, t := range texts {
		plain = append(plain, plainText(t, maxName))
	}
	return plain
}

// leavesOut reports whether the admin does not want an entry.
func (x Exclude) leavesOut(e *gofeed.Item) bool {
	_, byTitle := cutAnyPrefix(plainText(e.Title, maxTitle), x.TitlePrefixes)
	return byTitle || bearsAny(plainAll(e.Categories), x.Categories)
}
