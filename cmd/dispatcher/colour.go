package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// screen is a terminal to write to.
type screen struct {
	io.Writer
	columns int
	colours bool
}

// screenOf is a file as a screen where it is a terminal, and else the file.
func screenOf(file *os.File, environ []string) io.Writer {
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return file
	}
	return &screen{file, columns, wantsColours(environ)}
}

// columnsOf is how wide the terminal is that a file is; 0: it is none, or one that cannot go back to the beginning of a line.
func columnsOf(file *os.File, environ []string) int {
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || slices.Contains(environ, "TERM=dumb") {
		return 0
	}
	return columns
}

// wantsColours reports whether a terminal is to show colours: https://no-color.org and a terminal that says it cannot are heard.
func wantsColours(environ []string) bool {
	return !slices.ContainsFunc(environ, func(e string) bool {
		value, set := strings.CutPrefix(e, "NO_COLOR=")
		return e == "TERM=dumb" || set && value != ""
	})
}

// Colours are those of the terminal's own palette, which its user can read on dark or light.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
	bold   = "1"
)

// tints are the colours of whole cells that help an eye; all others are plain.
var tints = map[string]string{
	"error": red, "warning": yellow, // levels of check
	"held": yellow, "paused": yellow, "sending": green, // states
}

// tint puts a text into a colour where out is a screen that shows some.
func tint(out io.Writer, colour, text string) string {
	if s, ok := out.(*screen); !ok || !s.colours || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
