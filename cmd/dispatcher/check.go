package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
)

// finding is one thing that `check` has found.
type finding struct {
	Level string `json:"level"` // "error": mail would not go out as it should; "warning": surely not meant
	Where string `json:"where"`
	What  string `json:"what"`
}

// findings gathers what is wrong, everything at once.
type findings []finding

func (f *findings) error(where, format string, args ...any) {
	*f = append(*f, finding{"error", where, fmt.Sprintf(format, args...)})
}

func (f *findings) warn(where, format string, args ...any) {
	*f = append(*f, finding{"warning", where, fmt.Sprintf(format, args...)})
}

// redacted is what an error from outside says, without addresses. What the config says of itself is the admin's own.
func redacted(err error) string { return newsletter.Redact(err.Error()) }

func pollsFailed(n int) string {
	if n == 1 {
		return "the last poll failed"
	}
	return fmt.Sprintf("the last %d polls failed", n)
}

func newCheckCommand(p process) *cobra.Command {
	var online bool
	check := addJSONFlag(&cobra.Command{
		Use:   "check",
		Short: "Check config, templates, database, feeds and queue; tell every problem at once",
		Long: `Check the config, the templates, the database, what the last polls said and what waits in the queue, and tell every problem at once.
With --online log in to the relay and poll the feeds' servers too; no mail is sent.
Exit code 0 when there are at most warnings, 1 when there are errors, 2 when the config itself is bad.`,
		Args: cobra.NoArgs,
	})
	check.Flags().BoolVar(&online, "online", false, "log in to the relay and ask the feeds too")
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		var found findings
		usage := found.checkAll(cmd.Context(), p, path, online)
		return found.print(cmd, usage)
	}
	return check
}

// checkAll goes through the rooms. It reports whether the config itself is bad, past which nothing can be checked.
func (f *findings) checkAll(ctx context.Context, p process, path string, online bool) (badConfig bool) {
	cfg, err := config.Load(path, p.environ)
	if err != nil {
		return f.problems(err)
	}
	for _, w := range cfg.Warnings() {
		f.warn("config", "%s", w)
	}
	o, err := openOffice(ctx, p, cfg)
	if err != nil {
		return f.problems(err)
	}
	o.log = quiet()
	f.checkLists(ctx, o)
	f.checkRoom(o)
	f.checkFeeds(ctx, o)
	f.checkQueue(ctx, o)
	f.checkEditions(ctx, o)
	f.checkTopics(ctx, o)
	if online {
		f.checkOnline(ctx, o)
	}
	if err := o.store.Close(); err != nil {
		f.error("database", "%s", err)
	}
	return false
}

// problems tells what ended the check, and whether it was the config.
func (f *findings) problems(err error) bool {
	var problems config.Problems
	if !errors.As(err, &problems) {
		f.error("start", "%s", redacted(err))
		return false
	}
	for _, p := range problems {
		f.error("config", "%s", p)
	}
	return true
}

// What the disk of the database has to have left, in bytes.
const (
	roomToGoOn = 50e6  // outcomes and what the next feeds bring; with less it may be full tomorrow, and then nothing is sent
	roomToGrow = 200e6 // the next edition: for a million readers it takes 120 MB while it is made
)

// checkRoom tells when the disk of the database gets short. That is no fault of the config's: a reload may be a part of the cure.
func (f *findings) checkRoom(o *office) {
	d, err := o.store.Disk()
	if err != nil {
		f.error("disk", "%s", redacted(err))
		return
	}
	const cure = "make room, or move data_dir to a larger disk; a smaller keep_deliveries lets the database grow less"
	switch folder := o.config.DataDir; {
	case d.Free < roomToGoOn:
		f.warn("disk", "%s are left for %s: when it is full nothing is sent any more; %s", size(d.Free), folder, cure)
	case d.Free < d.Database+roomToGrow:
		f.warn("disk", "%s are left for %s: the next large edition and a backup beside the database, which has %s, may not fit; %s", size(d.Free), folder, size(d.Database), cure)
	}
}

// checkFeeds tells feeds that do not answer, and lists that nothing feeds. A publisher's server that is down is no fault of the config's, and
// must not keep a reload from being taken.
func (f *findings) checkFeeds(ctx context.Context, o *office) {
	if len(o.feeds) == 0 {
		f.warn("feeds", "there are none: items come from `dispatcher import` alone")
	}
	for _, feed := range o.feeds {
		state, err := o.store.FeedState(ctx, feed.Name)
		switch {
		case err != nil:
			f.error("feed "+feed.Name, "%s", redacted(err))
		case state.Gone:
			f.warn("feed "+feed.Name, "its server says that it is gone for good (410): it is not polled any more; mend its url or take it out")
		case state.Failures > 0:
			f.warn("feed "+feed.Name, "%s: %s", pollsFailed(state.Failures), state.LastError)
		case state.LastPoll.IsZero():
			f.warn("feed "+feed.Name, "it has never been polled; serve does it, or `dispatcher fetch %s`", feed.Name)
		}
	}
}

// checkQueue tells what an editor should look at.
func (f *findings) checkQueue(ctx context.Context, o *office) {
	f.checkHeld(ctx, o)
	queued, err := o.store.Items(ctx, newsletter.Queued, 0)
	if err != nil {
		f.error("queue", "%s", err)
		return
	}
	for _, i := range queued {
		if i.Kind == newsletter.Action && i.Deadline.IsZero() && i.Open(o.now()) {
			f.warn("queue", "action %d has no deadline: it is taken to be over on %s; `dispatcher items set %d --deadline DATE` says better", i.ID, moment(i.Closes()), i.ID)
		}
	}
}

// checkHeld tells items that wait for an editor's word.
func (f *findings) checkHeld(ctx context.Context, o *office) {
	held, err := o.store.Items(ctx, newsletter.Held, 0)
	if err != nil {
		f.error("queue", "%s", err)
		return
	}
	reasons := map[string]int{}
	for _, i := range held {
		reasons[i.Reason]++
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		f.warn("queue", "%s held: %s; look with `dispatcher items list --state held`, let go with `dispatcher items release ID`", counted(reasons[reason], "item"), reason)
	}
}

// checkTopics tells topics that no item ever bore: mostly a spelling that the feed does not use.
func (f *findings) checkTopics(ctx context.Context, o *office) {
	seen, err := o.store.TopicsSeen(ctx)
	if err != nil {
		f.error("queue", "%s", err)
		return
	}
	if len(seen) == 0 {
		return // nothing has come in yet
	}
	for _, l := range o.liveLists() {
		for _, topic := range l.Topics {
			if !o.topics.Match(seen, []string{topic}) {
				f.warn("list "+l.ID, "no item ever bore its topic %q; items bear: %s", topic, newsletter.OneLine(strings.Join(seen, ", "), 200))
			}
		}
	}
}

// checkOnline asks the relays and the feeds.
func (f *findings) checkOnline(ctx context.Context, o *office) {
	for _, relay := range relaysOf(o.config) {
		if err := mailer.Probe(ctx, relay); err != nil {
			f.error("relay "+relay.Name, "%s", redacted(err))
		}
	}
	ingester := o.ingester()
	for _, feed := range o.feeds {
		if _, err := ingester.Fetch(ctx, feed); err != nil {
			f.error("feed "+feed.Name, "%s", redacted(err))
		}
	}
}

func (f findings) print(cmd *cobra.Command, usage bool) error {
	err := list(cmd, f, "All is well.",
		column[finding]{"LEVEL", func(x finding) string { return x.Level }},
		column[finding]{"WHERE", func(x finding) string { return x.Where }},
		column[finding]{"WHAT", func(x finding) string { return x.What }},
	)
	if err != nil {
		return err
	}
	for _, x := range f {
		if x.Level == "error" {
			return &alreadyTold{usage: usage}
		}
	}
	return nil
}
