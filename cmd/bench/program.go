package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// program is a process that is being measured.
type program struct {
	cmd    *exec.Cmd
	begun  time.Time
	words  *words
	exited chan struct{}
	err    error         // once it has exited
	took   time.Duration // likewise
	peak   atomic.Int64  // octets of memory, at most so far
}

// start starts a program. What it prints is read until it says the word; empty: it is not expected to.
func start(ctx context.Context, word, path string, args ...string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, path, args...), words: newWords(word), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.words, p.words
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	go p.watchMemory()
	go func() {
		p.err = p.cmd.Wait()
		p.took = time.Since(p.begun)
		close(p.exited)
	}()
	return p, nil
}

// runToEnd runs a program and returns when it has done its work.
func runToEnd(ctx context.Context, path string, args ...string) (*program, error) {
	p, err := start(ctx, "", path, args...)
	if err != nil {
		return nil, err
	}
	return p, p.wait()
}

// wait waits for the end.
func (p *program) wait() error {
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("running %s: %w; it said:\n%s", strings.Join(p.cmd.Args, " "), p.err, p.words.last())
	}
	return nil
}

// patience is how long nothing may happen.
const patience = time.Minute

// waitForWord waits until it has said its word.
func (p *program) waitForWord() error {
	select {
	case <-p.words.said:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("it has not said %q for %v; it said:\n%s", p.words.word, patience, p.words.last())
	case <-p.exited:
		return errors.Join(fmt.Errorf("it ended before it said %q", p.words.word), p.wait())
	}
}

// stop asks for the end, as systemd would, and waits for it.
func (p *program) stop() error {
	p.lookAtMemory()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.cmd.Path, err)
	}
	killed := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() }) // what has ended meanwhile needs no killing
	defer killed.Stop()
	return p.wait()
}

// cpu is what it has used, once it has exited.
func (p *program) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// watchMemory follows the peak of the memory until the end. What the kernel tells afterwards (ru_maxrss) will not do: it counts
// what the program that started this one had at the moment of starting it.
func (p *program) watchMemory() {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		p.lookAtMemory()
		select {
		case <-look.C:
		case <-p.exited:
			return
		}
	}
}

func (p *program) lookAtMemory() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return // it has just ended
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return // likewise: what is ending has no memory any more
	}
	if kib, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
		p.peak.Store(max(p.peak.Load(), kib<<10))
	}
}

// words are what a program says: the last of them are kept, and it is noticed when a certain word falls.
type words struct {
	word string
	said chan struct{} // closed when it has been said

	mu   sync.Mutex
	tail []byte
}

func newWords(word string) *words { return &words{word: word, said: make(chan struct{})} }

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tail = append(w.tail, b...)
	if w.word != "" && bytes.Contains(w.tail, []byte(w.word)) {
		select {
		case <-w.said:
		default:
			close(w.said)
		}
	}
	const kept = 4 << 10
	w.tail = append(w.tail[:0], w.tail[max(0, len(w.tail)-kept):]...)
	return len(b), nil
}

func (w *words) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.tail)
}

// sinkProcess is the sink while it runs.
type sinkProcess struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	port int
}

// seen is what a sink has seen.
type seen struct {
	messages, octets int
	last, marked     time.Time     // zero: not yet
	cpu              time.Duration // that it took for all this
}

// startSink starts this program again, as the sink.
func startSink(ctx context.Context, flags ...string) (*sinkProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the sink: %w", err)
	}
	s := &sinkProcess{cmd: exec.CommandContext(ctx, self, append([]string{"-sink"}, flags...)...)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the sink: %w", err)
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting the sink: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the sink: %w", err)
	}
	s.out = bufio.NewReader(out)
	if _, err := fmt.Fscanln(s.out, &s.port); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the sink: %w", err), s.end())
	}
	return s, nil
}

// look asks what it has seen so far.
func (s *sinkProcess) look() (seen, error) {
	var now seen
	var last, marked int64
	_, err := fmt.Fprintln(s.in)
	if err == nil {
		_, err = fmt.Fscanln(s.out, &now.messages, &now.octets, &last, &marked, &now.cpu)
	}
	if err != nil {
		return seen{}, fmt.Errorf("asking the sink: %w", err)
	}
	if last > 0 {
		now.last = time.Unix(0, last)
	}
	if marked > 0 {
		now.marked = time.Unix(0, marked)
	}
	return now, nil
}

// lookUntil looks until it has seen enough. It is an error when who sends to it ends before, or is silent for a minute.
func (s *sinkProcess) lookUntil(sender *program, enough func(seen) bool) (seen, error) {
	last, since := 0, time.Now()
	for {
		now, err := s.look()
		if err != nil || enough(now) {
			return now, err
		}
		if now.messages > last {
			last, since = now.messages, time.Now()
		}
		if time.Since(since) > patience {
			return now, fmt.Errorf("no message has come for %v, %d were there; %s said:\n%s", patience, last, sender.cmd.Path, sender.words.last())
		}
		select {
		case <-sender.exited:
			return now, errors.Join(fmt.Errorf("the sender ended after %d messages", now.messages), sender.wait())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end ends it.
func (s *sinkProcess) end() error {
	if err := errors.Join(s.in.Close(), s.cmd.Wait()); err != nil {
		return fmt.Errorf("ending the sink: %w", err)
	}
	return nil
}
