package mailer

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"dispatcher/internal/newsletter"
)

// session is one connection to the relay that go-mail has opened, secured and authenticated, and that we talk over.
//
// Where the relay offers PIPELINING (RFC 2920), MAIL, RCPT and DATA go out together, and the next message's envelope may ride
// behind the end of the last one's data: one round trip for each message. Where it does not, each command waits for its reply.
type session struct {
	client    *smtp.Client
	in        *bufio.Reader
	out       *bufio.Writer
	timeouts  Timeouts
	pipelined bool
	eightBit  bool
	maxSize   int  // octets (RFC 1870); 0: not told
	dirty     bool // a transaction is open that must be reset before the next
	carried   int  // messages that went over it
}

func newSession(client *smtp.Client, timeouts Timeouts) *session {
	s := &session{client: client, in: client.Text.R, out: client.Text.W, timeouts: timeouts}
	s.pipelined, _ = client.Extension("PIPELINING")
	s.eightBit, _ = client.Extension("8BITMIME")
	if ok, size := client.Extension("SIZE"); ok {
		s.maxSize, _ = strconv.Atoi(strings.TrimSpace(size)) // not a number: not told
	}
	return s
}

// appendEnvelope adds MAIL, RCPT and DATA, and before them RSET where the last transaction was left open.
func (s *session) appendEnvelope(b []byte, m *newsletter.Message) []byte {
	if s.dirty {
		b = append(b, "RSET\r\n"...)
	}
	b = s.appendMail(b, m)
	b = appendRcpt(b, m)
	return append(b, "DATA\r\n"...)
}

func (s *session) appendMail(b []byte, m *newsletter.Message) []byte {
	b = append(append(append(b, "MAIL FROM:<"...), m.From...), '>')
	if s.maxSize > 0 {
		b = strconv.AppendInt(append(b, " SIZE="...), int64(len(m.Data)), 10)
	}
	if s.eightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	return append(b, "\r\n"...)
}

func appendRcpt(b []byte, m *newsletter.Message) []byte {
	return append(append(append(b, "RCPT TO:<"...), m.To...), ">\r\n"...)
}

// envelope sends what appendEnvelope makes. The replies are read by accepted.
func (s *session) envelope(m *newsletter.Message) error {
	_, _ = s.out.Write(s.appendEnvelope(nil, m)) // the writer keeps its error for flush
	return s.flush(s.timeouts.Command)
}

// accepted reads the replies to an envelope. A nil error means that the relay waits for the data.
func (s *session) accepted() error {
	if err := s.within(s.timeouts.Command); err != nil {
		return &cutError{doing: "at " + string(newsletter.StageMail), err: err}
	}
	if s.dirty {
		r, err := readReply(s.in)
		if err != nil || !r.ok() {
			return &cutError{doing: "resetting", err: fmt.Errorf("reply %d: %w", r.code, err)}
		}
		s.dirty = false
	}
	var refused error
	for _, stage := range [...]newsletter.Stage{newsletter.StageMail, newsletter.StageRcpt, newsletter.StageData} {
		r, err := readReply(s.in)
		if err != nil {
			return &cutError{doing: "at " + string(stage), err: err}
		}
		switch {
		case stage == newsletter.StageData && r.code == 354 && refused != nil:
			return s.takeBack(refused) // RFC 2920 section 3.1: a relay may say so though it has no recipient
		case refused != nil: // what follows a refusal is refused for the same reason
		case stage == newsletter.StageData && r.code == 354:
			return nil
		case stage != newsletter.StageData && r.ok():
		default:
			refused = refusal(stage, r)
		}
		if r.code == 421 {
			return refusal(stage, r)
		}
	}
	s.dirty = true
	return refused
}

// takeBack ends data that has no recipient, with nothing in it, and goes on with the refusal.
func (s *session) takeBack(refused error) error {
	_, _ = s.out.WriteString(".\r\n")
	if err := s.flush(s.timeouts.End); err != nil {
		return &cutError{doing: "taking an empty message back", err: err}
	}
	if _, err := readReply(s.in); err != nil {
		return &cutError{doing: "taking an empty message back", err: err}
	}
	return refused
}

// offer is the plain dialogue in the place of envelope and accepted.
func (s *session) offer(m *newsletter.Message) error {
	if s.dirty {
		if r, err := s.ask([]byte("RSET\r\n")); err != nil || !r.ok() {
			return &cutError{doing: "resetting", err: fmt.Errorf("reply %d: %w", r.code, err)}
		}
		s.dirty = false
	}
	for _, stage := range [...]newsletter.Stage{newsletter.StageMail, newsletter.StageRcpt, newsletter.StageData} {
		command := []byte("DATA\r\n")
		switch stage {
		case newsletter.StageMail:
			command = s.appendMail(nil, m)
		case newsletter.StageRcpt:
			command = appendRcpt(nil, m)
		}
		r, err := s.ask(command)
		if err != nil {
			return &cutError{doing: "at " + string(stage), err: err}
		}
		if stage == newsletter.StageData && r.code != 354 || stage != newsletter.StageData && !r.ok() {
			s.dirty = stage != newsletter.StageMail
			return refusal(stage, r)
		}
	}
	return nil
}

// ask sends one command and reads its reply.
func (s *session) ask(command []byte) (reply, error) {
	_, _ = s.out.Write(command) // the writer keeps its error for flush
	if err := s.flush(s.timeouts.Command); err != nil {
		return reply{}, err
	}
	return readReply(s.in)
}

// deliver sends a message's data and its end, and behind it the envelope of the message that follows, all in one write; then
// it reads the reply: nil when the relay has taken responsibility. From the end's first octet on, the relay may have the
// message (RFC 1047).
func (s *session) deliver(m, following *newsletter.Message) error {
	s.carried++
	m.Data = append(m.Data, ".\r\n"...)
	end := len(m.Data)
	if following != nil {
		m.Data = s.appendEnvelope(m.Data, following)
	}
	if err := s.within(s.timeouts.End); err != nil {
		return &cutError{doing: "sending a message", err: err}
	}
	n, err := s.out.Write(m.Data)
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return &cutError{doing: "sending a message", afterEnd: n >= end, err: err}
	}
	r, err := readReply(s.in)
	switch {
	case err != nil:
		return &cutError{doing: "waiting for the relay to take the message", afterEnd: true, err: err}
	case r.ok():
		return nil
	}
	return refusal(newsletter.StageEnd, r)
}

// flush sends what is waiting, within a time.
func (s *session) flush(within time.Duration) error {
	if err := s.within(within); err != nil {
		return err
	}
	return s.out.Flush()
}

// within bounds what comes next on the line.
func (s *session) within(d time.Duration) error { return s.client.UpdateDeadline(d) }

// quit says good-bye. What the relay answers changes nothing.
func (s *session) quit() {
	_ = s.within(5 * time.Second)
	_ = s.client.Quit()
	_ = s.client.Close()
}

// drop closes the line without a word: in the middle of a message, anything more said would be taken for its text.
func (s *session) drop() { _ = s.client.Close() }
