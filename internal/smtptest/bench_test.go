package smtptest_test

import (
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

// BenchmarkMessage is one message of 12 kB into a sink, pipelined over one
// connection, with what its client costs.
func BenchmarkMessage(b *testing.B) {
	text := message + strings.Repeat(strings.Repeat("x", 74)+"\r\n", 12_000/76)
	group := text + ".\r\nMAIL FROM:<news@example.org>\r\nRCPT TO:<reader@example.net>\r\nDATA\r\n"
	relay := newServer(b, smtptest.Config{DiscardData: true})
	b.SetBytes(int64(len(group)))
	b.ReportAllocs()
	c := hello(b, relay)
	c.begin("reader@example.net")
	for b.Loop() {
		c.send(group)
		c.expect("250 ", "250 ", "250 ", "354 ")
	}
}
