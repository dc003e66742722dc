package config

import (
	"net"
	"strconv"
	"strings"
)

// The ports of SMTP: submission over TLS from the first byte (RFC 8314 section 7.3), submission
// (RFC 6409), and relaying between servers (RFC 5321 section 4.5.4.2).
const (
	portSubmissions = 465
	portSubmission  = 587
	portSMTP        = 25
)

func (c *checker) relays() {
	if len(c.cfg.Relays) == 0 {
		c.missing("relays", "give at least one SMTP server that takes your mail")
	}
	taken := map[string]string{}
	for i := range c.cfg.Relays {
		key := element("relays", i)
		relay := &c.cfg.Relays[i]
		c.relayAddress(key, relay)
		c.relayTLS(key, relay)
		c.relayLogin(key, relay)
		c.relayLimits(key, relay)
		c.relayTimeouts(child(key, "timeouts"), relay.Timeouts)
		c.withoutEffect(child(key, "provider"), relay.Provider, parseName, "every relay is taken for a generic one")
		if relay.Name == "" {
			relay.Name = relay.Host
		}
		c.oneLine(child(key, "name"), relay.Name)
		c.unique(taken, child(key, "name"), relay.Name)
	}
}

func (c *checker) relayAddress(key string, relay *Relay) {
	key = child(key, "host")
	host := relay.Host
	_, _, err := net.SplitHostPort(host)
	switch {
	case host == "":
		c.missing(key, "give the name of the SMTP server, such as smtp.example.org")
	case strings.Contains(host, "@"): // a password may stand before it
		c.problem(key, "", "is not the name of a server", "give the name alone; the rest goes under username and password_file")
	case strings.ContainsFunc(host, notHost):
		c.problem(key, host, "is not the name of a server", "give the name or IP address alone, such as smtp.example.org")
	case err == nil:
		c.problem(key, host, "has a port in it", "give the name alone and the port under port")
	}
}

// notHost reports whether a character occurs in no host name or IP address.
func notHost(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	digit := r >= '0' && r <= '9'
	return !letter && !digit && !strings.ContainsRune("-._:%", r)
}

// relayTLS settles port and TLS, each by the other where only one is given. A password or a reader's
// address must not cross a network in the clear, so there is no way around TLS but for this machine.
func (c *checker) relayTLS(key string, relay *Relay) {
	portKey, tlsKey := child(key, "port"), child(key, "tls")
	local := loopback(relay.Host)
	portGiven := c.source.given(portKey)
	if relay.TLS == "" {
		switch {
		case !portGiven || relay.Port == portSubmissions:
			relay.TLS = "implicit"
		case local && relay.Port != portSubmission:
			relay.TLS = "none"
		default:
			relay.TLS = "starttls"
		}
	}
	if !portGiven {
		switch relay.TLS {
		case "starttls":
			relay.Port = portSubmission
		case "none":
			relay.Port = portSMTP
		default:
			relay.Port = portSubmissions
		}
	}
	port := strconv.Itoa(relay.Port)
	c.oneOf(tlsKey, relay.TLS, "implicit", "starttls", "none")
	switch {
	case relay.Port < 1 || relay.Port > 65535:
		c.problem(portKey, port, "is not a port", "write a number from 1 to 65535")
	case relay.TLS == "none" && !local:
		c.problem(tlsKey, relay.TLS, "would send mail and password in the clear", "use implicit or starttls; none is for a relay on this machine (127.0.0.1, ::1, localhost)")
	case relay.TLS == "implicit" && (relay.Port == portSubmission || relay.Port == portSMTP):
		c.warn(tlsKey, relay.TLS, "is unusual on port "+port, "most servers want starttls there")
	case relay.TLS == "starttls" && relay.Port == portSubmissions:
		c.warn(tlsKey, relay.TLS, "is unusual on port "+port, "most servers want implicit there")
	}
}

func (c *checker) relayLogin(key string, relay *Relay) {
	userKey, fileKey := child(key, "username"), child(key, "password_file")
	switch {
	case relay.Username != "" && relay.PasswordFile == "":
		c.missing(fileKey, "name the file with the password of the username")
	case relay.Username == "" && relay.PasswordFile != "":
		c.missing(userKey, "give the username that goes with the password")
	}
	if relay.PasswordFile != "" {
		relay.Password = c.secret(fileKey, relay.PasswordFile)
	}
}
