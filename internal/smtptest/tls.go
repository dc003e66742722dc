package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificate makes a self-signed certificate for a host name or IP address,
// and the pool that trusts it and nothing else. It is valid under any clock
// that a test may set.
func Certificate(host string) (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("generating key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: host},
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2190, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // it signs itself
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("creating certificate for %s: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("parsing certificate for %s: %w", host, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, nil
}

// offersTLS reports whether STARTTLS would be accepted now.
func (s *session) offersTLS() bool {
	cfg := s.server.cfg
	return cfg.TLS != nil && !cfg.ImplicitTLS && !s.secure && s.server.offers("STARTTLS")
}

func (s *session) startTLS(arg string) error {
	switch {
	case arg != "":
		return s.reply(reply{501, "5.5.4", "STARTTLS takes no argument"})
	case s.secure:
		return s.reply(reply{503, "5.5.1", "TLS is on already"})
	case !s.offersTLS():
		return s.reply(reply{502, "5.5.1", "STARTTLS is not offered"})
	case !s.greeted:
		return s.reply(reply{503, "5.5.1", "Send EHLO first"})
	case s.env != nil:
		return s.reply(reply{503, "5.5.1", "Not within a transaction"})
	}
	ready := false
	err := s.carryOut(s.ask(Event{Stage: StartTLS}), reply{220, "2.0.0", "Ready to start TLS"}, func() { ready = true })
	if err != nil || !ready {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.encrypt()
}

// encrypt puts TLS on the connection. What was said before does not count, and
// what the client sent ahead of the handshake is dropped unread, for anyone
// could have put it there (RFC 3207 section 4.2).
func (s *session) encrypt() error {
	conn := tls.Server(s.raw, s.server.cfg.TLS)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("starting TLS: %w", err)
	}
	s.conn, s.secure = conn, true
	s.r.Reset(s)
	s.w.Reset(conn)
	s.greeted, s.extended, s.user = false, false, ""
	return nil
}
