package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dispatcher/internal/store"
)

// systemCall is one that a traced process made. When is told by the lines of the trace: what stands above was before.
type systemCall struct {
	name         string
	file         string // what its descriptor is
	text         string // what was written or read, as the trace spells it
	begun, ended int
}

// readTrace reads the calls that succeeded, in the order in which they ended. A call that is overtaken by another thread's has two
// lines: `name(7<what that is>, <unfinished ...>` and `<... name resumed>"text", 10) = 10`, each after the number of the thread.
func readTrace(t *testing.T, file string) (calls []systemCall) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type part struct {
		text string
		line int
	}
	unfinished := map[string]part{} // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		thread, text, _ := strings.Cut(lines.Text(), " ")
		text, begun := strings.TrimSpace(text), n
		if head, cut := strings.CutSuffix(text, "<unfinished ...>"); cut {
			unfinished[thread] = part{strings.TrimSpace(head), n}
			continue
		}
		if _, tail, cut := strings.Cut(text, " resumed>"); cut && strings.HasPrefix(text, "<... ") {
			text, begun = unfinished[thread].text+tail, unfinished[thread].line
		}
		if c, ok := parseCall(text); ok {
			c.begun, c.ended = begun, n
			calls = append(calls, c)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

// parseCall reads `name(7<what that is>, "text", 10) = 10`. What failed or is no call is not ok.
func parseCall(spelt string) (c systemCall, ok bool) {
	name, rest, _ := strings.Cut(spelt, "(")
	_, rest, ok = strings.Cut(rest, "<")
	end := strings.LastIndex(rest, " = ")
	if !ok || end < 0 {
		return c, false
	}
	if _, err := strconv.ParseUint(strings.TrimSpace(rest[end+len(" = "):]), 10, 64); err != nil {
		return c, false
	}
	file, arguments, ok := strings.Cut(rest[:end], ">,")
	if !ok {
		file, _, ok = strings.Cut(rest[:end], ">)")
	}
	c = systemCall{name: name, file: file}
	if first, last := strings.Index(arguments, `"`), strings.LastIndex(arguments, `"`); first < last {
		c.text = arguments[first+1 : last]
	}
	return c, ok
}

// dialogue is what went over one socket.
type dialogue struct {
	sent, got     string
	ends, replies []systemCall // those that bore the end of a message, and the reply to it
}

// hear adds a call to the dialogue of its socket.
func (d *dialogue) hear(c systemCall) {
	const end, reply = `\r\n.\r\n`, "queued as"
	stream, mark, bearers := &d.got, reply, &d.replies
	if strings.HasPrefix(c.name, "write") || strings.HasPrefix(c.name, "send") {
		stream, mark, bearers = &d.sent, end, &d.ends
	}
	before := strings.Count(*stream, mark)
	*stream += c.text
	for range strings.Count(*stream, mark) - before {
		*bearers = append(*bearers, c)
	}
}

// Promise 2, with the power cut in mind: between the reply to a message and the end of the next one on that connection, the ledger
// has been synced to the disk, from beginning to end. The process itself is watched: what it asked of the kernel, and when.
func TestEveryOutcomeIsOnDiskBeforeTheNextMessageEnds(t *testing.T) {
	require(t, "strace")
	const readers, sockets = 40, 2
	r := newRig(t, setting{readers: readers, connections: sockets})
	trace := filepath.Join(r.dir, "trace")
	send := r.prepare("send", "weekly", "--yes", "--wait")
	traced := exec.Command("strace", append([]string{
		"-f", "-yy", "-s", "1000000", "-o", trace,
		"-e", "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync",
	}, send.Args...)...)
	traced.Env = send.Env
	if code := startDaemon(t, traced, "send").finish(); code != exitDone {
		t.Fatalf("send ends with %d", code)
	}
	r.eachOnce()
	var syncs []systemCall
	dialogues := map[string]*dialogue{}
	for _, c := range readTrace(t, trace) {
		switch {
		case strings.HasSuffix(c.name, "sync"):
			if c.file == filepath.Join(r.data, store.FileName+"-wal") {
				syncs = append(syncs, c)
			}
		case strings.HasSuffix(c.file, "->"+r.relay.Addr+"]"):
			if dialogues[c.file] == nil {
				dialogues[c.file] = &dialogue{}
			}
			dialogues[c.file].hear(c)
		}
	}
	messages := 0
	for socket, d := range dialogues {
		messages += len(d.ends)
		if len(d.replies) != len(d.ends) {
			t.Fatalf("%s: %d messages have %d replies", socket, len(d.ends), len(d.replies))
		}
		for i := 1; i < len(d.ends); i++ {
			if !syncedBetween(syncs, d.replies[i-1].ended, d.ends[i].begun) {
				t.Errorf("%s: message %d ends in line %d of the trace, without a sync since the reply to the last one in line %d",
					socket, i+1, d.ends[i].begun, d.replies[i-1].ended)
			}
		}
	}
	if messages != readers || len(dialogues) != sockets {
		t.Errorf("the trace has %d messages on %d sockets, want %d on %d", messages, len(dialogues), readers, sockets)
	}
}

// With durability normal, the beat is on disk in the database before it is in the file beside it: after a power cut a file that is ahead
// would hold all mail back.
func TestABeatIsOnDiskBeforeItIsTold(t *testing.T) {
	require(t, "strace")
	r := newRig(t, setting{readers: 1})
	r.write("config.yaml", r.config+"\ndurability: normal\n")
	trace := filepath.Join(r.dir, "trace")
	send := r.prepare("send", "weekly", "--yes", "--wait")
	traced := exec.Command("strace", append([]string{"-f", "-yy", "-o", trace, "-e", "trace=fsync,fdatasync"}, send.Args...)...)
	traced.Env = send.Env
	if code := startDaemon(t, traced, "send").finish(); code != exitDone {
		t.Fatalf("send ends with %d", code)
	}
	told, onDisk := 0, false
	for _, c := range readTrace(t, trace) {
		switch filepath.Base(c.file) {
		case store.FileName + "-wal":
			onDisk = true
		case store.BeatFile + ".new":
			if told++; !onDisk {
				t.Error("a beat is told that is not on disk")
			}
			onDisk = false
		}
	}
	if told < 3 { // the file is made, the first beat is told, and one when the sending ends
		t.Errorf("%d beats are told", told)
	}
}

// syncedBetween reports whether a sync has begun and ended between two lines of the trace.
func syncedBetween(syncs []systemCall, after, before int) bool {
	for _, s := range syncs {
		if s.begun > after && s.ended < before {
			return true
		}
	}
	return false
}
