package ingest

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/idna"

	"dispatcher/internal/newsletter"
)

// maxContent bounds the HTML of one entry. What is larger is no article, and holds pictures inside its text at best.
const maxContent = 1 << 20

// content is the HTML of one entry as a tree, tidied: every link is absolute, and what is not for readers is gone.
type content struct {
	root *html.Node
}

// block is one paragraph in the widest sense: a run of text that no block element divides.
type block struct {
	nodes []*html.Node // the run, all of one parent
	text  string       // one line
	links []link
	prose bool // neither heading nor caption nor table
}

type link struct {
	url  string // absolute, http or https
	text string // one line
}

// readContent parses and tidies the HTML of an entry. Links are resolved against base, the entry's own address.
// HTML that is too large or nested too deep reads as nothing.
func readContent(source string, base *url.URL) content {
	root := &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	if len(source) > maxContent {
		return content{root}
	}
	nodes, err := html.ParseFragment(strings.NewReader(source), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		return content{root}
	}
	for _, n := range nodes {
		root.AppendChild(n)
	}
	tidy(root, base)
	return content{root}
}

// blocks lists the paragraphs that have text, in reading order.
func (c content) blocks() []block {
	var out []block
	collectBlocks(c.root, true, &out)
	return out
}

func collectBlocks(parent *html.Node, prose bool, out *[]block) {
	var run []*html.Node
	flush := func() {
		if text := newsletter.OneLine(textOf(run...), 0); text != "" {
			*out = append(*out, block{run, text, linksOf(run), prose})
		}
		run = nil
	}
	for n := range parent.ChildNodes() {
		switch {
		case isBlock(n):
			flush()
			collectBlocks(n, prose && !notProse[n.DataAtom] && !isCaption(n), out)
		case n.DataAtom == atom.Br && endsInBreak(run): // two line breaks end a paragraph, too
			run = append(run, n)
			flush()
		default:
			run = append(run, n)
		}
	}
	flush()
}

// endsInBreak reports whether a run ends in a line break, blanks aside.
func endsInBreak(run []*html.Node) bool {
	for _, n := range slices.Backward(run) {
		if n.Type != html.TextNode || strings.TrimSpace(n.Data) != "" {
			return n.DataAtom == atom.Br
		}
	}
	return false
}

// prose is the running text, paragraph after paragraph, without those that begin with one of some prefixes; all text
// where nothing is prose.
func (c content) prose(without []string) string {
	var prose, all []string
	for _, b := range c.blocks() {
		all = append(all, b.text)
		if _, ok := cutAnyPrefix(b.text, without); b.prose && !ok {
			prose = append(prose, b.text)
		}
	}
	if len(prose) == 0 {
		return strings.Join(all, " ")
	}
	return strings.Join(prose, " ")
}

// textOf is the text of nodes as a reader sees it, with a blank where a line ends.
func textOf(nodes ...*html.Node) string {
	var b strings.Builder
	var write func(n *html.Node)
	write = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
			return
		}
		apart := isBlock(n) || n.DataAtom == atom.Br
		if apart {
			b.WriteByte(' ')
		}
		for child := range n.ChildNodes() {
			write(child)
		}
		if apart {
			b.WriteByte(' ')
		}
	}
	for _, n := range nodes {
		write(n)
	}
	return b.String()
}

// linksOf lists the web links in nodes.
func linksOf(nodes []*html.Node) []link {
	var links []link
	for _, n := range nodes {
		if n.DataAtom == atom.A {
			if to := attribute(n.Attr, "href"); isWeb(to) {
				links = append(links, link{to, newsletter.OneLine(textOf(n), 0)})
			}
		}
		for child := range n.ChildNodes() {
			links = append(links, linksOf([]*html.Node{child})...)
		}
	}
	return links
}

// plainText reads a title, a name or a category that may hold entities and tags: one line of plain text.
func plainText(source string, limit int) string {
	if !strings.ContainsAny(source, "<&") {
		return newsletter.OneLine(source, limit)
	}
	return newsletter.OneLine(textOf(readContent(source, nil).root), limit)
}

// absolute resolves a link and makes it fit to be shown: http or https, with a host in ASCII and no password.
// It returns nil for any other.
func absolute(base *url.URL, reference string) *url.URL {
	if base == nil {
		base = &url.URL{Scheme: "https"} // for links that begin with //
	}
	u, err := base.Parse(strings.TrimSpace(reference))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	if host, err := idna.Lookup.ToASCII(u.Hostname()); err == nil && !strings.Contains(host, ":") {
		port := u.Port()
		u.Host = host
		if port != "" {
			u.Host += ":" + port
		}
	}
	u.User = nil
	return u
}

// absoluteLink is absolute as text; empty for a link that is not fit.
func absoluteLink(base *url.URL, reference string) string {
	if u := absolute(base, reference); u != nil && strings.TrimSpace(reference) != "" {
		return u.String()
	}
	return ""
}

func isWeb(link string) bool {
	return strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")
}

func attribute(attributes []html.Attribute, key string) string {
	for _, a := range attributes {
		if a.Key == key && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

func setAttribute(n *html.Node, key, value string) {
	removeAttribute(n, key)
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

func removeAttribute(n *html.Node, key string) {
	n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

// blockElements divide text. notProse are those whose text is no part of the running text.
var (
	blockElements = map[atom.Atom]bool{
		atom.P: true, atom.Div: true, atom.Blockquote: true, atom.Ul: true, atom.Ol: true, atom.Li: true, atom.Hr: true, atom.Pre: true,
		atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Figure: true, atom.Figcaption: true,
		atom.Table: true, atom.Tbody: true, atom.Thead: true, atom.Tfoot: true, atom.Td: true, atom.Th: true,
	}
	notProse = map[atom.Atom]bool{
		atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Figure: true, atom.Figcaption: true,
		atom.Table: true, atom.Pre: true,
	}
)

func isBlock(n *html.Node) bool { return n.Type == html.ElementNode && blockElements[n.DataAtom] }

// isCaption knows the captions of WordPress, before and since it had blocks.
func isCaption(n *html.Node) bool {
	return strings.Contains(attribute(n.Attr, "class"), "caption")
}
