// Package smtptest is a relay to test against: an SMTP server on a real TCP
// port, as net/http/httptest is for HTTP, that misbehaves exactly as told.
//
// The zero [Config] is a well-behaved relay that accepts everything and keeps
// what it accepted. A [Script] is asked at each [Stage] of a session and may
// answer with a reply of its own, a delay or a fault:
//
//	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.HangUpAfter(7)})
//	defer relay.Close()
//	send(relay.Addr)
//
// The protocol is that of RFC 5321 with PIPELINING (RFC 2920), SIZE (RFC 1870),
// 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), ENHANCEDSTATUSCODES (RFC 2034),
// STARTTLS (RFC 3207) and AUTH PLAIN and LOGIN (RFC 4954). The relay is strict
// where a lenient one would hide a client's mistake: it refuses a bare CR or LF,
// nested transactions, pipelining that it did not offer and parameters that it
// does not know. It has no time-outs: a session lasts until its client leaves,
// a script ends it or the relay is closed.
package smtptest
