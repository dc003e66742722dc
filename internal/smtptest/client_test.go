package smtptest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// client is a raw SMTP client. A relay that hangs fails its test.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and leaves the greeting unread.
func dial(t testing.TB, relay *smtptest.Server) *client {
	t.Helper()
	conn, err := net.Dial("tcp", relay.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t}
	c.use(conn)
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// use goes on over another connection, such as TLS on the one before.
func (c *client) use(conn net.Conn) {
	c.t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

// hello connects and says EHLO.
func hello(t testing.TB, relay *smtptest.Server) *client {
	t.Helper()
	c := dial(t, relay)
	c.expect("220 ")
	c.send("EHLO client.example\r\n")
	c.expect("250 ")
	return c
}

// send writes bytes as they are, in one write.
func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.t.Fatalf("sending %.40q: %v", raw, err)
	}
}

// reply reads one, its lines joined as "250 first\nlast".
func (c *client) reply() string {
	c.t.Helper()
	var text []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading reply after %q: %v", text, err)
		}
		if len(line) < 6 || !strings.HasSuffix(line, "\r\n") || (line[3] != ' ' && line[3] != '-') {
			c.t.Fatalf("malformed line of a reply: %q", line)
		}
		text = append(text, strings.TrimSuffix(line[4:], "\r\n"))
		if line[3] == ' ' {
			return line[:3] + " " + strings.Join(text, "\n")
		}
	}
}

// expect reads a reply for each prefix.
func (c *client) expect(prefixes ...string) {
	c.t.Helper()
	for _, prefix := range prefixes {
		if got := c.reply(); !strings.HasPrefix(got, prefix) {
			c.t.Fatalf("got reply %q, want %q", got, prefix)
		}
	}
}

// hold goes through a dialogue: lines that begin with "> " are sent, the
// others begin the replies.
func (c *client) hold(dialogue []string) {
	c.t.Helper()
	for _, line := range dialogue {
		if sent, ok := strings.CutPrefix(line, "> "); ok {
			c.send(sent + "\r\n")
		} else {
			c.expect(line)
		}
	}
}

// expectGone fails unless the relay has closed the connection without another word.
func (c *client) expectGone() {
	c.t.Helper()
	switch line, err := c.r.ReadString('\n'); {
	case err == nil || line != "":
		c.t.Fatalf("got %q, want the connection closed", line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatal("the connection is still open")
	}
}

// begin opens a transaction for one recipient, up to the reply to DATA.
func (c *client) begin(to string) {
	c.t.Helper()
	c.send(fmt.Sprintf("MAIL FROM:<news@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n", to))
	c.expect("250 2.1.0", "250 2.1.5", "354 ")
}

// deliver sends a message up to the reply to its end, which is left unread.
func (c *client) deliver(to string) {
	c.t.Helper()
	c.begin(to)
	c.send(message + ".\r\n")
}

const message = "Message-ID: <1@example.org>\r\nSubject: Five o'clock\r\n\r\nTea is served.\r\n"

// newServer starts a relay for the length of a test.
func newServer(t testing.TB, cfg smtptest.Config) *smtptest.Server {
	t.Helper()
	relay := smtptest.NewServer(cfg)
	t.Cleanup(relay.Close)
	return relay
}
