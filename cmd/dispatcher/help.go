package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noCommand is about a command that there is not.
func noCommand(group *cobra.Command, word string) error {
	hint := "it has " + names(group)
	if near := group.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usagef("there is no command %q; %s", strings.TrimPrefix(group.CommandPath()+" "+word, group.Root().Name()+" "), hint)
}

// badFlag is about a flag that a command cannot follow.
func badFlag(cmd *cobra.Command, err error) error {
	what := err.Error()
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		wanted := map[string]string{"int": "a whole number", "bool": "true or false", "duration": "a time such as 90m"}[invalid.GetFlag().Value.Type()]
		if wanted != "" {
			what = fmt.Sprintf("--%s takes %s, and was given %q", invalid.GetFlag().Name, wanted, invalid.GetValue())
		}
	}
	return usagef("%s\nRun \"%s --help\" for what it takes.", what, cmd.CommandPath())
}

// helpOn is `help COMMAND`.
func helpOn(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usagef("%s", err)
	}
	if len(rest) > 0 && found.HasSubCommands() {
		return noCommand(found, rest[0])
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

// help is the help of a command, wrapped to the screen where there is one; elsewhere it is as written.
func help(cmd *cobra.Command, _ []string) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	usage := cmd.UsageString()
	out := cmd.OutOrStdout()
	if s, ok := out.(*screen); ok {
		columns := max(s.columns, narrow)
		about, usage = wrapText(about, columns), wrapUsage(usage, columns)
	}
	fmt.Fprintf(out, "%s\n\n%s", strings.TrimSpace(about), usage)
}

// wrapText breaks the paragraphs anew of which a line is too long. Lines that are indented are examples, and stay as they are.
func wrapText(text string, columns int) string {
	var done, paragraph []string
	flush := func() {
		if tooLong(paragraph, columns) {
			paragraph = wrapWords(strings.Fields(strings.Join(paragraph, " ")), columns, 0)
		}
		done, paragraph = append(done, paragraph...), nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		flush()
		done = append(done, line)
	}
	flush()
	return strings.Join(done, "\n")
}

// wrapUsage breaks the lines that are too long, each with the words in its last column below each other.
func wrapUsage(usage string, columns int) string {
	var done []string
	at := 0 // where the last column begins; a line whose first column is full has it where the one above does
	for line := range strings.Lines(usage) {
		line = strings.TrimRight(line, " \n")
		switch gap := strings.LastIndex(line, "  ") + 2; {
		case !strings.HasPrefix(line, " "):
			at = 0
		case strings.TrimSpace(line[:gap]) != "":
			at = gap
		}
		if !tooLong([]string{line}, columns) || at > columns-narrow || at == 0 && line[0] == ' ' || at > 0 && line[at-1] != ' ' {
			done = append(done, line)
			continue
		}
		words := wrapWords(strings.Fields(line[at:]), columns-at, at)
		done = append(done, line[:at]+words[0][at:])
		done = append(done, words[1:]...)
	}
	return strings.Join(done, "\n") + "\n"
}

func tooLong(lines []string, columns int) bool {
	for _, line := range lines {
		if utf8.RuneCountInString(line) > columns {
			return true
		}
	}
	return false
}

// wrapWords puts words into lines of so many columns, each behind an indent that does not count.
func wrapWords(words []string, columns, indent int) (lines []string) {
	line, width := "", 0
	for _, word := range words {
		n := utf8.RuneCountInString(word)
		if line != "" && width+1+n > columns {
			lines, line = append(lines, strings.Repeat(" ", indent)+line), ""
		}
		if line == "" {
			line, width = word, n
			continue
		}
		line, width = line+" "+word, width+1+n
	}
	return append(lines, strings.Repeat(" ", indent)+line)
}
