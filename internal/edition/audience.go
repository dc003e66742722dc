package edition

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

// material is all that an edition could be made of, before it is cut to what each group of readers is to have.
type material struct {
	newsletter.Order
	kind   newsletter.Kind
	now    time.Time
	items  []newsletter.Item         // in reading order
	alerts []newsletter.AlertEdition // by which readers are told apart: what they have had, and what was kept from them
	acted  []newsletter.ItemID       // and those of the actions that some have taken
}

// gather finds the material. It returns a *newsletter.NoEdition when there is nothing to say.
func (d *Desk) gather(ctx context.Context, order newsletter.Order) (m material, err error) {
	m = material{Order: order, kind: order.Kind, now: d.Now(), items: order.Items}
	if m.kind == "" {
		m.kind = order.List.Kind
	}
	switch m.kind {
	case newsletter.Reminder:
		m.items = slices.DeleteFunc(slices.Clone(m.items), func(i newsletter.Item) bool { return !i.Open(m.now) })
	case newsletter.Digest, newsletter.Alert:
		if m.items, err = d.choose(ctx, order.List, m.now); err != nil {
			return m, err
		}
	}
	if len(m.items) == 0 {
		return m, &newsletter.NoEdition{Fate: newsletter.SkippedNoItems}
	}
	if m.alerts, err = d.alerts(ctx, m); err != nil || m.kind == newsletter.Update {
		return m, err
	}
	m.acted, err = d.Queue.Taken(ctx, m.actions())
	return m, err
}

// actions are those that it could bear, and those that its alerts have brought.
func (m material) actions() (ids []newsletter.ItemID) {
	for _, i := range m.items {
		if i.Kind == newsletter.Action {
			ids = append(ids, i.ID)
		}
	}
	for _, e := range m.alerts {
		for _, i := range e.Items {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// alerts are what readers have had that makes a difference for this edition.
func (d *Desk) alerts(ctx context.Context, m material) ([]newsletter.AlertEdition, error) {
	actions := m.actions()
	since, owing := m.now.Add(time.Millisecond), "" // none for its age alone
	switch {
	case m.Slot.Follows == 0 && (d.Rehearsal || m.kind == newsletter.Digest && len(actions) == 0):
		return nil, nil
	case m.kind == newsletter.Alert:
		owing = m.List.ID
	}
	if d.limited(m.kind) {
		since = m.now.Add(-d.AtMost.Per)
	}
	return d.Queue.AlertsSince(ctx, since, actions, owing, m.now)
}

// limited reports whether a reader may have had enough of a kind.
func (d *Desk) limited(kind newsletter.Kind) bool {
	return d.AtMost.N > 0 && (kind == newsletter.Alert || kind == newsletter.Reminder)
}

// hushed reports whether a kind keeps the quiet hours.
func (d *Desk) hushed(kind newsletter.Kind) bool {
	return d.Quiet != (newsletter.QuietHours{}) && (kind == newsletter.Alert || kind == newsletter.Reminder)
}

// question asks for the audience, in no finer groups than make a difference.
func (m material) question(d *Desk) newsletter.AudienceQuestion {
	q := newsletter.AudienceQuestion{List: m.List.ID, Follows: m.Slot.Follows, Zones: m.Moment != nil || d.hushed(m.kind)}
	for _, a := range m.alerts {
		q.Alerts = append(q.Alerts, a.ID)
	}
	q.Done = m.acted
	return q
}

// set is what a group of readers gets. Of the actions that they have had as an alert, a digest reminds them in a line and another alert
// says nothing; those that they were barred from when the list used them come with its next alert. Reminders and updates are for those
// whom the alert that they follow was the first to bring the action.
func (d *Desk) set(list newsletter.List, a newsletter.Audience, m material) set {
	s := set{language: d.Renderer.Language(a.Language, list.Language)}
	items := d.following(append(slices.Clone(m.items), m.owed(a)...), a.Topics)
	if m.Slot.Follows != 0 { // they have begun with it, whatever they follow today
		items = slices.Clone(m.items)
	}
	slices.SortStableFunc(items, readingOrder)
	for _, i := range items {
		alert, reminded := m.brought(a, i.ID)
		switch {
		case slices.Contains(a.Done, i.ID):
		case m.kind == newsletter.Reminder && reminded:
		case alert == m.Slot.Follows: // of a list's own editions: none has brought it
			s.items = append(s.items, i)
		case m.kind == newsletter.Digest:
			s.reminders = append(s.reminders, i)
		}
	}
	s.items = limit(list, s.items)
	return s
}

// brought is the first alert in which readers of a group have had an action, 0 for none, and whether they were reminded of it.
func (m material) brought(a newsletter.Audience, action newsletter.ItemID) (alert newsletter.EditionID, reminded bool) {
	for _, e := range m.alerts {
		switch {
		case !bears(e, a.Got, action):
		case e.Kind == newsletter.Reminder:
			reminded = true
		case e.Kind == newsletter.Alert && alert == 0 && (m.kind != newsletter.Reminder || e.List == m.List.ID):
			alert = e.ID
		}
	}
	return alert, reminded
}

// bears reports whether one of some copies is of an edition, in a variant that brings an item.
func bears(e newsletter.AlertEdition, copies []newsletter.Copy, item newsletter.ItemID) bool {
	return slices.ContainsFunc(copies, func(c newsletter.Copy) bool { return c.Edition == e.ID && slices.Contains(e.Bears[c.Variant], item) })
}

// owed are the actions that readers of a group were barred from when the list used them, and that no digest has brought them.
func (m material) owed(a newsletter.Audience) (items []newsletter.Item) {
	if m.kind != newsletter.Alert {
		return nil
	}
	for _, e := range m.alerts {
		if e.Kind != newsletter.Alert || e.List != m.List.ID || e.Cancelled {
			continue
		}
		for _, i := range e.Items {
			here := func(o newsletter.Item) bool { return o.ID == i.ID }
			inDigest := func(o newsletter.AlertEdition) bool { return o.Kind == newsletter.Digest && bears(o, a.Got, i.ID) }
			if bears(e, a.Barred, i.ID) && i.State == newsletter.Queued && i.Open(m.now) &&
				!slices.ContainsFunc(m.items, here) && !slices.ContainsFunc(items, here) && !slices.ContainsFunc(m.alerts, inDigest) {
				items = append(items, i)
			}
		}
	}
	return items
}

// use notes what a variant bears: items are new to the list, or again in it.
func (m material) use(draft *newsletter.Draft, s set) {
	for _, i := range slices.Concat(s.items, s.reminders) {
		fresh := m.Slot.Follows == 0 && slices.ContainsFunc(m.items, func(o newsletter.Item) bool { return o.ID == i.ID })
		switch {
		case fresh && !slices.Contains(draft.Items, i.ID):
			draft.Items = append(draft.Items, i.ID)
		case !fresh && !slices.Contains(draft.Again, i.ID):
			draft.Again = append(draft.Again, i.ID)
		}
	}
}

// time says when a group gets its copies, or why it gets none although there is something for it.
func (d *Desk) time(a *newsletter.Audience, sets []set, m material) {
	a.Due = m.now
	if m.Moment != nil {
		a.Due = m.Moment(a.Zone)
	}
	if a.Variant == 0 {
		return
	}
	if late := m.now.Sub(a.Due); m.Late > 0 && late > m.Late {
		a.Bar = fmt.Sprintf("too late: its time on the reader's clock was %s ago", strings.TrimSuffix(late.Round(time.Minute).String(), "0s"))
		return
	}
	if d.limited(m.kind) && d.recent(*a, m) >= d.AtMost.N {
		a.Bar = fmt.Sprintf("the reader has had %d in %s", d.AtMost.N, words(d.AtMost.Per))
		return
	}
	if !d.hushed(m.kind) {
		return
	}
	end, quiet := d.Quiet.End(m.now, zone(m.List, a.Zone))
	pressing := slices.ContainsFunc(sets[a.Variant-1].items, func(i newsletter.Item) bool { return !i.Open(end) })
	switch {
	case !quiet || pressing: // better at night than never
	case m.kind == newsletter.Reminder:
		a.Due = end
	default:
		a.Bar = "quiet hours"
	}
}

// recent is how many alerts and reminders readers of a group have had in the time that counts.
func (d *Desk) recent(a newsletter.Audience, m material) (n int) {
	for _, alert := range m.alerts {
		if alert.Kind != newsletter.Digest && m.now.Sub(alert.Made) < d.AtMost.Per &&
			slices.ContainsFunc(a.Got, func(c newsletter.Copy) bool { return c.Edition == alert.ID }) {
			n++
		}
	}
	return n
}

// words says a whole number of hours or days.
func words(d time.Duration) string {
	if d%(24*time.Hour) == 0 && d > 24*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return fmt.Sprintf("%g hours", d.Hours())
}

// zone is where a reader's clock is: the list's zone where hers is not known.
func zone(list newsletter.List, name string) *time.Location {
	if name != "" {
		if z, err := time.LoadLocation(name); err == nil {
			return z
		}
	}
	if list.Zone == nil {
		return time.UTC
	}
	return list.Zone
}

// Zones are the names of the zones of a list's readers, the empty one for those whose zone is not known.
func (d *Desk) Zones(ctx context.Context, list string) ([]string, error) {
	return d.Queue.Zones(ctx, list)
}

// zones are those of a list's readers.
func (d *Desk) zones(ctx context.Context, list newsletter.List) ([]*time.Location, error) {
	names, err := d.Queue.Zones(ctx, list.ID)
	if err != nil {
		return nil, err
	}
	var zones []*time.Location
	for _, name := range names {
		zones = append(zones, zone(list, name))
	}
	return zones, nil
}

// nightFalls reports whether an action that is to be mailed at an instant would close in quiet hours that have begun by then.
func (d *Desk) nightFalls(i newsletter.Item, at time.Time, zones []*time.Location) bool {
	return slices.ContainsFunc(zones, func(z *time.Location) bool {
		end, quiet := d.Quiet.End(at, z)
		return quiet && !i.Open(end)
	})
}

// leastApart is how long after an alert the reminder of one of its actions comes at the soonest.
const leastApart = 12 * time.Hour

// Reminders are those that a list owes the readers of its alerts now, and when the next one is due; zero: none is known yet.
func (d *Desk) Reminders(ctx context.Context, list newsletter.List) (orders []newsletter.Order, next time.Time, err error) {
	if list.Reminder <= 0 || d.Rehearsal {
		return nil, time.Time{}, nil
	}
	now := d.Now()
	alerts, err := d.Queue.Announced(ctx, list.ID, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, alert := range alerts {
		due := map[time.Time][]newsletter.Item{}
		for _, i := range alert.Items {
			at := i.Deadline.Add(-list.Reminder)
			done := slices.Contains(alert.Reminded, i.ID) || slices.ContainsFunc(alert.Decided, at.Equal)
			if done || i.Deadline.IsZero() || i.State != newsletter.Queued || !i.Open(now) || at.Before(alert.Made.Add(leastApart)) {
				continue
			}
			if at.After(now) {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				continue
			}
			due[at] = append(due[at], i)
		}
		for at, items := range due {
			slices.SortStableFunc(items, readingOrder)
			orders = append(orders, newsletter.Order{
				List: list, Kind: newsletter.Reminder, Items: items, Slot: newsletter.Slot{List: list.ID, Due: at, Follows: alert.ID},
			})
		}
	}
	slices.SortFunc(orders, func(a, b newsletter.Order) int { return a.Slot.Due.Compare(b.Slot.Due) })
	return orders, next, nil
}
