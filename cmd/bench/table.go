package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is what one measurement showed.
type table struct {
	Suite   string   `json:"suite"`
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    []row    `json:"rows"`
}

// row is one figure in all columns, or in the first of them.
type row struct {
	Name  string `json:"name"`
	Cells []cell `json:"cells"`
	Reach *reach `json:"reach,omitempty"`
}

// cell is a number with its unit, one of those below.
type cell struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// reach is what is to be reached, and whether it was.
type reach struct {
	Words   string `json:"words"`
	Reached bool   `json:"reached"`
}

func rate(perSecond float64) cell       { return cell{perSecond, "1/s"} }
func times(ratio float64) cell          { return cell{ratio, "x"} }
func memory(octets int64) cell          { return cell{float64(octets) / 1e6, "MB"} }
func seconds(d time.Duration) cell      { return cell{d.Seconds(), "s"} }
func brief(d time.Duration) cell        { return cell{float64(d) / 1e3, "µs"} }
func atLeast(c cell, is float64) *reach { return &reach{"≥ " + c.String(), is >= c.Value} }
func atMost(c cell, is float64) *reach  { return &reach{"≤ " + c.String(), is <= c.Value} }

func (c cell) String() string {
	switch {
	case c.Unit == "1/s":
		return thousands(int(c.Value + 0.5))
	case c.Unit == "x":
		return fmt.Sprintf("%.2f×", c.Value)
	case c.Unit == "s" && c.Value < 1:
		return fmt.Sprintf("%.0f ms", 1000*c.Value)
	case c.Unit == "s":
		return fmt.Sprintf("%.2f s", c.Value)
	}
	return fmt.Sprintf("%.1f %s", c.Value, c.Unit)
}

func (r *reach) String() string {
	switch {
	case r == nil:
		return ""
	case r.Reached:
		return r.Words + "  reached"
	}
	return r.Words + "  NOT reached"
}

// thousands writes a number as people read it.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// cellAt is the text of a cell, empty where the row has no such cell.
func (r row) cellAt(column int) string {
	if column >= len(r.Cells) {
		return ""
	}
	return r.Cells[column].String()
}

// printText prints tables for people at a terminal of a hundred columns.
func printText(w io.Writer, tables []table) error {
	const first, other = 22, 12
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s\n%s", t.Suite, t.Title, strings.Repeat(" ", first))
		widths := make([]int, len(t.Columns))
		for c, name := range t.Columns {
			widths[c] = max(other, utf8.RuneCountInString(name)+2)
			b.WriteString(alignRight(name, widths[c]))
		}
		b.WriteString("  reach\n")
		for _, r := range t.Rows {
			line := "  " + r.Name + strings.Repeat(" ", max(0, first-2-utf8.RuneCountInString(r.Name)))
			for c := range t.Columns {
				line += alignRight(r.cellAt(c), widths[c])
			}
			b.WriteString(strings.TrimRight(line+"  "+r.Reach.String(), " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func alignRight(text string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))) + text
}

// printMarkdown prints tables as docs/performance.md has them.
func printMarkdown(w io.Writer, tables []table) error {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "**%s**: %s\n\n| | %s | reach |\n|---|%s---|\n", t.Suite, t.Title, strings.Join(t.Columns, " | "), strings.Repeat("---:|", len(t.Columns)))
		for _, r := range t.Rows {
			b.WriteString("| " + r.Name)
			for c := range t.Columns {
				b.WriteString(" | " + r.cellAt(c))
			}
			b.WriteString(" | " + strings.Replace(r.Reach.String(), "  ", ": ", 1) + " |\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printJSON(w io.Writer, tables []table) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(tables)
}
