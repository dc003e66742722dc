package main

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
)

func newManCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use:   "man [COMMAND]...",
		Short: "Show the manual page of dispatcher or of a command",
		Long: `Show the manual page of dispatcher, or of a command such as "items set", with man(1). The pages come with the package; without it
"dispatcher COMMAND --help" says the same.`,
		ValidArgsFunction: func(cmd *cobra.Command, before []string, _ string) (words []string, _ cobra.ShellCompDirective) {
			found, rest, err := cmd.Root().Find(before)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, sub := range found.Commands() {
				if sub.IsAvailableCommand() {
					words = append(words, choice(sub.Name(), sub.Short))
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 || found == cmd.Root() && len(args) > 0 {
				return usagef("there is no command %q; `dispatcher --help` lists them", strings.Join(args, " "))
			}
			page := strings.ReplaceAll(found.CommandPath(), " ", "-")
			if err := exec.CommandContext(cmd.Context(), "man", "--where", "1", page).Run(); err != nil {
				return fmt.Errorf("man(1) has no page %s(1) here: the package brings it; `%s --help` says the same", page, found.CommandPath())
			}
			out := p.stdout
			if s, ok := out.(*screen); ok {
				out = s.Writer // a pager must see that it is a terminal
			}
			man := exec.CommandContext(cmd.Context(), "man", "1", page)
			man.Stdin, man.Stdout, man.Stderr, man.Env = p.stdin, out, p.stderr, p.environ
			if err := man.Run(); err != nil {
				return fmt.Errorf("showing %s(1): %w", page, err)
			}
			return nil
		},
	}
}
