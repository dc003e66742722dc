package smtptest_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

// dialogues are sessions from the greeting on. Lines that begin with "> " are
// sent, the others begin the replies.
var dialogues = map[string][]string{
	"whole session": {
		"220 relay.example ESMTP",
		"> EHLO client.example", "250 relay.example\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nSIZE 33554432",
		"> MAIL FROM:<news@example.org>", "250 2.1.0",
		"> RCPT TO:<reader@example.net>", "250 2.1.5",
		"> DATA", "354 ",
		"> ", "> Hello", "> .", "250 2.0.0 Ok: queued as 1-1",
		"> QUIT", "221 2.0.0",
	},
	"HELO knows no parameters": {
		"220 ", "> HELO client.example", "250 relay.example",
		"> MAIL FROM:<news@example.org> SIZE=1", "555 5.5.4",
		"> MAIL FROM:<news@example.org>", "250 2.1.0",
	},
	"case of verbs does not matter": {
		"220 ", "> ehlo client.example", "250 ",
		"> mail from:<news@example.org> body=8bitmime size=9", "250 2.1.0",
		"> rcpt to:<reader@example.net>", "250 2.1.5",
		"> noop anything  ", "250 2.0.0", "> quit ", "221 ",
	},
	"nested MAIL": {
		"220 ", "> EHLO client.example", "250 ",
		"> MAIL FROM:<news@example.org>", "250 ",
		"> MAIL FROM:<other@example.org>", "503 5.5.1",
		"> RSET", "250 2.0.0",
		"> MAIL FROM:<other@example.org>", "250 2.1.0",
		"> EHLO client.example", "250 ",
		"> RCPT TO:<reader@example.net>", "503 5.5.1",
		"> MAIL FROM:<other@example.org>", "250 2.1.0",
	},
	"commands out of sequence": {
		"220 ",
		"> MAIL FROM:<news@example.org>", "503 5.5.1",
		"> EHLO client.example", "250 ",
		"> RCPT TO:<reader@example.net>", "503 5.5.1",
		"> DATA", "503 5.5.1",
		"> MAIL FROM:<>", "250 ",
		"> DATA", "554 5.5.1",
	},
	"bad arguments": {
		"220 ", "> EHLO", "501 5.5.4", "> EHLO two words", "501 5.5.4", "> EHLO [192.0.2.1]", "250 ",
		"> MAIL", "501 5.5.4", "> MAIL FROM:news@example.org", "501 5.5.4", "> MAIL FROM: <news@example.org>", "501 5.5.4",
		"> MAIL FROM:<news@example.org>SIZE=1", "501 5.5.4", "> MAIL FROM:<news@example.org", "501 5.5.4",
		"> MAIL FROM:<news>", "501 5.1.7", "> MAIL FROM:<a b@example.org>", "501 5.1.7", "> MAIL FROM:<.a@example.org>", "501 5.1.7",
		"> MAIL FROM:<a@example..org>", "501 5.1.7", "> MAIL FROM:<a@b_c.example>", "501 5.1.7",
		"> MAIL FROM:<a@example.org> SIZE=x", "501 5.5.4", "> MAIL FROM:<a@example.org> SIZE=-1", "501 5.5.4",
		"> MAIL FROM:<a@example.org> BODY=BINARYMIME", "501 5.5.4", "> MAIL FROM:<a@example.org> SMTPUTF8=1", "501 5.5.4",
		"> MAIL FROM:<a@example.org> RET=HDRS", "555 5.5.4", "> MAIL FROM:<a@example.org> AUTH=<>", "555 5.5.4",
		`> MAIL FROM:<"a > \" b"@example.org>`, "250 ",
		"> RCPT TO:<>", "501 5.5.4", "> RCPT TO:<reader@example.net> NOTIFY=NEVER", "555 5.5.4",
		"> RCPT TO:<reader>", "501 5.1.3", "> RCPT TO:<Postmaster>", "250 ", "> RCPT TO:<@a.example,@b.example:c@[192.0.2.1]>", "250 ",
		"> DATA now", "501 5.5.4", "> RSET now", "501 5.5.4", "> QUIT now", "501 5.5.4",
	},
	"addresses beyond ASCII": {
		"220 ", "> EHLO client.example", "250 ",
		"> MAIL FROM:<jörg@example.org>", "553 5.6.7",
		"> MAIL FROM:<news@example.org>", "250 ", "> RCPT TO:<jörg@example.org>", "553 5.6.7", "> RSET", "250 ",
		"> MAIL FROM:<jörg@bücher.example> SMTPUTF8", "250 ", "> RCPT TO:<zoë@example.org>", "250 ",
		"> RCPT TO:<\xff@example.org>", "501 5.1.3",
	},
	"other commands": {
		"220 ", "> VRFY", "501 5.5.4", "> VRFY reader", "252 2.0.0", "> EXPN readers", "502 5.5.1", "> HELP", "214 2.0.0",
		"> BDAT 3 LAST", "500 5.5.1", "> ", "500 5.5.1", "> STARTTLS", "502 5.5.1", "> AUTH PLAIN", "502 5.5.1",
	},
	"bare line feeds end no command": {
		"220 ", "> NOOP\nNOOP\nQUIT", "500 5.5.2", "> NOOP", "250 ", "> NO\x00OP", "500 5.5.2", "> NOOP \rx", "500 5.5.2",
	},
	"limits on line length": {
		"220 ", "> NOOP " + strings.Repeat("x", 512-7), "250 ", "> NOOP " + strings.Repeat("x", 512-6), "500 5.5.2",
		"> " + strings.Repeat("x", 100_000), "500 5.5.2", "> " + strings.Repeat("x\n", 50_000), "500 5.5.2", "> NOOP", "250 ",
	},
	"size declared": {
		"220 ", "> EHLO client.example", "250 ",
		"> MAIL FROM:<news@example.org> SIZE=33554433", "552 5.3.4",
		"> MAIL FROM:<news@example.org> SIZE=99999999999999999999", "552 5.3.4",
		"> MAIL FROM:<news@example.org> SIZE=33554432", "250 ",
	},
}

func TestDialogue(t *testing.T) {
	for name, dialogue := range dialogues {
		t.Run(name, func(t *testing.T) {
			c := dial(t, newServer(t, smtptest.Config{}))
			c.hold(dialogue)
		})
	}
}

func TestRecipientLimit(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	c := hello(t, relay)
	c.send("MAIL FROM:<news@example.org>\r\n")
	c.expect("250 ")
	for range 100 {
		c.send("RCPT TO:<reader@example.net>\r\n")
		c.expect("250 ")
	}
	c.send("RCPT TO:<reader@example.net>\r\n")
	c.expect("452 4.5.3")
}

func TestWithout(t *testing.T) {
	tests := map[string]struct{ command, refusal string }{
		"SIZE":                {"MAIL FROM:<news@example.org> SIZE=1", "555 5.5.4"},
		"8BITMIME":            {"MAIL FROM:<news@example.org> BODY=8BITMIME", "555 5.5.4"},
		"SMTPUTF8":            {"MAIL FROM:<news@example.org> SMTPUTF8", "555 5.5.4"},
		"ENHANCEDSTATUSCODES": {"MAIL FROM:<news@example.org", "501 Syntax"},
		"PIPELINING":          {"RSET\r\nNOOP", "421 4.7.0"},
	}
	for keyword, tt := range tests {
		t.Run(keyword, func(t *testing.T) {
			c := dial(t, newServer(t, smtptest.Config{Without: []string{keyword}}))
			c.expect("220 ")
			c.send("EHLO client.example\r\n")
			if offers := c.reply(); strings.Contains(offers, keyword) {
				t.Errorf("offers %s: %q", keyword, offers)
			}
			c.send(tt.command + "\r\n")
			c.expect(tt.refusal)
		})
	}
}

// An address beyond ASCII goes where SMTPUTF8 was agreed on, and comes out as it went in; elsewhere it is refused, and
// the session goes on (RFC 6531 section 3.5).
func TestAddressesBeyondASCIINeedSMTPUTF8(t *testing.T) {
	with := newServer(t, smtptest.Config{})
	c := hello(t, with)
	c.send("MAIL FROM:<news@example.org> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<读者@example.net>\r\nDATA\r\n")
	c.expect("250 2.1.0", "250 2.1.5", "354 ")
	c.send("To: <读者@example.net>\r\n" + message + ".\r\n")
	c.expect("250 2.0.0")
	m := with.Messages()[0]
	if diff := cmp.Diff([]string{"读者@example.net"}, m.To); diff != "" || m.Params != "BODY=8BITMIME SMTPUTF8" || !strings.HasPrefix(string(m.Data), "To: <读者@example.net>\r\n") {
		t.Errorf("message to %q with %q: %q", m.To, m.Params, m.Data)
	}
	c = hello(t, newServer(t, smtptest.Config{Without: []string{"SMTPUTF8"}}))
	c.hold([]string{
		"> MAIL FROM:<jörg@example.org>", "553 5.6.7", "> MAIL FROM:<news@example.org> SMTPUTF8", "555 5.5.4",
		"> MAIL FROM:<news@example.org>", "250 ", "> RCPT TO:<读者@example.net>", "553 5.6.7", "> RCPT TO:<reader@example.net>", "250 ",
	})
}

// A relay whose STARTTLS was stripped on the way refuses it, and takes
// passwords in the clear.
func TestWithoutStartTLS(t *testing.T) {
	cert, _, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert), Username: "news", Without: []string{"STARTTLS"}})
	c := dial(t, relay)
	c.expect("220 ")
	c.send("EHLO client.example\r\n")
	if offers := c.reply(); strings.Contains(offers, "STARTTLS") || !strings.Contains(offers, "AUTH PLAIN LOGIN") {
		t.Errorf("offers %q", offers)
	}
	c.send("STARTTLS\r\n")
	c.expect("502 5.5.1")
}

// countingListener counts the writes to the connections it accepts.
type countingListener struct {
	net.Listener
	writes atomic.Int64
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countedConn{conn, &l.writes}, err
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// A pipelined group is answered in order and in one write, and the next
// envelope may ride behind the end of a message.
func TestPipelining(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: l}
	relay := newServer(t, smtptest.Config{Listener: counting})
	c := hello(t, relay)
	before := counting.writes.Load()
	c.send("MAIL FROM:<news@example.org>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b>\r\nDATA\r\n")
	c.expect("250 2.1.0", "250 2.1.5", "501 5.1.3", "354 ")
	c.send(message + ".\r\nMAIL FROM:<news@example.org>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n")
	c.expect("250 2.0.0", "250 2.1.0", "250 2.1.5", "354 ")
	c.send(message + ".\r\nQUIT\r\n")
	c.expect("250 2.0.0", "221 2.0.0")
	if writes := counting.writes.Load() - before; writes != 3 {
		t.Errorf("three groups were answered in %d writes", writes)
	}
	var got [][]string
	for _, m := range relay.Messages() {
		got = append(got, m.To)
	}
	if diff := cmp.Diff([][]string{{"a@example.net"}, {"c@example.net"}}, got); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}
