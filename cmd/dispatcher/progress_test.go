package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgressInLines(t *testing.T) {
	tests := map[string]struct {
		unit  string
		total int64
		steps []int64 // one each 400 ms
		want  string
	}{
		"short work says nothing":      {"row", 10, []int64{5, 10}, ""},
		"a line each second at most":   {"row", 10, []int64{1, 2, 3, 4, 5, 6, 7}, "importing: 3 of 10 rows\nimporting: 6 of 10 rows\nimporting: 7 of 10 rows\n"},
		"nobody knows how much":        {"copy", 0, []int64{1, 2, 3}, "importing: 3 copies\n"},
		"octets":                       {octets, 2_500_000, []int64{1, 2, 1_250_000}, "importing: 1.2 MB of 2.5 MB\n"},
		"no line where nothing is new": {"row", 10, []int64{4, 4, 4, 4, 4, 4}, "importing: 4 of 10 rows\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
			w := process{now: func() time.Time { return now }}.progress(&out, "importing", tt.unit, tt.total)
			for _, n := range tt.steps {
				now = now.Add(400 * time.Millisecond)
				w.at(n)
			}
			w.end()
			if out.String() != tt.want {
				t.Errorf("it says\n%q, want\n%q", out.String(), tt.want)
			}
		})
	}
}

func TestProgressOnATerminalLeavesNothing(t *testing.T) {
	for _, total := range []int64{0, 3} {
		var out strings.Builder
		w := process{now: time.Now, errColumns: 80}.progress(&out, "sending", "copy", total)
		w.at(1)
		if !strings.Contains(out.String(), "sending") {
			t.Errorf("of %d there is no bar: %q", total, out.String())
		}
		w.end()
		if lines := strings.Split(out.String(), "\r"); strings.Contains(out.String(), "\n") || strings.TrimSpace(lines[len(lines)-1]) != "" {
			t.Errorf("of %d it leaves %q", total, out.String())
		}
	}
}
