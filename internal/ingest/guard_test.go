package ingest_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"

	"dispatcher/internal/ingest"
)

func TestRedirectDoesNotReachThePrivateNetwork(t *testing.T) {
	reached := false
	inner := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reached = true
		fmt.Fprint(w, rss(post("secret", 1)))
	})
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{
		"127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "198.18.0.1",
		"224.0.0.1", "240.0.0.1", "255.255.255.255", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:100.64.0.1]", "[::7f00:1]", "[fd00::1]", "[fe80::1]", "[fec0::1]",
		"[ff02::1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]",
	}
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			target := "http://" + host + ":" + port + "/"
			outer := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
			_, err := newIngester(newQueue(), ingest.Settings{}).Fetch(t.Context(), feedAt(outer.URL))
			if !errors.Is(err, ingest.ErrNotPublic) {
				t.Errorf("got error %v, want ErrNotPublic", err)
			}
		})
	}
	if reached {
		t.Error("the server inside was reached")
	}
}

func TestFeedMayNameAPrivateHostAndNoOther(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/feed" {
			http.Redirect(w, r, "/feed/", http.StatusMovedPermanently)
			return
		}
		fmt.Fprint(w, rss(post("one", 1)))
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/feed"
	for _, host := range []string{"127.0.0.1", "localhost"} {
		u.Host = net.JoinHostPort(host, u.Port())
		if got := fetch(t, newIngester(newQueue(), ingest.Settings{}), feedAt(u.String())); got.New != 1 {
			t.Errorf("the feed at %s brought %+v", host, got)
		}
	}
}
