package smtptest_test

import (
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

// stuff makes a message ready for DATA (RFC 5321 section 4.5.2), its end included.
func stuff(data string) string {
	stuffed := strings.ReplaceAll("\r\n"+data, "\r\n.", "\r\n..")
	return strings.TrimPrefix(stuffed, "\r\n") + ".\r\n"
}

func TestDotStuffing(t *testing.T) {
	tests := map[string]string{
		"nothing at all":         "",
		"lone dot":               ".\r\n",
		"dots everywhere":        ".\r\n..\r\n...\r\n.a\r\na.\r\n.\r\n",
		"lone dot in the middle": "before\r\n.\r\nafter\r\n",
		"empty lines":            "\r\n\r\n\r\n",
		"line beyond buffers":    strings.Repeat("x", 200_000) + "\r\n.\r\n",
		"line of dots":           strings.Repeat(".", 70_000) + "\r\n",
	}
	// The CR of a line may be the last octet in a full buffer and its LF the first in the next.
	for n := 32<<10 - 4; n < 32<<10+4; n++ {
		tests[fmt.Sprintf("line of %d", n)] = "a\r\n" + strings.Repeat("x", n) + "\r\n.b\r\n"
	}
	relay := newServer(t, smtptest.Config{})
	c := hello(t, relay)
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			c.begin("reader@example.net")
			c.send(stuff(data))
			c.expect("250 2.0.0")
			messages := relay.Messages()
			if got := string(messages[len(messages)-1].Data); got != data {
				t.Errorf("sent %.60q (%d), got %.60q (%d)", data, len(data), got, len(got))
			}
		})
	}
}

func TestStandardClient(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	data := "Subject: Dots\r\n\r\n.\r\n..\r\nThe end.\r\n"
	if err := smtp.SendMail(relay.Addr, nil, "news@example.org", []string{"a@example.net", "b@example.net"}, []byte(data)); err != nil {
		t.Fatal(err)
	}
	got := relay.Messages()[0]
	if diff := cmp.Diff([]string{"a@example.net", "b@example.net"}, got.To); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	if got.From != "news@example.org" || string(got.Data) != data {
		t.Errorf("got %q from %q", got.Data, got.From)
	}
}

// Nothing but a dot between two CRLFs ends a message, so no sender can hide a
// second message in the text of the first.
func TestSmuggling(t *testing.T) {
	smuggled := "MAIL FROM:<forged@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\nForged\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\r\n\x00.\r\n", "\n\n.\r\n", "\r\n.\n\r\n",
	} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			relay := newServer(t, smtptest.Config{})
			c := hello(t, relay)
			c.begin("reader@example.net")
			c.send("Subject: Harmless\r\n\r\nText" + end + smuggled + ".\r\nNOOP\r\n")
			want := "550 5.5.2"
			if strings.Contains(end, "\x00") { // has no bare CR or LF and is one message
				want = "250 2.0.0 Ok: queued"
			}
			c.expect(want, "250 2.0.0 Ok")
			for _, m := range relay.Messages() {
				if !strings.Contains(string(m.Data), "forged@example.org") {
					t.Errorf("the relay took half of the text for a message: %q", m.Data)
				}
			}
			if got := relay.Counts().Commands["MAIL"]; got != 1 {
				t.Errorf("the relay took the text for a command: %d MAIL", got)
			}
		})
	}
}

func TestSizeLimit(t *testing.T) {
	relay := newServer(t, smtptest.Config{MaxSize: 1000})
	c := hello(t, relay)
	for _, tt := range []struct {
		octets int
		want   string
	}{{1000, "250 2.0.0"}, {1001, "552 5.3.4"}, {100_000, "552 5.3.4"}, {999, "250 2.0.0"}} {
		c.begin("reader@example.net")
		c.send(stuff("." + strings.Repeat("x", tt.octets-3) + "\r\n"))
		c.expect(tt.want)
	}
	if counts := relay.Counts(); counts.Accepted != 2 || counts.Refused != 2 {
		t.Errorf("accepted %d and refused %d, want 2 and 2", counts.Accepted, counts.Refused)
	}
}

func TestMessageID(t *testing.T) {
	tests := map[string]struct{ data, want string }{
		"plain":              {"Subject: a\r\nMessage-ID: <1@example.org>\r\n\r\n", "<1@example.org>"},
		"any case":           {"message-id:<1@example.org> \r\n\r\n", "<1@example.org>"},
		"on its own line":    {"Message-Id:\r\n\t<1@example.org>\r\nSubject: a\r\n\r\n", "<1@example.org>"},
		"of another message": {"Subject: a\r\n\r\nMessage-ID: <1@example.org>\r\n", ""},
		"absent":             {"Subject: a\r\n", ""},
	}
	relay := newServer(t, smtptest.Config{DiscardData: true})
	c := hello(t, relay)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c.begin("reader@example.net")
			c.send(stuff(tt.data))
			c.expect("250 ")
			messages := relay.Messages()
			m := messages[len(messages)-1]
			if m.MessageID != tt.want {
				t.Errorf("got %q, want %q", m.MessageID, tt.want)
			}
			if m.Data != nil {
				t.Errorf("a sink kept %q", m.Data)
			}
		})
	}
}
