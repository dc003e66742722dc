package smtptest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

func TestConnectionLimit(t *testing.T) {
	relay := newServer(t, smtptest.Config{MaxConnections: 3})
	clients := []*client{hello(t, relay), hello(t, relay), hello(t, relay)}
	over := dial(t, relay)
	over.expect("421 4.7.0")
	over.expectGone()
	clients[0].send("QUIT\r\n")
	clients[0].expect("221 ")
	hello(t, relay) // the place is free once 221 can be read
	want := smtptest.Counts{Connections: 5, TurnedAway: 1, Open: 3, MostOpen: 3, Commands: map[string]int{"EHLO": 4, "QUIT": 1}}
	if diff := cmp.Diff(want, relay.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestRestart(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	addr := relay.Addr
	c := hello(t, relay)
	c.deliver("before@example.net")
	c.expect("250 ")
	waiting := hello(t, relay)

	relay.Close()
	c.expectGone()
	waiting.expectGone()
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("a closed relay accepts connections")
	}

	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	if relay.Addr != addr || addr != fmt.Sprintf("%s:%d", relay.Host, relay.Port) {
		t.Errorf("was at %s, is at %s, %s port %d", addr, relay.Addr, relay.Host, relay.Port)
	}
	c = hello(t, relay)
	c.deliver("after@example.net")
	c.expect("250 ")
	var got []string
	for _, m := range relay.Messages() {
		got = append(got, fmt.Sprintf("%d %s", m.Session, m.To[0]))
	}
	if diff := cmp.Diff([]string{"1 before@example.net", "3 after@example.net"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestStartWhileRunning(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	if err := relay.Start(); err == nil {
		t.Error("started twice")
	}
	hello(t, relay)
	relay.Close()
	relay.Close()
}

// Sessions between messages are ended with 421, one within a transaction goes on.
func TestCloseIdle(t *testing.T) {
	cert, pool, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert)})
	fresh := dial(t, relay)
	fresh.expect("220 ")
	used := hello(t, relay)
	used.deliver("reader@example.net")
	used.expect("250 ")
	encrypted := hello(t, relay)
	encrypted.startTLS(pool, "relay.example")
	encrypted.send("EHLO client.example\r\n")
	encrypted.expect("250 ")
	active := hello(t, relay)
	active.send("MAIL FROM:<news@example.org>\r\n")
	active.expect("250 ")

	if got := relay.CloseIdle(); got != 3 {
		t.Errorf("dismissed %d sessions, want 3", got)
	}
	for _, c := range []*client{fresh, used, encrypted} {
		c.send("MAIL FROM:<news@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n") // too late
		c.expect("421 4.4.2")
		c.expectGone()
	}
	active.send("RCPT TO:<reader@example.net>\r\nQUIT\r\n")
	active.expect("250 ", "221 ")
	if got := relay.CloseIdle(); got != 0 {
		t.Errorf("dismissed %d sessions of none", got)
	}
}

// Whoever has read a reply is found idle: there is no moment between the reply
// and the wait for the next command.
func TestCloseIdleAfterReply(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	for range 200 {
		c := hello(t, relay)
		if got := relay.CloseIdle(); got != 1 {
			t.Fatalf("dismissed %d sessions, want 1", got)
		}
		c.expect("421 4.4.2")
		_ = c.conn.Close()
	}
}

func TestWait(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	done := make(chan error)
	go func() { done <- relay.Wait(t.Context(), 2) }()
	c := hello(t, relay)
	c.deliver("reader@example.net")
	c.expect("250 ")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := relay.Wait(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("waited for 2 messages of 1 with %v", err)
	}
	if err := relay.Wait(ctx, 1); err != nil {
		t.Errorf("waited for 1 message of 1 with %v", err)
	}
	c.deliver("reader@example.net")
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.expect("250 ")
}

// OnMessage and Script are called one at a time, so they need no lock, and
// OnMessage sees what Messages will say, before the client has its 250.
func TestHooks(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var seen []smtptest.Message
	asked := 0
	relay := newServer(t, smtptest.Config{
		Now:       func() time.Time { return at },
		OnMessage: func(m smtptest.Message) { seen = append(seen, m) },
		Script:    func(smtptest.Event) smtptest.Answer { asked++; return smtptest.Answer{} },
	})
	t.Run("clients", func(t *testing.T) {
		for n := range 8 {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				c := hello(t, relay)
				for range 10 {
					c.deliver("reader@example.net")
					c.expect("250 ")
				}
			})
		}
	})
	relay.Close()
	if len(seen) != 80 || asked != 8*(2+10*4) {
		t.Errorf("told of %d messages and asked %d times", len(seen), asked)
	}
	if diff := cmp.Diff(relay.Messages(), seen); diff != "" {
		t.Errorf("seen (-messages +seen):\n%s", diff)
	}
	want := smtptest.Message{
		From: "news@example.org", To: []string{"reader@example.net"}, MessageID: "<1@example.org>",
		Data: []byte(message), Session: seen[0].Session, Number: 1, Received: at,
	}
	if diff := cmp.Diff(want, seen[0]); diff != "" {
		t.Errorf("first message (-want +got):\n%s", diff)
	}
}

func TestCounts(t *testing.T) {
	relay := newServer(t, smtptest.Config{})
	c := hello(t, relay)
	c.send("mail FROM:<news@example.org> BODY=8BITMIME SIZE=40\r\nRCPT TO:<reader>\r\nRCPT TO:<reader@example.net>\r\nXYZZY\r\nMAIL\r\nDATA\r\n")
	c.expect("250 ", "501 ", "250 ", "500 ", "503 ", "354 ")
	c.send(message + ".\r\nQUIT\r\n")
	c.expect("250 ", "221 ")
	want := smtptest.Counts{
		Connections: 1, MostOpen: 1, Accepted: 1, Refused: 1,
		Commands: map[string]int{"EHLO": 1, "MAIL": 2, "RCPT": 2, "DATA": 1, "QUIT": 1, "?": 1},
	}
	if diff := cmp.Diff(want, relay.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if got := relay.Messages()[0].Params; got != "BODY=8BITMIME SIZE=40" {
		t.Errorf("parameters %q", got)
	}
}

// Close may come while clients connect, talk and wait.
func TestCloseAmidTraffic(t *testing.T) {
	for range 20 {
		relay := newServer(t, smtptest.Config{DiscardData: true})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				conn, err := net.Dial("tcp", relay.Addr)
				for err == nil {
					_, err = conn.Write([]byte("EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<reader@example.net>\r\nRSET\r\n"))
				}
				if conn != nil {
					_ = conn.Close()
				}
			})
		}
		relay.CloseIdle()
		relay.Close()
		clients.Wait()
		if open := relay.Counts().Open; open != 0 {
			t.Fatalf("%d connections are open after Close", open)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/relay")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{Listener: l})
	conn, err := net.Dial("unix", relay.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t}
	c.use(conn)
	c.expect("220 ")
	c.send("QUIT\r\n")
	c.expect("221 ")
	c.expectGone()
}
