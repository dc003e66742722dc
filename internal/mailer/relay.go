package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

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
	Hello       string   // name for EHLO; empty: this machine's
	Timeouts    Timeouts // zero fields are RFC 5321's
}

// Timeouts bound the waits of the dialogue (RFC 5321 section 4.5.3.2).
type Timeouts struct {
	Connect time.Duration // dial, TLS, greeting, EHLO and AUTH together
	Command time.Duration // each reply but the last
	End     time.Duration // the reply to the end of DATA
}

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

// session is one connection to the relay that has been opened, secured and authenticated.
type session struct {
	client   *smtp.Client
	timeouts Timeouts
	sent     int // messages that went over it
}

// dial opens a session. go-mail opens, secures and authenticates; when that fails we close the line, which it does not.
func dial(ctx context.Context, r Relay) (*session, error) {
	timeouts := r.Timeouts.orDefaults()
	ctx, cancel := context.WithTimeout(ctx, timeouts.Connect)
	defer cancel()
	var line net.Conn
	options := []mail.Option{
		mail.WithPort(r.Port), mail.WithTimeout(timeouts.Connect), mail.WithoutSMTPUTF8(), mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			if r.TLS == ImplicitTLS {
				line, err = (&tls.Dialer{Config: tlsConfig(r)}).DialContext(ctx, network, address)
			} else {
				line, err = (&net.Dialer{}).DialContext(ctx, network, address)
			}
			return line, err
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
	dialer, err := mail.NewClient(r.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("preparing to connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { // the greeting does not heed the context
		if line != nil {
			_ = line.SetDeadline(time.Unix(1, 0))
		}
	})
	client, err := dialer.DialToSMTPClientWithContext(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if line != nil {
			_ = line.Close() // it never carried a message
		}
		return nil, connectError(err)
	}
	return &session{client: client, timeouts: timeouts}, nil
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

// send hands one message over. A nil error means that the relay took responsibility. A *newsletter.ReplyError is its
// refusal, and the session goes on unless usable says otherwise. A *cutError means that the session is over.
func (s *session) send(m newsletter.Message) error {
	s.sent++
	if err := s.command(newsletter.StageMail, 250, "MAIL FROM:<%s>", m.From); err != nil {
		return err
	}
	if err := s.command(newsletter.StageRcpt, 250, "RCPT TO:<%s>", m.To); err != nil {
		return err
	}
	if err := s.command(newsletter.StageData, 354, "DATA"); err != nil {
		return err
	}
	if err := s.client.UpdateDeadline(s.timeouts.Command); err != nil {
		return &cutError{doing: "sending a message", err: err}
	}
	// From the first octet of the end of DATA on, the relay may have the message. The dot-writer buffers, so any of
	// its writes may carry that octet only in Close.
	body := s.client.Text.DotWriter()
	if _, err := body.Write(m.Data); err != nil {
		return &cutError{doing: "sending a message", err: err}
	}
	if err := body.Close(); err != nil {
		return &cutError{doing: "ending a message", afterEnd: true, err: err}
	}
	if err := s.client.UpdateDeadline(s.timeouts.End); err != nil {
		return &cutError{doing: "ending a message", afterEnd: true, err: err}
	}
	code, text, err := s.client.Text.ReadResponse(0)
	switch {
	case err != nil:
		return &cutError{doing: "waiting for the relay to take the message", afterEnd: true, err: err}
	case code/100 == 2:
		return nil
	case code/100 != 4 && code/100 != 5:
		return &cutError{doing: "ending a message", afterEnd: true, err: fmt.Errorf("unexpected reply %d", code)}
	}
	return replyError(newsletter.StageEnd, code, text)
}

// command sends one command and waits for its reply.
func (s *session) command(stage newsletter.Stage, want int, format string, args ...any) error {
	if err := s.client.UpdateDeadline(s.timeouts.Command); err != nil {
		return &cutError{doing: "at " + string(stage), err: err}
	}
	if err := s.client.Text.PrintfLine(format, args...); err != nil {
		return &cutError{doing: "at " + string(stage), err: err}
	}
	code, text, err := s.client.Text.ReadResponse(0)
	switch {
	case err != nil:
		return &cutError{doing: "at " + string(stage), err: err}
	case code == want, want == 250 && code == 251: // RFC 5321 section 3.4: will forward
		return nil
	case code/100 != 4 && code/100 != 5:
		return &cutError{doing: "at " + string(stage), err: fmt.Errorf("unexpected reply %d", code)}
	}
	return replyError(stage, code, text)
}

// reset leaves the session clean for the next reader after a refusal.
func (s *session) reset() error {
	return s.command("rset", 250, "RSET")
}

// quit says good-bye. What the relay answers changes nothing.
func (s *session) quit() {
	_ = s.client.UpdateDeadline(5 * time.Second)
	_ = s.client.Quit()
	_ = s.client.Close()
}

// drop closes the line without a word: in the middle of a message, anything more said would be taken for its text.
func (s *session) drop() { _ = s.client.Close() }

// replyError takes a reply apart (RFC 2034: the enhanced code stands before the text) and cleans its words.
func replyError(stage newsletter.Stage, code int, text string) *newsletter.ReplyError {
	e := &newsletter.ReplyError{Stage: stage, Code: code}
	var words []string
	for line := range strings.SplitSeq(text, "\n") {
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isEnhancedCode(first, code) {
			e.Enhanced, line = first, rest
		}
		words = append(words, line)
	}
	e.Text = newsletter.OneLine(newsletter.Redact(strings.Join(words, " ")), 300)
	return e
}

// isEnhancedCode reports whether a word is an enhanced status code that goes with a reply (RFC 3463 section 2).
func isEnhancedCode(word string, code int) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, p := range parts {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 999 {
			return false
		}
	}
	return true
}
