package render

import (
	"bytes"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

const (
	maxName = 80 // runes of a reader's name that are shown
	qpLine  = 75 // characters before the soft break (RFC 2045 section 6.7 (5))
	hexits  = "0123456789ABCDEF"
	rfcDate = time.RFC1123Z // a date-time of RFC 5322 section 3.3
)

// Append adds one reader's message (RFC 5322) to dst: lines end in CRLF, dots at line starts are not yet doubled. For a
// name that is one clean line, as the store hands them out, it allocates nothing but what dst needs to grow.
func (m *Message) Append(dst []byte, p newsletter.Personal) []byte {
	return m.append(dst, p, false)
}

// AppendStuffed is Append with the dots at line starts doubled, as DATA takes them (RFC 5321 section 4.5.2). What is
// spliced in never begins a line with a dot.
func (m *Message) AppendStuffed(dst []byte, p newsletter.Personal) []byte {
	return m.append(dst, p, true)
}

func (m *Message) append(dst []byte, p newsletter.Personal, stuffed bool) []byte {
	name, link := clean(p)
	skip := skipped(name)
	for i := range m.pieces {
		piece := &m.pieces[i]
		if piece.when == skip {
			continue
		}
		switch piece.hole {
		case 0:
			fixed := piece.fixed
			if stuffed {
				fixed = piece.wire
			}
			dst = append(dst, fixed...)
		case holeTo:
			dst = appendRecipient(dst, name, string(p.Address))
		case holeDate:
			dst = p.Date.AppendFormat(dst, rfcDate)
		case holeMessageID:
			dst = append(append(append(dst, '<'), visible(p.MessageID)...), '>')
		case holeFollows:
			dst = appendFollows(dst, piece.fixed, visible(p.Follows))
		case holeListUnsubscribe:
			dst = append(append(append(dst, '<'), link...), '>')
			if p.Mailto != "" {
				dst = append(append(append(dst, ", <"...), visible(p.Mailto)...), '>')
			}
		case holeTextName:
			dst = appendQuoted(dst, name, false)
		case holeTextLink:
			dst = appendQuoted(dst, link, false)
		case holeHTMLName:
			dst = appendQuoted(dst, name, true)
		case holeHTMLLink:
			dst = appendQuoted(dst, link, true)
		}
	}
	return dst
}

// appendFollows adds a field that names the message which this one answers, if there is one.
func appendFollows(dst, field []byte, id string) []byte {
	if id == "" {
		return dst
	}
	dst = append(append(dst, field...), '<')
	return append(append(dst, id...), ">\r\n"...)
}

// appendPlain fills the holes of a text or HTML part that has not been encoded.
func appendPlain(dst []byte, pieces []piece, p newsletter.Personal) []byte {
	name, link := clean(p)
	skip := skipped(name)
	for _, piece := range pieces {
		if piece.when == skip {
			continue
		}
		switch piece.hole {
		case 0:
			dst = append(dst, piece.fixed...)
		case holeTextName:
			dst = append(dst, name...)
		case holeTextLink:
			dst = append(dst, link...)
		case holeHTMLName:
			dst = appendEscaped(dst, name)
		case holeHTMLLink:
			dst = appendEscaped(dst, link)
		}
	}
	return dst
}

// clean makes what is spliced in harmless, wherever it goes.
func clean(p newsletter.Personal) (name, link string) {
	name = p.Name
	if !oneCleanLine(name) {
		name = newsletter.OneLine(name, maxName)
	}
	return name, visible(p.Unsubscribe)
}

// skipped is the condition that does not hold for a reader.
func skipped(name string) byte {
	if name == "" {
		return markNamed
	}
	return markNameless
}

// oneCleanLine reports, without allocating, that newsletter.OneLine would leave a name as it is.
func oneCleanLine(name string) bool {
	runes, blank := 0, true
	for _, r := range name {
		runes++
		switch {
		case r == ' ' && blank, r == utf8.RuneError:
			return false
		case r != '\u200c' && r != '\u200d' && !unicode.IsPrint(r):
			return false
		}
		blank = r == ' '
	}
	return runes <= maxName && (!blank || name == "")
}

// visible drops from a URI or id all that could end or escape the field it stands in. The fast path is what it always is.
func visible(s string) string {
	for i := range len(s) {
		if !isVisible(rune(s[i])) {
			return only(isVisible, s)
		}
	}
	return s
}

func isVisible(r rune) bool { return r > ' ' && r < 0x7f && r != '<' && r != '>' && r != '"' }

// mailbox is visible for a reader's address, which may go beyond ASCII: it stays in UTF-8 (RFC 6532 section 3.2), for an
// encoded word has no place in an address (RFC 2047 section 5), and the message travels where the relay offers SMTPUTF8.
func mailbox(address string) string {
	for _, r := range address {
		if !inMailbox(r) {
			return only(inMailbox, address)
		}
	}
	return address
}

func inMailbox(r rune) bool {
	return isVisible(r) || r >= utf8.RuneSelf && r != utf8.RuneError && unicode.IsPrint(r)
}

// only leaves out of s what is not allowed.
func only(allowed func(rune) bool, s string) string {
	return strings.Map(func(r rune) rune {
		if allowed(r) {
			return r
		}
		return -1
	}, s)
}

// appendRecipient adds a mailbox (RFC 5322 section 3.4) as the value of a To field, folded.
func appendRecipient(dst []byte, name, address string) []byte {
	const field = len("To: ")
	address = mailbox(address)
	start := len(dst) - field
	if name != "" {
		dst = appendPhrase(dst, name, field, "\r\n ")
		if line := bytes.LastIndexByte(dst[start:], '\n'); line >= 0 {
			start += line + 1
		}
		if len(dst)-start+len(" <>")+len(address) > 78 {
			dst = append(dst, "\r\n"...)
		}
		dst = append(dst, ' ')
	}
	return append(append(append(dst, '<'), address...), '>')
}

// appendQuoted adds s in quoted-printable lines of its own (RFC 2045 section 6.7), the last one ended by a soft break
// too. It begins in column 0. Characters are kept whole; s is HTML-escaped on the way if asked for.
func appendQuoted(dst []byte, s string, escape bool) []byte {
	col := 0
	for s != "" {
		if run := plainRun(s[:min(len(s), qpLine-col)], escape); run > 0 && (col > 0 || !unsafeAtLineStart(s)) {
			dst = append(dst, s[:run]...)
			col += run
			s = s[run:]
			continue
		}
		_, size := utf8.DecodeRuneInString(s)
		entity, width := "", 3*size
		if escape && entities[s[0]] != "" {
			entity = entities[s[0]]
			width = len(entity)
		}
		if col+width > qpLine {
			dst = append(dst, softBreak...)
			col = 0
			continue
		}
		if entity != "" {
			dst = append(dst, entity...)
		} else {
			dst = appendHex(dst, s[:size])
		}
		col += width
		s = s[size:]
	}
	if col > 0 {
		dst = append(dst, softBreak...)
	}
	return dst
}

// plainRun is how many bytes at the start of s need neither encoding nor, in HTML, escaping. A blank does not: a soft
// break always follows it.
func plainRun(s string, escape bool) int {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == '=' || escape && (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'') {
			return i
		}
	}
	return len(s)
}

// unsafeAtLineStart names what mail systems take for something else at the start of a line: the dot of SMTP, the
// dashes of a MIME boundary, the separator of an mbox.
func unsafeAtLineStart(s string) bool {
	return s[0] == '.' || s[0] == '-' || (s[0] == 'F' && strings.HasPrefix(s, "From "))
}

// appendHex adds bytes in the form =XX that quoted-printable and the Q encoding share.
func appendHex(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, '=', hexits[s[i]>>4], hexits[s[i]&15])
	}
	return dst
}

// entities are what HTML text and quoted attributes cannot hold as it is.
var entities = [256]string{'<': "&lt;", '>': "&gt;", '&': "&amp;", '"': "&#34;", '\'': "&#39;"}

func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		if e := entities[s[i]]; e != "" {
			dst = append(dst, e...)
		} else {
			dst = append(dst, s[i])
		}
	}
	return dst
}
