package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sink takes all mail and keeps nothing, as cheaply as it can, so that it is not what a measurement measures.
type sink struct {
	delay      time.Duration // how much later than its command a reply goes out, as over a long line
	pipelining bool          // offer it (RFC 2920); who pipelines is served in any case
	mark       []byte        // the first message with this in its text is told of; empty: none

	messages, octets atomic.Int64
	last, marked     atomic.Int64 // when they had come, in nanoseconds of Unix time; 0: not yet
}

// beSink is the sink's process: it prints its port and takes mail. To each line that it reads it answers with what it has seen.
func beSink(s *sink) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go s.serve(c)
		}
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return fmt.Errorf("looking at its own use: %w", err)
		}
		fmt.Println(s.messages.Load(), s.octets.Load(), s.last.Load(), s.marked.Load(), used.Utime.Nano()+used.Stime.Nano())
	}
	return errors.Join(questions.Err(), listener.Close())
}

// serve is one connection. All commands that have come together are answered together, before it waits for more.
func (s *sink) serve(c net.Conn) {
	defer c.Close()
	out := io.Writer(c)
	if s.delay > 0 {
		line := newLongLine(c, s.delay)
		defer line.end()
		out = line
	}
	d := dialogue{sink: s, replies: []byte("220 sink.example ESMTP\r\n")}
	buffer := make([]byte, 64<<10)
	held := 0 // octets at the buffer's start that need what follows them
	for {
		if len(d.replies) > 0 {
			if _, err := out.Write(d.replies); err != nil {
				return
			}
			d.replies = d.replies[:0]
		}
		if d.over || held == len(buffer) {
			return
		}
		n, err := c.Read(buffer[held:])
		if err != nil {
			return
		}
		rest := d.take(buffer[:held+n])
		held = copy(buffer, rest)
	}
}

// dialogue is how far a connection has come.
type dialogue struct {
	sink    *sink
	replies []byte
	inData  bool
	octets  int64 // of this message so far
	marked  bool  // it has the mark
	over    bool
}

var (
	crlf      = []byte("\r\n")
	endOfData = []byte("\r\n.\r\n")
)

// take does what has come, and returns what it can make nothing of before more comes.
func (d *dialogue) take(came []byte) (rest []byte) {
	for !d.over {
		if d.inData {
			if came = d.data(came); d.inData {
				return came
			}
		}
		end := bytes.IndexByte(came, '\n')
		if end < 0 {
			return came
		}
		d.command(came[:end+1])
		if d.inData {
			end -= len(crlf) // the line's end may be the first half of an empty message's (RFC 5321 section 4.1.1.4)
		}
		came = came[end+1:]
	}
	return nil
}

// data looks for the end of a message. Where it has not come, it returns the tail that may hold the beginning of it.
func (d *dialogue) data(came []byte) (rest []byte) {
	end := bytes.Index(came, endOfData)
	text := came
	if end >= 0 {
		text = came[:end+len(crlf)]
	}
	if mark := d.sink.mark; len(mark) > 0 && bytes.Contains(text, mark) {
		d.marked = true
	}
	if end < 0 {
		seen := max(0, len(came)-max(len(endOfData), len(d.sink.mark))+1)
		d.octets += int64(seen)
		return came[seen:]
	}
	d.sink.take(d.octets+int64(len(text)-len(crlf)), d.marked)
	d.inData, d.octets, d.marked = false, 0, false
	d.reply("250 2.0.0 Ok\r\n")
	return came[end+len(endOfData):]
}

// take counts a message.
func (s *sink) take(octets int64, marked bool) {
	now := time.Now().UnixNano()
	if marked {
		s.marked.CompareAndSwap(0, now)
	}
	s.last.Store(now)
	s.octets.Add(octets)
	s.messages.Add(1)
}

func (d *dialogue) reply(r string) { d.replies = append(d.replies, r...) }

// command answers one line.
func (d *dialogue) command(line []byte) {
	var verb [4]byte
	copy(verb[:], line)
	for i := range verb {
		verb[i] &^= 0x20 // upper case, for letters
	}
	switch string(verb[:]) {
	case "MAIL":
		d.reply("250 2.1.0 Ok\r\n")
	case "RCPT":
		d.reply("250 2.1.5 Ok\r\n")
	case "DATA":
		d.inData = true
		d.reply("354 End with <CRLF>.<CRLF>\r\n")
	case "EHLO":
		d.reply("250-sink.example\r\n")
		if d.sink.pipelining {
			d.reply("250-PIPELINING\r\n")
		}
		d.reply("250-8BITMIME\r\n250-SIZE 52428800\r\n250 ENHANCEDSTATUSCODES\r\n")
	case "HELO":
		d.reply("250 sink.example\r\n")
	case "RSET", "NOOP":
		d.reply("250 2.0.0 Ok\r\n")
	case "QUIT":
		d.over = true
		d.reply("221 2.0.0 Bye\r\n")
	default:
		d.reply("500 5.5.1 Unknown command\r\n")
	}
}

// longLine delivers what is written a while later, and does not keep the writer waiting: reading goes on meanwhile.
type longLine struct {
	delay    time.Duration
	parcels  chan parcel
	finished sync.WaitGroup
}

type parcel struct {
	due   time.Time
	bytes []byte
}

func newLongLine(to io.Writer, delay time.Duration) *longLine {
	l := &longLine{delay: delay, parcels: make(chan parcel, 1024)}
	l.finished.Go(func() {
		for p := range l.parcels {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.bytes) // the reader notices a broken connection
		}
	})
	return l
}

func (l *longLine) Write(b []byte) (int, error) {
	l.parcels <- parcel{due: time.Now().Add(l.delay), bytes: bytes.Clone(b)}
	return len(b), nil
}

// end returns when all has been delivered.
func (l *longLine) end() {
	close(l.parcels)
	l.finished.Wait()
}
