package render

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

const (
	maxPreheader = 140 // runes; mail programs show fewer
	maxReminders = 12  // lines about what a digest's readers know already
)

// Page is what a mail template is run on. The same page is made twice, with HTML in the fields of type template.HTML for the HTML
// template and plain text there for the text template.
type Page struct {
	Subject   string
	Preheader string            // what mail programs show behind the subject
	Attr      template.HTMLAttr // lang and dir
	Direction string            // ltr or rtl
	Align     string            // left or right
	Words     *Words

	Publisher     string
	PublisherURL  string
	PostalAddress string
	List          string // title
	Description   string // of the list; may be empty
	Date          string

	Greeting  template.HTML
	Contents  string
	Opening   string        // of a reminder or an update: why it comes
	Lead      *Story        // a digest's first article, nil when there is none; of the other kinds: the first action
	Actions   []Story       // without the lead
	ActFirst  bool          // the actions stand before the lead
	Stories   []Story       // articles after the lead
	Brief     []Story       // items for which there is room for the title only
	More      template.HTML // says that there are items for which there is no room at all; or empty
	Reminders []Story       // of a digest: actions that its readers know already and that are still open

	Why         template.HTML
	Leave       template.HTML
	Unsubscribe string // URL
}

// layout makes the page of one content, for one medium.
type layout struct {
	content newsletter.Content
	words   *Words
	all     *catalogue
	zone    *time.Location
	marks   marks
	html    bool
}

// page lays out the content. So that a mail keeps its size, shrunk says how much gives way: the last reminders lose their place, then
// the last items their text, and then their place too.
func (l layout) page(p newsletter.Publisher, subject string, shrunk int) Page {
	list, publisher := title(l.content.List), newsletter.OneLine(p.Name, maxName)
	page := Page{
		Subject:       subject,
		Attr:          attributes(l.words.tag.String(), l.words.Direction),
		Direction:     l.words.Direction,
		Align:         alignment(l.words.Direction),
		Words:         l.words,
		Publisher:     publisher,
		PublisherURL:  p.PublicURL,
		PostalAddress: newsletter.OneLine(p.PostalAddress, 0),
		List:          list,
		Description:   newsletter.OneLine(l.content.List.Description, maxSummary),
		Date:          l.words.day(l.content.Moment.In(l.zone)),
		Greeting:      l.greeting(),
		Contents:      l.contents(),
		Opening:       l.opening(),
		Why:           l.phrase(l.words.Why, "list", list, "publisher", publisher),
		Leave:         l.phrase(l.words.Leave, "list", list),
		Unsubscribe:   l.marks.hole(holeTextLink),
	}
	if l.html {
		page.Unsubscribe = l.marks.hole(holeHTMLLink)
	}
	gone := min(shrunk, len(l.content.Reminders))
	for _, item := range l.content.Reminders[:len(l.content.Reminders)-gone] {
		page.Reminders = append(page.Reminders, l.story(item))
	}
	if left := l.place(&page, shrunk-gone); left > 0 {
		page.More = l.phrase(l.words.count(l.words.More, left), "publisher", publisher)
	}
	page.Preheader = l.preheader(page)
	return page
}

// place puts the items where they belong on the page and returns how many found no room.
func (l layout) place(page *Page, shrunk int) (left int) {
	lead := leadIndex(l.content)
	full, brief, left := shrink(l.content.Items, lead, shrunk)
	for i, item := range l.content.Items {
		switch {
		case i == lead:
			story := l.story(item)
			if l.content.Kind == newsletter.Alert {
				story.Summary, story.Paragraphs = telling(item)
			}
			page.Lead = &story
		case brief[i]:
			page.Brief = append(page.Brief, l.story(item))
		case full[i] && item.Kind == newsletter.Action:
			page.ActFirst = page.ActFirst || i < lead
			page.Actions = append(page.Actions, l.story(item))
		case full[i]:
			page.Stories = append(page.Stories, l.story(item))
		}
	}
	return left
}

// leadIndex is the place of the item that is shown big, -1 when there is none.
func leadIndex(c newsletter.Content) int {
	kind := newsletter.Action
	if c.Kind == newsletter.Digest {
		kind = newsletter.Article
	}
	return slices.IndexFunc(c.Items, func(i newsletter.Item) bool { return i.Kind == kind })
}

// shrink says which items are shown in full, which by their title, and how many are left out. Articles give way before
// actions, the last ones first, and the lead stays.
func shrink(items []newsletter.Item, lead, shrunk int) (full, brief map[int]bool, left int) {
	var order []int
	for _, kind := range []newsletter.ItemKind{newsletter.Article, newsletter.Action} {
		for i := len(items) - 1; i >= 0; i-- {
			if i != lead && items[i].Kind == kind {
				order = append(order, i)
			}
		}
	}
	left = max(0, shrunk-len(order))
	full, brief = map[int]bool{}, map[int]bool{}
	for n, i := range order {
		full[i] = n >= shrunk
		brief[i] = n < shrunk && n >= left
	}
	return full, brief, left
}

// phrase puts values into one of our phrases. In HTML they are isolated, for they may run in another direction.
func (l layout) phrase(pattern string, pairs ...string) template.HTML {
	if l.html {
		pattern = template.HTMLEscapeString(pattern)
		for i := 1; i < len(pairs); i += 2 {
			pairs[i] = "<bdi>" + template.HTMLEscapeString(pairs[i]) + "</bdi>"
		}
	}
	return template.HTML(put(pattern, pairs...))
}

// greeting is the line that addresses the reader, in both its forms, between the marks that choose.
func (l layout) greeting() template.HTML {
	name, nameless, mark := l.marks.hole(holeTextName), l.words.GreetingNameless, ""
	if l.html {
		name = "<bdi>" + l.marks.hole(holeHTMLName) + "</bdi>"
		nameless = template.HTMLEscapeString(nameless)
	} else if l.words.Direction == "rtl" {
		mark = rightToLeftMark // the name may begin with Latin letters
	}
	pattern := l.words.Greeting
	if l.html {
		pattern = template.HTMLEscapeString(pattern)
	}
	return template.HTML(mark + l.marks.hole(markNamed) + put(pattern, "name", name) +
		l.marks.hole(markNameless) + nameless + l.marks.hole(markEveryone))
}

// contents says what is in the edition.
func (l layout) contents() string {
	stories := 0
	for _, i := range l.content.Items {
		if i.Kind == newsletter.Article {
			stories++
		}
	}
	actions := len(l.content.Items) - stories
	first, second := l.words.count(l.words.Stories, stories), l.words.count(l.words.Actions, actions)
	switch {
	case stories == 0:
		return put(l.words.Contents, "first", second)
	case actions == 0:
		return put(l.words.Contents, "first", first)
	}
	return put(l.words.ContentsBoth, "first", first, "second", second)
}

// opening says why a reminder or an update comes.
func (l layout) opening() string {
	switch {
	case l.content.Kind == newsletter.Reminder:
		return l.words.Reminder
	case l.content.Kind != newsletter.Update:
		return ""
	case l.content.Items[0].Won:
		return l.words.GoodNews
	}
	return l.words.HowItEnded
}

// preheader tells what the subject does not: when an action closes and why to act, or how it ended, or what else a digest has, or
// how its only story begins.
func (l layout) preheader(p Page) string {
	var others, lead []string
	for _, stories := range [][]Story{p.Actions, p.Stories, p.Brief} {
		for _, s := range stories {
			others = append(others, s.Title)
		}
	}
	if p.Lead != nil {
		lead = append([]string{p.Lead.Closes, p.Lead.Summary}, p.Lead.Paragraphs...)
	}
	if len(others) == 0 || (p.Lead != nil && l.content.Kind != newsletter.Digest) {
		others = slices.DeleteFunc(append(lead, p.Opening), func(s string) bool { return s == "" })
	}
	return newsletter.OneLine(strings.Join(others, " · "), maxPreheader)
}

// title is what a list is called.
func title(l newsletter.List) string {
	if t := newsletter.OneLine(l.Title, maxName); t != "" {
		return t
	}
	return l.ID
}
