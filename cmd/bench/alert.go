package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// alert is how soon an alert overtakes a digest that is being sent.
func (l *lab) alert(ctx context.Context) ([]table, error) {
	t := table{
		Suite:   "alert",
		Title:   fmt.Sprintf("to %s readers, while a digest goes to them over 20 connections", thousands(l.readers)),
		Columns: []string{"from command's end", "from its start"},
	}
	var worst time.Duration
	for round := range l.rounds {
		a, err := l.overtake(ctx)
		if err != nil {
			return nil, err
		}
		tell("alert, round %d of %d: first message %s after the command", round+1, l.rounds, seconds(a.afterEnd))
		t.Rows = append(t.Rows, row{fmt.Sprintf("first message, round %d", round+1), []cell{seconds(a.afterEnd), seconds(a.afterStart)}, nil})
		worst = max(worst, a.afterEnd)
	}
	t.Rows = append(t.Rows, row{"worst", []cell{seconds(worst)}, atMost(seconds(reachAlert), worst.Seconds())})
	return []table{t}, nil
}

// overtaking is when an alert's first message came, counted from the command that made it.
type overtaking struct {
	afterStart, afterEnd time.Duration // zero: before the end
}

// overtake sends a digest, and makes an alert when a third of it is out.
func (l *lab) overtake(ctx context.Context) (o overtaking, err error) {
	sink, err := startSink(ctx, "-mark", "<urgent.") // its List-Id
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, sink.end()) }()
	s, err := l.newSite(ctx, plan{readers: l.readers, lists: []string{"weekly", "urgent"}, connections: 20, port: sink.port})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if _, err := s.do(ctx, "send", "weekly", "--yes"); err != nil {
		return o, err
	}
	if err := s.urge(ctx); err != nil {
		return o, err
	}
	serve, err := s.serve(ctx)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, serve.stop()) }()
	if _, err := sink.lookUntil(serve, func(now seen) bool { return now.messages > l.readers/3 }); err != nil {
		return o, err
	}
	send, err := s.do(ctx, "send", "urgent", "--yes")
	if err != nil {
		return o, err
	}
	got, err := sink.lookUntil(serve, func(now seen) bool { return !now.marked.IsZero() || now.messages >= 2*l.readers })
	if err != nil {
		return o, err
	}
	if got.messages > l.readers {
		return o, fmt.Errorf("the digest was over when the alert began: give more than %d with -readers", l.readers)
	}
	o.afterStart = got.marked.Sub(send.begun)
	o.afterEnd = max(0, o.afterStart-send.took)
	return o, nil
}
