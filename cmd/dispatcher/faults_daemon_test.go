package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// journal keeps what a process logs, to be looked at while it runs.
type journal struct {
	mu     sync.Mutex
	text   bytes.Buffer
	wanted string
	found  chan struct{} // closed when the text has what is wanted; nil: nobody wants anything
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.text.Write(p)
	j.look()
	return n, err
}

func (j *journal) look() {
	if j.found != nil && bytes.Contains(j.text.Bytes(), []byte(j.wanted)) {
		close(j.found)
		j.found = nil
	}
}

// find returns a channel that is closed as soon as the journal has something. Only one thing can be looked for at a time.
func (j *journal) find(something string) <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := make(chan struct{})
	j.wanted, j.found = something, found
	j.look()
	return found
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// lines are those that say something.
func (j *journal) lines(something string) (found []string) {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, something) {
			found = append(found, line)
		}
	}
	return found
}

// movable is a clock that goes on by itself, as far ahead of the real one, or behind it, as a test has moved it.
type movable struct{ ahead atomic.Int64 }

func (c *movable) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *movable) move(by time.Duration) { c.ahead.Add(int64(by)) }

// daemon is a command that runs beside the test.
type daemon struct {
	t      *testing.T
	name   string
	log    *journal
	signal func(os.Signal) error
	pid    int           // 0: it runs within this process
	ended  chan struct{} // closed when it has ended
	code   int           // once it has
}

// serve starts a serve as a process.
func (r *rig) serve() *daemon { return r.process(nil, "serve") }

// process starts a command as a process, with more in its environment.
func (r *rig) process(environ []string, args ...string) *daemon {
	r.t.Helper()
	cmd := r.prepare(args...)
	cmd.Env = append(cmd.Env, environ...)
	return startDaemon(r.t, cmd, strings.Join(args, " "))
}

// startDaemon starts a process that ends with the test at the latest.
func startDaemon(t *testing.T, cmd *exec.Cmd, name string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, log: &journal{}, ended: make(chan struct{})}
	cmd.Stderr = d.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.signal, d.pid = cmd.Process.Signal, cmd.Process.Pid
	go func() {
		defer close(d.ended)
		_ = cmd.Wait() // its exit code says the same
		d.code = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		d.kill()
		d.show()
	})
	return d
}

// serveUnder runs a serve within this process, under a clock that the test moves. Any signal asks it to end.
func (r *rig) serveUnder(c *movable) *daemon {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	d := &daemon{t: r.t, name: "serve", log: &journal{}, ended: make(chan struct{})}
	d.signal = func(os.Signal) error { cancel(); return nil }
	p := process{stdin: strings.NewReader(""), stdout: d.log, stderr: d.log, now: c.now}
	go func() {
		defer close(d.ended)
		d.code = run(ctx, p, []string{"--config", filepath.Join(r.dir, "config.yaml"), "serve"})
	}()
	r.t.Cleanup(func() {
		cancel()
		r.relay.Close() // what it stalls would not end
		<-d.ended
		d.show()
	})
	r.answers(d)
	return d
}

// show shows the log where the test has failed.
func (d *daemon) show() {
	if text := d.log.String(); d.t.Failed() && text != "" {
		d.t.Logf("%s said\n%s", d.name, text[max(0, len(text)-8000):])
	}
}

// mustRun fails the test if the daemon has ended.
func (d *daemon) mustRun() {
	d.t.Helper()
	select {
	case <-d.ended:
		d.t.Fatalf("%s has ended with code %d", d.name, d.code)
	default:
	}
}

// answers waits until a serve answers.
func (r *rig) answers(d *daemon) {
	r.t.Helper()
	eventually(r.t, "serve answers", func() bool {
		d.mustRun()
		got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", r.admin))
		if err != nil {
			return false
		}
		defer got.Body.Close()
		return got.StatusCode == http.StatusOK
	})
}

// says waits until the log says something.
func (d *daemon) says(something string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-d.log.find(something):
	case <-d.ended:
		d.t.Fatalf("%s has ended with code %d and did not say %q", d.name, d.code, something)
	case <-ctx.Done():
		d.t.Fatalf("%s does not say %q", d.name, something)
	}
}

// kill ends it at once, wherever it is.
func (d *daemon) kill() {
	_ = d.signal(syscall.SIGKILL) // it may have ended
	<-d.ended
}

// promptly is how long a serve may take to end.
const promptly = 25 * time.Second

// terminate asks a serve to end, and returns its exit code.
func (d *daemon) terminate() int {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), promptly)
	defer cancel()
	if err := d.signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-ctx.Done():
		d.t.Fatalf("%s still ran %s after SIGTERM", d.name, promptly)
	}
	return d.code
}

// finish waits until a command has ended by itself, and returns its exit code.
func (d *daemon) finish() int {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	select {
	case <-d.ended:
		return d.code
	case <-ctx.Done():
		d.t.Fatalf("%s does not end", d.name)
		return 0
	}
}
