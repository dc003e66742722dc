package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

// table lays rows out in columns. Colours take no room in it, and a row may have fewer cells than others. On a screen that is too narrow
// the last cell goes on below itself, and where that is not enough a row with titles becomes a paragraph.
type table struct {
	out    io.Writer
	titles []string // none: the rows are without
	rows   [][]string
	widths []int // they only grow, so that the next page stands below the last
}

const (
	gap    = 2  // blanks between columns
	narrow = 24 // fewer columns than this are no room for words
)

func (t *table) add(cells ...string) {
	for i, cell := range cells {
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
	t.rows = append(t.rows, cells)
}

// title adds the row of titles.
func (t *table) title(cells ...string) {
	t.titles = cells
	t.add(cells...)
}

// flush writes what has been added since the last time.
func (t *table) flush() error {
	crammed := !t.fit()
	before, _ := t.room()
	for _, cells := range t.rows {
		if crammed && slices.Equal(cells, t.titles) {
			continue
		}
		lines := t.line(cells, before)
		if crammed {
			lines = t.paragraph(cells)
		}
		if _, err := io.WriteString(t.out, lines); err != nil {
			return err
		}
	}
	t.rows = t.rows[:0]
	return nil
}

// fit clips the widest of the columns before the last where that makes the table fit its screen, and reports whether it does.
func (t *table) fit() bool {
	screen, isScreen := t.out.(*screen)
	before, all := t.room()
	last := min(all-before, narrow) // the last one wraps
	if !isScreen || t.titles == nil || before+last <= screen.columns {
		return true
	}
	columns := t.widths[:len(t.widths)-1]
	widest := slices.Index(columns, slices.Max(columns))
	room := columns[widest] - (before + last - screen.columns)
	if room < narrow {
		return false
	}
	columns[widest] = room
	for _, cells := range t.rows {
		if widest < len(cells) {
			cells[widest] = newsletter.OneLine(cells[widest], room)
		}
	}
	return true
}

// room is how much the columns before the last take, and all.
func (t *table) room() (before, all int) {
	for _, width := range t.widths {
		before, all = all, all+width+gap
	}
	return before, all - gap
}

// line is a row as a line, or as several where the last of all cells does not fit.
func (t *table) line(cells []string, before int) string {
	var line strings.Builder
	for i, cell := range cells {
		words := cell
		if i == len(t.widths)-1 {
			words = t.wrapped(cell, before)
		}
		line.WriteString(tint(t.out, tints[cell], words))
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+gap))
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

// paragraph is a row as a block of its own: a line for each cell that is not empty.
func (t *table) paragraph(cells []string) string {
	widest := 0
	for _, title := range t.titles {
		widest = max(widest, utf8.RuneCountInString(title))
	}
	var lines strings.Builder
	for i, cell := range cells {
		if cell != "" {
			fmt.Fprintf(&lines, "%-*s%s\n", widest+gap, t.titles[i], tint(t.out, tints[cell], t.wrapped(cell, widest+gap)))
		}
	}
	return lines.String() + "\n"
}

// wrapped breaks a text between words so that it fits a screen behind so many columns.
func (t *table) wrapped(text string, before int) string {
	screen, isScreen := t.out.(*screen)
	if !isScreen || screen.columns-before < narrow {
		return text
	}
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+width > screen.columns-before:
			b.WriteString("\n" + strings.Repeat(" ", before))
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
