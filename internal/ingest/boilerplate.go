package ingest

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"

	"dispatcher/internal/newsletter"
)

var (
	// appearedFirst is the footer that WordPress's most used plugin puts under each post in a feed.
	appearedFirst = regexp.MustCompile(`(?i)^The (post|article|entry) .* (appeared first|first appeared) (on|in|at) .*$`)
	// readOn is the invitation that some themes put behind an excerpt.
	readOn = regexp.MustCompile(`(^|[\s.!?…\]”"»])(Continue reading|Read more|Read the rest|Keep reading)\b[^.!?]*[.!?…→»\s]*$`)
	// openEndings are how a generated excerpt breaks off.
	openEndings = []string{"[…]", "[...]", "[ … ]", "[ ... ]", "[&hellip;]", "(more…)", "(more...)", "…", "..."}
)

// dropBoilerplate takes out what the publisher's software added to a post that is at a URL and has a title: the footer
// that leads back to the post, and the open ending of an excerpt.
func (c content) dropBoilerplate(self, title string) {
	blocks := c.blocks()
	for _, b := range blocks {
		if isFooter(b, self, title) {
			b.remove()
		}
	}
	if blocks = c.blocks(); len(blocks) > 0 {
		blocks[len(blocks)-1].closeEnding()
	}
}

// isFooter knows "The post … appeared first on …" in English by its words, and in any language by its shape: a short
// line whose first link bears the post's title and leads to the post.
func isFooter(b block, self, title string) bool {
	if len(b.links) == 0 {
		return false
	}
	if appearedFirst.MatchString(b.text) {
		return true
	}
	first := b.links[0]
	if len(b.links) != 2 || newsletter.Slug(first.text) != newsletter.Slug(title) || !samePage(first.url, self) {
		return false
	}
	return utf8.RuneCountInString(b.text) <= utf8.RuneCountInString(first.text)+utf8.RuneCountInString(b.links[1].text)+60
}

// samePage reports whether two links lead to the same page.
func samePage(a, b string) bool {
	canonical := newsletter.CanonicalURL(a)
	return canonical != "" && canonical == newsletter.CanonicalURL(b)
}

// remove takes the paragraph out of its tree, with the elements that are empty without it.
func (b block) remove() {
	parent := b.nodes[0].Parent
	for _, n := range b.nodes {
		parent.RemoveChild(n)
	}
	for parent.Parent != nil && emptied[parent.DataAtom] && isEmpty(parent) {
		up := parent.Parent
		up.RemoveChild(parent)
		parent = up
	}
}

// closeEnding makes "the moment […]" end as "the moment…".
func (b block) closeEnding() {
	last := lastText(b.nodes)
	if last == nil || !strings.HasSuffix(strings.TrimSpace(last.Data), "]") {
		return
	}
	if text, cut := cutEnding(last.Data); cut {
		last.Data = strings.TrimRight(text, " ") + "…"
	}
}

func lastText(nodes []*html.Node) *html.Node {
	var last *html.Node
	for _, n := range nodes {
		if n.Type == html.TextNode && strings.TrimSpace(n.Data) != "" {
			last = n
		}
		for child := range n.Descendants() {
			if child.Type == html.TextNode && strings.TrimSpace(child.Data) != "" {
				last = child
			}
		}
	}
	return last
}

// cutEnding takes "[…]", "Continue reading …" and their like off the end of a text, and reports whether there was one.
func cutEnding(text string) (string, bool) {
	whole := strings.TrimSpace(text)
	text = cutInvitation(whole)
	for {
		shorter := cutOneEnding(text)
		if shorter == text {
			return text, text != whole
		}
		text = shorter
	}
}

func cutOneEnding(text string) string {
	bare := strings.TrimRight(text, " →»")
	for _, ending := range openEndings {
		if rest, ok := strings.CutSuffix(bare, ending); ok {
			return strings.TrimSpace(rest)
		}
	}
	return text
}

// cutInvitation looks for the invitation in the last few hundred bytes only: the text may be very long.
func cutInvitation(text string) string {
	from := max(len(text)-400, 0)
	for from < len(text) && !utf8.RuneStart(text[from]) {
		from++
	}
	at := readOn.FindStringSubmatchIndex(text[from:])
	if at == nil {
		return text
	}
	return strings.TrimSpace(text[:from+at[3]]) // up to the mark that ends the sentence before
}
