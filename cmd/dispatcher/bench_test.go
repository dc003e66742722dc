package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/smtptest"
)

// runAsSink makes the test binary a relay that takes everything: what the sink costs is not in a profile of the sender then.
const runAsSink = "RUN_TEST_BINARY_AS_SINK"

func beSink() {
	relay := smtptest.NewServer(smtptest.Config{DiscardData: true})
	fmt.Println(relay.Port)
	select {}
}

func startSink(b *testing.B) (port int) {
	b.Helper()
	sink := exec.Command(os.Args[0])
	sink.Env = append(os.Environ(), runAsSink+"=1")
	out, err := sink.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := sink.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = sink.Process.Kill() // it ends in no other way
		_ = sink.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	if port, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		b.Fatal(err)
	}
	return port
}

// BenchmarkSend sends one copy of an edition: claim, compose, relay, record, with the database on disk and the sink in another
// process. With -cpuprofile it shows where the time of a send goes.
func BenchmarkSend(b *testing.B) {
	s := newSite(b, startSink(b))
	s.write("config.yaml", strings.Replace(s.config, "relays: [{", "relays: [{connections: 20, ", 1))
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(b.N), "--confirmed", "form")
	s.ok("send", "weekly", "--yes")
	cfg, err := config.Load(s.dir+"/config.yaml", nil)
	if err != nil {
		b.Fatal(err)
	}
	o, err := openOffice(b.Context(), process{stderr: os.Stderr, now: time.Now}, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer o.store.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	o.log = slog.New(slog.NewTextHandler(listener{"edition done", cancel}, nil))
	b.ResetTimer()
	err = o.mailer().Run(ctx)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
}

// listener waits for words in a log.
type listener struct {
	words string
	heard func()
}

func (l listener) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.words) {
		l.heard()
	}
	return len(p), nil
}
