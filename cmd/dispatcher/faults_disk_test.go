package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// breakage is a way in which a disk stops taking what is written. It returns what mends it, which may be called twice.
type breakage struct {
	name   string
	needs  func(t *testing.T) (data string) // the folder of the database; empty: any
	befall func(r *rig, serve *daemon) (mend func())
}

// breakages are those that befall a running serve.
func breakages() []breakage {
	return []breakage{
		{"full", smallDisk, func(r *rig, _ *daemon) func() { return fill(r.t, r.data) }},
		{"read-only", func(t *testing.T) string { rootOnly(t); require(t, "strace"); return "" }, refuseWrites},
	}
}

// rootOnly skips a test that does what only root may: mount a file system, or interfere with another process.
func rootOnly(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatal("this test must run as root")
		}
		t.Skip("this test runs as root only")
	}
}

// smallDisk is a file system of a few megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	rootOnly(t)
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).CombinedOutput()
	if err != nil {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatalf("mounting a file system: %v\n%s", err, out)
		}
		t.Skipf("no file system can be mounted here: %v\n%s", err, out)
	}
	t.Cleanup(func() { shell(t, "umount", dir) })
	return dir
}

// fill leaves no room on a small disk.
func fill(t *testing.T, dir string) (mend func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

// refuseWrites lets every write to the database fail as on a file system that has become read-only beneath a process: the
// kernel does that after an error of the disk, but to nobody's order while files are open for writing.
func refuseWrites(r *rig, serve *daemon) (mend func()) {
	r.t.Helper()
	const calls = "write,pwrite64,ftruncate,fallocate,fsync,fdatasync"
	file := filepath.Join(r.data, store.FileName)
	tracer := startDaemon(r.t, exec.Command("strace", "-f", "-o", os.DevNull, "-p", strconv.Itoa(serve.pid),
		"-P", file, "-P", file+"-wal", "-e", "trace="+calls, "-e", "inject="+calls+":error=EROFS"), "strace")
	tracer.says("attached")
	return func() {
		_ = tracer.signal(os.Interrupt) // it may have ended with the serve
		<-tracer.ended
	}
}

// heldFrom takes all messages, but holds its replies from the n-th on until a channel is closed.
func heldFrom(n int, until <-chan struct{}) smtptest.Script {
	accepted := 0
	return func(e smtptest.Event) smtptest.Answer {
		if e.Stage != smtptest.EndOfData {
			return smtptest.Answer{}
		}
		if accepted++; accepted < n {
			return smtptest.Answer{}
		}
		return smtptest.Answer{Hold: until}
	}
}

// onBreakingDisk brings a serve to the point where its relay has taken a message on every connection, says so for all of them, and
// nothing of that can be written down.
func onBreakingDisk(t *testing.T, b breakage) (r *rig, serve *daemon, mend func()) {
	t.Helper()
	size, random := sizes(), seeded(t)
	moment := 1 + random.IntN(size.readers-2*connections)
	broken := make(chan struct{})
	r = newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: heldFrom(moment, broken)}, data: b.needs(t)})
	serve = r.serve()
	r.answers(serve)
	r.send()
	r.accepted(moment - 1 + connections)
	mend = b.befall(r, serve)
	t.Cleanup(mend)
	close(broken)
	serve.says("disk")
	return r, serve, mend
}

// Promise 2, where the disk takes nothing: what cannot be recorded is not followed by another message. The admin is told,
// and when the disk is well again it goes on by itself and nobody gets a second copy.
func TestNothingIsSentThatCannotBeRecorded(t *testing.T) {
	notUnderRace(t)
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			r, serve, mend := onBreakingDisk(t, b)
			if n, c := r.relay.Counts().Accepted, r.ledger().Counts; n > c.Sent+connections {
				t.Errorf("the relay has %d messages, of which %d are recorded, over %d connections", n, c.Sent, connections)
			}
			if told := serve.log.lines("level=ERROR"); len(told) > 2 || !strings.Contains(strings.Join(told, ""), b.name) {
				t.Errorf("the log has %d errors, which should be one or two clear lines: %q", len(told), told)
			}
			mend()
			if c := r.done(serve); c.Sent != r.readers {
				t.Errorf("the ledger has %+v", c)
			}
			r.eachOnce()
			r.sentAtFirst()
		})
	}
}

// SIGTERM ends a serve whose disk takes nothing, too. What it could not record is sent once more, as after a kill.
func TestStoppedWhileNothingCanBeRecordedItEnds(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			r, serve, mend := onBreakingDisk(t, b)
			t.Logf("serve ends with %d", serve.terminate())
			mend()
			if n, c := r.relay.Counts().Accepted, r.ledger().Counts; n > c.Sent+connections {
				t.Errorf("the relay has %d messages, of which %d are recorded, over %d connections", n, c.Sent, connections)
			}
			serve = r.serve()
			if c := r.done(serve); c.Sent != r.readers {
				t.Errorf("the ledger has %+v", c)
			}
			if again := r.againInFlight(); again > connections {
				t.Errorf("%d second copies over %d connections", again, connections)
			}
			r.unblamed()
		})
	}
}

// A disk that is read-only when serve starts: it says what is wrong and ends, and goes on when it is started on a good one.
func TestStartedOnAReadOnlyDiskItSaysSo(t *testing.T) {
	notUnderRace(t)
	size, random := sizes(), seeded(t)
	r := newRig(t, setting{readers: size.readers, relay: smtptest.Config{Script: paced(random)}, data: smallDisk(t)})
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(size.readers / 3)
	if code := serve.terminate(); code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	shell(t, "mount", "-o", "remount,ro", r.data)
	serve = r.serve()
	if code := serve.finish(); code != exitFailed || !strings.Contains(serve.log.String(), "read-only") || !strings.Contains(serve.log.String(), "data_dir") {
		t.Errorf("serve ends with %d and says %s", code, serve.log)
	}
	shell(t, "mount", "-o", "remount,rw", r.data)
	serve = r.serve()
	r.done(serve)
	r.eachOnce()
	r.sentAtFirst()
}
