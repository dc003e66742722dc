package mailer

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// errNoMechanism says that AUTH is not possible without giving the password away.
var errNoMechanism = errors.New("the relay offers no way to log in that this line is safe for")

// login picks the best mechanism that the relay offers, once the line is what it will be. A password in clear goes only
// over TLS, or to this machine.
type login struct {
	relay Relay
	smtp.Auth
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	offers := func(mechanism string) bool {
		return slices.ContainsFunc(server.Auth, func(m string) bool { return strings.EqualFold(m, mechanism) })
	}
	user, password, host := l.relay.Username, l.relay.Password, l.relay.Host
	safe := server.TLS || isLoopback(host)
	switch {
	case offers("SCRAM-SHA-256"):
		l.Auth = smtp.ScramSHA256Auth(user, password)
	case offers("PLAIN") && safe:
		l.Auth = smtp.PlainAuth("", user, password, host, !server.TLS)
	case offers("LOGIN") && safe:
		l.Auth = smtp.LoginAuth(user, password, host, !server.TLS)
	default:
		return "", nil, errNoMechanism
	}
	return l.Auth.Start(server)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
