package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrNotPublic says that a feed, or a redirect of one, led to an address that is not on the public internet.
var ErrNotPublic = errors.New("not a public address; only a feed whose url names a private host may be there")

// specialPrefixes are the address blocks that netip does not tell from public ones: the special-purpose
// registries of RFC 6890 and the forms of IPv6 that carry an IPv4 address.
var specialPrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4-compatible, RFC 4291 section 2.5.5.1
	netip.MustParsePrefix("64:ff9b::/96"), // NAT64, RFC 6052
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/32"), // Teredo, RFC 4380
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4, RFC 3056
	netip.MustParsePrefix("fec0::/10"),
}

// privateSuffixes end names that the public DNS does not answer (RFC 6761, RFC 6762, RFC 8375).
var privateSuffixes = []string{".localhost", ".local", ".internal", ".lan", ".home.arpa"}

// guardedTransport connects to public addresses only, and to the host and port of the feed itself where its URL
// names a private one: an admin wrote that, a redirect did not. It uses no proxy, which would connect behind the guard's
// back, and no connection of another feed.
func guardedTransport(feed *url.URL) *http.Transport {
	open := &net.Dialer{Timeout: 10 * time.Second}
	guarded := &net.Dialer{Timeout: open.Timeout, Control: refusePrivate}
	private := ""
	if namesPrivate(feed.Hostname()) {
		private = net.JoinHostPort(feed.Hostname(), portOf(feed))
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == private {
				return open.DialContext(ctx, network, address)
			}
			return guarded.DialContext(ctx, network, address)
		},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 1 << 18,
	}
}

// portOf is the port that http.Transport dials for a URL.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// namesPrivate reports whether a host is a private one by its name alone: an address, localhost, a name without a
// dot as container networks have, or one under a private suffix. A public name that leads to a private address is
// not: whoever owns the name chooses the address.
func namesPrivate(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return !public(address)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return !strings.Contains(host, ".") || slices.ContainsFunc(privateSuffixes, func(suffix string) bool { return strings.HasSuffix(host, suffix) })
}

// refusePrivate is the Control of a dialer. It runs after the name was resolved, once for each address, so neither a
// redirect nor a name that changes its address gets past it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parsing address: %w", err)
	}
	if !public(target.Addr()) {
		return ErrNotPublic
	}
	return nil
}

func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(specialPrefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
