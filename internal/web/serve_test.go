package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dispatcher/internal/web"
)

// pipes is a listener without a network, so that its time-outs can be tried on a false clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// serve runs Serve until the returned function ends it and hands its error over.
func serve(l net.Listener, h http.Handler) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	return func() error { cancel(); return <-ended }
}

func TestServeHangsUpOnTheSlow(t *testing.T) {
	tests := map[string]struct {
		sent   string
		within time.Duration
	}{
		"who says nothing":             {"", 11 * time.Second},
		"who does not end the header":  {"GET / HTTP/1.1\r\nHost: news.exam", 11 * time.Second},
		"who does not send the body":   {"POST / HTTP/1.1\r\nHost: news.example.org\r\nContent-Length: 9\r\n\r\nx", 21 * time.Second},
		"who keeps the line for later": {"GET / HTTP/1.1\r\nHost: news.example.org\r\n\r\n", 61 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				end := serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
				client, begun := l.dial(), time.Now()
				go func() { _, _ = io.WriteString(client, tt.sent) }()
				if _, err := io.Copy(io.Discard, client); err != nil {
					t.Errorf("reading to the end of the connection: %v", err)
				}
				if took := time.Since(begun); took == 0 || took > tt.within {
					t.Errorf("hung up after %v, want at most %v", took, tt.within)
				}
				if err := end(); err != nil {
					t.Errorf("Serve = %v", err)
				}
			})
		})
	}
}

func TestServeAnswersWhatIsInWork(t *testing.T) {
	tests := map[string]struct {
		takes    time.Duration
		answered bool
	}{
		"soon done":  {5 * time.Second, true},
		"never done": {time.Hour, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				in := make(chan struct{})
				end := serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					close(in)
					select {
					case <-time.After(tt.takes):
					case <-r.Context().Done():
					}
				}))
				client := l.dial()
				got := make(chan error, 1)
				go func() {
					_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: news.example.org\r\n\r\n")
					_, err := http.ReadResponse(bufio.NewReader(client), nil)
					got <- err
				}()
				<-in
				asked := time.Now()
				if err := end(); err != nil {
					t.Errorf("Serve = %v, want nil once cancelled", err)
				}
				if err := <-got; (err == nil) != tt.answered {
					t.Errorf("answer: %v, want one: %t", err, tt.answered)
				}
				if took := time.Since(asked); took > 16*time.Second {
					t.Errorf("the line was held for %v", took)
				}
			})
		})
	}
}

// Who had been let in before the end was asked for gets an answer, though the request comes after it. Nobody who does not ask holds the end
// up for long.
func TestServeAnswersWhoHadComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		end := serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		client, silent := l.dial(), l.dial()
		defer silent.Close()
		synctest.Wait()
		ended := make(chan time.Duration)
		go func() {
			asked := time.Now()
			if err := end(); err != nil {
				t.Errorf("Serve = %v, want nil once cancelled", err)
			}
			ended <- time.Since(asked)
		}()
		synctest.Wait()
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: news.example.org\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil {
			t.Errorf("answer: %v", err)
		}
		if took := <-ended; took > 7*time.Second {
			t.Errorf("a connection without a request held the end up for %v", took)
		}
	})
}

// listen opens a port of this machine.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServeLimitsTheHeader(t *testing.T) {
	l := listen(t)
	end := serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for length, want := range map[int]int{8 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Long", strings.Repeat("x", length))
		r.Close = true
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%d bytes of header = %d, want %d", length, answer.StatusCode, want)
		}
	}
	if err := end(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener is open after Serve has ended")
	}
}

func TestServeTellsThatItsListenerFailed(t *testing.T) {
	l := listen(t)
	l.Close()
	err := web.Serve(context.Background(), l, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener = %v", err)
	}
}
