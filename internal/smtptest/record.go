package smtptest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Message is a message that the relay has taken responsibility for. Its slices
// are shared by all who look at it and must not be changed.
type Message struct {
	From      string   // reverse path; empty for <>
	To        []string // accepted recipients
	Params    string   // parameters of MAIL as given, such as "BODY=8BITMIME SIZE=300"
	MessageID string   // value of the header field with its angle brackets; empty where there is none
	Data      []byte   // as sent, without the dots of RFC 5321 section 4.5.2; nil with DiscardData
	Session   int      // from 1, over all runs of the relay
	Number    int      // among the accepted messages of its session, from 1
	TLS       bool
	User      string // authenticated as; empty without AUTH
	Received  time.Time
}

// Counts is how much a relay has seen since NewServer.
type Counts struct {
	Connections int            // accepted, those turned away included
	TurnedAway  int            // beyond MaxConnections
	Open        int            // now; a session leaves before its client reads 221 or 421
	MostOpen    int            // highest value of Open
	Commands    map[string]int // by verb in capitals; unknown ones together as "?"
	Accepted    int            // messages
	// Refused counts 4xx and 5xx replies to the content of MAIL, RCPT, DATA and
	// the end of data, but not to commands out of sequence: with one recipient
	// to a message it is the number of messages refused, pipelined or not.
	Refused int
}

// waiter is a Wait under way.
type waiter struct {
	n    int
	done chan struct{}
}

// Messages returns the accepted messages, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Counts returns the counts of this moment.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	counts := s.counts
	s.mu.Unlock()
	counts.Commands = make(map[string]int)
	for verb, n := range s.commands {
		if n := n.Load(); n > 0 {
			counts.Commands[verb] = int(n)
		}
	}
	return counts
}

// Wait returns nil once n messages have been accepted since NewServer, or an
// error that wraps the context's.
func (s *Server) Wait(ctx context.Context, n int) error {
	s.mu.Lock()
	if s.counts.Accepted >= n {
		s.mu.Unlock()
		return nil
	}
	w := waiter{n: n, done: make(chan struct{})}
	s.waiters = append(s.waiters, w)
	s.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters = slices.DeleteFunc(s.waiters, func(o waiter) bool { return o.done == w.done })
	return fmt.Errorf("waiting for %d messages, %d accepted: %w", n, s.counts.Accepted, ctx.Err())
}

// record keeps an accepted message and tells who waits for it.
func (s *Server) record(m Message) {
	if s.cfg.OnMessage != nil {
		s.hooks.Lock() // around both, so that OnMessage sees the order of Messages
		defer s.hooks.Unlock()
	}
	s.mu.Lock()
	s.messages = append(s.messages, m)
	s.counts.Accepted++
	s.waiters = slices.DeleteFunc(s.waiters, func(w waiter) bool {
		if w.n > s.counts.Accepted {
			return false
		}
		close(w.done)
		return true
	})
	s.mu.Unlock()
	if s.cfg.OnMessage != nil {
		s.cfg.OnMessage(m)
	}
}

func (s *Server) countRefusal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Refused++
}

// verbCounters has a counter for each known verb and one for the others, so
// that counting a command needs no lock.
func verbCounters() map[string]*atomic.Int64 {
	counters := map[string]*atomic.Int64{unknownVerb: new(atomic.Int64)}
	for verb := range handlers {
		counters[verb] = new(atomic.Int64)
	}
	return counters
}

// messageID finds the Message-ID field in the header of a message. Its value
// may stand on a line of its own (RFC 5322 section 2.2.3).
func messageID(data []byte) string {
	name := []byte("Message-ID:")
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, crlf)
		if len(line) == 0 {
			return ""
		}
		if len(line) >= len(name) && bytes.EqualFold(line[:len(name)], name) {
			value := bytes.TrimSpace(line[len(name):])
			if len(value) == 0 && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
				value, _, _ = bytes.Cut(rest, crlf)
			}
			return string(bytes.TrimSpace(value))
		}
		data = rest
	}
	return ""
}
