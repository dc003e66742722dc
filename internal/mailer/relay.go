package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"time"

	mail "github.com/wneessen/go-mail"

	"dispatcher/internal/newsletter"
)

// TLSMode is how the line to a relay is secured. There is no opportunistic mode: a relay whose STARTTLS is stripped
// on the way is not talked to (RFC 8314 section 4.1).
type TLSMode string

// The modes of TLS.
const (
	ImplicitTLS TLSMode = "implicit"
	StartTLS    TLSMode = "starttls"
	NoTLS       TLSMode = "none" // for a loopback address only; the config sees to it
)

// Relay is the MTA that we submit to.
type Relay struct {
	Name        string
	Host        string
	Port        int
	TLS         TLSMode
	TLSConfig   *tls.Config // nil: the system's certificates, for Host
	Username    string      // empty: no AUTH
	Password    string
	Connections int
	Messages    int      // after so many a connection is replaced; 0: never
	Hello       string   // name for EHLO; empty: this machine's
	Timeouts    Timeouts // zero fields are RFC 5321's

	Rate       float64        // messages per second at most; 0: no limit
	PerHour    int            // messages in any 60 minutes at most; 0: no limit
	PerDay     int            // messages on one day at most; 0: no limit
	Zone       *time.Location // at whose midnight the relay's day ends; nil: UTC
	ClassRates []ClassRate
}

// Timeouts bound the waits of the dialogue (RFC 5321 section 4.5.3.2).
type Timeouts struct {
	Connect time.Duration // dial, TLS, greeting, EHLO and AUTH together
	Command time.Duration // each reply but the last
	End     time.Duration // the reply to the end of DATA
}

// patience is how long a worker may be silent that does not wait for an answer: it may be dialling, or reading the database.
func (r Relay) patience() time.Duration { return r.Timeouts.orDefaults().Connect + onDisk }

func (t Timeouts) orDefaults() Timeouts {
	or := func(d, byDefault time.Duration) time.Duration {
		if d == 0 {
			return byDefault
		}
		return d
	}
	return Timeouts{or(t.Connect, time.Minute), or(t.Command, 5*time.Minute), or(t.End, 10*time.Minute)}
}

// cutError is a line that was cut, or a relay that made no sense, before or after the end of DATA. It says nothing about
// the reader.
type cutError struct {
	doing    string
	afterEnd bool // the relay may have the message (RFC 1047)
	err      error
}

func (e *cutError) Error() string { return fmt.Sprintf("%s: %s", e.doing, e.err) }
func (e *cutError) Unwrap() error { return e.err }

// dial opens a session. go-mail opens, secures and authenticates; when that fails we close the line, which it does not.
func dial(ctx context.Context, r Relay) (*session, error) {
	timeouts := r.Timeouts.orDefaults()
	running := ctx
	ctx, cancel := context.WithTimeout(ctx, timeouts.Connect)
	defer cancel()
	l := line{relay: r, stop: func() bool { return true }}
	dialer, err := mail.NewClient(r.Host, l.options(ctx, timeouts.Connect)...)
	if err != nil {
		return nil, fmt.Errorf("preparing to connect: %w", err)
	}
	client, err := dialer.DialToSMTPClientWithContext(ctx)
	if !l.stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if l.conn != nil {
			_ = l.conn.Close() // it never carried a message
		}
		return nil, connectError(err)
	}
	return newSession(running, l.conn, client, timeouts), nil
}

// line is a connection that is being opened.
type line struct {
	relay Relay
	conn  net.Conn
	stop  func() bool // keeps the end of the context from closing conn; false when it has
}

// options tell go-mail how to open the line.
func (l *line) options(ctx context.Context, timeout time.Duration) []mail.Option {
	r := l.relay
	options := []mail.Option{
		mail.WithPort(r.Port), mail.WithTimeout(timeout), mail.WithoutSMTPUTF8(), mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
			var dialer interface {
				DialContext(ctx context.Context, network, address string) (net.Conn, error)
			} = &net.Dialer{}
			if r.TLS == ImplicitTLS {
				dialer = &tls.Dialer{Config: tlsConfig(r)}
			}
			conn, err := dialer.DialContext(dialing, network, address)
			if err != nil {
				return nil, err
			}
			l.conn = conn
			l.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the dialogue that follows does not heed the context
			return conn, nil
		}),
	}
	if r.TLS == StartTLS {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(tlsConfig(r)))
	}
	if r.Hello != "" {
		options = append(options, mail.WithHELO(r.Hello))
	}
	if r.Username != "" {
		options = append(options, mail.WithSMTPAuthCustom(&login{relay: r}))
	}
	return options
}

func tlsConfig(r Relay) *tls.Config {
	if r.TLSConfig != nil {
		return r.TLSConfig
	}
	return &tls.Config{ServerName: r.Host, MinVersion: tls.VersionTLS12}
}

// connectError tells a relay's refusal from a line that did not come about.
func connectError(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return replyError(newsletter.StageConnect, reply.Code, reply.Msg)
	}
	return &cutError{doing: "connecting", err: err}
}
