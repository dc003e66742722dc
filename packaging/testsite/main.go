// Command testsite is a newsroom's site in packaging/test-systemd: it serves one feed over HTTPS, under a name and a certificate authority of its
// own.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: testsite ADDRESS HOST CERTIFICATE")
	}
	if err := serve(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

// serve writes the certificate that clients must trust to a file, and answers until it is killed.
func serve(address, host, file string) error {
	certificate, err := newCertificate(host)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	server := http.Server{
		Addr:              address,
		Handler:           feed(host),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
	}
	return server.ListenAndServeTLS("", "")
}

// newCertificate makes one that vouches for itself.
func newCertificate(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func feed(host string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/rss+xml; charset=utf-8")
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>Example Magazine</title><link>https://%[1]s/</link><description>News</description>
<item><title>The library opens its doors at night</title><link>https://%[1]s/library/</link><guid>https://%[1]s/?p=1</guid>
<pubDate>%[2]s</pubDate><description>Readers asked for longer hours, and the town found a way.</description></item>
<item><title>A bridge for cyclists</title><link>https://%[1]s/bridge/</link><guid>https://%[1]s/?p=2</guid>
<pubDate>%[2]s</pubDate><description>It spans the river where the ferry used to cross.</description></item>
</channel></rss>
`, host, time.Now().Add(-time.Hour).UTC().Format(time.RFC1123Z))
	}
}
