package ingest

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"dispatcher/internal/newsletter"
)

// record is an item as people write it, in JSON Lines or in the front matter of Markdown. Texts are plain but
// for Body, which is HTML, and BodyMarkdown.
type record struct {
	Kind         string   `json:"kind" yaml:"kind"` // article or action; without it a petition tells
	Title        string   `json:"title" yaml:"title"`
	URL          string   `json:"url" yaml:"url"`
	Summary      string   `json:"summary" yaml:"summary"`
	Body         string   `json:"body" yaml:"body"`
	BodyMarkdown string   `json:"body_markdown" yaml:"body_markdown"`
	Image        string   `json:"image" yaml:"image"`
	ImageAlt     string   `json:"image_alt" yaml:"image_alt"`
	Author       string   `json:"author" yaml:"author"`
	Language     string   `json:"language" yaml:"language"`
	Topics       []string `json:"topics" yaml:"topics"`
	Published    string   `json:"published" yaml:"published"`
	Petition     string   `json:"petition" yaml:"petition"`
	Deadline     string   `json:"deadline" yaml:"deadline"`
	Urgent       bool     `json:"urgent" yaml:"urgent"`
}

// recordKeys are the keys of a record, in the order in which people are told of them.
var recordKeys = []string{
	"kind", "title", "url", "summary", "body", "body_markdown", "image", "image_alt", "author", "language", "topics", "published",
	"petition", "deadline", "urgent",
}

func unknownKey(key string) string {
	return fmt.Sprintf("unknown key %q: the keys are %s", key, strings.Join(recordKeys, ", "))
}

const maxWrittenSummary = 1000 // characters; an editor's own summary is not cut to whole sentences

// recordMaker turns the records of one file into items.
type recordMaker struct {
	source Feed
	policy *bluemonday.Policy
	now    time.Time
}

// item checks a record and makes an item of it. It returns all that is wrong, or nothing.
func (m recordMaker) item(rec record) (newsletter.Found, []string) {
	item := newsletter.Item{
		Kind: kindOf(rec), Feed: m.source.Name, Title: newsletter.OneLine(rec.Title, maxTitle), URL: absoluteLink(nil, rec.URL),
		Summary: newsletter.OneLine(rec.Summary, maxWrittenSummary), Image: absoluteLink(nil, rec.Image), ImageAlt: newsletter.OneLine(rec.ImageAlt, maxTitle),
		Author: newsletter.OneLine(rec.Author, maxName), Language: rec.Language, Topics: topics(m.source, plainAll(rec.Topics)),
		Published: m.now, FirstSeen: m.now, Waiting: m.now, Petition: absoluteLink(nil, rec.Petition), Urgent: rec.Urgent,
	}
	problems := m.check(rec, item)
	problems = append(problems, m.setDates(&item, rec)...)
	source, err := rec.html()
	if err != nil {
		problems = append(problems, err.Error())
	}
	if len(source) > maxContent {
		problems = append(problems, fmt.Sprintf("the body is larger than %d KiB", maxContent>>10))
	}
	if len(problems) > 0 {
		return newsletter.Found{}, problems
	}
	if item.URL == "" {
		item.URL = item.Petition
	}
	return m.fill(item, source), nil
}

// fill takes from the body what the record does not say itself.
func (m recordMaker) fill(item newsletter.Item, source string) newsletter.Found {
	self, err := url.Parse(item.URL)
	if err != nil { // cannot be: absoluteLink made it
		self = nil
	}
	c := readContent(source, self)
	item.Body = c.body(m.policy)
	if item.Summary == "" {
		item.Summary = summarise("", c.prose(m.source.Actions.ParagraphPrefixes))
	}
	if images := c.images(); item.Image == "" && len(images) > 0 {
		item.Image, item.ImageAlt = images[0].url, images[0].text
	}
	if item.Kind == newsletter.Action {
		return newsletter.Found{Item: item}
	}
	return newsletter.Found{Item: item, Inside: m.source.Actions.inside(item, c, item.Topics)}
}

func kindOf(rec record) newsletter.ItemKind {
	switch {
	case rec.Kind != "":
		return newsletter.ItemKind(rec.Kind)
	case rec.Petition != "":
		return newsletter.Action
	}
	return newsletter.Article
}

// check finds what is wrong with all but the dates and the body.
func (m recordMaker) check(rec record, item newsletter.Item) (problems []string) {
	add := func(wrong bool, problem string) {
		if wrong {
			problems = append(problems, problem)
		}
	}
	badLink := func(key, written, link string) {
		add(written != "" && link == "", fmt.Sprintf("%s is %q: write a whole link, such as https://magazine.example/page", key, written))
	}
	badLink("url", rec.URL, item.URL)
	badLink("image", rec.Image, item.Image)
	badLink("petition", rec.Petition, item.Petition)
	add(item.Title == "", "title is missing")
	add(rec.Language != "" && !languageTag.MatchString(rec.Language), fmt.Sprintf("language is %q: write a tag such as en or fa-IR", rec.Language))
	switch item.Kind {
	case newsletter.Article:
		add(rec.URL == "", "url is missing: an article needs the page where it can be read")
		add(rec.Petition != "" || rec.Deadline != "" || rec.Urgent, "petition, deadline and urgent are for actions: take them out or write kind: action")
	case newsletter.Action:
		add(rec.Petition == "", "petition is missing: an action needs the link to sign, call or write")
	default:
		add(true, fmt.Sprintf("kind is %q: write article or action", rec.Kind))
	}
	return problems
}

// setDates reads the dates of a record. A deadline without a time of day is the end of that day in UTC.
func (m recordMaker) setDates(item *newsletter.Item, rec record) (problems []string) {
	const cure = "write a date such as 2026-12-01, or with its time and zone 2026-12-01T18:00:00-05:00"
	if rec.Published != "" {
		at, err := readDate(rec.Published)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("published is %q: %s", rec.Published, cure))
		case at.After(m.now.Add(24 * time.Hour)):
			problems = append(problems, fmt.Sprintf("published is %q, which is still to come: import it then, or leave the date out", rec.Published))
		default:
			item.Published = at
		}
	}
	if rec.Deadline != "" {
		at, err := newsletter.ParseDeadline(rec.Deadline)
		if err != nil {
			problems = append(problems, fmt.Sprintf("deadline is %q: %s", rec.Deadline, cure))
		}
		item.Deadline = at
	}
	if item.Kind == newsletter.Action && item.Deadline.IsZero() {
		item.Expires = m.source.Actions.expiry(m.now)
	}
	return problems
}

// readDate reads a day, which begins at midnight UTC, or an instant of RFC 3339.
func readDate(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	return at.UTC(), err
}

// html is the record's body as HTML that is still to be sanitised.
func (rec record) html() (string, error) {
	if rec.BodyMarkdown == "" {
		return rec.Body, nil
	}
	if rec.Body != "" {
		return "", fmt.Errorf("there is both body and body_markdown: keep one")
	}
	var b bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.Linkify)).Convert([]byte(rec.BodyMarkdown), &b); err != nil {
		return "", fmt.Errorf("converting Markdown: %w", err)
	}
	return b.String(), nil
}
