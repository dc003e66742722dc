package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// grownSample is what a growth measurement may bring.
func grownSample() []growth {
	sample := func(readers int, perSecond float64, cpu time.Duration, ram int64, making, meantime time.Duration) growth {
		return growth{readers, meantime, figures{perSecond: perSecond, cpu: cpu, memory: ram, making: making, makingRSS: ram / 2}}
	}
	return []growth{
		sample(10_000, 12345.6, 61_200*time.Nanosecond, 31_500_000, 55*time.Millisecond, 42*time.Millisecond),
		sample(100_000, 15000, 55*time.Microsecond, 33_000_000, 240*time.Millisecond, 70*time.Millisecond),
		sample(1_000_000, 14990, 58*time.Microsecond, 70_000_000, 2456*time.Millisecond, 999*time.Millisecond),
	}
}

func TestTheTableFitsATerminal(t *testing.T) {
	var b strings.Builder
	if err := printText(&b, []table{growthTable(grownSample())}); err != nil {
		t.Fatal(err)
	}
	want := `growth: 20 connections, durability full, one round each
                            10,000     100,000   1,000,000      growth  reach
  messages/s                12,346      15,000      14,990       1.21×
  CPU per message          61.2 µs     55.0 µs     58.0 µs       0.95×  ≤ 1.15×  reached
  peak memory, serve       31.5 MB     33.0 MB     70.0 MB       2.22×  ≤ 64 MB, 1.2×  NOT reached
  edition made in            55 ms      240 ms      2.46 s      44.65×  ≤ 15.00 s  reached
  peak memory, send        15.8 MB     16.5 MB     35.0 MB       2.22×  ≤ 64.0 MB  reached
  a listing meanwhile        42 ms       70 ms      999 ms              ≤ 1.00 s  reached
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

func TestJSONHasTheNumbers(t *testing.T) {
	var b bytes.Buffer
	if err := printJSON(&b, []table{growthTable(grownSample())}); err != nil {
		t.Fatal(err)
	}
	var got []table
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(growthTable(grownSample()), got[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThePictureIsXMLAndNamesEachFigure(t *testing.T) {
	picture, err := draw(grownSample())
	if err != nil {
		t.Fatal(err)
	}
	d, texts := xml.NewDecoder(bytes.NewReader(picture)), map[string]bool{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts[string(text)] = true
		}
	}
	for _, want := range []string{"10,000", "100,000", "1,000,000", "61", "55", "58", "32", "33", "70", "16", "35", "serve", "send"} {
		if !texts[want] {
			t.Errorf("the picture lacks %q", want)
		}
	}
}
