package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dispatcher/internal/config"
)

// manager is a service manager that hears what a service tells it.
type manager struct {
	socket string
	mu     sync.Mutex
	heard  []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{socket: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return m
}

// last is the latest of what was said that begins with something.
func (m *manager) last(begins string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range slices.Backward(m.heard) {
		if strings.HasPrefix(line, begins) {
			return line
		}
	}
	return ""
}

// What the service manager hears in the life of a serve.
func TestTheServiceManagerIsTold(t *testing.T) {
	r := newRig(t, setting{readers: 1})
	m := newManager(t)
	serve := r.process([]string{"NOTIFY_SOCKET=" + m.socket, "WATCHDOG_USEC=300000"}, "serve")
	eventually(t, "it is ready", func() bool { return m.last("READY=1") != "" })
	r.answers(serve)
	if status := m.last("STATUS="); !strings.HasPrefix(status, "STATUS=Serving 2 lists; next: weekly ") {
		t.Errorf("it tells %q", status)
	}
	eventually(t, "it is alive", func() bool { return m.last("WATCHDOG=1") != "" })
	r.write("config.yaml", r.config+"\nlists_: []\n")
	serve.reload(refused, 1)
	if status := m.last("STATUS="); !strings.Contains(status, "the old one goes on") || !strings.Contains(status, "lists_") {
		t.Errorf("of a bad config it tells %q", status)
	}
	r.write("config.yaml", r.config+"\nrehearsal: true\nproof_to: [desk@gazette.example]\n")
	serve.reload(reloaded, 1)
	eventually(t, "it tells of the new config", func() bool { return strings.HasPrefix(m.last("STATUS="), "STATUS=Rehearsing 2 lists") })
	if code := serve.terminate(); code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	if m.last("STOPPING=1") == "" {
		t.Error("it does not tell that it stops")
	}
}

// A part that gives no sign in time is stuck, one that rests is not, and one that comes back is alive again.
func TestAStuckPartIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchdog()
		scheduler, relay := w.heart("scheduler"), w.heart("connection 1 to relay")
		scheduler(time.Minute)
		relay(time.Hour)
		want := func(parts ...string) {
			t.Helper()
			if got := w.stuck(); !slices.Equal(got, parts) {
				t.Errorf("stuck: %q, want %q", got, parts)
			}
		}
		time.Sleep(time.Minute)
		want()
		time.Sleep(time.Second)
		want("scheduler")
		time.Sleep(time.Hour)
		want("connection 1 to relay", "scheduler")
		scheduler(time.Minute)
		relay(0)
		want()
		w.heart("scheduler")(0) // its successor rests
		time.Sleep(time.Hour)
		want()
	})
}

// The service manager's watchdog hears nothing while a part is stuck.
func TestAStuckPartSilencesTheWatchdog(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.socket)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	log := &journal{}
	s := &service{watchdog: newWatchdog()}
	s.logger.Store(newLogger(process{stderr: log}, config.Log{Level: "info"}, serveLevel))
	heart := s.watchdog.heart("recorder")
	heart(time.Nanosecond)
	ctx, cancel := context.WithCancel(t.Context())
	guard := enter(ctx, make(chan error, 1), s.guard)
	eventually(t, "it is seen", func() bool { return strings.Contains(log.String(), "parts=recorder") })
	if m.last("WATCHDOG=1") != "" {
		t.Error("the watchdog heard that all is well")
	}
	heart(time.Hour)
	eventually(t, "all is well", func() bool { return m.last("WATCHDOG=1") != "" })
	cancel()
	leave(guard)
}

// Sockets that the service manager has opened are used in the place of the config's, and a request that came before serve did waits
// for its answer.
func TestSocketsOfTheServiceManager(t *testing.T) {
	r := newRig(t, setting{readers: 1})
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addresses = append(files, f), append(addresses, l.Addr().String())
	}
	early := make(chan error, 1)
	go func() {
		got, err := http.Get("http://" + addresses[0] + "/healthz")
		if err == nil {
			var body []byte
			body, err = io.ReadAll(got.Body)
			err = errors.Join(err, got.Body.Close())
			if err == nil && string(body) != "ok\n" {
				err = fmt.Errorf("the answer is %q", body)
			}
		}
		early <- err
	}()
	cmd := r.prepare("serve")
	// The service manager names the process that the sockets are for: only the shell knows its own number beforehand.
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=admin:pages")
	cmd.ExtraFiles = files
	serve := startDaemon(t, cmd, "serve")
	if err := <-early; err != nil {
		t.Error(err)
	}
	serve.says("pages=" + addresses[1] + " admin=" + addresses[0])
	serve.says("key=http.listen config=") // which has no say
	if got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", r.admin)); err == nil {
		got.Body.Close()
		t.Error("it also listens where the config says")
	}
	r.write("config.yaml", strings.Replace(r.config, "Harbour Gazette", "Example Gazette", 1))
	serve.reload(reloaded, 1)
	got, err := http.Get("http://" + addresses[1] + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if page, err := io.ReadAll(got.Body); err != nil || !strings.Contains(string(page), "Example Gazette") {
		t.Errorf("after a reload the page is %s (%v)", page, err)
	}
}
