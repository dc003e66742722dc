package newsletter

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine makes text from outside harmless for a header, a subject or a line of plain text:
// valid UTF-8, control characters and line ends become blanks, bidirectional controls and other
// invisible format characters go (except the joiners that Persian and emoji need), blanks are
// folded, and the whole is at most limit runes, cut at a word with an ellipsis. Limit 0 cuts nothing.
func OneLine(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200c' || r == '\u200d': // ZWNJ and ZWJ carry meaning
			return r
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, text)
	return cut(strings.Join(strings.Fields(text), " "), limit)
}

// cut shortens text to limit runes, at the end of a word where one is near.
func cut(text string, limit int) string {
	if limit <= 0 || utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)[:limit-1]
	short := string(runes)
	if i := strings.LastIndexByte(short, ' '); i > len(short)*2/3 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,;:-–—") + "…"
}

// anAddress finds what looks like an e-mail address, in whatever brackets and script, even in bytes that are no UTF-8, and takes
// rather too much than too little: quoted local parts, encoded words, links, and addresses within the address of a forwarder.
var anAddress = regexp.MustCompile(`(?:"[^"]*"|[^\s<>()\[\]",;:]+)(?:@|%40)[^\s<>()\[\]"',;:=]*`)

// Redact takes every e-mail address out of text that is about to be logged or kept: relays and libraries like to
// repeat the recipient.
func Redact(text string) string {
	return anAddress.ReplaceAllString(text, "[address]")
}

// RightToLeft reports whether text reads from right to left, by its first strong letter.
func RightToLeft(text string) bool {
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam):
			if unicode.IsLetter(r) {
				return true
			}
		case unicode.IsLetter(r):
			return false
		}
	}
	return false
}
