package ingest

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"dispatcher/internal/newsletter"
)

// mailPolicy is the allow-list for bodies: what every mail program shows, with no style, class or id that could meddle
// with the message around it. Tables are not in it: a mail is laid out with tables, and theirs would look like ours.
func mailPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "div", "blockquote", "ul", "ol", "li", "pre", "h2", "h3", "h4", "h5", "h6",
		"em", "strong", "b", "i", "u", "s", "sub", "sup", "code", "cite", "q", "small", "bdi", "figure", "figcaption")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^https?://`)).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowAttrs("width", "height").Matching(regexp.MustCompile(`^[0-9]{1,4}$`)).OnElements("img")
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`^(?i:ltr|rtl|auto)$`)).Globally()
	p.AllowAttrs("lang").Matching(languageTag).Globally()
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	return p
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$`)

// body writes the content as sanitised HTML.
func (c content) body(policy *bluemonday.Policy) string {
	var b strings.Builder
	for n := range c.root.ChildNodes() {
		if err := html.Render(&b, n); err != nil {
			return ""
		}
	}
	return strings.TrimSpace(policy.Sanitize(b.String()))
}

// gone are elements that go with all that is in them. renamed are those that mail does without, but whose text
// must not run into the next.
var (
	gone = map[atom.Atom]bool{
		atom.Script: true, atom.Style: true, atom.Template: true, atom.Noscript: true, atom.Iframe: true, atom.Object: true,
		atom.Embed: true, atom.Applet: true, atom.Form: true, atom.Input: true, atom.Button: true, atom.Select: true, atom.Textarea: true,
		atom.Svg: true, atom.Math: true, atom.Audio: true, atom.Video: true, atom.Canvas: true, atom.Map: true, atom.Head: true,
		atom.Title: true, atom.Meta: true, atom.Link: true, atom.Base: true, atom.Frameset: true, atom.Frame: true, atom.Noembed: true,
		atom.Noframes: true, atom.Nav: true, atom.Dialog: true, atom.Plaintext: true, atom.Xmp: true,
	}
	renamed = map[atom.Atom]atom.Atom{
		atom.H1: atom.H2, atom.Section: atom.Div, atom.Article: atom.Div, atom.Main: atom.Div, atom.Header: atom.Div, atom.Footer: atom.Div,
		atom.Aside: atom.Div, atom.Center: atom.Div, atom.Address: atom.Div, atom.Details: atom.Div, atom.Summary: atom.Div,
		atom.Fieldset: atom.Div, atom.Legend: atom.Div, atom.Dl: atom.Div, atom.Dt: atom.Div, atom.Dd: atom.Div, atom.Tr: atom.Div,
		atom.Caption: atom.Div,
	}
)

// tidy makes a tree fit to be read and sanitised, from the leaves up.
func tidy(parent *html.Node, base *url.URL) {
	for n := parent.FirstChild; n != nil; {
		next := n.NextSibling
		switch {
		case n.Type == html.TextNode:
		case n.Type != html.ElementNode || gone[n.DataAtom] || isHidden(n):
			parent.RemoveChild(n)
		default:
			tidyElement(parent, n, base)
		}
		n = next
	}
}

func tidyElement(parent, n *html.Node, base *url.URL) {
	tidy(n, base)
	if to, ok := renamed[n.DataAtom]; ok {
		n.DataAtom, n.Data = to, to.String()
	}
	switch n.DataAtom {
	case atom.A:
		if to := attribute(n.Attr, "href"); !strings.HasPrefix(strings.ToLower(to), "mailto:") {
			setAttribute(n, "href", absoluteLink(base, to))
		}
		if attribute(n.Attr, "href") == "" {
			removeAttribute(n, "href")
		}
	case atom.Img:
		tidyImage(parent, n, base)
		return
	case atom.Td, atom.Th:
		n.AppendChild(&html.Node{Type: html.TextNode, Data: " "})
	}
	if emptied[n.DataAtom] && isEmpty(n) {
		parent.RemoveChild(n)
	}
}

// emptied are elements that say nothing once nothing is in them.
var emptied = map[atom.Atom]bool{
	atom.P: true, atom.Div: true, atom.A: true, atom.Figure: true, atom.Figcaption: true, atom.Blockquote: true, atom.Ul: true, atom.Ol: true,
	atom.Li: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Strong: true, atom.Em: true,
}

func isEmpty(n *html.Node) bool {
	for child := range n.Descendants() {
		if child.DataAtom == atom.Img || child.DataAtom == atom.Hr || child.Type == html.TextNode && strings.TrimSpace(child.Data) != "" {
			return false
		}
	}
	return true
}

var hiddenStyle = regexp.MustCompile(`(?i)display\s*:\s*none|visibility\s*:\s*hidden`)

// isHidden knows what a browser would not show, and the links to the rest of a post.
func isHidden(n *html.Node) bool {
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return true
		case "style":
			if hiddenStyle.MatchString(a.Val) {
				return true
			}
		case "class":
			for class := range strings.FieldsSeq(a.Val) {
				if class == "screen-reader-text" || class == "more-link" || class == "sharedaddy" {
					return true
				}
			}
		}
	}
	return false
}

// tidyImage finds the real address of a picture that a page would load late, puts an emoji in place of its picture, and
// removes what is no picture: tracking pixels, data, avatars.
func tidyImage(parent, n *html.Node, base *url.URL) {
	src := ""
	for _, key := range []string{"src", "data-src", "data-lazy-src", "data-original"} {
		if src = absoluteLink(base, attribute(n.Attr, key)); src != "" {
			break
		}
	}
	alt := newsletter.OneLine(attribute(n.Attr, "alt"), maxTitle)
	if isEmoji(n, src) && alt != "" {
		parent.InsertBefore(&html.Node{Type: html.TextNode, Data: alt}, n)
	}
	if src == "" || isPixel(n, src) || isEmoji(n, src) || isAvatar(src) {
		parent.RemoveChild(n)
		return
	}
	setAttribute(n, "src", src)
	setAttribute(n, "alt", alt)
}

func isEmoji(n *html.Node, src string) bool {
	class := attribute(n.Attr, "class")
	return strings.Contains(class, "wp-smiley") || strings.Contains(class, "emoji") || strings.Contains(src, "/images/core/emoji/")
}

// trackers serve pictures that only count readers.
var trackers = []string{
	"pixel.wp.com/", "stats.wordpress.com/", "feeds.feedburner.com/~r/", "feedads.g.doubleclick.net/", "googleads.g.doubleclick.net/",
	"facebook.com/tr", "google-analytics.com/", "b.scorecardresearch.com/", "sb.scorecardresearch.com/", "pixel.quantserve.com/",
	"counter.theconversation.com/", "pi.feedsportal.com/", "mf.feeds.reuters.com/",
}

var tinyStyle = regexp.MustCompile(`(?i)(?:^|[;\s])(?:width|height)\s*:\s*[0-2](?:px)?\s*(?:;|$|!)`)

func isPixel(n *html.Node, src string) bool {
	for _, key := range []string{"width", "height"} {
		value := strings.TrimSuffix(strings.TrimSpace(attribute(n.Attr, key)), "px")
		if size, err := strconv.Atoi(value); err == nil && size <= 2 {
			return true
		}
	}
	return tinyStyle.MatchString(attribute(n.Attr, "style")) || leadsToAny(src, trackers)
}

func isAvatar(src string) bool {
	return strings.Contains(src, "gravatar.com/avatar")
}

// leadsToAny reports whether a link begins with one of some hosts and paths.
func leadsToAny(link string, targets []string) bool {
	canonical := newsletter.CanonicalURL(link)
	for _, target := range targets {
		if strings.HasPrefix(canonical, target) {
			return true
		}
	}
	return false
}
