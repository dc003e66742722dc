package smtptest

import "time"

// Stage is a point in a session at which a script is asked.
type Stage string

// The stages, each before the reply that it is named for. The relay asks only
// about what it would accept itself: a command out of sequence, a wrong
// password or a message over the size limit is refused without asking.
const (
	Connect   Stage = "connect" // before the greeting
	HELO      Stage = "helo"
	EHLO      Stage = "ehlo"
	StartTLS  Stage = "starttls"
	Auth      Stage = "auth" // the password is right
	Mail      Stage = "mail"
	Rcpt      Stage = "rcpt"
	Data      Stage = "data"
	EndOfData Stage = "end of data"
	Rset      Stage = "rset"
	Noop      Stage = "noop"
	Quit      Stage = "quit"
)

// Event is what a script is asked about.
type Event struct {
	Stage   Stage
	Session int    // from 1, over all runs of the relay
	Message int    // the Number that the session's next accepted message will have
	From    string // reverse path of the transaction under way, from Mail on
	To      string // at Rcpt the recipient asked about, then the last one accepted
	TLS     bool
	User    string // authenticated as
}

// Answer is what a script wants. The zero Answer is the relay's own behaviour.
//
// A reply of 4xx or 5xx refuses: the command has no effect. Any other has the
// effect of the relay's own reply in other words. A 421 ends the session, as
// section 3.8 of RFC 5321 says. After a refusal at Connect the session waits
// for QUIT (section 3.1).
type Answer struct {
	Code     int    // such as 451; 0: the relay's own reply
	Enhanced string // such as "4.7.1"; left out Without ENHANCEDSTATUSCODES
	Text     string // each line makes a line of the reply

	// The reply waits for Delay, and then until Hold is closed where it is not
	// nil, or for Close. The effect does not wait: a message whose 250 is held
	// has been accepted. The session stays open even if its client leaves.
	Delay time.Duration
	Hold  <-chan struct{}

	Fault Fault
	Bytes int // of the message that CutInData lets through
}

// Fault is a way to break a session. The replies to earlier commands still go
// out.
type Fault string

// The faults.
const (
	// Cut closes the connection in place of the effect and the reply.
	Cut Fault = "cut"
	// CutAfter closes the connection in place of the reply only. At EndOfData
	// the message is recorded and its client cannot know.
	CutAfter Fault = "cut after"
	// CutInData, at Data, replies 354, reads Bytes octets of the message and
	// on to the end of their last line, or to the end of a shorter message,
	// and closes the connection. At other stages it is Cut.
	CutInData Fault = "cut in data"
	// Stall never replies and has no effect. The session ends when its client
	// leaves or at Close.
	Stall Fault = "stall"
)

// Script decides how a relay answers. Scripts and OnMessage are called one at
// a time over all sessions, so they may keep state without a lock. One that
// blocks blocks the relay: to put off a reply, answer with Hold.
type Script func(Event) Answer

// At gives the same answer at each event of one stage.
func At(stage Stage, a Answer) Script {
	return func(e Event) Answer {
		if e.Stage != stage {
			return Answer{}
		}
		return a
	}
}

// To gives the same answer at each event of one stage that concerns one
// recipient, as spelt by the client.
func To(recipient string, stage Stage, a Answer) Script {
	return func(e Event) Answer {
		if e.Stage != stage || e.To != recipient {
			return Answer{}
		}
		return a
	}
}

// HangUpAfter lets a session deliver n messages and ends it with 421 4.7.0 at
// the next MAIL.
func HangUpAfter(n int) Script {
	return func(e Event) Answer {
		if e.Stage != Mail || e.Message <= n {
			return Answer{}
		}
		return Answer{Code: 421, Enhanced: "4.7.0", Text: "Too many messages in this session"}
	}
}

// Times passes on the first n answers of a script that are not zero, over all
// sessions. From then on the relay behaves.
func Times(n int, s Script) Script {
	return func(e Event) Answer {
		if n == 0 {
			return Answer{}
		}
		a := s(e)
		if a != (Answer{}) {
			n--
		}
		return a
	}
}

// FirstOf asks scripts in turn until one has an answer that is not zero.
func FirstOf(scripts ...Script) Script {
	return func(e Event) Answer {
		for _, s := range scripts {
			if a := s(e); a != (Answer{}) {
				return a
			}
		}
		return Answer{}
	}
}
