package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpAt is what a command's help is on a screen of so many columns; 0: it is no screen.
func helpAt(t *testing.T, columns int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	p := process{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now}
	if columns > 0 {
		p.stdout = &screen{Writer: &out, columns: columns}
	}
	if code := run(t.Context(), p, append(args, "--help")); code != exitDone {
		t.Fatalf("%q: exit code %d: %s", args, code, &errs)
	}
	return out.String()
}

// No word of any command's help is cut on a terminal, and none is lost.
func TestHelpFitsTheScreen(t *testing.T) {
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		args := strings.Fields(c.CommandPath())[1:]
		if c.Name() == "completion" { // cobra's own
			return
		}
		plain, wrapped := helpAt(t, 0, args...), helpAt(t, 80, args...)
		for line := range strings.Lines(wrapped) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 && strings.ContainsRune(strings.TrimSpace(line[:80]), ' ') {
				t.Errorf("%q: %d columns: %s", args, n, line)
			}
		}
		if a, b := strings.Join(strings.Fields(plain), " "), strings.Join(strings.Fields(wrapped), " "); a != b {
			t.Errorf("%q says something else on a screen:\n%s", args, wrapped)
		}
		if wide := helpAt(t, 500, args...); wide != plain {
			t.Errorf("%q is wrapped where there is room:\n%s", args, wide)
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(newRootCommand(process{now: time.Now}))
}

func TestExamplesInAHelpStayAsTheyAre(t *testing.T) {
	const text = "one two three\nfour\n\n  an example that is indented\nfive six seven eight"
	const want = "one two\nthree four\n\n  an example that is indented\nfive six\nseven\neight"
	if got := wrapText(text, 10); got != want {
		t.Errorf("got %q", got)
	}
}
