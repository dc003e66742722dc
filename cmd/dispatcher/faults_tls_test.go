package main

import (
	"crypto/tls"
	"encoding/pem"
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

// A line that cannot be trusted carries nothing: no mail, no password, no blame. The admin is told once, and mail waits.
func TestNothingGoesOverALineThatCannotBeTrusted(t *testing.T) {
	notUnderRace(t)
	tests := map[string]struct {
		host    string   // that the relay's certificate is for; empty: it has none
		trusted bool     // by this machine
		without []string // that the relay does not offer
		words   string   // that the log must have
	}{
		"STARTTLS stripped":           {"127.0.0.1", true, []string{"STARTTLS"}, "STARTTLS"},
		"a relay without TLS":         {"", false, nil, "STARTTLS"},
		"a certificate for another":   {"127.0.0.2", true, nil, "valid for 127.0.0.2"},
		"a certificate nobody trusts": {"127.0.0.1", false, nil, "unknown authority"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, environ := secured(t, tt.host, tt.trusted)
			cfg.Without = tt.without
			r := newRig(t, setting{readers: 50, relay: cfg, keys: "tls: starttls"})
			r.send()
			serve := r.process(environ, "serve")
			serve.says("level=ERROR")
			tries := r.relay.Counts().Connections
			eventually(t, "the relay is tried again", func() bool { return r.relay.Counts().Connections > tries+1 })
			if code := serve.terminate(); code != exitDone {
				t.Errorf("serve ends with %d", code)
			}
			if c := r.ledger().Counts; c.Pending != r.readers {
				t.Errorf("the ledger has %+v", c)
			}
			if c := r.relay.Counts(); c.Commands["MAIL"] > 0 || c.Commands["AUTH"] > 0 {
				t.Errorf("over a line that is not secured went %v", c.Commands)
			}
			told := serve.log.lines("level=ERROR")
			if len(told) != 1 || !strings.Contains(told[0], tt.words) || !strings.Contains(told[0], "127.0.0.1") {
				t.Errorf("the log must tell once that %s is in the way, but has %q", tt.words, told)
			}
			r.unblamed()
		})
	}
}

// The same relay with a certificate that is right gets everything: the other test's refusals are for what it says they are.
func TestEverythingGoesOverALineThatIsSecured(t *testing.T) {
	cfg, environ := secured(t, "127.0.0.1", true)
	r := newRig(t, setting{readers: 50, relay: cfg, keys: "tls: starttls"})
	r.send()
	serve := r.process(environ, "serve")
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
	for _, m := range r.relay.Messages() {
		if !m.TLS {
			t.Fatal("a message went in the clear")
		}
	}
}

// secured is a relay with a certificate for a host, and what makes a process trust the certificate.
func secured(t *testing.T, host string, trusted bool) (cfg smtptest.Config, environ []string) {
	t.Helper()
	if host == "" {
		return cfg, nil
	}
	certificate, _, err := smtptest.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	if trusted {
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
		environ = []string{"SSL_CERT_FILE=" + (&site{t: t, dir: t.TempDir()}).write("authority.pem", string(authority))}
	}
	return cfg, environ
}
