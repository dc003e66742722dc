package smtptest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/smtp"
	"strings"
	"testing"

	"dispatcher/internal/smtptest"
)

func serverTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// startTLS upgrades the connection.
func (c *client) startTLS(pool *x509.CertPool, host string) {
	c.t.Helper()
	c.send("STARTTLS\r\n")
	c.expect("220 2.0.0")
	c.use(tls.Client(c.conn, &tls.Config{RootCAs: pool, ServerName: host}))
}

func TestStartTLS(t *testing.T) {
	cert, pool, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert), Username: "news", Password: "s3same"})
	c, err := smtp.Dial(relay.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if offered, _ := c.Extension("AUTH"); offered {
		t.Error("AUTH is offered in the clear")
	}
	if err := c.StartTLS(&tls.Config{RootCAs: pool, ServerName: "relay.example"}); err != nil {
		t.Fatal(err)
	}
	if offered, _ := c.Extension("STARTTLS"); offered {
		t.Error("STARTTLS is offered under TLS")
	}
	if err := c.Auth(smtp.PlainAuth("", "news", "s3same", relay.Host)); err != nil {
		t.Fatal(err)
	}
	if err := deliver(c); err != nil {
		t.Fatal(err)
	}
	if m := relay.Messages()[0]; !m.TLS || m.User != "news" {
		t.Errorf("TLS %v, user %q", m.TLS, m.User)
	}
}

// deliver sends the message and says QUIT.
func deliver(c *smtp.Client) error {
	if err := c.Mail("news@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt("reader@example.net"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, message)
	return errors.Join(err, w.Close(), c.Quit())
}

func TestImplicitTLS(t *testing.T) {
	cert, pool, err := smtptest.Certificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert), ImplicitTLS: true, MaxConnections: 1})
	conn, err := tls.Dial("tcp", relay.Addr, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "relay.example")
	if err != nil {
		t.Fatal(err)
	}
	second := dial(t, relay)
	second.use(tls.Client(second.conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}))
	second.expect("421 4.7.0")
	second.expectGone()
	if offered, _ := c.Extension("STARTTLS"); offered {
		t.Error("STARTTLS is offered under TLS")
	}
	if err := deliver(c); err != nil {
		t.Fatal(err)
	}
	if !relay.Messages()[0].TLS {
		t.Error("message is not marked as sent under TLS")
	}
}

func TestCertificateMismatch(t *testing.T) {
	cert, pool, err := smtptest.Certificate("other.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert)})
	c, err := smtp.Dial(relay.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.StartTLS(&tls.Config{RootCAs: pool, ServerName: "relay.example"})
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("a certificate for another host gave %v", err)
	}
}

// What comes between STARTTLS and the handshake could be anyone's, and what
// was said before the handshake no longer counts (RFC 3207 section 4.2).
func TestStartTLSForgets(t *testing.T) {
	cert, pool, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert)})
	c := hello(t, relay)
	c.send("STARTTLS\r\nRSET\r\n")
	c.expect("220 2.0.0")
	c.use(tls.Client(c.conn, &tls.Config{RootCAs: pool, ServerName: "relay.example"}))
	c.send("MAIL FROM:<news@example.org>\r\nSTARTTLS\r\n")
	c.expect("503 5.5.1", "503 5.5.1")
	if got := relay.Counts().Commands["RSET"]; got != 0 {
		t.Errorf("obeyed a command from before the handshake")
	}
}

func TestStartTLSRefused(t *testing.T) {
	cert, _, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{
		TLS:    serverTLS(cert),
		Script: smtptest.At(smtptest.StartTLS, smtptest.Answer{Code: 454, Enhanced: "4.7.0", Text: "TLS not available"}),
	})
	c := dial(t, relay)
	c.expect("220 ")
	c.send("STARTTLS\r\nSTARTTLS now\r\nEHLO client.example\r\n")
	c.expect("503 5.5.1", "501 5.5.4", "250 ")
	c.send("MAIL FROM:<news@example.org>\r\nSTARTTLS\r\nRSET\r\nSTARTTLS\r\nNOOP\r\n")
	c.expect("250 ", "503 5.5.1", "250 ", "454 4.7.0", "250 ")
}

func TestImplicitTLSNeedsTLS(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a relay without a certificate started")
		}
	}()
	smtptest.NewServer(smtptest.Config{ImplicitTLS: true}).Close()
}

func TestAuth(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	right, wrong := encode("\x00news\x00s3same"), encode("\x00news\x00guess")
	tests := map[string][]string{
		"plain at once":           {"> AUTH PLAIN " + right, "235 2.7.0", "> MAIL FROM:<news@example.org> AUTH=<>", "250 "},
		"plain after prompt":      {"> auth plain", "334 ", "> " + right, "235 2.7.0"},
		"login":                   {"> AUTH LOGIN", "334 VXNlcm5hbWU6", "> " + encode("news"), "334 UGFzc3dvcmQ6", "> " + encode("s3same"), "235 "},
		"login with name":         {"> AUTH LOGIN " + encode("news"), "334 UGFzc3dvcmQ6", "> " + encode("s3same"), "235 "},
		"wrong password":          {"> AUTH PLAIN " + wrong, "535 5.7.8", "> AUTH PLAIN " + right, "235 "},
		"wrong name":              {"> AUTH LOGIN " + encode("other"), "334 ", "> " + encode("s3same"), "535 5.7.8"},
		"no authentication":       {"> MAIL FROM:<news@example.org>", "530 5.7.0", "> RCPT TO:<reader@example.net>", "503 "},
		"twice":                   {"> AUTH PLAIN " + right, "235 ", "> AUTH PLAIN " + right, "503 5.5.1"},
		"cancelled":               {"> AUTH PLAIN", "334 ", "> *", "501 5.7.0"},
		"not base64":              {"> AUTH PLAIN *", "501 5.7.0", "> AUTH PLAIN ???", "501 5.5.2", "> AUTH LOGIN =", "334 ", "> ?", "501 5.5.2"},
		"not three parts":         {"> AUTH PLAIN =", "501 5.5.2", "> AUTH PLAIN " + encode("news"), "501 5.5.2"},
		"unknown mechanism":       {"> AUTH CRAM-MD5", "504 5.5.4", "> AUTH", "504 5.5.4"},
		"endless response":        {"> AUTH PLAIN", "334 ", "> " + strings.Repeat("A", 20_000), "500 5.5.6", "> NOOP", "250 "},
		"within a transaction":    {"> AUTH PLAIN " + right, "235 ", "> MAIL FROM:<>", "250 ", "> AUTH PLAIN " + right, "503 5.5.1"},
		"forgotten by nobody":     {"> AUTH PLAIN " + right, "235 ", "> EHLO client.example", "250 ", "> MAIL FROM:<>", "250 "},
		"with HELO it is lacking": {"> HELO client.example", "250 ", "> AUTH PLAIN " + right, "503 5.5.1"},
	}
	relay := newServer(t, smtptest.Config{Username: "news", Password: "s3same"})
	for name, dialogue := range tests {
		t.Run(name, func(t *testing.T) {
			c := hello(t, relay)
			c.hold(dialogue)
		})
	}
}

func TestAuthNeedsTLSWhereThereIsSome(t *testing.T) {
	cert, _, err := smtptest.Certificate("relay.example")
	if err != nil {
		t.Fatal(err)
	}
	relay := newServer(t, smtptest.Config{TLS: serverTLS(cert), Username: "news", Password: "s3same"})
	c := hello(t, relay)
	c.send("AUTH PLAIN\r\n")
	c.expect("538 5.7.11")
}
