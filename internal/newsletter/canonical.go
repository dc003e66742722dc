package newsletter

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// trackingParameters are query keys that say where a reader came from, not what is shown.
var trackingParameters = []string{
	"fbclid", "gclid", "gbraid", "wbraid", "msclkid", "dclid", "yclid", "twclid", "igshid", "mc_cid", "mc_eid",
	"ref", "ref_src", "referrer", "source", "share", "cmpid", "ncid", "spm", "_hsenc", "_hsmi", "amp",
}

// CanonicalURL folds a link to the form in which identities are compared: no scheme, host in
// lower case without "www." and default port, no tracking parameters, the rest of the query
// sorted, no fragment unless it is a route ("#!", "#/"), no trailing slash. It is never shown or
// followed. Empty when the link is not http or https.
func CanonicalURL(link string) string {
	u, err := url.Parse(strings.TrimSpace(link))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return ""
	}
	host := strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), "www.")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	if p := u.Port(); p != "" && p != "80" && p != "443" {
		host += ":" + p
	}
	query := u.Query()
	for key := range query {
		low := strings.ToLower(key)
		if strings.HasPrefix(low, "utm_") || slices.Contains(trackingParameters, low) {
			query.Del(key)
		}
	}
	p := u.EscapedPath()
	if p != "" {
		p = strings.TrimSuffix(path.Clean("/"+p), "/")
	}
	canonical := host + p
	if len(query) > 0 {
		canonical += "?" + query.Encode()
	}
	if strings.HasPrefix(u.Fragment, "!") || strings.HasPrefix(u.Fragment, "/") {
		canonical += "#" + u.EscapedFragment()
	}
	return canonical
}

// Identities are the names under which an item is known, the surest first. Two items that share
// one are the same. An action is its petition, wherever it was found; an article is its feed's
// guid, with its canonical URL and its title on its day as aliases, so that a site migration does
// not mail old posts again. An action that is a post of its own also has the post's names, so
// that the same post is known again when its petition link was edited.
func (i Item) Identities() []string {
	var ids []string
	add := func(kind, value string) {
		if value != "" {
			ids = append(ids, kind+":"+value)
		}
	}
	if i.Kind == Action {
		add("petition", CanonicalURL(i.Petition))
		if i.GUID == "" { // found inside an article, whose URL it bears, or in a file
			return ids
		}
	}
	if i.GUID != "" {
		add("guid", i.Feed+" "+i.GUID)
	}
	add("url", CanonicalURL(i.URL))
	add("title", titleOnDay(i.Title, i.Published))
	return ids
}

// titleOnDay names an article by what it is called and when it was published (UTC). A short title such
// as "Editorial" names nothing, and neither does a title without a date.
func titleOnDay(title string, published time.Time) string {
	slug := Slug(title)
	if published.IsZero() || (strings.Count(slug, "-") < 3 && utf8.RuneCountInString(slug) < 16) {
		return ""
	}
	return published.UTC().Format(time.DateOnly) + " " + slug
}
