package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// BenchmarkSend sends an edition from the ledger through the pump to smtp-sink: what one message costs, all in all.
func BenchmarkSend(b *testing.B) {
	if _, err := exec.LookPath("smtp-sink"); err != nil {
		b.Skip("smtp-sink is not installed: this benchmark needs it")
	}
	port := freePort(b)
	sink := exec.Command("smtp-sink", "-u", "postfix", fmt.Sprintf("127.0.0.1:%d", port), "1000")
	if err := sink.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sink.Process.Kill(); _ = sink.Wait() }()
	s := newSite(b, port, "log: {level: error}")
	s.ok("fetch")
	cfg, err := config.Load(s.dir+"/config.yaml", nil)
	if err != nil {
		b.Fatal(err)
	}
	p := process{now: time.Now, stdin: strings.NewReader(""), stdout: &logWriter{b}, stderr: &logWriter{b}}
	o, err := openOffice(b.Context(), p, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer o.store.Close()
	var batch []store.Enrolment
	for i := range b.N {
		batch = append(batch, store.Enrolment{
			Subscriber: newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", i)), Name: fmt.Sprintf("Reader %d", i)},
			Lists:      []string{"weekly"}, Confirmed: true,
		})
	}
	if _, err := o.store.Enrol(b.Context(), batch, time.Now()); err != nil {
		b.Fatal(err)
	}
	s.ok("send", "weekly", "--yes")
	m := o.mailer()
	counting := &countingOutbox{Store: o.store}
	m.Outbox, m.Relay.Connections = counting, 20
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	done := make(chan error)
	b.ResetTimer()
	go func() { done <- m.Run(ctx) }()
	for {
		e, err := o.store.Edition(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		if e.State == newsletter.Done {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(counting.groups.Load()), "messages/commit")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// countingOutbox counts the groups in which outcomes are recorded.
type countingOutbox struct {
	*store.Store
	groups atomic.Int64
}

func (c *countingOutbox) RecordOutcomes(ctx context.Context, outcomes []newsletter.Outcome) error {
	c.groups.Add(1)
	return c.Store.RecordOutcomes(ctx, outcomes)
}
