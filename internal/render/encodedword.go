package render

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	maxWord     = 75                  // characters of an encoded word (RFC 2047 section 2)
	wordWrapper = len("=?UTF-8?B??=") // what is not content
	maxLine     = 76                  // characters of a line that holds encoded words, the same section
)

// appendPhrase adds a display name (RFC 5322 section 3.2.5) that starts in column col: a quoted string where it is short and ASCII,
// otherwise encoded words (RFC 2047) with sep between them. The text must be one line without control characters.
func appendPhrase(dst []byte, text string, col int, sep string) []byte {
	quotes := strings.Count(text, `"`) + strings.Count(text, `\`)
	if !isASCII(text) || strings.Contains(text, "=?") || col+len(text)+quotes+len(`""`) > maxLine {
		return appendWords(dst, text, col, sep)
	}
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}

// appendWords adds text as encoded words, the first of which starts in column col, each of whole characters
// (RFC 2047 section 5) and with sep between them. It picks the shorter of the two encodings.
func appendWords(dst []byte, text string, col int, sep string) []byte {
	other := 0
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			other++
		}
	}
	base64ed := len(text)*4/3 < len(text)+2*other
	room := min(maxWord, maxLine-col) - wordWrapper
	for text != "" {
		n := wordLength(text, room, base64ed)
		if base64ed {
			var chunk [maxWord]byte // a conversion of text would allocate
			copy(chunk[:], text[:n])
			dst = append(dst, "=?UTF-8?B?"...)
			dst = base64.StdEncoding.AppendEncode(dst, chunk[:n])
		} else {
			dst = append(dst, "=?UTF-8?Q?"...)
			dst = appendQ(dst, text[:n])
		}
		dst = append(dst, "?="...)
		if text = text[n:]; text != "" {
			dst = append(dst, sep...)
		}
		room = maxWord - wordWrapper
	}
	return dst
}

// wordLength is how many bytes of text, in whole characters, fit into a word's room.
func wordLength(text string, room int, base64ed bool) int {
	if base64ed {
		room = room / 4 * 3
	}
	n, used := 0, 0
	for n < len(text) {
		_, size := utf8.DecodeRuneInString(text[n:])
		cost := size
		if !base64ed && !plainInQ(text[n]) && text[n] != ' ' {
			cost = 3 * size
		}
		if used += cost; used > room {
			break
		}
		n += size
	}
	return n
}

// appendQ adds s in the Q encoding, in its strictest form, that of a phrase (RFC 2047 section 5 (3)).
func appendQ(dst []byte, s string) []byte {
	for i := range len(s) {
		switch {
		case s[i] == ' ':
			dst = append(dst, '_')
		case plainInQ(s[i]):
			dst = append(dst, s[i])
		default:
			dst = appendHex(dst, s[i:i+1])
		}
	}
	return dst
}

func plainInQ(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '!' || c == '*' || c == '+' || c == '/'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
