package mailer

import (
	"net"
	"testing"
	"time"
)

// deadlines is a line that remembers how long it is waited for.
type deadlines struct {
	net.Conn
	last time.Time
}

func (c *deadlines) SetDeadline(t time.Time) error {
	c.last = t
	return nil
}

// Promise 2: who stops the mailer waits longer for the answer to the end of a message than for any other: of a message that is cut after its
// end nobody knows whether the relay has it. Neither wait is one for the relay's own ten minutes.
func TestAStopWaitsForTheAnswerToTheEndOfAMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after func(*session) error // the stop
		want          time.Duration
	}{
		"while a command is answered": {before: command, want: grace},
		"while an end is answered":    {before: end, want: endGrace},
		"once an end is answered":     {before: end, after: answered, want: grace},
		"before an end":               {before: command, after: end, want: endGrace},
		"before a command":            {before: answered, after: command, want: grace},
	} {
		t.Run(name, func(t *testing.T) {
			line := &deadlines{}
			s := &session{conn: line}
			begin := time.Now()
			err := tt.before(s)
			s.hurry()
			if tt.after != nil && err == nil {
				err = tt.after(s)
			}
			if err != nil {
				t.Fatal(err)
			}
			if waits := line.last.Sub(begin); waits < tt.want || waits > tt.want+3*time.Second {
				t.Errorf("it waits %s, want %s", waits, tt.want)
			}
		})
	}
}

func command(s *session) error  { return s.within(5*time.Minute, false) }
func end(s *session) error      { return s.within(10*time.Minute, true) }
func answered(s *session) error { s.ended(); return nil }
