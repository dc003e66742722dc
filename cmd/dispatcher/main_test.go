package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// runAsMain makes the test binary behave as dispatcher, so that tests can run, kill and restart real processes.
const runAsMain = "RUN_TEST_BINARY_AS_DISPATCHER"

func TestMain(m *testing.M) {
	if os.Getenv(runAsMain) != "" {
		main()
	}
	if os.Getenv(runAsSink) != "" {
		beSink()
	}
	if dir := os.Getenv(runAsServe); dir != "" {
		beServe(dir)
	}
	os.Exit(m.Run())
}

// site is a folder with a config, the feed that it names and the relay that it sends through.
type site struct {
	t      testing.TB
	dir    string
	feed   *httptest.Server
	config string
}

// newSite makes a site whose mail goes to a port of this machine. More lines are added to the config.
func newSite(t testing.TB, relayPort int, more ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.feed = httptest.NewServer(http.FileServer(http.Dir(filepath.Join(repository, "internal/ingest/testdata"))))
	t.Cleanup(s.feed.Close)
	s.config = fmt.Sprintf(`public_url: http://127.0.0.1:8080
publisher:
  name: Harbour Gazette
  from: news@gazette.example
  postal_address: 1 Quay Street, Springfield
relays: [{host: 127.0.0.1, port: %d}]
feeds: [{name: gazette, url: "%s/wordpress.xml", first_poll: newest 20, max_age: 100000h}]
lists:
  - {id: weekly, title: Harbour Weekly, schedule: Mon 09:00, timezone: Europe/Berlin}
  - {id: urgent, title: Act Now, kind: alert}
`, relayPort, s.feed.URL) + strings.Join(more, "\n")
	s.write("config.yaml", s.config)
	return s
}

func (s *site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// readers writes a CSV file of n readers of both lists.
func (s *site) readers(n int) string {
	var b strings.Builder
	b.WriteString("email,name,language,timezone,lists,topics\n")
	for i := range n {
		fmt.Fprintf(&b, "reader%d@example.net,Reader %d,en,Europe/Berlin,weekly;urgent,\n", i+1, i+1)
	}
	return s.write("readers.csv", b.String())
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command in this process, as main would.
func (s *site) run(args ...string) result {
	s.t.Helper()
	return s.runWith(process{stdin: strings.NewReader(""), now: time.Now}, args...)
}

func (s *site) runWith(p process, args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	p.stdout, p.stderr = &out, &errs
	code := run(s.t.Context(), p, append([]string{"--config", filepath.Join(s.dir, "config.yaml")}, args...))
	return result{out.String(), errs.String(), code}
}

// ok runs a command that must succeed, and returns what it printed.
func (s *site) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != exitDone {
		s.t.Fatalf("%q: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// okJSON runs a command that must succeed with --json, and reads what it printed.
func (s *site) okJSON(into any, args ...string) {
	s.t.Helper()
	out := s.ok(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("%q prints no JSON: %v\n%s", args, err, out)
	}
}

// start starts a command as a process of its own.
func (s *site) start(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := s.prepare(args...)
	cmd.Stderr = &logWriter{t: s.t}
	s.launch(cmd)
	return cmd
}

func (s *site) prepare(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"--config", filepath.Join(s.dir, "config.yaml")}, args...)...)
	cmd.Env = append(os.Environ(), runAsMain+"=1")
	return cmd
}

func (s *site) launch(cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_, _ = cmd.Process.Wait()
	})
}

// logWriter shows a process's log where a test fails.
type logWriter struct{ t testing.TB }

func (w *logWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// eventually waits for something that another process brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if is() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// freePort is a port of the loopback address that nobody uses at the moment. It is none of those that the system gives away by itself (Linux:
// from 32768 on), so that no connection of another test takes it before it is listened on.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // taken
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// newRelay starts a relay that takes everything.
func newRelay(t *testing.T, cfg smtptest.Config) *smtptest.Server {
	t.Helper()
	relay := smtptest.NewServer(cfg)
	t.Cleanup(relay.Close)
	return relay
}

// require skips a test whose program is not installed, or fails it under REQUIRE_ALL.
func require(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("REQUIRE_ALL") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed: this test needs it", program)
}

// runUntil runs a command until stop is closed.
func runUntil(ctx context.Context, stop <-chan struct{}, p process, args ...string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	return run(ctx, p, args)
}
