package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

// rowReader reads a CSV file (RFC 4180) line by line. A field does not go on in the next line: no reader's does, and so a
// stray quote costs its own row and not the rest of the file.
type rowReader struct {
	lines *bufio.Scanner
	line  int // of the current row, from 1

	anyColumn bool // others than email may be called whatever they like
}

// longestRow bounds one line of the file, in octets.
const longestRow = 64 << 10

// Why a row is not imported.
var (
	errNotUTF8 = errors.New("it is not in UTF-8: save the file as \"CSV UTF-8\"")
	errQuotes  = errors.New("its quotes do not match: a quoted cell ends with a quote in the same line, and a quote inside it is doubled")
	errCells   = errors.New("it has more cells than the header: put a cell with a comma into quotes")
)

func newRowReader(file io.Reader) *rowReader {
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longestRow)
	return &rowReader{lines: lines}
}

// next goes to the next line that is not empty.
func (r *rowReader) next() bool {
	for r.lines.Scan() {
		r.line++
		if strings.TrimSpace(r.lines.Text()) != "" {
			return true
		}
	}
	return false
}

// err is what ended the reading early.
func (r *rowReader) err() error {
	if errors.Is(r.lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("reading rows: line %d is longer than %d octets: is this a CSV file?", r.line+1, longestRow)
	}
	if r.lines.Err() != nil {
		return fmt.Errorf("reading rows: %w", r.lines.Err())
	}
	return nil
}

// record takes the current row apart. It has at most so many cells.
func (r *rowReader) record(most int) ([]string, error) {
	text := strings.TrimSuffix(r.lines.Text(), "\r")
	if !utf8.ValidString(text) {
		return nil, errNotUTF8
	}
	row := csv.NewReader(strings.NewReader(text))
	row.FieldsPerRecord, row.TrimLeadingSpace = -1, true
	cells, err := row.Read()
	if err != nil {
		return nil, errQuotes
	}
	if len(cells) > most && strings.TrimSpace(strings.Join(cells[most:], "")) != "" {
		return nil, errCells
	}
	return cells, nil
}

// header reads the first row and finds each column's place. Its errors repeat nothing that may be an address.
func (r *rowReader) header() (map[string]int, error) {
	wanted := strings.Join(csvColumns[:stateCell], ",")
	if r.anyColumn {
		wanted = "a header with the column email"
	}
	if !r.next() {
		return nil, usagef("the file has no header line; it must begin with %s", wanted)
	}
	text := strings.TrimPrefix(r.lines.Text(), "\uFEFF") // the mark that spreadsheets put in front of UTF-8
	if strings.HasPrefix(text, "\xFF\xFE") || strings.HasPrefix(text, "\xFE\xFF") {
		return nil, usagef("the file is in UTF-16: save it as \"CSV UTF-8\"")
	}
	names, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil || !utf8.ValidString(text) {
		return nil, usagef("line 1 is no header; the file must begin with %s", wanted)
	}
	if len(names) == 1 && strings.ContainsAny(text, ";\t") {
		return nil, usagef("line 1 has no commas: separate the columns by commas, as in %s", wanted)
	}
	header := map[string]int{}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch _, twice := header[name]; {
		case strings.Contains(name, "@"):
			return nil, usagef("line 1 is a reader and no header: put a line before it that says %s", wanted)
		case !r.anyColumn && !slices.Contains(csvColumns, name):
			return nil, usagef("line 1: there is no column %q; the columns are %s", newsletter.OneLine(newsletter.Redact(name), 40), strings.Join(csvColumns, ","))
		case twice:
			return nil, usagef("line 1: the column %q is there twice", name)
		}
		header[name] = i
	}
	if _, ok := header["email"]; !ok {
		return nil, usagef("line 1: the column \"email\" is missing; the header is %s", wanted)
	}
	return header, nil
}
