package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// itemView is an item as `items` prints it.
type itemView struct {
	ID         newsletter.ItemID      `json:"id"`
	Kind       newsletter.ItemKind    `json:"kind"`
	State      newsletter.ItemState   `json:"state"`
	Reason     string                 `json:"reason,omitempty"`
	Title      string                 `json:"title"`
	Summary    string                 `json:"summary"`
	URL        string                 `json:"url"`
	Author     string                 `json:"author,omitempty"`
	Feed       string                 `json:"feed"`
	Topics     []string               `json:"topics"`
	Language   string                 `json:"language,omitempty"`
	Image      string                 `json:"image,omitempty"`
	Published  time.Time              `json:"published"`
	FirstSeen  time.Time              `json:"first_seen"`
	Petition   string                 `json:"petition,omitempty"`
	Deadline   *time.Time             `json:"deadline,omitempty"`
	Closes     *time.Time             `json:"closes,omitempty"`
	Urgent     bool                   `json:"urgent"`
	Parent     newsletter.ItemID      `json:"parent,omitempty"`
	EditionsOf []newsletter.EditionID `json:"editions,omitempty"`
	Standing   string                 `json:"standing,omitempty"` // of an action, in items show
	Ended      *time.Time             `json:"ended,omitempty"`
	Won        bool                   `json:"won,omitempty"`
	Ending     string                 `json:"ending,omitempty"`
	Done       int                    `json:"done,omitempty"` // readers who have taken it, as far as is known
	Link       string                 `json:"link,omitempty"` // its stable link
	Body       string                 `json:"body,omitempty"`
}

func viewItem(i newsletter.Item) itemView {
	v := itemView{
		ID: i.ID, Kind: i.Kind, State: i.State, Reason: i.Reason, Title: i.Title, Summary: i.Summary, URL: i.URL, Author: i.Author, Feed: i.Feed,
		Topics: i.Topics, Language: i.Language, Image: i.Image, Published: i.Published, FirstSeen: i.FirstSeen, Petition: i.Petition,
		Deadline: optional(i.Deadline), Closes: optional(i.Closes()), Urgent: i.Urgent, Parent: i.Parent,
		Ended: optional(i.Ended), Won: i.Won, Ending: i.Ending,
	}
	if v.Topics == nil {
		v.Topics = []string{}
	}
	return v
}

func newItemsCommand(p process) *cobra.Command {
	group := &cobra.Command{Use: "items", Short: "The queue, for the editor: look at items, change, hold, release and drop them"}
	var state string
	var limit int
	listing := addJSONFlag(&cobra.Command{
		Use:   "list",
		Short: "List the newest items and where they stand",
		Args:  cobra.NoArgs,
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
			return listItems(cmd, o, newsletter.ItemState(state), limit)
		}),
	})
	listing.Flags().StringVar(&state, "state", "", "only items in this `state`: queued, held or dropped")
	listing.Flags().IntVar(&limit, "limit", 50, "at most this many; 0 for all")
	group.AddCommand(listing, addJSONFlag(&cobra.Command{
		Use:   "show ID",
		Short: "Show one item with everything that is known of it",
		Args:  cobra.ExactArgs(1),
		RunE:  inOffice(p, showItem),
	}), newItemSetCommand(p), newItemCloseCommand(p), newItemDoneCommand(p))
	for _, act := range []struct {
		use, short, reason string
		state              newsletter.ItemState
	}{
		{"hold ID...", "Keep items out of editions until they are released", "by an editor", newsletter.Held},
		{"release ID...", "Put held or dropped items into the queue", "", newsletter.Queued},
		{"drop ID...", "Never mail these items", "by an editor", newsletter.Dropped},
	} {
		group.AddCommand(&cobra.Command{
			Use: act.use, Short: act.short, Args: cobra.MinimumNArgs(1),
			RunE: inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
				return moveItems(cmd, o, args, store.ItemChange{State: &act.state, Reason: act.reason})
			}),
		})
	}
	return group
}

func listItems(cmd *cobra.Command, o *office, state newsletter.ItemState, limit int) error {
	switch state {
	case "", newsletter.Queued, newsletter.Held, newsletter.Dropped:
	default:
		return usagef("--state %q: it is queued, held or dropped", state)
	}
	items, err := o.store.Items(cmd.Context(), state, limit)
	if err != nil {
		return err
	}
	var rows []itemView
	for _, i := range items {
		rows = append(rows, viewItem(i))
	}
	return list(cmd, rows, "No items. `dispatcher fetch` polls the feeds.",
		column[itemView]{"ITEM", func(v itemView) string { return strconv.FormatInt(int64(v.ID), 10) }},
		column[itemView]{"KIND", func(v itemView) string { return kindWords(v) }},
		column[itemView]{"STATE", func(v itemView) string { return string(v.State) }},
		column[itemView]{"PUBLISHED", func(v itemView) string { return v.Published.Local().Format(time.DateOnly) }},
		column[itemView]{"TITLE", func(v itemView) string { return v.Title }},
		column[itemView]{"REASON", func(v itemView) string { return v.Reason }},
	)
}

func kindWords(v itemView) string {
	if v.Urgent {
		return "urgent action"
	}
	return string(v.Kind)
}

func showItem(cmd *cobra.Command, o *office, args []string) error {
	id, err := parseID[newsletter.ItemID]("item", args[0])
	if err != nil {
		return err
	}
	i, err := o.item(cmd.Context(), id)
	if err != nil {
		return err
	}
	editions, err := o.store.EditionsBearing(cmd.Context(), id)
	if err != nil {
		return err
	}
	v := viewItem(i)
	v.Body = i.Body
	used := ""
	for _, e := range editions {
		v.EditionsOf = append(v.EditionsOf, e.ID)
		used += " " + strconv.FormatInt(int64(e.ID), 10)
	}
	closes, done := moment(i.Closes()), ""
	if i.Kind == newsletter.Action {
		v.Standing = standing(i, editions, o.now())
		if v.Done, err = o.store.Done(cmd.Context(), id); err != nil {
			return err
		}
		if v.Done > 0 {
			done = counted(v.Done, "reader")
		}
		if o.config.ActionLinks == "stable" {
			v.Link = o.desk().Links + i.Code
		}
		if i.Deadline.IsZero() && i.Ended.IsZero() {
			closes += " (no deadline given: `items set` gives one)"
		}
	}
	return show(cmd, v,
		field{"item", strconv.FormatInt(int64(i.ID), 10)}, field{"kind", kindWords(v)}, field{"state", stateWords(i)}, field{"standing", v.Standing},
		field{"title", i.Title}, field{"summary", i.Summary}, field{"author", i.Author}, field{"url", i.URL}, field{"feed", i.Feed},
		field{"topics", strings.Join(i.Topics, "; ")}, field{"published", moment(i.Published)}, field{"first seen", moment(i.FirstSeen)},
		field{"petition", i.Petition}, field{"stable link", v.Link}, field{"closes", closes}, field{"ended", moment(i.Ended)}, field{"ending", i.Ending},
		field{"done by", done}, field{"found in item", parentWords(i)}, field{"in editions", strings.TrimSpace(used)},
	)
}

// item finds an item by its number.
func (o *office) item(ctx context.Context, id newsletter.ItemID) (newsletter.Item, error) {
	i, err := o.store.Item(ctx, id)
	if errors.Is(err, newsletter.ErrNotFound) {
		err = fmt.Errorf("there is no item %d; `dispatcher items list` shows them", id)
	}
	return i, err
}

// standing is how far an action has come in its life.
func standing(i newsletter.Item, editions []newsletter.Edition, now time.Time) string {
	announced, reminded := false, false
	for _, e := range editions {
		announced = announced || !e.Rehearsal
		reminded = reminded || e.Kind == newsletter.Reminder
	}
	switch {
	case i.State != newsletter.Queued:
		return string(i.State)
	case i.Won:
		return "won"
	case !i.Open(now):
		return "closed"
	case reminded:
		return "reminded"
	case announced:
		return "announced"
	}
	return "queued"
}

func stateWords(i newsletter.Item) string {
	if i.Reason == "" {
		return string(i.State)
	}
	return string(i.State) + ": " + i.Reason
}

func parentWords(i newsletter.Item) string {
	if i.Parent == 0 {
		return ""
	}
	return strconv.FormatInt(int64(i.Parent), 10)
}

// moveItems changes the state of all the items that are named, or of none where one of them is not there.
func moveItems(cmd *cobra.Command, o *office, args []string, change store.ItemChange) error {
	var ids []newsletter.ItemID
	for _, arg := range args {
		id, err := parseID[newsletter.ItemID]("item", arg)
		if err != nil {
			return err
		}
		if _, err := o.item(cmd.Context(), id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if err := o.store.ChangeItem(cmd.Context(), id, change, o.now()); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "item %d is %s\n", id, *change.State)
	}
	return nil
}

// itemFlags are what `items set` can set.
type itemFlags struct {
	title, summary, petition, deadline string
	urgent                             bool
	topics                             []string
}

func newItemSetCommand(p process) *cobra.Command {
	var flags itemFlags
	set := &cobra.Command{
		Use:   "set ID",
		Short: "Change an item until it is frozen in an edition",
		Long: `Change an item until it is frozen in an edition; its deadline and urgency also later, for the lists that have not used it.
What is set here stays, whatever the feed says later.
A deadline is a date (the end of that day, UTC) or an instant such as 2026-12-01T18:00:00+01:00.`,
		Args: cobra.ExactArgs(1),
	}
	set.Flags().StringVar(&flags.title, "title", "", "the title")
	set.Flags().StringVar(&flags.summary, "summary", "", "the summary")
	set.Flags().StringVar(&flags.petition, "petition", "", "an action's `link`")
	set.Flags().StringVar(&flags.deadline, "deadline", "", "when an action closes")
	set.Flags().BoolVar(&flags.urgent, "urgent", false, "an urgent action starts an alert; --urgent=false takes it back")
	set.Flags().StringSliceVar(&flags.topics, "topics", nil, "the topics, separated by commas")
	set.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		id, err := parseID[newsletter.ItemID]("item", args[0])
		if err != nil {
			return err
		}
		change, err := flags.change(cmd.Flags().Changed)
		if err != nil {
			return err
		}
		item, err := o.item(cmd.Context(), id)
		if err != nil {
			return err
		}
		if item.Kind != newsletter.Action && (change.Petition != nil || change.Deadline != nil || change.Urgent != nil) {
			return usagef("item %d is an article: only an action has a petition, a deadline or urgency", id)
		}
		if change.Petition != nil && item.Code != "" && strings.HasSuffix(*change.Petition, "/a/"+item.Code) {
			return usagef("--petition: that is the stable link of item %d itself; give it the page where people sign", id)
		}
		change.Repoint = o.config.ActionLinks == "stable"
		if err := o.store.ChangeItem(cmd.Context(), id, change, o.now()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "item %d is changed\n", id)
		return err
	})
	return set
}

// change is what the flags that were given ask for.
func (f *itemFlags) change(given func(string) bool) (c store.ItemChange, err error) {
	if given("title") {
		f.title = newsletter.OneLine(f.title, 300)
		c.Title = &f.title
	}
	if given("summary") {
		f.summary = newsletter.OneLine(f.summary, 0)
		c.Summary = &f.summary
	}
	if given("petition") {
		if newsletter.CanonicalURL(f.petition) == "" {
			return c, usagef("--petition %q: it must be an http or https link", f.petition)
		}
		c.Petition = &f.petition
	}
	if given("deadline") {
		at, err := newsletter.ParseDeadline(f.deadline)
		if err != nil {
			return c, usagef("--deadline %q: %s", f.deadline, err)
		}
		c.Deadline = &at
	}
	if given("urgent") {
		c.Urgent = &f.urgent
	}
	if given("topics") {
		f.topics = newsletter.AddTopics(nil, f.topics...)
		c.Topics = &f.topics
	}
	if c == (store.ItemChange{}) {
		return c, usagef("nothing to set: give at least one of --title, --summary, --petition, --deadline, --urgent, --topics")
	}
	return c, nil
}
