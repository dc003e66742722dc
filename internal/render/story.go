package render

import (
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"dispatcher/internal/newsletter"
)

const (
	maxTitle   = 300  // runes of a title
	maxSummary = 600  // runes of a summary
	maxTelling = 1500 // runes, about, of an alert's own text
	maxEnding  = 5000 // runes of how an action ended
	maxLink    = 2000 // bytes
)

// Story is one item as it is shown.
type Story struct {
	Attr      template.HTMLAttr // lang and dir of its own texts
	Direction string            // the same: ltr or rtl
	Align     string            // left or right
	Words     *Words            // its labels: in its language where we have words in it
	WordsAttr template.HTMLAttr // lang and dir of the labels

	Title      string
	URL        template.URL // may be empty
	Topic      string       // may be empty
	Byline     template.HTML
	Summary    string
	Paragraphs []string // of an alert's lead, instead of or after the summary; of an action in an update, how it ended
	Image      string   // URL; may be empty
	ImageAlt   string

	Petition template.URL // of an action: where to act; empty in an update
	Urgent   bool
	Closes   string        // of an action with a deadline: when, in words
	Won      bool          // of an action that has ended: with what it asked for
	Parent   template.HTML // of an action found in an article of this edition: the article's title
}

// story makes an item ready to be shown.
func (l layout) story(i newsletter.Item) Story {
	lang, direction := l.language(i)
	words := l.all.of(lang, l.words)
	s := Story{
		Attr:      attributes(lang, direction),
		Direction: direction,
		Align:     alignment(direction),
		Words:     words,
		WordsAttr: attributes(words.tag.String(), words.Direction),
		Title:     newsletter.OneLine(i.Title, maxTitle),
		URL:       link(i.URL, "http", "https"),
		Byline:    l.byline(i, words),
		Summary:   newsletter.OneLine(i.Summary, maxSummary),
		Image:     string(link(i.Image, "http", "https")),
		ImageAlt:  newsletter.OneLine(i.ImageAlt, maxTitle),
	}
	if len(i.Topics) > 0 {
		s.Topic = newsletter.OneLine(i.Topics[0], maxName)
	}
	if s.Summary == "" {
		s.Summary = newsletter.OneLine(strings.Join(paragraphs(i.Body, 1, ""), " "), maxSummary/2)
	}
	if i.Kind == newsletter.Action {
		l.act(&s, i)
	}
	return s
}

// act adds what only actions have. Once one has ended there is nothing to do, and what was asked for is no news.
func (l layout) act(s *Story, i newsletter.Item) {
	petition := link(i.Petition, "http", "https", "mailto", "tel")
	if s.URL == petition { // there is no story beside it
		s.URL = ""
	}
	s.Parent = l.parent(i)
	if l.content.Kind == newsletter.Update {
		s.Won, s.Summary, s.Paragraphs = i.Won, "", ending(i.Ending)
		return
	}
	s.Urgent, s.Petition = i.Urgent, petition
	if !i.Deadline.IsZero() {
		s.Closes = put(s.Words.Closes, "moment", s.Words.moment(lastMinute(i.Deadline, l.zone)))
	}
}

// language is the language and direction of an item's own texts. A feed that names one language may carry another, so
// the letters are believed before the name; the language is empty when neither tells.
func (l layout) language(i newsletter.Item) (lang, direction string) {
	tag, err := language.Parse(i.Language)
	known := err == nil && tag != language.Und
	rtl := newsletter.RightToLeft(i.Title) ||
		known && rightToLeftScript(tag) && strings.ContainsFunc(i.Title, func(r rune) bool { return newsletter.RightToLeft(string(r)) })
	direction = "ltr"
	if rtl {
		direction = "rtl"
	}
	switch {
	case known && rightToLeftScript(tag) == rtl:
		return tag.String(), direction
	case direction == l.words.Direction:
		return l.words.tag.String(), direction
	}
	return "", direction
}

// rightToLeftScript reports whether a language is usually written from right to left.
func rightToLeftScript(tag language.Tag) bool {
	script, _ := tag.Script()
	return slices.Contains([]string{"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm"}, script.String())
}

// attributes are lang and dir for an element. An empty lang says that the language is not known (HTML, section 3.2.6.2).
func attributes(lang, direction string) template.HTMLAttr {
	return template.HTMLAttr(`lang="` + lang + `" dir="` + direction + `"`)
}

// alignment is the side on which lines of a direction begin.
func alignment(direction string) string {
	if direction == "rtl" {
		return "right"
	}
	return "left"
}

// byline says who wrote an item and when it was published.
func (l layout) byline(i newsletter.Item, w *Words) template.HTML {
	var parts []string
	if author := newsletter.OneLine(i.Author, maxName); author != "" {
		parts = append(parts, string(l.phrase(w.By, "author", author)))
	}
	if !i.Published.IsZero() {
		parts = append(parts, w.shortDay(i.Published.In(l.zone)))
	}
	return template.HTML(strings.Join(parts, " · "))
}

// lastMinute is the instant to print for a deadline. One that was given as a day ends with that day in UTC, and people read
// that as its last minute, not as the first one of the next day in another zone.
func lastMinute(deadline time.Time, zone *time.Location) time.Time {
	if deadline.Equal(deadline.UTC().Truncate(24 * time.Hour)) {
		return deadline.UTC().Add(-time.Minute)
	}
	return deadline.In(zone)
}

// parent is the title of the article that an action was found in, if it is in this edition and the action has no page of its own.
func (l layout) parent(i newsletter.Item) template.HTML {
	at := slices.IndexFunc(l.content.Items, func(o newsletter.Item) bool { return i.Parent != 0 && o.ID == i.Parent && o.URL == i.URL })
	if at < 0 {
		return ""
	}
	return l.phrase("{title}", "title", newsletter.OneLine(l.content.Items[at].Title, maxTitle))
}

// telling is an alert's own text: its summary, or the first paragraph of its body where the summary is only how the body begins,
// and the paragraphs that follow.
func telling(i newsletter.Item) (summary string, text []string) {
	summary, text = newsletter.OneLine(i.Summary, maxSummary), paragraphs(i.Body, maxTelling, i.Petition)
	start := []rune(summary)
	if len(text) > 0 && strings.HasPrefix(text[0], string(start[:min(len(start), 40)])) {
		return newsletter.OneLine(text[0], maxTelling), text[1:]
	}
	return summary, text
}

// link lets a link pass if it has one of the schemes; otherwise there is none.
func link(s string, schemes ...string) template.URL {
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(schemes, strings.ToLower(u.Scheme)) || len(s) > maxLink ||
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return ""
	}
	return template.URL(s)
}
