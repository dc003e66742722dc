package main

import (
	"context"
	"fmt"
	"time"
)

// What is to be reached.
const (
	reachCPU      = 1.25                  // times smtp-source at most, for each message
	reachLatency  = 3.0                   // times one that waits for each reply
	reachMemory   = 64_000_000            // octets at most, whatever the number of readers
	reachFlat     = 1.15                  // times at most, CPU for each message, from the fewest readers to a hundred times as many
	reachGrowth   = 1.2                   // times at most, peak memory, likewise
	reachMaking   = 15 * time.Second      // for an edition to the most readers
	reachMeantime = time.Second           // for another command while the largest edition is being made
	reachAlert    = time.Second           // from the end of the command to the first message
	farAway       = 20 * time.Millisecond // how much later than its command a reply comes
)

// speed is how fast an edition goes out with the ledger as it comes.
func (l *lab) speed(ctx context.Context) (tables []table, err error) {
	for _, goal := range []struct {
		connections int
		reach       float64 // times smtp-source
	}{{20, 1.0}, {64, 1.4}} {
		t, err := l.race(ctx, "speed", conditions{readers: l.readers, connections: goal.connections}, goal.reach)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// normal is how fast it goes out where the ledger need not survive a power cut.
func (l *lab) normal(ctx context.Context) ([]table, error) {
	t, err := l.race(ctx, "normal", conditions{readers: l.readers, connections: 20, durability: "normal"}, 1.5)
	return []table{t}, err
}

// race lets both send the same, and says whether dispatcher was as many times faster as it should be.
func (l *lab) race(ctx context.Context, name string, c conditions, reach float64) (table, error) {
	durability := c.durability
	if durability == "" {
		durability = "full"
	}
	ours, theirs, err := l.compare(ctx, fmt.Sprintf("%s, %d connections", name, c.connections), c)
	if err != nil {
		return table{}, err
	}
	return table{
		Suite: name,
		Title: fmt.Sprintf("%s readers, %d connections, durability %s, %s octets, medians of %d",
			thousands(c.readers), c.connections, durability, thousands(ours.size), l.rounds),
		Columns: []string{"dispatcher", "smtp-source", "ratio"},
		Rows: []row{
			{"messages/s", []cell{rate(ours.perSecond), rate(theirs.perSecond), times(ours.perSecond / theirs.perSecond)}, atLeast(times(reach), ours.perSecond/theirs.perSecond)},
			{"CPU per message", []cell{brief(ours.cpu), brief(theirs.cpu), times(float64(ours.cpu) / float64(theirs.cpu))}, atMost(times(reachCPU), float64(ours.cpu)/float64(theirs.cpu))},
			{"CPU of the sink", []cell{brief(ours.sinkCPU), brief(theirs.sinkCPU), times(float64(ours.sinkCPU) / float64(theirs.sinkCPU))}, nil},
			{"peak memory", []cell{memory(ours.memory), memory(theirs.memory)}, nil},
			{"edition made in", []cell{seconds(ours.making)}, nil},
		},
	}, nil
}

// latency is how much pipelining helps with a relay that is far away.
func (l *lab) latency(ctx context.Context) ([]table, error) {
	far := conditions{readers: l.readers / 50, connections: 8, sink: []string{"-delay", farAway.String()}}
	ours, theirs, err := l.compare(ctx, "latency, pipelined", far)
	if err != nil {
		return nil, err
	}
	far.sink = append(far.sink, "-pipelining=false")
	var plain []figures
	for round := range l.rounds {
		f, err := l.dispatcher(ctx, far, nil)
		if err != nil {
			return nil, err
		}
		tell("latency, without PIPELINING, round %d of %d: dispatcher %s/s", round+1, l.rounds, thousands(int(f.perSecond)))
		plain = append(plain, f)
	}
	versus := func(name string, f figures, reach *reach) row {
		return row{name, []cell{rate(f.perSecond), rate(theirs.perSecond), times(f.perSecond / theirs.perSecond)}, reach}
	}
	return []table{{
		Suite: "latency",
		Title: fmt.Sprintf("%s readers, %d connections, each reply %v later, medians of %d; smtp-source waits for each",
			thousands(far.readers), far.connections, farAway, l.rounds),
		Columns: []string{"dispatcher", "smtp-source", "ratio"},
		Rows: []row{
			versus("messages/s", ours, atLeast(times(reachLatency), ours.perSecond/theirs.perSecond)),
			versus("without PIPELINING", medians(plain), nil),
		},
	}}, nil
}

// growth is what an edition costs for more and more readers.
type growth struct {
	readers  int
	meantime time.Duration // the slowest `editions list` while the edition was being made
	figures
}

// growth measures a tenth of the readers, the readers, and ten times as many.
func (l *lab) growth(ctx context.Context) ([]table, error) {
	for _, readers := range []int{l.readers / 10, l.readers, l.readers * 10} {
		g := growth{readers: readers}
		var err error
		g.figures, err = l.dispatcher(ctx, conditions{readers: readers, connections: 20}, func(s *site, send *program) error {
			g.meantime, err = s.slowest(ctx, send, "editions", "list")
			return err
		})
		if err != nil {
			return nil, err
		}
		tell("growth, %s readers: %s/s, the edition made in %s", thousands(readers), thousands(int(g.perSecond)), seconds(g.making))
		l.grown = append(l.grown, g)
	}
	return []table{growthTable(l.grown)}, nil
}

// slowest runs a command again and again while an edition is being made, and says how long it took at most.
func (s *site) slowest(ctx context.Context, send *program, args ...string) (slowest time.Duration, err error) {
	for {
		select {
		case <-send.exited:
			return slowest, nil
		case <-time.After(20 * time.Millisecond): // the edition is to be made, too, on a machine with few processors
		}
		p, err := s.do(ctx, args...)
		if err != nil {
			return 0, err
		}
		slowest = max(slowest, p.took)
	}
}

func growthTable(grown []growth) table {
	least, most := grown[0], grown[len(grown)-1]
	cpu, ram := float64(most.cpu)/float64(least.cpu), float64(most.memory)/float64(least.memory)
	making := float64(most.makingRSS) / float64(least.makingRSS)
	t := table{
		Suite: "growth", Title: "20 connections, durability full, one round each",
		Rows: []row{
			{"messages/s", nil, nil},
			{"CPU per message", nil, atMost(times(reachFlat), cpu)},
			{"peak memory, serve", nil, &reach{"≤ 64 MB, 1.2×", most.memory <= reachMemory && ram <= reachGrowth}},
			{"edition made in", nil, atMost(seconds(reachMaking), most.making.Seconds())},
			{"peak memory, send", nil, atMost(memory(reachMemory), memory(most.makingRSS).Value)},
			{"a listing meanwhile", nil, atMost(seconds(reachMeantime), most.meantime.Seconds())},
		},
	}
	for _, g := range grown {
		t.Columns = append(t.Columns, thousands(g.readers))
		for i, c := range []cell{rate(g.perSecond), brief(g.cpu), memory(g.memory), seconds(g.making), memory(g.makingRSS), seconds(g.meantime)} {
			t.Rows[i].Cells = append(t.Rows[i].Cells, c)
		}
	}
	t.Columns = append(t.Columns, "growth")
	for i, ratio := range []float64{most.perSecond / least.perSecond, cpu, ram, most.making.Seconds() / least.making.Seconds(), making} {
		t.Rows[i].Cells = append(t.Rows[i].Cells, times(ratio))
	}
	return t
}
