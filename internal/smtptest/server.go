package smtptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// defaultMaxSize is the SIZE offered where the config names none.
const defaultMaxSize = 32 << 20

// Config says what a relay offers and how it misbehaves.
type Config struct {
	Listener       net.Listener     // nil: a free port of 127.0.0.1; the server closes it
	Name           string           // the host name in greetings; empty: relay.example
	Script         Script           // nil: no faults
	OnMessage      func(Message)    // told of each accepted message before its client is; see Script for its calls
	Without        []string         // EHLO keywords neither offered nor honoured, such as PIPELINING
	MaxSize        int64            // octets in a message; 0: 32 MiB
	MaxConnections int              // open at once, others are turned away with 421; 0: no limit
	TLS            *tls.Config      // nil: no TLS; see Certificate
	ImplicitTLS    bool             // TLS from the first byte rather than by STARTTLS; needs TLS
	Username       string           // the only one; empty: no AUTH, otherwise MAIL needs it
	Password       string           // of Username
	DiscardData    bool             // accepted messages keep their envelope and Message-ID only
	Now            func() time.Time // for Message.Received; nil: time.Now
}

// Server is a relay. Its methods may be called at any time from any goroutine,
// but a Script or OnMessage must not call Close: it waits for their session.
type Server struct {
	Addr string // host:port, or the path of a Unix socket; the same after each Start
	Host string // empty for a Unix socket
	Port int

	cfg      Config
	network  string
	commands map[string]*atomic.Int64 // by verb, the known ones only

	hooks sync.Mutex // held while Script or OnMessage runs

	mu       sync.Mutex
	run      *run // nil while closed
	counts   Counts
	sessions int // begun so far
	messages []Message
	waiters  []waiter
}

// run is the time from a Start to the next Close.
type run struct {
	listener net.Listener
	closed   chan struct{}
	done     sync.WaitGroup
	sessions map[*session]struct{} // guarded by Server.mu
}

// NewServer starts a relay. It panics, as httptest does, when it finds no port
// to listen on (a Config with a Listener never does) or when ImplicitTLS is
// asked for without TLS. The caller closes the relay.
func NewServer(cfg Config) *Server {
	if cfg.ImplicitTLS && cfg.TLS == nil {
		panic("smtptest: ImplicitTLS needs TLS")
	}
	if cfg.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(fmt.Sprintf("smtptest: listening: %v", err))
		}
		cfg.Listener = l
	}
	if cfg.Name == "" {
		cfg.Name = "relay.example"
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = defaultMaxSize
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	addr := cfg.Listener.Addr()
	s := &Server{Addr: addr.String(), cfg: cfg, network: addr.Network(), commands: verbCounters()}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		s.Host, s.Port = tcp.IP.String(), tcp.Port
	}
	s.begin(cfg.Listener)
	return s
}

// Start opens a closed relay again at the same address. What it recorded
// before is still there.
func (s *Server) Start() error {
	l, err := net.Listen(s.network, s.Addr)
	if err != nil {
		return fmt.Errorf("starting relay: %w", err)
	}
	s.begin(l)
	return nil
}

func (s *Server) begin(l net.Listener) {
	r := &run{listener: l, closed: make(chan struct{}), sessions: make(map[*session]struct{})}
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	r.done.Go(func() { s.listen(r) })
}

// Close stops listening, cuts every connection and waits until all sessions
// have ended, stalled and delayed ones too. Closing a closed relay does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	r := s.run
	s.run = nil
	if r != nil {
		_ = r.listener.Close() // nothing is left to be lost by it
		close(r.closed)
		for sess := range r.sessions {
			_ = sess.raw.Close()
		}
	}
	s.mu.Unlock()
	if r != nil {
		r.done.Wait()
	}
}

// CloseIdle ends every session that waits between two messages with 421 4.4.2,
// as a relay does that has waited long enough. It returns how many there were,
// once all of them have been told. A client that has read the reply to its last
// message is between messages.
func (s *Server) CloseIdle() int {
	s.mu.Lock()
	var dismissed []*session
	if s.run != nil {
		for sess := range s.run.sessions {
			if sess.dismiss() {
				dismissed = append(dismissed, sess)
			}
		}
	}
	s.mu.Unlock()
	for _, sess := range dismissed {
		<-sess.told
	}
	return len(dismissed)
}

func (s *Server) listen(r *run) {
	for {
		conn, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files, which passes
			if !r.wait(5*time.Millisecond, nil) {
				return
			}
			continue
		}
		if sess := s.admit(r, conn); sess != nil {
			r.done.Go(sess.serve)
		}
	}
}

// admit makes a session of a connection, or closes it when the run is over.
func (s *Server) admit(r *run, conn net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != r {
		_ = conn.Close() // never spoken on
		return nil
	}
	sess := newSession(s, r, conn)
	r.sessions[sess] = struct{}{}
	s.counts.Connections++
	if s.cfg.MaxConnections > 0 && s.counts.Open >= s.cfg.MaxConnections {
		s.counts.TurnedAway++
		return sess // without a number
	}
	s.sessions++
	sess.number = s.sessions
	s.counts.Open++
	s.counts.MostOpen = max(s.counts.MostOpen, s.counts.Open)
	return sess
}

// leave frees the session's place among the open connections.
func (s *Server) leave(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.number > 0 {
		s.counts.Open--
	}
}

// forget ends the server's knowledge of a session whose connection is closed.
func (s *Server) forget(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(sess.run.sessions, sess)
}

// consult asks the script, one session at a time.
func (s *Server) consult(e Event) Answer {
	if s.cfg.Script == nil {
		return Answer{}
	}
	s.hooks.Lock()
	defer s.hooks.Unlock()
	return s.cfg.Script(e)
}

// offers reports whether the config leaves an EHLO keyword in.
func (s *Server) offers(keyword string) bool {
	return !slices.Contains(s.cfg.Without, keyword)
}

// wait returns true when the time has passed and hold is closed where it is
// not nil, or false at Close.
func (r *run) wait(d time.Duration, hold <-chan struct{}) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.closed:
			return false
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-r.closed:
			return false
		}
	}
	return true
}
