package main

import (
	"context"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// What is told of editions.
const (
	badlyTold = 72 * time.Hour   // after one was made that went badly: no copy lives longer
	stuck     = 10 * time.Minute // after the last copy that went, while others are due
)

// checkEditions tells what went wrong with the editions of the last days, and which are stuck. It is no fault of the config's: a reload may
// be a part of the cure.
func (f *findings) checkEditions(ctx context.Context, o *office) {
	unfinished, err := o.store.Unfinished(ctx, o.now())
	if err != nil {
		f.error("editions", "%s", err)
		return
	}
	f.judgeEditions(ctx, o, unfinished)
}

// judgeEditions is checkEditions where it is known already which editions are not done.
func (f *findings) judgeEditions(ctx context.Context, o *office, unfinished []store.Unfinished) {
	badly, err := o.store.EndedBadly(ctx, o.now().Add(-badlyTold))
	if err != nil {
		f.error("editions", "%s", err)
		return
	}
	for _, u := range unfinished {
		if u.WentBadly() {
			badly = append(badly, u.Edition)
		}
	}
	for _, e := range badly {
		f.warn(fmt.Sprintf("edition %d", e.ID), "%s", failedWords(e, o.now()))
	}
	var last time.Time // nothing is stuck that waits for another
	for _, u := range unfinished {
		last = later(last, u.Last)
	}
	for _, u := range unfinished {
		if now := o.now(); u.State == newsletter.Sending && !u.Oldest.IsZero() && now.Sub(later(u.Oldest, last)) > stuck {
			f.warn(fmt.Sprintf("edition %d", u.ID), "%s wait, due for %s, and none has gone lately; the log tells why, and `dispatcher check --online` tries the relays",
				counted(u.Counts.Pending, "copy"), roughly(now.Sub(u.Oldest)))
		}
	}
}

// failedWords say how many copies of an edition failed, and what can be done about it.
func failedWords(e newsletter.Edition, now time.Time) string {
	words := fmt.Sprintf("%d of %s of %s failed", e.Counts.Failed, counted(e.Counts.Audience, "copy"), e.List)
	if e.Ours > 0 {
		words += fmt.Sprintf(", %d of them for our own side's sake", e.Ours)
	}
	words += fmt.Sprintf("; `dispatcher editions show %d` tells why", e.ID)
	if e.Ours > 0 && now.Before(e.Expires) {
		words += fmt.Sprintf("; when that is mended, `dispatcher editions retry %d --owner ours` takes them up, until %s", e.ID, moment(e.Expires))
	}
	return words
}
