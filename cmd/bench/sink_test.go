package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a connection says is answered alike wherever the network cuts it, and every message is counted once.
func TestDialogueHoweverItIsCut(t *testing.T) {
	const said = "EHLO bench.example\r\n" +
		"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: one\r\n\r\n..\r\n.a\r\n\r.\r\n \r\n.\r\n" +
		"mail FROM:<a@example.org>\r\nrcpt TO:<b@example.net>\r\ndata\r\n.\r\n" +
		"RSET\r\nNOOP\r\nVRFY x\r\nQUIT\r\nNOOP\r\n"
	const octets = int64(len("Subject: one\r\n\r\n..\r\n.a\r\n\r.\r\n \r\n"))
	want := []string{
		"250-sink.example", "250-PIPELINING", "250-8BITMIME", "250-SIZE 52428800", "250 ENHANCEDSTATUSCODES",
		"250 2.1.0 Ok", "250 2.1.5 Ok", "354 End with <CRLF>.<CRLF>", "250 2.0.0 Ok",
		"250 2.1.0 Ok", "250 2.1.5 Ok", "354 End with <CRLF>.<CRLF>", "250 2.0.0 Ok",
		"250 2.0.0 Ok", "250 2.0.0 Ok", "500 5.5.1 Unknown command", "221 2.0.0 Bye", "",
	}
	for size := 1; size <= len(said); size++ {
		s := sink{pipelining: true, mark: []byte("one\r\n\r\n..")}
		d := dialogue{sink: &s}
		var held []byte
		for at := 0; at < len(said); at += size {
			held = append([]byte(nil), d.take(append(held, said[at:min(at+size, len(said))]...))...)
		}
		if diff := cmp.Diff(want, strings.Split(string(d.replies), "\r\n")); diff != "" {
			t.Fatalf("in pieces of %d (-want +got):\n%s", size, diff)
		}
		if s.messages.Load() != 2 || s.octets.Load() != octets || s.marked.Load() == 0 {
			t.Fatalf("in pieces of %d: %d messages of %d octets, marked at %d; want 2 of %d and a time",
				size, s.messages.Load(), s.octets.Load(), s.marked.Load(), octets)
		}
	}
}

// A long line delays replies to commands that came together once, not one after the other.
func TestLongLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := sink{delay: 20 * time.Millisecond, pipelining: true}
		go s.serve(theirs)
		expect := func(after time.Duration, reply string) {
			t.Helper()
			begun := time.Now()
			got := make([]byte, len(reply))
			if _, err := io.ReadFull(ours, got); err != nil || string(got) != reply {
				t.Fatalf("the sink says %q (%v), want %q", got, err, reply)
			}
			if took := time.Since(begun); took != after {
				t.Errorf("%q took %v, want %v", reply, took, after)
			}
		}
		say := func(words string) {
			t.Helper()
			if _, err := io.WriteString(ours, words); err != nil {
				t.Fatal(err)
			}
		}
		expect(20*time.Millisecond, "220 sink.example ESMTP\r\n")
		say("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
		expect(20*time.Millisecond, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End with <CRLF>.<CRLF>\r\n")
		say("text\r\n.\r\n")
		time.Sleep(15 * time.Millisecond)
		say("QUIT\r\n") // it is read while a reply waits
		expect(5*time.Millisecond, "250 2.0.0 Ok\r\n")
		expect(15*time.Millisecond, "221 2.0.0 Bye\r\n")
		if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after QUIT: %v, want the end", err)
		}
	})
}
