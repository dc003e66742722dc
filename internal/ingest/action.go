package ingest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

const (
	defaultLife = 14 * 24 * time.Hour
	maxInside   = 10  // actions taken from one article
	maxCard     = 120 // characters of a title made from a paragraph
	fewWords    = 5   // fewer do not make a title: "Sign this petition"
)

// isAction reports whether an entry is an action by its categories or the beginning of its title.
func (r ActionRules) isAction(title string, categories []string) bool {
	if bearsAny(categories, r.Categories) {
		return true
	}
	_, ok := cutAnyPrefix(title, r.TitlePrefixes)
	return ok
}

// becomeAction makes an item the action that its post is.
func (r ActionRules) becomeAction(item *newsletter.Item, c content, categories []string) {
	item.Kind = newsletter.Action
	if rest, ok := cutAnyPrefix(item.Title, r.TitlePrefixes); ok && rest != "" {
		item.Title = rest // templates print the label themselves
	}
	item.Petition = r.petition(c.blocks(), item.URL)
	r.setTerms(item, categories)
}

// setTerms reads from the categories until when an action is open and whether it is urgent. One whose deadline cannot be
// read is to be held: mailing a petition that has closed is worse than asking.
func (r ActionRules) setTerms(item *newsletter.Item, categories []string) {
	item.Urgent = bearsAny(categories, r.UrgentCategories)
	for _, c := range categories {
		date, ok := r.cutDeadline(c)
		if !ok {
			continue
		}
		switch at, err := newsletter.ParseDeadline(date); {
		case err != nil:
			item.State = newsletter.Held
			item.Reason = fmt.Sprintf("the category %q gives no deadline: write it as %s2026-12-31", c, r.DeadlineCategory)
		case item.Deadline.IsZero() || at.Before(item.Deadline):
			item.Deadline = at
		}
	}
	if item.Deadline.IsZero() {
		item.Expires = r.expiry(item.FirstSeen)
	}
}

// expiry is when an action without a deadline is taken to be over.
func (r ActionRules) expiry(firstSeen time.Time) time.Time {
	if r.DefaultLife <= 0 {
		return firstSeen.Add(defaultLife)
	}
	return firstSeen.Add(r.DefaultLife)
}

// cutDeadline takes the prefix off a deadline category, and reports whether it is one.
func (r ActionRules) cutDeadline(category string) (string, bool) {
	prefix := newsletter.Slug(r.DeadlineCategory)
	if prefix == "" {
		return "", false
	}
	return strings.CutPrefix(newsletter.Slug(category), prefix+"-")
}

// actionWords are what the link to a petition says, or the paragraph that it is in.
var actionWords = regexp.MustCompile(`(?i)\b(sign|petitions?|call|contact|write to|take action|add your name)\b`)

// petition finds the link to sign, call or write in an action's post: the first link of a paragraph that says so by its
// prefix, else a link that says so in its own words, else one whose paragraph does, else the first that leads to
// another site, else the post itself.
func (r ActionRules) petition(blocks []block, self string) string {
	var links []link
	paragraph := map[link]string{}
	for _, b := range blocks {
		usable := petitionLinks(b, self)
		if _, ok := cutAnyPrefix(b.text, r.ParagraphPrefixes); ok && len(usable) > 0 {
			return usable[0].url
		}
		for _, l := range usable {
			links = append(links, l)
			paragraph[l] = b.text
		}
	}
	for _, fits := range []func(link) bool{
		func(l link) bool { return actionWords.MatchString(l.text) },
		func(l link) bool { return actionWords.MatchString(paragraph[l]) && hostOf(l.url) != hostOf(self) },
		func(l link) bool { return hostOf(l.url) != hostOf(self) },
	} {
		if n := slices.IndexFunc(links, fits); n >= 0 {
			return links[n].url
		}
	}
	return self
}

// shareTargets are where links lead that share a post and ask for nothing.
var shareTargets = []string{
	"facebook.com/sharer", "facebook.com/share", "facebook.com/dialog", "twitter.com/intent", "twitter.com/share", "x.com/intent", "x.com/share",
	"linkedin.com/share", "linkedin.com/cws/share", "wa.me/", "wa.me?", "api.whatsapp.com/send", "t.me/share", "telegram.me/share",
	"pinterest.com/pin/create", "reddit.com/submit", "bsky.app/intent", "threads.net/intent", "tumblr.com/share", "tumblr.com/widgets/share",
	"getpocket.com/save", "addtoany.com/", "mail.google.com/",
}

// listing finds pages of a site that list its posts: WordPress likes to link names to them.
var listing = regexp.MustCompile(`(?i)/(tag|tags|category|topics?|author|authors)/`)

var picture = regexp.MustCompile(`(?i)\.(jpe?g|png|gif|webp|avif|svg)$`)

// petitionLinks are the links of a paragraph that may be a petition: not the post itself, not a way to share it, not
// a page that lists posts, not a picture.
func petitionLinks(b block, self string) []link {
	return slices.DeleteFunc(slices.Clone(b.links), func(l link) bool {
		if hostOf(l.url) == hostOf(self) && listing.MatchString(l.url) {
			return true
		}
		return newsletter.CanonicalURL(l.url) == "" || samePage(l.url, self) || leadsToAny(l.url, shareTargets) || picture.MatchString(l.url)
	})
}

func hostOf(link string) string {
	host, _, _ := strings.Cut(newsletter.CanonicalURL(link), "/")
	return host
}

// inside finds the actions in an article: paragraphs that say so by their prefix and have a link. They share the
// article's address, categories and date; the paragraph stays where it is.
func (r ActionRules) inside(article newsletter.Item, c content, categories []string) []newsletter.Item {
	var actions []newsletter.Item
	for _, b := range c.blocks() {
		text, ok := cutAnyPrefix(b.text, r.ParagraphPrefixes)
		links := petitionLinks(b, article.URL)
		if !ok || len(links) == 0 || len(actions) == maxInside {
			continue
		}
		same := func(a newsletter.Item) bool { return samePage(a.Petition, links[0].url) }
		if slices.ContainsFunc(actions, same) {
			continue
		}
		title := cardTitle(text, links[0], article.Title)
		action := newsletter.Item{
			Kind: newsletter.Action, Feed: article.Feed, URL: article.URL, Language: article.Language, Topics: article.Topics,
			Published: article.Published, FirstSeen: article.FirstSeen, Waiting: article.Waiting,
			Title: title, Summary: afterTitle(wholeSentences(text, false), title), Petition: links[0].url,
		}
		r.setTerms(&action, categories)
		actions = append(actions, action)
	}
	return actions
}

// afterTitle is a summary without its first sentence where that is the title: a card does not say the same twice.
func afterTitle(summary, title string) string {
	if len(summary) < len(title) || !strings.EqualFold(summary[:len(title)], title) {
		return summary
	}
	rest := strings.TrimLeft(summary[len(title):], ".!?…")
	if len(rest) == len(summary)-len(title) && rest != "" { // the sentence goes on
		return summary
	}
	return strings.TrimSpace(rest)
}

// cardTitle makes a title that can stand alone from the paragraph of an action: the link's own words where they say
// enough, else the sentence that they are in, cut at a comma where it is long. A sentence of a few words is told apart by
// the article's title.
func cardTitle(paragraph string, l link, article string) string {
	title := l.text
	if isWeb(title) || len(strings.Fields(title)) < fewWords {
		title = sentenceWith(paragraph, l.text)
	}
	title = cutClause(title)
	if isWeb(title) || title == "" {
		return article
	}
	if len(strings.Fields(title)) < fewWords {
		return newsletter.OneLine(title+": "+article, maxTitle)
	}
	first, size := utf8.DecodeRuneInString(title)
	return string(unicode.ToUpper(first)) + title[size:]
}

// sentenceWith is the sentence of a text that holds some words, without its full stop.
func sentenceWith(text, words string) string {
	start := 0
	at := max(strings.Index(text, words), 0)
	for _, end := range sentenceEnds(text) {
		if end > at {
			text = text[:end]
			break
		}
		start = end
	}
	sentence := strings.TrimSpace(text[start:])
	if before, ok := strings.CutSuffix(sentence, "."); ok && !isAbbreviation(before, 0) {
		return before
	}
	return sentence
}

// cutClause shortens a long sentence at the last comma or the like that leaves a title of some length, else at a word.
func cutClause(sentence string) string {
	if utf8.RuneCountInString(sentence) <= maxCard {
		return sentence
	}
	head := firstRunes(sentence, maxCard)
	if at := strings.LastIndexAny(head, ",;:"); at > maxCard/3 {
		return head[:at]
	}
	return newsletter.OneLine(sentence, maxCard)
}

// bearsAny reports whether one of the categories is among some names.
func bearsAny(categories, names []string) bool {
	return slices.ContainsFunc(categories, func(c string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return newsletter.Slug(c) == newsletter.Slug(n) })
	})
}

// cutAnyPrefix takes the first prefix that fits off a line, in any case, and reports whether one did.
func cutAnyPrefix(line string, prefixes []string) (string, bool) {
	for _, p := range prefixes {
		p = newsletter.OneLine(p, 0)
		head := firstRunes(line, utf8.RuneCountInString(p))
		if p != "" && strings.EqualFold(head, p) {
			return strings.TrimSpace(line[len(head):]), true
		}
	}
	return line, false
}
