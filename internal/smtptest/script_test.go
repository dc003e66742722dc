package smtptest_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

// What each kind of answer does at the end of a message: to the client, and to
// the record of what was accepted.
func TestAnswer(t *testing.T) {
	released := make(chan struct{})
	close(released)
	tests := map[string]struct {
		answer   smtptest.Answer
		want     string // beginning of the reply; empty: the connection is cut
		accepted int
	}{
		"default":        {smtptest.Answer{}, "250 2.0.0 Ok: queued as 1-1", 1},
		"other words":    {smtptest.Answer{Code: 250, Text: "Ok 0100"}, "250 Ok 0100", 1},
		"refused":        {smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "Spam"}, "554 5.7.1 Spam", 0},
		"deferred":       {smtptest.Answer{Code: 451, Enhanced: "4.3.0", Text: "Not now\nCome back"}, "451 4.3.0 Not now\n4.3.0 Come back", 0},
		"421":            {smtptest.Answer{Code: 421, Enhanced: "4.3.2", Text: "Shutting down"}, "421 4.3.2 Shutting down", 0},
		"delayed":        {smtptest.Answer{Delay: time.Millisecond}, "250 2.0.0", 1},
		"held":           {smtptest.Answer{Hold: released}, "250 2.0.0", 1},
		"delayed code":   {smtptest.Answer{Code: 452, Enhanced: "4.3.1", Delay: time.Millisecond}, "452 4.3.1", 0},
		"cut":            {smtptest.Answer{Fault: smtptest.Cut}, "", 0},
		"cut with delay": {smtptest.Answer{Fault: smtptest.Cut, Delay: time.Millisecond}, "", 0},
		"cut after":      {smtptest.Answer{Fault: smtptest.CutAfter}, "", 1},
		"cut in data":    {smtptest.Answer{Fault: smtptest.CutInData}, "", 0}, // too late here
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			relay := newServer(t, smtptest.Config{Script: smtptest.At(smtptest.EndOfData, tt.answer)})
			c := hello(t, relay)
			c.deliver("reader@example.net")
			if tt.want != "" {
				c.expect(tt.want)
			}
			if tt.want == "" || tt.answer.Code == 421 {
				c.expectGone()
			} else {
				c.send("NOOP\r\n")
				c.expect("250 2.0.0")
			}
			if got := relay.Counts().Accepted; got != tt.accepted {
				t.Errorf("accepted %d, want %d", got, tt.accepted)
			}
		})
	}
}

// A script is asked at every stage, and told where it is.
func TestStages(t *testing.T) {
	var events []smtptest.Event
	relay := newServer(t, smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		events = append(events, e)
		return smtptest.Answer{}
	}})
	c := dial(t, relay)
	c.expect("220 ")
	c.send("HELO client.example\r\n")
	c.expect("250 ")
	c.send("EHLO client.example\r\nNOOP\r\nRSET\r\n")
	c.expect("250 ", "250 ", "250 ")
	c.deliver("reader@example.net")
	c.expect("250 ")
	c.deliver("second@example.net")
	c.expect("250 ")
	c.send("QUIT\r\n")
	c.expect("221 ")
	relay.Close()
	from := "news@example.org"
	want := []smtptest.Event{
		{Stage: smtptest.Connect, Session: 1, Message: 1},
		{Stage: smtptest.HELO, Session: 1, Message: 1},
		{Stage: smtptest.EHLO, Session: 1, Message: 1},
		{Stage: smtptest.Noop, Session: 1, Message: 1},
		{Stage: smtptest.Rset, Session: 1, Message: 1},
		{Stage: smtptest.Mail, Session: 1, Message: 1, From: from},
		{Stage: smtptest.Rcpt, Session: 1, Message: 1, From: from, To: "reader@example.net"},
		{Stage: smtptest.Data, Session: 1, Message: 1, From: from, To: "reader@example.net"},
		{Stage: smtptest.EndOfData, Session: 1, Message: 1, From: from, To: "reader@example.net"},
		{Stage: smtptest.Mail, Session: 1, Message: 2, From: from},
		{Stage: smtptest.Rcpt, Session: 1, Message: 2, From: from, To: "second@example.net"},
		{Stage: smtptest.Data, Session: 1, Message: 2, From: from, To: "second@example.net"},
		{Stage: smtptest.EndOfData, Session: 1, Message: 2, From: from, To: "second@example.net"},
		{Stage: smtptest.Quit, Session: 1, Message: 3},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// stagesOfMessage are the stages that the client goes through in throughStages.
var stagesOfMessage = []smtptest.Stage{
	smtptest.Connect, smtptest.EHLO, smtptest.Noop, smtptest.Rset, smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.EndOfData, smtptest.Quit,
}

// throughStages goes through a session until the line is cut or a reply is a
// refusal, and returns the stage where that was and the refusal.
func throughStages(c *client) (smtptest.Stage, string) {
	commands := []string{
		"", "EHLO client.example\r\n", "NOOP\r\n", "RSET\r\n", "MAIL FROM:<news@example.org>\r\n", "RCPT TO:<reader@example.net>\r\n",
		"DATA\r\n", message + ".\r\n", "QUIT\r\n",
	}
	for i, stage := range stagesOfMessage {
		if _, err := io.WriteString(c.conn, commands[i]); err != nil {
			return stage, ""
		}
		line, err := c.r.ReadString('\n')
		for err == nil && line[3] == '-' {
			line, err = c.r.ReadString('\n')
		}
		if err != nil {
			return stage, ""
		}
		if line[0] > '3' {
			return stage, strings.TrimSpace(line)
		}
	}
	return "", ""
}

func TestFaultAtEachStage(t *testing.T) {
	for _, stage := range stagesOfMessage {
		for _, fault := range []smtptest.Fault{smtptest.Cut, smtptest.CutAfter} {
			t.Run(string(fault)+" at "+string(stage), func(t *testing.T) {
				relay := newServer(t, smtptest.Config{Script: smtptest.At(stage, smtptest.Answer{Fault: fault})})
				if got, reply := throughStages(dial(t, relay)); got != stage || reply != "" {
					t.Errorf("ended at %q with %q", got, reply)
				}
			})
		}
		t.Run("421 at "+string(stage), func(t *testing.T) {
			relay := newServer(t, smtptest.Config{Script: smtptest.At(stage, smtptest.Answer{Code: 421, Enhanced: "4.3.2", Text: "Bye"})})
			c := dial(t, relay)
			if got, reply := throughStages(c); got != stage || reply != "421 4.3.2 Bye" {
				t.Errorf("ended at %q with %q", got, reply)
			}
			c.expectGone()
		})
	}
}

// A client cannot tell a stalled relay from a slow one, but Close can end both.
func TestCloseEndsStalledSessions(t *testing.T) {
	answers := map[string]smtptest.Answer{
		"stall": {Fault: smtptest.Stall},
		"delay": {Delay: time.Hour},
		"hold":  {Hold: make(chan struct{})},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			for _, stage := range stagesOfMessage {
				reached := make(chan struct{})
				relay := newServer(t, smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
					if e.Stage != stage {
						return smtptest.Answer{}
					}
					close(reached)
					return answer
				}})
				c := dial(t, relay)
				ended := make(chan string)
				go func() {
					got, reply := throughStages(c)
					ended <- string(got) + reply
				}()
				<-reached
				relay.Close()
				if got := <-ended; got != string(stage) {
					t.Errorf("stalled at %q, ended at %q", stage, got)
				}
			}
		})
	}
}

// The client of a held 250 gives up on a message that was accepted.
func TestHoldHasTheEffect(t *testing.T) {
	relay := newServer(t, smtptest.Config{Script: smtptest.At(smtptest.EndOfData, smtptest.Answer{Hold: make(chan struct{})})})
	c := hello(t, relay)
	c.deliver("reader@example.net")
	if err := relay.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	relay.Close()
	c.expectGone()
}

// Replies to the commands before a fault go out, though they were pipelined.
func TestRepliesBeforeFault(t *testing.T) {
	for _, answer := range []smtptest.Answer{{Fault: smtptest.Cut}, {Fault: smtptest.Stall}, {Delay: time.Hour}} {
		relay := newServer(t, smtptest.Config{Script: smtptest.At(smtptest.Data, answer)})
		c := hello(t, relay)
		c.send("MAIL FROM:<news@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n")
		c.expect("250 2.1.0", "250 2.1.5")
		relay.Close()
		c.expectGone()
	}
}

func TestCutInData(t *testing.T) {
	for _, octets := range []int{0, 1, 30, 1 << 20} { // the last is more than the message
		relay := newServer(t, smtptest.Config{Script: smtptest.At(smtptest.Data, smtptest.Answer{Fault: smtptest.CutInData, Bytes: octets})})
		c := hello(t, relay)
		c.deliver("reader@example.net")
		c.expectGone()
		if got := relay.Messages(); len(got) != 0 {
			t.Errorf("cut after %d octets, but accepted %q", octets, got[0].Data)
		}
	}
}

// A session refused in the greeting stays for QUIT (RFC 5321 section 3.1).
func TestRefusedConnection(t *testing.T) {
	relay := newServer(t, smtptest.Config{Script: smtptest.At(smtptest.Connect, smtptest.Answer{Code: 554, Enhanced: "5.7.1", Text: "Not you"})})
	c := dial(t, relay)
	c.expect("554 5.7.1 Not you")
	c.send("EHLO client.example\r\nQUIT\r\n")
	c.expect("503 5.5.1", "221 ")
	c.expectGone()
}

func TestTo(t *testing.T) {
	gone := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "No such user"}
	full := smtptest.Answer{Code: 452, Enhanced: "4.2.2", Text: "Mailbox full"}
	relay := newServer(t, smtptest.Config{Script: smtptest.FirstOf(
		smtptest.To("gone@example.net", smtptest.Rcpt, gone),
		smtptest.To("full@example.net", smtptest.EndOfData, full),
	)})
	c := hello(t, relay)
	c.send("MAIL FROM:<news@example.org>\r\nRCPT TO:<gone@example.net>\r\nDATA\r\nRSET\r\n")
	c.expect("250 ", "550 5.1.1", "554 5.5.1", "250 ")
	c.deliver("full@example.net")
	c.expect("452 4.2.2")
	c.deliver("reader@example.net")
	c.expect("250 ")
	if counts := relay.Counts(); counts.Accepted != 1 || counts.Refused != 2 {
		t.Errorf("accepted %d and refused %d, want 1 and 2", counts.Accepted, counts.Refused)
	}
}

func TestHangUpAfter(t *testing.T) {
	relay := newServer(t, smtptest.Config{Script: smtptest.HangUpAfter(2)})
	for range 2 {
		c := hello(t, relay)
		for range 2 {
			c.deliver("reader@example.net")
			c.expect("250 ")
		}
		c.send("MAIL FROM:<news@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n")
		c.expect("421 4.7.0")
		c.expectGone()
	}
	var got [][2]int
	for _, m := range relay.Messages() {
		got = append(got, [2]int{m.Session, m.Number})
	}
	if diff := cmp.Diff([][2]int{{1, 1}, {1, 2}, {2, 1}, {2, 2}}, got); diff != "" {
		t.Errorf("sessions and numbers (-want +got):\n%s", diff)
	}
}

func TestTimes(t *testing.T) {
	busy := smtptest.Answer{Code: 450, Enhanced: "4.7.1", Text: "Greylisted"}
	relay := newServer(t, smtptest.Config{Script: smtptest.Times(2, smtptest.At(smtptest.Rcpt, busy))})
	c := hello(t, relay)
	c.send("MAIL FROM:<news@example.org>\r\n" + strings.Repeat("RCPT TO:<reader@example.net>\r\n", 3))
	c.expect("250 ", "450 4.7.1", "450 4.7.1", "250 2.1.5")
}
