package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"dispatcher/internal/newsletter"
)

// readiness is what /readyz?format=json says.
type readiness struct {
	Ready   *bool    `json:"ready"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
}

// askServe has the running serve say whether it can do its work: what keeps it from that is an error, what else it notes a warning. Nil:
// it could not be asked, which says nothing about the mail.
func (f *findings) askServe(ctx context.Context, adminListen string) (ready *bool) {
	said, err := readinessAt(ctx, adminListen)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		f.warn("serve", "it runs, and has not answered for %s how it does: its log tells more", readyPatience)
		return nil
	}
	if err != nil {
		f.warn("serve", "it runs, and could not be asked at http.admin_listen, %s, how it does: %s; where systemd opens the socket, its address is that of the socket's unit",
			adminListen, redacted(err))
		return nil
	}
	for _, reason := range said.Reasons {
		f.error("serve", "%s", newsletter.OneLine(scrub(reason), 300))
	}
	for _, note := range said.Notes {
		f.warn("serve", "%s", newsletter.OneLine(scrub(note), 300))
	}
	return said.Ready
}

// readyPatience is a little more than a serve takes that finds its database busy and says so.
const readyPatience = 6 * time.Second

// readinessAt asks a serve that listens at an address. It takes no proxy and follows nobody elsewhere.
func readinessAt(ctx context.Context, address string) (said readiness, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return said, err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if port == "0" {
		return said, errors.New("its port is another one each time")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz?format=json", http.NoBody)
	if err != nil {
		return said, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	got, err := transport.RoundTrip(r)
	if err != nil {
		return said, err
	}
	defer func() { _ = got.Body.Close() }() // it has only been read
	err = json.NewDecoder(io.LimitReader(got.Body, 1<<16)).Decode(&said)
	if err != nil || said.Ready == nil {
		return said, fmt.Errorf("what answers there (%s) is no dispatcher", got.Status)
	}
	return said, nil
}
