package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The reasons for the relay to end a session.
var (
	errGoodbye   = errors.New("session ended by a reply")
	errDismissed = errors.New("session dismissed while idle")
	errCut       = errors.New("connection cut by the script")
)

// errLineTooLong is a line over maxLine, read to its end.
var errLineTooLong = errors.New("line too long")

// maxLine is the longest line the relay reads outside a message, that of an
// AUTH exchange (RFC 4954 section 4). Most commands have a lower limit.
const maxLine = 12288

var crlf = []byte("\r\n")

// The states of a session between which CloseIdle and the session itself decide.
const (
	busy int32 = iota
	idle
	dismissed
)

// session is one connection. Its fields belong to its own goroutine, but for
// those set at the start, state and told.
type session struct {
	server *Server
	run    *run
	number int      // 0: turned away, over MaxConnections
	raw    net.Conn // beneath TLS
	told   chan struct{}
	state  atomic.Int32

	conn net.Conn // raw, or TLS on it
	r    *bufio.Reader
	w    *bufio.Writer
	line []byte // of readLine
	body []byte // of receive

	awaiting bool // the first byte of a command, between messages
	barred   bool // refused at Connect
	greeted  bool // HELO or EHLO
	extended bool // EHLO
	secure   bool // TLS
	user     string
	accepted int
	env      *envelope // nil outside a transaction
}

// envelope is a transaction (RFC 5321 section 3.3).
type envelope struct {
	from   string
	params string
	utf8   bool // SMTPUTF8
	to     []string
}

// reply is one to the client. Lines of text become lines of the reply.
type reply struct {
	code     int
	enhanced string
	text     string
}

func newSession(s *Server, r *run, conn net.Conn) *session {
	sess := &session{server: s, run: r, raw: conn, conn: conn, told: make(chan struct{})}
	sess.r = bufio.NewReaderSize(sess, 32<<10)
	sess.w = bufio.NewWriter(conn)
	return sess
}

// serve holds the session from the greeting to the end of the connection.
func (s *session) serve() {
	defer s.server.forget(s)
	defer s.raw.Close()
	err := s.converse()
	if errors.Is(err, errDismissed) {
		err = s.reply(reply{421, "4.4.2", "Idle for too long, closing connection"})
	}
	s.server.leave(s) // before its client can know and come back
	_ = s.w.Flush()   // the client may be gone
	close(s.told)
	if errors.Is(err, errGoodbye) {
		s.linger()
	}
}

func (s *session) converse() error {
	if s.server.cfg.ImplicitTLS {
		if err := s.encrypt(); err != nil {
			return err
		}
	}
	if err := s.greet(); err != nil {
		return err
	}
	for {
		s.awaiting = s.env == nil
		line, err := s.readLine()
		s.awaiting = false
		switch {
		case errors.Is(err, errLineTooLong):
			err = s.reply(reply{500, "5.5.2", "Line too long"})
		case err == nil:
			err = s.command(line)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) greet() error {
	if s.number == 0 {
		return s.reply(reply{421, "4.7.0", "Too many connections"})
	}
	a := s.ask(Event{Stage: Connect})
	s.barred = a.Code >= 400
	return s.carryOut(a, reply{code: 220, text: s.server.cfg.Name + " ESMTP"}, nil)
}

// linger waits for the client to close, so that it can read the last reply:
// closing with input unread would reset the connection.
func (s *session) linger() {
	if c, ok := s.conn.(*tls.Conn); ok {
		_ = c.CloseWrite() // the client may be gone
	}
	if c, ok := s.raw.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, s.raw)
	}
}

// Read is where the session waits for its client, so the replies that have
// come together go out first: pipelined commands are answered as a group
// (RFC 2920 section 3.2).
func (s *session) Read(p []byte) (int, error) {
	if s.awaiting {
		s.state.Store(idle) // before the client can know its last command was answered
	}
	if err := s.w.Flush(); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	if s.awaiting && !s.state.CompareAndSwap(idle, busy) {
		return 0, errDismissed
	}
	return n, err
}

// dismiss tells an idle session to end and reports whether it was idle. It is
// for other goroutines.
func (s *session) dismiss() bool {
	if !s.state.CompareAndSwap(idle, dismissed) {
		return false
	}
	_ = s.raw.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs none
	return true
}

// readLine returns the next line without its CRLF. A bare line feed ends
// nothing (RFC 5321 section 2.3.8).
func (s *session) readLine() (string, error) {
	buf, tooLong := s.line[:0], false
	for {
		part, err := s.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		buf = append(buf, part...)
		s.line = buf
		if bytes.HasSuffix(buf, crlf) {
			break
		}
		if len(buf) > maxLine {
			tooLong = true
			buf = append(buf[:0], buf[len(buf)-1]) // a CR may yet meet its LF
		}
	}
	if tooLong || len(buf) > maxLine {
		return "", errLineTooLong
	}
	return string(buf[:len(buf)-len(crlf)]), nil
}

// reply puts a reply into the buffer. Read sends it.
func (s *session) reply(r reply) error {
	enhanced := ""
	if r.enhanced != "" && s.server.offers("ENHANCEDSTATUSCODES") {
		enhanced = r.enhanced + " "
	}
	for rest, more := r.text, true; more; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		separator := " "
		if more {
			separator = "-"
		}
		for _, part := range []string{strconv.Itoa(r.code), separator, enhanced, line, "\r\n"} {
			_, _ = s.w.WriteString(part) // Flush returns its error
		}
	}
	if r.code == 421 || r.code == 221 {
		return errGoodbye
	}
	return nil
}

// refuse is a refusal that counts, for what a command says rather than when.
func (s *session) refuse(r reply) error {
	s.server.countRefusal()
	return s.reply(r)
}

// ask completes the event and puts it to the script.
func (s *session) ask(e Event) Answer {
	e.Session, e.Message, e.TLS, e.User = s.number, s.accepted+1, s.secure, s.user
	if s.env != nil {
		e.From = s.env.from
		if e.To == "" && len(s.env.to) > 0 {
			e.To = s.env.to[len(s.env.to)-1]
		}
	}
	a := s.server.consult(e)
	switch e.Stage {
	case Mail, Rcpt, Data, EndOfData:
		if a.Code >= 400 && a.Fault == "" {
			s.server.countRefusal()
		}
	}
	if a.Fault == CutInData && e.Stage != Data {
		a.Fault = Cut
	}
	return a
}

// carryOut does what an answer wants. The effect, which may be nil, is that of
// the relay's own reply.
func (s *session) carryOut(a Answer, own reply, effect func()) error {
	if a.Fault == Stall {
		if err := s.w.Flush(); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, s.conn)
		return errors.Join(errCut, err)
	}
	r := own
	if a.Code != 0 {
		r = reply{a.Code, a.Enhanced, a.Text}
	}
	if effect != nil && r.code < 400 && a.Fault != Cut {
		effect()
	}
	if a.Delay > 0 || a.Hold != nil {
		if err := s.w.Flush(); err != nil {
			return err
		}
		if !s.run.wait(a.Delay, a.Hold) {
			return errCut
		}
	}
	if a.Fault == Cut || a.Fault == CutAfter {
		return errCut
	}
	return s.reply(r)
}
