package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// statusView is what `dispatcher` alone prints: how things stand, and what comes next.
type statusView struct {
	Config    string        `json:"config"`
	Database  *string       `json:"database"` // null: there is none yet
	Serving   bool          `json:"serving"`
	Ready     *bool         `json:"ready,omitempty"` // what serve says of itself; none: it could not be asked
	Rehearsal bool          `json:"rehearsal"`
	Held      string        `json:"held,omitempty"` // why all mail is held back
	Problems  findings      `json:"problems"`
	Editions  []editionView `json:"editions"` // that are sending or paused
	Lanes     []laneView    `json:"lanes"`    // in which copies wait
	Next      []nextView    `json:"next"`
}

// laneView is what waits in one lane.
type laneView struct {
	Lane    newsletter.Lane `json:"lane"`
	Pending int             `json:"pending"`
	Oldest  *time.Time      `json:"oldest,omitempty"` // since when the copy waits that has waited longest
}

// nextView is the next slot of one list.
type nextView struct {
	List    string          `json:"list"`
	Kind    newsletter.Kind `json:"kind"`
	Civil   string          `json:"civil,omitempty"`
	At      *time.Time      `json:"at,omitempty"` // none: a list without schedule goes out when there is reason to
	Zone    string          `json:"zone,omitempty"`
	Readers int             `json:"readers"` // confirmed; `plan` tells whom the edition would reach
	words   string          // Civil for people
}

// status shows how things stand. It only looks: nothing is made or brought up to date.
func status(cmd *cobra.Command, p process) error {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && path == standardConfig && !wantsJSON(cmd) {
		return welcome(cmd)
	}
	cfg, err := config.Load(path, p.environ)
	if err != nil {
		return err
	}
	v := statusView{Config: path, Rehearsal: cfg.Rehearsal, Problems: findings{}, Editions: []editionView{}, Lanes: []laneView{}, Next: []nextView{}}
	db, err := store.Look(cmd.Context(), cfg.DataDir)
	if errors.Is(err, newsletter.ErrNotFound) {
		if wantsJSON(cmd) {
			return printJSON(cmd.OutOrStdout(), v)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Nothing here yet: %s has no database.\n"+
			"`dispatcher check` tells what the config still lacks, and `dispatcher serve` (or systemctl start dispatcher) begins.\n", cfg.DataDir)
		return err
	}
	if err != nil {
		return withRights(err)
	}
	defer func() { _ = db.Close() }() // it has only read
	path = db.Path()
	v.Database = &path
	o := &office{process: p, config: cfg, store: db, log: quiet(), lists: listsOf(cfg), feeds: feedsOf(cfg)}
	if err := v.look(cmd.Context(), o); err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), v)
	}
	return v.print(cmd, o.now())
}

// welcome is for somebody who has just installed it.
func welcome(cmd *cobra.Command) error {
	if err := cmd.Help(); err != nil {
		return err
	}
	example := exampleConfig
	if _, err := os.Stat(example); err != nil {
		example = "config.example.yaml" // of the source
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), `
There is no %s yet. To begin:
  dispatcher demo   shows the whole loop on this machine, without any set-up
  cp %s %s
                    gives you an example to change
  dispatcher check  tells everything that is still wrong with it
`, standardConfig, example, standardConfig)
	return err
}

// exampleConfig is where the package puts it.
const exampleConfig = "/usr/share/doc/dispatcher/examples/config.example.yaml"

// withRights adds the cure where this user may not read what belongs to the service.
func withRights(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run it as the user of the service, with `runuser -u dispatcher --` before it", err)
	}
	return err
}

// look gathers all that there is to say, the worst first.
func (v *statusView) look(ctx context.Context, o *office) error {
	now := o.now()
	sender, err := o.store.Mailer()
	if err != nil && !errors.Is(err, newsletter.ErrNotFound) {
		return withRights(err)
	}
	v.Serving = sender.As == "serve"
	if v.Held, err = o.store.Held(ctx, now); err != nil {
		return err
	}
	if v.Held != "" {
		v.Problems.error("mail", "all of it is held back: %s; look with `dispatcher plan`, `dispatcher release` lets it go", v.Held)
	}
	if v.Serving {
		v.Ready = v.Problems.askServe(ctx, o.config.HTTP.AdminListen)
	} else {
		v.Problems.error("serve", "nobody serves: nothing is fetched and nothing sent; systemctl start dispatcher, or `dispatcher serve`, begins")
	}
	if err := v.lookAtEditions(ctx, o, now); err != nil {
		return err
	}
	if err := v.lookAhead(ctx, o, now); err != nil {
		return err
	}
	v.Problems.checkFeeds(ctx, o)
	v.Problems.checkHeld(ctx, o)
	slices.SortStableFunc(v.Problems, func(a, b finding) int { return len(a.Level) - len(b.Level) }) // errors, then warnings
	return nil
}

func (v *statusView) lookAtEditions(ctx context.Context, o *office, now time.Time) error {
	editions, err := o.store.Unfinished(ctx, now)
	if err != nil {
		return err
	}
	v.Problems.judgeEditions(ctx, o, editions)
	for _, e := range editions {
		v.Editions = append(v.Editions, viewEdition(e.Edition))
		if e.State == newsletter.Paused {
			v.Problems.error(fmt.Sprintf("edition %d", e.ID), "it is paused: %s; `dispatcher editions show %d` tells more, `dispatcher editions resume %d` goes on", e.Reason, e.ID, e.ID)
		}
		i := slices.IndexFunc(v.Lanes, func(l laneView) bool { return l.Lane == e.Lane })
		if i < 0 {
			i, v.Lanes = len(v.Lanes), append(v.Lanes, laneView{Lane: e.Lane})
		}
		lane := &v.Lanes[i]
		lane.Pending += e.Counts.Pending
		if e.State == newsletter.Sending && !e.Oldest.IsZero() && (lane.Oldest == nil || e.Oldest.Before(*lane.Oldest)) {
			lane.Oldest = optional(e.Oldest)
		}
	}
	return nil
}

// lookAhead finds the next slot of each list, the soonest first and lists without schedule last.
func (v *statusView) lookAhead(ctx context.Context, o *office, now time.Time) error {
	readers, err := o.store.Readers(ctx)
	if err != nil {
		return err
	}
	f, err := newForesight(ctx, o, now)
	if err != nil {
		return err
	}
	for _, l := range o.liveLists() {
		slots, err := f.upcoming(ctx, l, now, 1)
		if err != nil {
			return err
		}
		next := nextView{List: l.ID, Kind: l.Kind, Readers: readers[l.ID], words: "when an action is urgent"}
		if len(slots) > 0 {
			next.Civil, next.words = civil(l, slots[0].Slot)
			next.At, next.Zone = optional(slots[0].Opens), l.Clock()
		} else if l.Kind != newsletter.Alert {
			next.words = "by hand"
		}
		v.Next = append(v.Next, next)
	}
	slices.SortStableFunc(v.Next, func(a, b nextView) int {
		switch {
		case a.At != nil && b.At != nil:
			return a.At.Compare(*b.At)
		case a.At != nil:
			return -1
		case b.At != nil:
			return 1
		}
		return 0
	})
	return nil
}
