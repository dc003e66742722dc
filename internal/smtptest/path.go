package smtptest

import (
	"strings"
	"unicode/utf8"
)

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	maxLocalPart = 64
	maxDomain    = 255
	maxPath      = 256 // with its angle brackets
)

// parsePath splits the argument of MAIL or RCPT, such as "FROM:<a@b> SIZE=9",
// into the address and the parameters. There is no space before the bracket
// (section 3.3). A source route is dropped (appendix C).
func parsePath(arg, prefix string) (address, params string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	path := arg[len(prefix):]
	end := closingBracket(path)
	if end < 0 || end+1 > maxPath {
		return "", "", false
	}
	address, params = path[1:end], path[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", false
	}
	if strings.HasPrefix(address, "@") {
		_, address, _ = strings.Cut(address, ":")
	}
	return address, strings.TrimSpace(params), true
}

// closingBracket finds the > that ends a path, which is not one within a
// quoted local part. It is negative where path is none.
func closingBracket(path string) int {
	if !strings.HasPrefix(path, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '>':
			return i
		}
	}
	return -1
}

// validMailbox checks an address against the grammar of RFC 5321 section 4.1.2
// as RFC 6531 section 3.3 widens it.
func validMailbox(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || !utf8.ValidString(address) {
		return false
	}
	local, domain := address[:at], address[at+1:]
	if len(local) > maxLocalPart || len(domain) > maxDomain {
		return false
	}
	return (validAtoms(local, isAtext) || validQuoted(local)) &&
		(validAtoms(domain, isLabel) || validLiteral(domain))
}

// validAtoms reports whether s is one or more atoms with dots between them.
func validAtoms(s string, allowed func(rune) bool) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !allowed(r) }) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	return isLabel(r) || strings.ContainsRune("!#$%&'*+/=?^_`{|}~", r)
}

// isLabel allows for a domain's labels. Where the hyphens stand is not checked.
func isLabel(r rune) bool {
	return r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= utf8.RuneSelf
}

func validQuoted(local string) bool {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return false
	}
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if c == '\\' && i+1 < len(inner) {
			i++
			c = 'x'
		}
		if c < ' ' || c == 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func validLiteral(domain string) bool {
	return strings.HasPrefix(domain, "[") && strings.HasSuffix(domain, "]") &&
		!strings.ContainsAny(domain[1:len(domain)-1], "[]\\ \t")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
