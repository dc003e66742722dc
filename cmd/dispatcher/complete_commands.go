package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dispatcher/internal/newsletter"
)

// argumentsOf says what the arguments of commands may be, by the words of the command.
func argumentsOf() map[string]completion {
	return map[string]completion{
		"preview": liveListChoices, "send": liveListChoices, "fetch": feedChoices,
		"items show": itemChoices(anyItem), "items set": itemChoices(inState(newsletter.Queued, newsletter.Held)),
		"items hold": itemChoices(inState(newsletter.Queued)), "items release": itemChoices(inState(newsletter.Held, newsletter.Dropped)),
		"items drop": itemChoices(inState(newsletter.Queued, newsletter.Held)), "items close": itemChoices(openAction), "items done": itemChoices(anyAction),
		"editions show": editionChoices(), "editions retry": editionChoices(),
		"editions pause": editionChoices(newsletter.Sending), "editions resume": editionChoices(newsletter.Paused),
		"editions cancel": editionChoices(newsletter.Sending, newsletter.Paused),
	}
}

// fileCommands take files as their arguments.
var fileCommands = []string{"import", "subscribers import", "backup"}

// flagWords are the words that a flag takes, by the words of the command.
var flagWords = map[string]map[string][]string{
	"items list":         {"state": {"queued", "held", "dropped"}},
	"subscribers export": {"state": {"pending", "confirmed", "ended"}},
	"editions retry":     {"owner": {"ours"}},
}

// addCompletions gives a command and those below it their completions. Nothing is completed to a file but what is one.
func addCompletions(p process, c *cobra.Command) {
	_, name, _ := strings.Cut(c.CommandPath(), " ")
	if offer, ok := argumentsOf()[name]; ok {
		c.ValidArgsFunction = completing(p, offer)
		if !strings.HasSuffix(c.Use, "...") {
			c.ValidArgsFunction = onlyFirst(c.ValidArgsFunction)
		}
	} else if c.ValidArgsFunction == nil && !c.HasSubCommands() && !slices.Contains(fileCommands, name) {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) { // what is registered already stays
		switch words := flagWords[name][f.Name]; {
		case words != nil:
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		case f.Name == "config":
			_ = c.MarkPersistentFlagFilename(f.Name, "yaml", "yml")
		case f.Name == "file":
			_ = c.MarkFlagFilename(f.Name)
		case f.Name == "out" && name != "subscribers export":
			_ = c.MarkFlagDirname(f.Name)
		case f.Name == "list":
			_ = c.RegisterFlagCompletionFunc(f.Name, completing(p, listChoices))
		case f.Name == "topics":
			_ = c.RegisterFlagCompletionFunc(f.Name, completing(p, topicChoices))
		case f.Name == "language":
			_ = c.RegisterFlagCompletionFunc(f.Name, completing(p, languageChoices))
		case f.Name != "out":
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
	for _, sub := range c.Commands() {
		addCompletions(p, sub)
	}
}

// plainUsages takes the marks out of what is said of flags, which only a command's help understands.
func plainUsages(c *cobra.Command) {
	plain := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	c.Flags().VisitAll(plain)
	c.PersistentFlags().VisitAll(plain)
	for _, sub := range c.Commands() {
		plainUsages(sub)
	}
}

// onlyFirst offers nothing where there is an argument already.
func onlyFirst(offer cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(before) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return offer(cmd, before, begun)
	}
}
