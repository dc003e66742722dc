package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
)

// column is one column of a listing for people.
type column[T any] struct {
	title string
	text  func(T) string
}

// list prints a listing: one JSON array with --json, else a table, or a sentence when it is empty.
func list[T any](cmd *cobra.Command, rows []T, none string, columns ...column[T]) error {
	p := newRowPrinter(cmd, none, columns)
	for _, row := range rows {
		if err := p.add(row); err != nil {
			return err
		}
	}
	return p.end()
}

// rowPrinter prints a listing row by row, so that a long one takes no memory.
type rowPrinter[T any] struct {
	out     io.Writer
	json    bool
	none    string
	columns []column[T]
	table   table
	rows    int
}

func newRowPrinter[T any](cmd *cobra.Command, none string, columns []column[T]) *rowPrinter[T] {
	out := cmd.OutOrStdout()
	return &rowPrinter[T]{out: out, json: wantsJSON(cmd), none: none, columns: columns, table: table{out: out}}
}

// tablePage is how many rows are laid out together.
const tablePage = 1000

func (p *rowPrinter[T]) add(row T) error {
	p.rows++
	if p.json {
		before := ",\n  "
		if p.rows == 1 {
			before = "[\n  "
		}
		text, err := marshal(row, "  ")
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.out, before+text)
		return err
	}
	if p.rows == 1 {
		p.table.title(p.cells(func(c column[T]) string { return c.title })...)
	}
	p.table.add(p.cells(func(c column[T]) string { return c.text(row) })...)
	if p.rows%tablePage == 0 {
		return p.table.flush()
	}
	return nil
}

func (p *rowPrinter[T]) cells(cell func(column[T]) string) []string {
	cells := make([]string, len(p.columns))
	for i, c := range p.columns {
		limit := 60
		if i == len(p.columns)-1 {
			limit = 0 // the last one may run on
		}
		cells[i] = newsletter.OneLine(cell(c), limit)
	}
	return cells
}

func (p *rowPrinter[T]) end() (err error) {
	switch {
	case p.json && p.rows == 0:
		_, err = fmt.Fprintln(p.out, "[]")
	case p.json:
		_, err = fmt.Fprintln(p.out, "\n]")
	case p.rows == 0:
		_, err = fmt.Fprintln(p.out, p.none)
	default:
		err = p.table.flush()
	}
	return err
}

// field is one line of what `show` prints for people.
type field struct{ name, value string }

// show prints one thing: one JSON object with --json, else its fields, the empty ones left out.
func show(cmd *cobra.Command, object any, fields ...field) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), object)
	}
	t := table{out: cmd.OutOrStdout()}
	for _, f := range fields {
		if f.value != "" {
			t.add(f.name, newsletter.OneLine(f.value, 0))
		}
	}
	return t.flush()
}

func printJSON(w io.Writer, v any) error {
	text, err := marshal(v, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, text)
	return err
}

// marshal is json.Marshal for people's eyes: indented, and with < and & as they are.
func marshal(v any, prefix string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	err := enc.Encode(v)
	return strings.TrimRight(b.String(), "\n"), err
}

// addJSONFlag gives a command --json.
func addJSONFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("json", false, "print JSON, for scripts")
	return cmd
}

func wantsJSON(cmd *cobra.Command) bool {
	yes, err := cmd.Flags().GetBool("json")
	return err == nil && yes
}

// moment is how a person reads an instant; empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04 MST")
}

// optional leaves a zero instant out of JSON.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// counted says "1 reader", "2 readers", "3 copies".
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, y := strings.CutSuffix(one, "py"); y {
		return fmt.Sprintf("%d %spies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// quiet drops what a room would log: a command prints what it has to say itself.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
