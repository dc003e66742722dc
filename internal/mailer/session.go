package mailer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
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
	utf8      bool
	maxSize   int  // octets (RFC 1870); 0: not told
	dirty     bool // a transaction is open that must be reset before the next
	carried   int  // messages that went over it
	forget    func() bool
	alive     func(within time.Duration) // is told how long the line may be silent; nil: nobody wants to know

	mu      sync.Mutex
	conn    net.Conn
	until   time.Time // the line's deadline
	ending  bool      // the relay is being given the end of a message, or has it
	hurried time.Time // when it was told to hurry; zero: not
}

// newSession takes over a line. When the context is cancelled, what is on the line has a moment to finish.
func newSession(ctx context.Context, conn net.Conn, client *smtp.Client, timeouts Timeouts) *session {
	s := &session{client: client, conn: conn, in: client.Text.R, out: client.Text.W, timeouts: timeouts}
	s.pipelined, _ = client.Extension("PIPELINING")
	s.eightBit, _ = client.Extension("8BITMIME")
	s.utf8, _ = client.Extension("SMTPUTF8")
	if ok, size := client.Extension("SIZE"); ok {
		s.maxSize, _ = strconv.Atoi(strings.TrimSpace(size)) // not a number: not told
	}
	s.forget = context.AfterFunc(ctx, s.hurry)
	return s
}

// How long what is on the line may take to finish when the mailer is told to stop. What is cut before the end of a message is only
// sent again; of what is cut after it nobody knows whether the relay has it.
const (
	grace    = 4 * time.Second
	endGrace = 15 * time.Second
)

// hurry bounds all waits, the present one too.
func (s *session) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurried = time.Now()
	_ = s.conn.SetDeadline(s.lastMoment()) // a line that is closed needs none
}

// lastMoment is when a line that was told to hurry must have finished. The caller holds the lock.
func (s *session) lastMoment() time.Time {
	if s.ending {
		return s.hurried.Add(endGrace)
	}
	return s.hurried.Add(grace)
}

// within bounds what comes next on the line, by a time or a quarter more: moving the deadline costs more than reading it. It says
// whether that is the end of a message.
func (s *session) within(d time.Duration, ending bool) error {
	if s.alive != nil {
		s.alive(d + d/4 + onDisk) // what is read before the next wait is read from the database
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.ending = ending
	if left := s.until.Sub(now); left >= d && left <= d+d/4 && s.hurried.IsZero() {
		return nil
	}
	s.until = now.Add(d + d/4)
	if last := s.lastMoment(); !s.hurried.IsZero() && last.Before(s.until) {
		s.until = last
	}
	return s.conn.SetDeadline(s.until)
}

// ended says that the relay has answered to the end of a message.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = false
	if !s.hurried.IsZero() {
		_ = s.conn.SetDeadline(s.lastMoment())
	}
}

// unableError says that a message can never go over this line, nor any to this relay.
type unableError struct {
	why   string
	owner newsletter.Owner
}

func (e *unableError) Error() string { return e.why }

// carries says whether the relay has offered what a message needs.
func (s *session) carries(m *newsletter.Message) error {
	switch {
	case m.To.International() && !s.utf8:
		return &unableError{"the relay does not offer SMTPUTF8, which an address with such letters needs (RFC 6531)", newsletter.OwnerUnknown}
	case s.maxSize > 0 && len(m.Data) > s.maxSize:
		return &unableError{fmt.Sprintf("the message has %d octets and the relay takes no more than %d (RFC 1870)", len(m.Data), s.maxSize), newsletter.OurContent}
	}
	return nil
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
	if m.To.International() {
		b = append(b, " SMTPUTF8"...)
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
	if s.in.Buffered() == 0 { // else the replies have come with the last one
		if err := s.within(s.timeouts.Command, false); err != nil {
			return &cutError{doing: "at " + string(newsletter.StageMail), err: err}
		}
	}
	if s.dirty {
		if r, err := readReply(s.in); err != nil || !r.ok() {
			return notReset(r, err)
		}
		s.dirty = false
	}
	var refused error
	recipient := false
	for _, stage := range [...]newsletter.Stage{newsletter.StageMail, newsletter.StageRcpt, newsletter.StageData} {
		r, err := readReply(s.in)
		if err != nil {
			return &cutError{doing: "at " + string(stage), err: err}
		}
		switch {
		case stage == newsletter.StageMail && r.code == 503 && s.carried > 0:
			return &cutError{doing: "at mail", err: errOutOfStep}
		case stage == newsletter.StageRcpt && r.ok() && refused != nil:
			recipient = true
		case stage == newsletter.StageData && r.code == 354 && recipient:
			return &cutError{doing: "at data", err: errOutOfStep} // she would get the empty message with which it is taken back
		case stage == newsletter.StageData && r.code == 354 && refused != nil:
			return s.takeBack(refused) // RFC 2920 section 3.1: a relay may say so though it has no recipient
		case refused != nil: // what follows a refusal is refused for the same reason
		case stage == newsletter.StageData && r.code == 354:
			return nil
		case stage != newsletter.StageData && r.ok():
		default:
			refused = refusal(stage, r)
		}
		switch {
		case r.code == 421 && refused != nil:
			return refused // what was said of the recipient stands; the line breaks by itself
		case r.code == 421:
			return refusal(stage, r)
		}
	}
	s.dirty = true
	return refused
}

// errOutOfStep says that the relay is in another transaction than we are: Postfix stays in that of a message which its
// smtpd_end_of_data_restrictions refuse, so that the envelope behind it is a nested one. That is nobody's fault, and the line of no use.
var errOutOfStep = errors.New("the relay has not ended the last transaction")

// notReset is a RSET that was not taken.
func notReset(r reply, err error) error {
	if err == nil {
		err = fmt.Errorf("unexpected reply %d", r.code)
	}
	return &cutError{doing: "resetting", err: err}
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
			return notReset(r, err)
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
// it reads the reply: nil when the relay has taken responsibility. Once the whole end has been handed to the system, the relay may
// have the message whatever becomes of the line (RFC 1047).
func (s *session) deliver(m, following *newsletter.Message) error {
	s.carried++
	data := append(m.Data, ".\r\n"...)
	end := len(data)
	if following != nil {
		data = s.appendEnvelope(data, following)
	}
	m.Data = data[:len(m.Data)] // with the room that it has now
	if err := s.within(s.timeouts.End, true); err != nil {
		return &cutError{doing: "sending a message", err: err}
	}
	n, err := s.out.Write(data)
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return &cutError{doing: "sending a message", afterEnd: n >= end, err: err}
	}
	r, err := readReply(s.in)
	s.ended()
	switch {
	case err != nil:
		return &cutError{doing: "waiting for the relay to take the message", afterEnd: true, err: err}
	case r.ok():
		return nil
	}
	s.dirty = following == nil // see errOutOfStep
	return refusal(newsletter.StageEnd, r)
}

// flush sends what is waiting, within a time.
func (s *session) flush(within time.Duration) error {
	if err := s.within(within, false); err != nil {
		return err
	}
	return s.out.Flush()
}

// quit says good-bye. What the relay answers changes nothing.
func (s *session) quit() {
	_ = s.within(5*time.Second, false)
	_ = s.client.Quit()
	s.drop()
}

// drop closes the line without a word: in the middle of a message, anything more said would be taken for its text.
func (s *session) drop() {
	s.forget()
	_ = s.client.Close()
}
