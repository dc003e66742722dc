package newsletter

import (
	"errors"
	"net/mail"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Reasons for refusing an address. They never repeat the address.
var (
	errNotAnAddress  = errors.New("not an e-mail address")
	errLocalPart     = errors.New("the part before the @ must be 1 to 64 plain ASCII characters")
	errDomain        = errors.New("the part after the @ is not a domain name")
	errAddressLength = errors.New("longer than the 254 characters that SMTP can carry")
)

// Address is one e-mail address: a local part as its owner writes it, and a domain in lower-case
// A-label form (RFC 5890), so that it is plain ASCII and can go to any relay.
type Address string

// ParseAddress checks and normalises one bare address. net/mail is the first step only: it takes
// display names, comments, quoted local parts and domains that cannot receive mail.
// Source of the limits: RFC 5321 section 4.5.3.1.
func ParseAddress(s string) (Address, error) {
	s = strings.TrimSpace(s)
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s {
		return "", errNotAnAddress
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	if len(local) > 64 || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),:;<>@[\]`, r) }) {
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

// Folded is the form in which addresses are compared: no mail system that matters tells
// Reader@ from reader@, and treating them as two readers would mail one person twice.
func (a Address) Folded() string { return strings.ToLower(string(a)) }
