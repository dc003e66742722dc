package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// Reasons that say more than a state. They are shown to editors.
const (
	reasonFirstPoll = "first poll"
	reasonClosed    = "closed before it was seen"
)

// gate is the flood gate as it stands for one poll or import.
type gate struct {
	source   string // name of the feed or file, for the log
	maxNew   int    // 0: no limit
	maxAge   time.Duration
	open     bool // an editor vouches for all of it
	baseline bool // this is a first poll
	newest   int  // of a first poll: how many are not mere baseline
	now      time.Time
}

// judge writes into each entry, and into the actions inside it, what shall become of it if it is new. It tells the
// admin once of what is held.
func (g gate) judge(ctx context.Context, queue Queue, log *slog.Logger, t *take) error {
	counts, err := t.countNew(ctx, queue)
	if err != nil {
		return err
	}
	fresh := 0
	for _, c := range counts {
		fresh += min(c, 1)
	}
	let := g.lets(t.found)
	held, first := 0, ""
	for n := range t.found {
		f := &t.found[n]
		state, reason := g.fate(f.Item, fresh, let[n])
		settle(&f.Item, state, reason, g.now)
		for k := range f.Inside {
			settle(&f.Inside[k], state, reason, g.now)
		}
		if f.State == newsletter.Held && counts[n] > 0 {
			held += counts[n]
			first = f.Reason
		}
	}
	if g.baseline {
		log.InfoContext(ctx, "first poll is the baseline", "feed", g.source, "entries", len(t.found), "let_through", min(g.newest, len(t.found)))
	}
	if held > 0 {
		log.WarnContext(ctx, "items held", "feed", g.source, "held", held, "reason", first,
			"cure", "look at them with `dispatcher items list --state held`, let them go with `dispatcher items release`")
	}
	return nil
}

// fate is what becomes of a new entry where so many are new. let is whether a first poll lets it through.
func (g gate) fate(item newsletter.Item, fresh int, let bool) (newsletter.ItemState, string) {
	switch {
	case g.open:
		return newsletter.Queued, ""
	case g.baseline && !let:
		return newsletter.Dropped, reasonFirstPoll
	case !g.baseline && g.maxNew > 0 && fresh > g.maxNew:
		return newsletter.Held, fmt.Sprintf("flood gate: %d new at once (max_new %d)", fresh, g.maxNew)
	case g.maxAge > 0 && item.Published.Before(g.now.Add(-g.maxAge)):
		return newsletter.Held, "flood gate: older than " + days(g.maxAge)
	}
	return newsletter.Queued, ""
}

// settle gives an item its state, unless it bears a reason of its own to be held. An action that has closed is dropped
// in any case: nobody can release it to any use.
func settle(item *newsletter.Item, state newsletter.ItemState, reason string, now time.Time) {
	switch {
	case !item.Open(now):
		state, reason = newsletter.Dropped, reasonClosed
	case state == newsletter.Queued && item.State == newsletter.Held:
		return
	}
	item.State, item.Reason = state, reason
}

// lets tells for each entry whether it is among the newest that a first poll lets through.
func (g gate) lets(found []newsletter.Found) []bool {
	order := make([]int, len(found))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int { return found[b].Published.Compare(found[a].Published) })
	let := make([]bool, len(found))
	for _, n := range order[:min(g.newest, len(order))] {
		let[n] = true
	}
	return let
}

// days writes a duration as the config does: 14d.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
