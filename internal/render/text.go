package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"dispatcher/internal/newsletter"
)

const (
	textWidth       = 72 // columns of the text part
	leftToRightMark = "\u200e"
	rightToLeftMark = "\u200f"
)

// wrap sets one paragraph, made of parts with a blank between them, in lines of at most textWidth characters. A word that is longer,
// such as a link, gets a line of its own. Each line of a plain text is a paragraph to the bidirectional algorithm, so a line
// whose first strong letter would turn it the wrong way begins with a mark; an empty direction lets each line go its own.
func wrap(direction string, parts ...any) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(fmt.Sprintln(parts...)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			lines = append(lines, directed(line, direction))
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, directed(line, direction))
	}
	return strings.Join(lines, "\n")
}

// directed marks a line whose own letters would give it another direction.
func directed(line, direction string) string {
	switch rtl := direction == "rtl"; {
	case direction == "", newsletter.RightToLeft(line) == rtl:
		return line
	case rtl:
		return rightToLeftMark + line
	default:
		return leftToRightMark + line
	}
}

// rule is a line across the page.
func rule(character string) string { return strings.Repeat(character, textWidth) }

// tidy removes blanks at line ends and empty lines beyond one, which templates leave where parts are left out.
func tidy(text string) string {
	var b strings.Builder
	empty := 1
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			empty++
			continue
		}
		if empty > 0 && b.Len() > 0 {
			b.WriteByte('\n')
		}
		empty = 0
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// paragraphs takes the words out of sanitised HTML, block by block, until limit characters are reached or passed. A block that
// links to the petition is left out: the button says it better.
func paragraphs(body string, limit int, petition string) []string {
	root, err := html.Parse(strings.NewReader(body))
	if err != nil { // nested more deeply than any writing is: the summary has to do
		return nil
	}
	var found []string
	var current strings.Builder
	total, bullet, said := 0, "", false
	flush := func() {
		if text := newsletter.OneLine(current.String(), 0); text != "" && total < limit && !said {
			found = append(found, bullet+text)
			total += utf8.RuneCountInString(text)
			bullet = ""
		}
		current.Reset()
		said = false
	}
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode && !aside(n):
			if startsBlock(n) {
				flush()
			}
			current.WriteString(n.Data)
		case n.DataAtom == atom.A && petition != "" && newsletter.CanonicalURL(attribute(n, "href")) == newsletter.CanonicalURL(petition):
			said = true
		case isBlock(n):
			flush()
			if bullet = ""; n.DataAtom == atom.Li {
				bullet = "• "
			}
		}
	}
	flush()
	return found
}

// ending takes an editor's words apart into paragraphs, which empty lines separate, until there are enough of them.
func ending(words string) (found []string) {
	var lines []string
	left := maxEnding
	flush := func() {
		if whole := strings.Join(lines, " "); whole != "" && left > 0 {
			text := newsletter.OneLine(whole, left)
			found = append(found, text)
			left -= max(utf8.RuneCountInString(text), textWidth) // a short one takes up a line, too
			if text != whole {
				left = 0
			}
		}
		lines = nil
	}
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(words), "\n") {
		if line = newsletter.OneLine(line, 0); line == "" {
			flush()
			continue
		}
		lines = append(lines, line)
	}
	flush()
	return found
}

// startsBlock reports whether a text follows a block that has ended, in the same parent.
func startsBlock(n *html.Node) bool { return n.PrevSibling != nil && isBlock(n.PrevSibling) }

// aside reports whether a text is no part of the running text: the caption of a picture that is not shown, or code.
func aside(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.DataAtom == atom.Figure || a.DataAtom == atom.Script || a.DataAtom == atom.Style {
			return true
		}
	}
	return false
}

// isBlock reports whether an element stands on lines of its own.
func isBlock(n *html.Node) bool {
	switch n.DataAtom {
	case atom.P, atom.Div, atom.Li, atom.Ul, atom.Ol, atom.Blockquote, atom.Br, atom.Hr, atom.Figure, atom.Figcaption, atom.Pre, atom.Tr,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Section, atom.Article, atom.Header, atom.Footer:
		return true
	}
	return false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
