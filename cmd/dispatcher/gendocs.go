//go:build gendocs

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// buildCommands are those that only packaging needs: what they import stays out of the daemon.
func buildCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "gendocs DIR",
		Short:  "Write the manual pages and shell completions into DIR",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE:   func(cmd *cobra.Command, args []string) error { return generate(cmd.Root(), args[0]) },
	}}
}

// generate writes the same bytes for the same source: the pages bear the version, and the date of SOURCE_DATE_EPOCH.
func generate(root *cobra.Command, dir string) error {
	for _, sub := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	completions := filepath.Join(dir, "completions")
	if err := root.GenBashCompletionFileV2(filepath.Join(completions, "dispatcher"), true); err != nil {
		return fmt.Errorf("writing the completion of bash: %w", err)
	}
	if err := root.GenZshCompletionFile(filepath.Join(completions, "_dispatcher")); err != nil {
		return fmt.Errorf("writing the completion of zsh: %w", err)
	}
	if err := root.GenFishCompletionFile(filepath.Join(completions, "dispatcher.fish"), true); err != nil {
		return fmt.Errorf("writing the completion of fish: %w", err)
	}
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			root.RemoveCommand(c) // cobra's own; the package brings the completions ready for use
		}
	}
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "dispatcher " + version(), Manual: "dispatcher"}
	if err := doc.GenManTree(root, header, filepath.Join(dir, "man")); err != nil {
		return fmt.Errorf("writing the manual pages: %w", err)
	}
	return writeConfigPage("config.example.yaml", filepath.Join(dir, "man", "dispatcher-config.5"))
}

// writeConfigPage makes a manual page of the example, whose comments tell every key.
func writeConfigPage(example, page string) error {
	text, err := os.ReadFile(example)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH DISPATCHER-CONFIG 5 \"\" \"dispatcher %s\" \"dispatcher\"\n", version())
	b.WriteString(".SH NAME\ndispatcher-config \\- the config file of dispatcher\n")
	b.WriteString(".SH SYNOPSIS\n/etc/dispatcher/config.yaml\n")
	b.WriteString(".SH DESCRIPTION\nOne YAML file says everything. This is an example with every key. The values shown at keys that are commented out are\n")
	b.WriteString("examples; \"default:\" says what holds while a key is at rest. \\fBdispatcher check\\fR tells what is wrong with a file.\n")
	b.WriteString(".SH EXAMPLE\n.nf\n")
	for line := range strings.Lines(string(text)) {
		b.WriteString(`\&` + strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`).Replace(line))
	}
	b.WriteString(".fi\n.SH SEE ALSO\n\\fBdispatcher\\fR(1), \\fBdispatcher\\-check\\fR(1)\n")
	return os.WriteFile(page, b.Bytes(), 0o644)
}
