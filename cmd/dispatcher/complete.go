package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// completion offers what an argument or a flag may be, each as cobra.CompletionWithDesc has it. The office has a config and lists; its
// store is nil where there is no database. It only reads, and offers no address.
type completion func(ctx context.Context, o *office) []string

// completed is how many things are offered at most: more help nobody.
const completed = 100

// completing makes a function for cobra out of a completion. Where anything is wrong it offers nothing and says nothing: the command
// itself will say it.
func completing(p process, offer completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, begun string) ([]string, cobra.ShellCompDirective) {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cfg, err := config.Load(path, p.environ)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		o := &office{process: p, config: cfg, log: quiet(), lists: listsOf(cfg), topics: topicsOf(cfg), feeds: feedsOf(cfg)}
		if o.store, err = store.Look(cmd.Context(), cfg.DataDir); err == nil {
			defer func() { _ = o.store.Close() }() // it has only read
		} else {
			o.store = nil
		}
		comma := strings.LastIndexByte(begun, ',') + 1 // some flags take several
		begun, word := begun[:comma], begun[comma:]
		before = append(before, strings.Split(begun, ",")...)
		var offered []string
		for _, choice := range offer(cmd.Context(), o) {
			value, _, _ := strings.Cut(choice, "\t")
			if strings.HasPrefix(value, word) && !slices.Contains(before, value) && len(offered) < completed {
				offered = append(offered, begun+choice)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// choice is one thing to be offered, with words about it.
func choice(value, about string) string {
	return cobra.CompletionWithDesc(value, newsletter.OneLine(about, 60))
}

func listChoices(_ context.Context, o *office) (choices []string) {
	for _, l := range o.lists {
		choices = append(choices, choice(l.ID, l.Title))
	}
	return choices
}

// liveListChoices are the lists that mail goes to.
func liveListChoices(_ context.Context, o *office) (choices []string) {
	for _, l := range o.liveLists() {
		choices = append(choices, choice(l.ID, l.Title))
	}
	return choices
}

func feedChoices(_ context.Context, o *office) (choices []string) {
	for _, f := range o.feeds {
		choices = append(choices, choice(f.Name, f.URL))
	}
	return choices
}

func topicChoices(_ context.Context, o *office) (choices []string) {
	for _, t := range o.topics {
		choices = append(choices, choice(t.ID, t.Title))
	}
	return choices
}

// languageChoices are those of the lists.
func languageChoices(_ context.Context, o *office) (choices []string) {
	for _, l := range o.lists {
		if l.Language != "" && !slices.Contains(choices, l.Language) {
			choices = append(choices, l.Language)
		}
	}
	return choices
}

// itemChoices are the newest items that fit a command.
func itemChoices(fits func(newsletter.Item) bool) completion {
	return func(ctx context.Context, o *office) (choices []string) {
		if o.store == nil {
			return nil
		}
		items, _ := o.store.ItemHeads(ctx, 10*completed) // of an error the command itself will speak
		for _, i := range items {
			if fits(i) {
				choices = append(choices, choice(strconv.FormatInt(int64(i.ID), 10), i.Title))
			}
		}
		return choices
	}
}

// editionChoices are the newest editions in some states; of none: in any.
func editionChoices(states ...newsletter.EditionState) completion {
	return func(ctx context.Context, o *office) (choices []string) {
		if o.store == nil {
			return nil
		}
		editions, _ := o.store.EditionHeads(ctx, 10*completed)
		for _, e := range editions {
			if len(states) == 0 || slices.Contains(states, e.State) {
				choices = append(choices, choice(strconv.FormatInt(int64(e.ID), 10), e.List+", "+string(e.State)+": "+e.Subject))
			}
		}
		return choices
	}
}

func anyItem(newsletter.Item) bool { return true }

func inState(states ...newsletter.ItemState) func(newsletter.Item) bool {
	return func(i newsletter.Item) bool { return slices.Contains(states, i.State) }
}

func openAction(i newsletter.Item) bool { return i.Kind == newsletter.Action && i.Ended.IsZero() }
func anyAction(i newsletter.Item) bool  { return i.Kind == newsletter.Action }
