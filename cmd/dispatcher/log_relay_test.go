package main

import (
	"encoding/json"
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

// Relays that put readers' addresses into everything that they say: none of it reaches the log, at its most talkative, in either format.
func TestARelaysWordsNameNobodyInTheLog(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	secure, trust := secured(t, "reader1@example.net", true)
	refusing := func(stage smtptest.Stage, code int, text string) func(*smtptest.Config) {
		return func(c *smtptest.Config) {
			c.Script = func(e smtptest.Event) smtptest.Answer {
				if e.Stage == stage {
					return smtptest.Answer{Code: code, Text: text}
				}
				return smtptest.Answer{}
			}
		}
	}
	tests := map[string]struct {
		keys  string
		relay func(*smtptest.Config)
		words string // of the relay, that the log has
	}{
		"greeting":  {"", refusing(smtptest.Connect, 554, "go away, reader1@example.net"), "go away"},
		"sender":    {"", refusing(smtptest.Mail, 550, "you may not write to <reader1%40example.net>"), "may not write"},
		"recipient": {"", refusing(smtptest.Rcpt, 554, "relay access denied: reader1&#64;example.net and reader2＠example.net"), "relay access denied"},
		"message":   {"", refusing(smtptest.EndOfData, 550, "spf: mailto:reader1@example.net?subject=x is not authorized to send"), "not authorized"},
		"STARTTLS": {"tls: starttls", func(c *smtptest.Config) {
			refusing(smtptest.StartTLS, 454, "no TLS for reader1@example.net")(c)
			c.TLS = secure.TLS
		}, "no TLS"},
		"certificate": {"tls: starttls", func(c *smtptest.Config) { c.TLS = secure.TLS }, "certificate"},
	}
	for name, tt := range tests {
		for _, format := range []string{"text", "json"} {
			t.Run(name+" in "+format, func(t *testing.T) {
				with := setting{readers: 12, connections: 2, keys: tt.keys}
				tt.relay(&with.relay)
				r := newRig(t, with)
				if name == "certificate" { // it is told for whom a certificate is only where that is not a number
					r.config = strings.Replace(r.config, "host: 127.0.0.1", "host: localhost", 1)
				}
				r.write("config.yaml", r.config+"\nlog: {level: debug, format: "+format+"}\n")
				r.inTwoDomains()
				serve := r.process(trust, "serve")
				r.answers(serve)
				r.send()
				serve.says(tt.words)
				if code := serve.terminate(); code != exitDone {
					t.Errorf("serve ends with %d", code)
				}
				log := serve.log.String()
				if strings.Contains(log, "@") || strings.Contains(log, "reader1") || strings.Contains(log, "reader2") {
					t.Errorf("the log names somebody:\n%s", log)
				}
				if !strings.Contains(log, "[address]") {
					t.Errorf("the relay named nobody:\n%s", log)
				}
				if format == "json" {
					for line := range strings.Lines(log) {
						if !json.Valid([]byte(line)) {
							t.Errorf("no JSON: %s", line)
						}
					}
				}
			})
		}
	}
}

// inTwoDomains adds readers in another domain: what is refused to one alone is not the relay's doing.
func (r *rig) inTwoDomains() {
	r.t.Helper()
	var b strings.Builder
	b.WriteString("email,lists\n")
	for i := range r.readers {
		b.WriteString(strings.Replace(address(i+1), "example.net", "example.com", 1) + ",weekly\n")
	}
	r.ok("subscribers", "import", r.write("more.csv", b.String()), "--confirmed", "form")
}
