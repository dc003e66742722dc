package smtptest_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

// Whatever a client sends, the relay answers with well-formed replies, counts
// what it says it took, and ends with the connection.
func FuzzSession(f *testing.F) {
	envelope := "MAIL FROM:<news@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n"
	f.Add([]byte("EHLO client.example\r\n"+envelope+stuff(message)+"QUIT\r\n"), false)
	f.Add([]byte("EHLO client.example\r\n"+envelope+stuff(message)+envelope+stuff(".\r\n")+"RSET\r\nNOOP\r\n"), false)
	f.Add([]byte("HELO a\r\nMAIL FROM:<\"a>\\\"\"@[x]> SIZE=1\r\nRCPT TO:<@a,@b:c@d>\r\nDATA\r\n.\n.\r\r\n.\r\n"), false)
	f.Add([]byte("EHLO a\r\nMAIL FROM:<j\xc3\xb6@b> SMTPUTF8 BODY=7BIT\r\nVRFY\r\nHELP\n\r\nQUIT"), false)
	f.Add([]byte("EHLO a\r\nAUTH LOGIN =\r\nAAAA\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN AG5ld3MAczNzYW1l\r\n"+envelope+".\r\n"), true)
	f.Add([]byte("\r\n\r\n \r\n\x00\r\n"), true)
	f.Fuzz(func(t *testing.T, input []byte, auth bool) {
		cfg := smtptest.Config{MaxSize: 1 << 16}
		if auth {
			cfg.Username, cfg.Password = "news", "s3same"
		}
		relay := newServer(t, cfg)
		c := dial(t, relay)
		go func() {
			_, _ = c.conn.Write(input) // fails where a QUIT comes before the end
			_ = c.conn.(*net.TCPConn).CloseWrite()
		}()
		output, err := io.ReadAll(c.conn)
		if err != nil {
			t.Fatalf("the session did not end: %v", err)
		}
		accepted := 0
		for line := range strings.Lines(string(output)) {
			if len(line) < 6 || line[0] < '2' || line[0] > '5' || !strings.HasSuffix(line, "\r\n") || !strings.ContainsAny(line[3:4], " -") {
				t.Errorf("malformed line of a reply: %q", line)
			}
			if strings.HasPrefix(line, "250 2.0.0 Ok: queued") {
				accepted++
			}
		}
		relay.Close()
		if got := len(relay.Messages()); got != accepted {
			t.Errorf("said that it took %d messages, has %d", accepted, got)
		}
	})
}

// Any text arrives as it was, or is refused as a whole for a bare CR or LF,
// and never is a part of it taken for a command.
func FuzzData(f *testing.F) {
	for _, data := range []string{"", ".", ".\r\n", "a\n.\nb", "\r\n.\r\n.\r\n", "a\r\n.\n", "a\r.\r\nQUIT\r\n", "..\r\n\r", "\n.\r\n", "\r\r\n"} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		data := string(input)
		if data != "" && !strings.HasSuffix(data, "\r\n") {
			data += "\r\n"
		}
		relay := newServer(t, smtptest.Config{})
		c := hello(t, relay)
		c.begin("reader@example.net")
		c.send(stuff(data) + "NOOP\r\n")
		if strings.ContainsAny(strings.ReplaceAll(data, "\r\n", ""), "\r\n") {
			c.expect("550 5.5.2", "250 2.0.0 Ok")
			return
		}
		c.expect("250 2.0.0 Ok: queued as 1-1", "250 2.0.0 Ok")
		if got := string(relay.Messages()[0].Data); got != data {
			t.Errorf("sent %q, got %q", data, got)
		}
	})
}
