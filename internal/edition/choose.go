package edition

import (
	"context"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// choose are all items that a list could carry now, in reading order: the articles with the newest first, then the actions
// with the most pressing first. An alert carries actions only.
func (d *Desk) choose(ctx context.Context, list newsletter.List, now time.Time) ([]newsletter.Item, error) {
	var since time.Time
	if list.MaxAge > 0 {
		since = now.Add(-list.MaxAge)
	}
	items, err := d.Queue.Unused(ctx, list.ID, d.Rehearsal, since)
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(i newsletter.Item) bool {
		return !i.Open(now) || !d.Topics.Match(i.Topics, list.Topics) || list.Kind == newsletter.Alert && i.Kind != newsletter.Action
	})
	slices.SortStableFunc(items, readingOrder)
	return items, nil
}

// readingOrder puts articles before actions, articles by age, and actions by urgency and deadline.
func readingOrder(a, b newsletter.Item) int {
	switch {
	case a.Kind != b.Kind:
		return order(a.Kind == newsletter.Article)
	case a.Kind == newsletter.Article:
		return b.Published.Compare(a.Published)
	case a.Urgent != b.Urgent:
		return order(a.Urgent)
	}
	return a.Closes().Compare(b.Closes())
}

func order(first bool) int {
	if first {
		return -1
	}
	return 1
}

// following are the items for readers of these topics; none means all.
func (d *Desk) following(items []newsletter.Item, topics []string) []newsletter.Item {
	return slices.DeleteFunc(slices.Clone(items), func(i newsletter.Item) bool { return !d.Topics.Match(i.Topics, topics) })
}

// limit cuts to the list's max_items. Actions have deadlines and go before articles, but one article always has its place;
// what is cut waits for the next edition. Alerts are not cut.
func limit(list newsletter.List, items []newsletter.Item) []newsletter.Item {
	if list.Kind == newsletter.Alert || list.MaxItems <= 0 || len(items) <= list.MaxItems {
		return items
	}
	firstAction := slices.IndexFunc(items, func(i newsletter.Item) bool { return i.Kind == newsletter.Action })
	if firstAction < 0 {
		return items[:list.MaxItems]
	}
	articles, actions := items[:firstAction], items[firstAction:]
	keep := max(list.MaxItems-len(actions), min(1, len(articles)))
	return slices.Concat(articles[:keep], actions[:list.MaxItems-keep])
}

// alertPause is how long after one decided slot of an alert list the next may come: for what came too late for the last one, or
// could not be mailed then since the list had no readers.
const alertPause = 10 * time.Minute

// AlertDue is when an alert list is due for the urgent actions that wait, or newsletter.ErrNotFound. Actions that come together
// are gathered for the list's wait, unless one of them closes before there is time for that. Every slot up to decided has been
// decided: an action that waits since before that is due again after a pause, and never forgotten.
func (d *Desk) AlertDue(ctx context.Context, list newsletter.List, decided time.Time) (due time.Time, err error) {
	now := d.Now()
	items, err := d.choose(ctx, list, now)
	if err != nil {
		return time.Time{}, err
	}
	items = slices.DeleteFunc(items, func(i newsletter.Item) bool { return !i.Urgent })
	var zones []*time.Location
	if d.Quiet != (newsletter.QuietHours{}) && len(items) > 0 {
		if zones, err = d.zones(ctx, list); err != nil {
			return time.Time{}, err
		}
	}
	for _, i := range items {
		since := i.Waiting
		if since.After(now) { // the clock was ahead when it came in: it has waited enough
			since = now.Add(-list.Wait)
		}
		at := since.Add(list.Wait)
		if !i.Open(at.Add(list.Wait)) || d.nightFalls(i, at, zones) {
			at = since
		}
		if !at.After(decided) {
			at = decided.Add(alertPause)
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if due.IsZero() {
		return time.Time{}, newsletter.ErrNotFound
	}
	return due, nil
}
