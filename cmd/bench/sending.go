package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// conditions are under which senders are measured.
type conditions struct {
	readers     int
	connections int
	durability  string
	sink        []string // flags
}

// figures are what one sender did.
type figures struct {
	perSecond float64       // messages
	cpu       time.Duration // for each
	sinkCPU   time.Duration // of the sink, for each
	memory    int64         // octets at most
	size      int           // octets of a message
	making    time.Duration // the edition
	makingRSS int64         // octets of memory at most, meanwhile
}

// medians are the medians of each figure by itself.
func medians(all []figures) figures {
	return figures{
		perSecond: median(all, func(f figures) float64 { return f.perSecond }),
		cpu:       median(all, func(f figures) time.Duration { return f.cpu }),
		sinkCPU:   median(all, func(f figures) time.Duration { return f.sinkCPU }),
		memory:    median(all, func(f figures) int64 { return f.memory }),
		size:      median(all, func(f figures) int { return f.size }),
		making:    median(all, func(f figures) time.Duration { return f.making }),
		makingRSS: median(all, func(f figures) int64 { return f.makingRSS }),
	}
}

func median[T int | int64 | float64 | time.Duration](all []figures, of func(figures) T) T {
	values := make([]T, len(all))
	for i, f := range all {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// dispatcher makes an edition for all readers and lets serve send it to a fresh sink.
func (l *lab) dispatcher(ctx context.Context, c conditions, meanwhile func(*site, *program) error) (f figures, err error) {
	sink, err := startSink(ctx, c.sink...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, sink.end()) }()
	s, err := l.newSite(ctx, plan{c.readers, []string{"weekly"}, c.connections, c.durability, sink.port})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	send, err := start(ctx, "", l.binary, "--config", s.config, "send", "weekly", "--yes")
	if err != nil {
		return f, err
	}
	if meanwhile != nil {
		if err := meanwhile(s, send); err != nil {
			return f, errors.Join(err, send.wait())
		}
	}
	if err := send.wait(); err != nil {
		return f, err
	}
	serve, err := s.serve(ctx)
	if err != nil {
		return f, err
	}
	_, err = sink.lookUntil(serve, func(now seen) bool { return now.messages >= c.readers })
	if err == nil {
		err = serve.waitForWord()
	}
	if err := errors.Join(err, serve.stop()); err != nil {
		return f, err
	}
	if err := s.audit(ctx, c.readers); err != nil {
		return f, err
	}
	f, err = tally(serve, sink, c.readers)
	f.making, f.makingRSS = send.took, send.peak.Load()
	return f, err
}

// smtpSource lets smtp-source send as many messages of the same size to a fresh sink.
func (l *lab) smtpSource(ctx context.Context, c conditions, size int) (f figures, err error) {
	const header = 134 // octets, which it adds to what -l asks for
	sink, err := startSink(ctx, c.sink...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, sink.end()) }()
	source, err := runToEnd(ctx, l.source, "-d", "-s", fmt.Sprint(c.connections), "-m", fmt.Sprint(c.readers), "-l", fmt.Sprint(size-header),
		"-f", "news@example.org", "-t", "reader@example.net", fmt.Sprintf("127.0.0.1:%d", sink.port))
	if err != nil {
		return f, err
	}
	return tally(source, sink, c.readers)
}

// tally puts together what the sink and the kernel know of a sender that has ended. Its time runs from its start to the moment at
// which the sink had its last message.
func tally(sender *program, sink *sinkProcess, messages int) (figures, error) {
	got, err := sink.look()
	if err != nil {
		return figures{}, err
	}
	if got.messages != messages {
		return figures{}, fmt.Errorf("the sink has %d messages instead of %d; the sender said:\n%s", got.messages, messages, sender.words.last())
	}
	return figures{
		perSecond: float64(messages) / got.last.Sub(sender.begun).Seconds(),
		cpu:       sender.cpu() / time.Duration(messages),
		sinkCPU:   got.cpu / time.Duration(messages),
		memory:    sender.peak.Load(),
		size:      got.octets / messages,
	}, nil
}

// compare measures dispatcher and smtp-source in turns.
func (l *lab) compare(ctx context.Context, what string, c conditions) (ours, theirs figures, err error) {
	var a, b []figures
	for round := range l.rounds {
		f, err := l.dispatcher(ctx, c, nil)
		if err != nil {
			return ours, theirs, err
		}
		g, err := l.smtpSource(ctx, c, f.size)
		if err != nil {
			return ours, theirs, err
		}
		a, b = append(a, f), append(b, g)
		tell("%s, round %d of %d: dispatcher %s/s, smtp-source %s/s", what, round+1, l.rounds, thousands(int(f.perSecond)), thousands(int(g.perSecond)))
	}
	return medians(a), medians(b), nil
}
