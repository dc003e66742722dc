package newsletter

import (
	"errors"
	"net/mail"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Reasons for refusing an address. They never repeat the address.
var (
	errNotAnAddress  = errors.New("not an e-mail address")
	errLocalLength   = errors.New("the part before the @ is longer than 64 bytes, where a letter beyond ASCII counts as two to four")
	errLocalPart     = errors.New("the part before the @ has a character that no address may have, such as an invisible one")
	errDomain        = errors.New("the part after the @ is not a domain name")
	errAddressLength = errors.New("longer than the 254 characters that SMTP can carry")
)

// Address is one e-mail address: a local part as its owner writes it, in UTF-8 that is NFC (RFC 6532 section 3.1), and a
// domain in lower-case A-label form (RFC 5890). Unless it is International it is plain ASCII and can go to any relay.
type Address string

// ParseAddress checks and normalises one bare address. net/mail is the first step only: it takes
// display names, comments, quoted local parts and domains that cannot receive mail.
// Sources of the limits: RFC 5321 section 4.5.3.1, in octets, and RFC 6531 section 3.3.
func ParseAddress(s string) (Address, error) {
	s = norm.NFC.String(strings.TrimSpace(s)) // before all checks: NFC turns some characters into ASCII ones
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s {
		return "", errNotAnAddress
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	if len(local) > 64 {
		return "", errLocalLength
	}
	if !plausibleLocalPart(local) {
		return "", errLocalPart
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !plausibleDomain(ascii) {
		return "", errDomain
	}
	if len(local)+1+len(ascii) > 254 {
		return "", errAddressLength
	}
	return Address(local + "@" + strings.ToLower(ascii)), nil
}

// plausibleLocalPart refuses what could not be told from another local part by looking, and what changes when the address is
// put between angle brackets and normalised again: a mark that would combine with the bracket.
func plausibleLocalPart(local string) bool {
	if first, _ := utf8.DecodeRuneInString(local); unicode.IsMark(first) {
		return false
	}
	return !strings.ContainsFunc(local, func(r rune) bool { return !inLocalPart(r) })
}

// inLocalPart reports whether a local part may have a character. RFC 6531 section 3.3 lets all of Unicode into an atom. What
// nobody sees stays out: controls, blanks, the format characters that turn text around or join it, fillers, variation
// selectors; and so does what means nothing: unassigned and private characters, and the mark of a broken encoding.
func inLocalPart(r rune) bool {
	const emptyBraille = '\u2800'
	if r < utf8.RuneSelf {
		return r > ' ' && r != 0x7f && !strings.ContainsRune(`"(),:;<>@[\]`, r)
	}
	return unicode.IsPrint(r) && r != utf8.RuneError && r != emptyBraille &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// plausibleDomain refuses what idna lets through: empty labels, one label alone, IP addresses.
func plausibleDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
			return false
		}
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return false
	}
	top := labels[len(labels)-1]
	return strings.ContainsFunc(top, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}

// Domain is the part behind the @.
func (a Address) Domain() string {
	return string(a[strings.LastIndexByte(string(a), '@')+1:])
}

// International reports whether the local part goes beyond ASCII. Such an address, and a message that names it, can only
// travel where the relay offers SMTPUTF8 (RFC 6531), and is written there as UTF-8.
func (a Address) International() bool {
	for i := range len(a) {
		if a[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// Folded is the form in which addresses are compared: no mail system that matters tells
// Reader@ from reader@, and treating them as two readers would mail one person twice.
// It is NFC again, for lower case may have left a letter and its mark apart.
func (a Address) Folded() string { return norm.NFC.String(strings.ToLower(string(a))) }
