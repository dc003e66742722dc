package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"dispatcher/internal/newsletter"
)

// checker makes a decoded config complete and checks what it means. It fills in the defaults that
// depend on other keys, then reports on each key by its dotted path.
type checker struct {
	*report
	cfg            *Config
	dir            string // of the config file
	credentials    string // where systemd puts credentials; may be empty
	stateDirectory string // from systemd; may be empty, may be several
}

func (c *checker) check() {
	c.publicURL()
	c.formerURLs()
	c.publisher()
	c.plainAddress("unsubscribe_address", &c.cfg.UnsubscribeAddress)
	c.plainAddress("bounce_address", &c.cfg.BounceAddress)
	c.oneOf("durability", c.cfg.Durability, "full", "normal")
	c.oneOf("on_unknown.alert", c.cfg.OnUnknown.Alert, "retry", "hold")
	c.oneOf("on_unknown.digest", c.cfg.OnUnknown.Digest, "retry", "hold")
	c.relays()
	c.feeds()
	c.topics()
	c.lists()
	c.alerts()
	c.oneOf("action_links", c.cfg.ActionLinks, "direct", "stable")
	c.rehearsal()
	c.http()
	c.oneOf("log.level", c.cfg.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", c.cfg.Log.Format, "text", "json")
	c.directories()
	c.retention()
}

func (c *checker) publicURL() {
	const key = "public_url"
	if c.cfg.PublicURL == "" {
		c.missing(key, "give the address under which readers reach this server, such as https://news.example.org")
		return
	}
	c.cfg.PublicURL = c.linkBase(key, c.cfg.PublicURL)
}

// formerURLs checks the addresses under which the links of old mail lead here.
func (c *checker) formerURLs() {
	taken := map[string]string{strings.ToLower(c.cfg.PublicURL): "public_url"}
	for i, text := range c.cfg.FormerURLs {
		key := element("former_urls", i)
		c.cfg.FormerURLs[i] = c.linkBase(key, text)
		c.unique(taken, key, c.cfg.FormerURLs[i])
	}
}

// linkBase checks the address with which links begin. It gives it back without a trailing slash.
func (c *checker) linkBase(key, text string) string {
	u, ok := c.webAddress(key, text)
	switch {
	case !ok:
	case u.Scheme == "http" && !loopback(u.Hostname()):
		c.problem(key, text, "is not https", "readers' links carry personal tokens: use https (http is for trying on this machine only)")
	case strings.ContainsAny(text, "?#"):
		c.problem(key, text, "has a query or a fragment", "leave out what begins with ? or #")
	}
	return strings.TrimRight(text, "/")
}

// webAddress reads an http or https URL. One with a user name or password in it is never shown.
func (c *checker) webAddress(key, text string) (*url.URL, bool) {
	shown := text
	if strings.Contains(text, "@") {
		shown = ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.problem(key, shown, "is not a web address", "write it in full, beginning with https://")
	case u.User != nil:
		c.problem(key, "", "has a user name or password in it", "take it out, up to the @")
	default:
		return u, true
	}
	return nil, false
}

func (c *checker) publisher() {
	p := &c.cfg.Publisher
	c.required("publisher.name", p.Name, "give the name that readers see as the sender")
	c.oneLine("publisher.name", p.Name)
	if p.From == "" {
		c.missing("publisher.from", "give the address that mail comes from, such as news@example.org")
	}
	c.plainAddress("publisher.from", &p.From)
	c.plainAddress("publisher.reply_to", &p.ReplyTo)
	c.required("publisher.postal_address", p.PostalAddress, "give a postal address: the law of many countries wants it in every mail")
}

// plainAddress checks an address that readers' mail systems are to answer: each must be able to, RFC 6531 or not.
func (c *checker) plainAddress(key string, a *newsletter.Address) {
	c.address(key, a)
	if a.International() {
		c.problem(key, string(*a), "has letters beyond ASCII before the @, which many mail systems cannot answer", "use a plain one, such as news@example.org")
	}
}

// address checks and normalises one bare address; empty is none.
func (c *checker) address(key string, a *newsletter.Address) {
	if *a == "" {
		return
	}
	normal, err := newsletter.ParseAddress(string(*a))
	if err != nil {
		c.problem(key, string(*a), "cannot be used: "+err.Error(), "write one plain address, such as news@example.org, without a name")
		return
	}
	*a = normal
}

func (c *checker) rehearsal() {
	for i := range c.cfg.ProofTo {
		key := element("proof_to", i)
		if c.cfg.ProofTo[i] == "" {
			c.problem(key, "", "is empty", "write an address, or take the element out")
		}
		c.address(key, &c.cfg.ProofTo[i])
	}
	if c.cfg.Rehearsal && len(c.cfg.ProofTo) == 0 {
		c.problem("rehearsal", "true", "has nobody to mail to", "give the addresses of those who look at it under proof_to")
	}
}

// withoutEffect checks the shape of a value that nothing uses yet, and says so.
func (c *checker) withoutEffect(key, value string, parse func(string) error, instead string) {
	if !c.source.given(key) {
		return
	}
	if err := parse(value); err != nil {
		what, cure := explain(err)
		c.problem(key, value, what, cure)
		return
	}
	c.warn(key, value, "has no effect in this version: "+instead, "")
}

func (c *checker) http() {
	h := c.cfg.HTTP
	c.hostPort("http.listen", h.Listen)
	c.hostPort("http.admin_listen", h.AdminListen)
	_, port, _ := net.SplitHostPort(h.Listen)
	if h.Listen == h.AdminListen && port != "0" {
		c.problem("http.admin_listen", h.AdminListen, "is the same as http.listen", "give the admin listener a port of its own")
	}
	if host, _, err := net.SplitHostPort(h.AdminListen); err == nil && !loopback(host) {
		c.warn("http.admin_listen", h.AdminListen, "can be reached from other machines", "listen on 127.0.0.1 unless something else keeps strangers out")
	}
}

func (c *checker) hostPort(key, value string) {
	_, port, err := net.SplitHostPort(value)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		c.problem(key, value, "is no place to listen", "write host:port, such as 127.0.0.1:8080")
	}
}

func (c *checker) directories() {
	switch first, _, _ := strings.Cut(c.stateDirectory, ":"); {
	case c.cfg.DataDir != "":
		c.cfg.DataDir = c.path(c.cfg.DataDir)
	case first != "":
		c.cfg.DataDir = first
	default:
		c.cfg.DataDir = c.path("data")
	}
	if c.cfg.TemplatesDir == "" {
		return
	}
	c.cfg.TemplatesDir = c.path(c.cfg.TemplatesDir)
	if info, err := os.Stat(c.cfg.TemplatesDir); err != nil || !info.IsDir() {
		c.problem("templates_dir", c.cfg.TemplatesDir, "is not a folder that can be read", "name the folder with your templates, or take the line out")
	}
}

// retention checks how long what became of each copy is kept. Reports come back for weeks, and first waves and editors look at
// the last editions.
func (c *checker) retention() {
	if keep := c.cfg.KeepDeliveries; keep != 0 && keep < 60*day {
		c.problem("keep_deliveries", spell(keep), "is too short", "write 60d or more, or 0s to keep them for good")
	}
}

// path is a path of the config as seen from the config file's folder.
func (c *checker) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.dir, p)
}

func (c *checker) required(key, value, cure string) {
	if strings.TrimSpace(value) == "" {
		c.missing(key, cure)
	}
}

func (c *checker) oneLine(key, value string) {
	if strings.ContainsFunc(value, unicode.IsControl) {
		c.problem(key, value, "does not fit on one line", "take out line ends, tabs and other control characters")
	}
}

func (c *checker) oneOf(key, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		c.problem(key, value, "is not a choice here", didYouMean(value, choices))
	}
}

// upTo checks a number from 1 to most. What continues the value: "is not a number of connections".
func (c *checker) upTo(key string, n, most int, what string) {
	if n < 1 || n > most {
		c.problem(key, strconv.Itoa(n), what, "write a number from 1 to "+strconv.Itoa(most))
	}
}

func (c *checker) positive(key string, n int) {
	if n < 1 {
		c.problem(key, strconv.Itoa(n), "is too small", "write 1 or more")
	}
}

// texts checks the elements of a list of texts: an empty prefix would match everything.
func (c *checker) texts(key string, list []string) {
	for i, text := range list {
		if strings.TrimSpace(text) == "" {
			c.problem(element(key, i), "", "is empty", "write something, or take the element out")
		}
	}
}

// unique tells of a name that an earlier one of its list has, also where only the case differs.
// taken maps folded names to keys.
func (c *checker) unique(taken map[string]string, key, name string) {
	if name == "" {
		return
	}
	folded := strings.ToLower(name)
	if first, ok := taken[folded]; ok {
		c.problem(key, name, "is taken by "+first, "give each its own (upper and lower case count as the same)")
		return
	}
	taken[folded] = key
}

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
