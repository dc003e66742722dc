package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"dispatcher/internal/edition"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// foresight stands in for the store and the press where the scheduler looks ahead: it reads what is there, remembers what would be
// decided, and writes nothing. What readers would have had by then it knows of groups: those who are alike in topics, language and zone
// are taken to get alike.
type foresight struct {
	*store.Store
	desk  *edition.Desk
	lists []newsletter.List
	now   time.Time
	begin time.Time // of a clock that was set back; zero: the clock goes on from now
	marks map[string]newsletter.Mark
	used  map[string][]newsletter.ItemID // by lists
	made  []madeEdition                  // that are to come; their ids are negative
	rows  []planned
	err   error
}

// madeEdition is an edition to come, and to whom it goes.
type madeEdition struct {
	newsletter.AlertEdition
	audience []newsletter.Audience
}

func newForesight(ctx context.Context, o *office, from time.Time) (*foresight, error) {
	f := &foresight{Store: o.store, desk: o.desk(), lists: o.lists, now: o.now(), used: map[string][]newsletter.ItemID{}}
	if from.Before(f.now) {
		f.now, f.begin = from, from
	}
	f.desk.Queue, f.desk.Now = f, f.clock
	var err error
	f.marks, err = o.store.Marks(ctx)
	return f, err
}

func (f *foresight) clock() time.Time { return f.now }

// Beat is that of the scheduler's ledger. That mail is held back is told apart.
func (f *foresight) Beat(context.Context, time.Time) (string, error) { return "", nil }

func (f *foresight) Mark(_ context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error) {
	m, known := f.marks[list]
	if !known || !f.begin.IsZero() && begin.Considered.Before(m.Considered) && begin.Schedule != "" && len(f.rows) == 0 {
		m = begin
		f.marks[list] = m
	}
	return m, nil
}

func (f *foresight) SetMark(_ context.Context, list string, m newsletter.Mark) error {
	f.marks[list] = m
	return nil
}

func (f *foresight) Skip(_ context.Context, slots []newsletter.Decided, _ time.Time) error {
	for _, d := range slots {
		f.decide(d.Slot)
		if n := len(f.rows); n > 0 && f.rows[n-1].slot == d.Slot { // Print has said why
			continue
		}
		i := slices.IndexFunc(f.lists, func(l newsletter.List) bool { return l.ID == d.Slot.List })
		order := newsletter.Order{List: f.lists[i], Slot: d.Slot}
		if d.Slot.Follows != 0 {
			order.Kind = newsletter.Reminder
		}
		row := f.row(order)
		if row.Kind == newsletter.Digest { // one that was missed has its own time
			row.Civil, row.words = civil(order.List, d.Slot.Due)
		}
		f.skip(row, d.Fate)
	}
	return nil
}

// skip notes a slot that gets no edition. An alert that nobody would get is looked at again and again, and told once.
func (f *foresight) skip(row planned, fate newsletter.SlotFate) {
	row.Skipped = string(fate)
	for _, last := range slices.Backward(f.rows) {
		if last.List == row.List {
			if row.Kind == newsletter.Alert && last.Kind == row.Kind && last.Skipped == row.Skipped {
				return
			}
			break
		}
	}
	f.rows = append(f.rows, row)
}

func (f *foresight) decide(slot newsletter.Slot) {
	m := f.marks[slot.List]
	if slot.Follows == 0 && slot.Due.After(m.Considered) {
		m.Considered = slot.Due
		f.marks[slot.List] = m
	}
	for i := range f.made {
		if f.made[i].ID == slot.Follows {
			f.made[i].Decided = append(f.made[i].Decided, slot.Due)
		}
	}
}

// Print notes the edition that would be made.
func (f *foresight) Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error) {
	draft, err := f.desk.Draft(ctx, order)
	row := f.row(order)
	var none *newsletter.NoEdition
	switch {
	case errors.As(err, &none):
		f.skip(row, none.Fate)
		return 0, err
	case err != nil:
		f.err = errors.Join(f.err, err)
		return 0, err
	}
	f.decide(order.Slot)
	f.used[order.List.ID] = append(f.used[order.List.ID], draft.Items...)
	row.Kind, row.Subject = draft.Kind, draft.Subject
	row.count(draft.Audience)
	items, err := f.items(ctx, draft)
	if err != nil {
		f.err = errors.Join(f.err, err)
		return 0, err
	}
	for _, i := range items {
		row.Items = append(row.Items, plannedItem{i.ID, i.Kind, i.Title})
	}
	f.rows = append(f.rows, row)
	id := newsletter.EditionID(-len(f.rows))
	e := newsletter.AlertEdition{ID: id, List: order.List.ID, Kind: draft.Kind, Made: f.now, Items: items, Bears: map[newsletter.VariantID][]newsletter.ItemID{}}
	for _, v := range slices.Backward(draft.Variants) { // the first form of each bears all
		e.Bears[v.ID] = v.Items
	}
	f.made = append(f.made, madeEdition{e, draft.Audience})
	return id, nil
}

// count adds up the readers, and says until when the last of them have their copies' time.
func (p *planned) count(audience []newsletter.Audience) {
	for _, a := range audience {
		switch {
		case a.Variant == 0:
		case a.Bar != "":
			p.Barred += a.Readers
		default:
			p.Readers += a.Readers
			p.Zones[a.Zone] += a.Readers
			if a.Due.After(p.At) && (p.Until == nil || a.Due.After(*p.Until)) {
				p.Until = optional(a.Due)
			}
		}
	}
}

func (f *foresight) items(ctx context.Context, draft newsletter.Draft) (items []newsletter.Item, err error) {
	for _, id := range slices.Concat(draft.Items, draft.Again) {
		i, err := f.Store.Item(ctx, id)
		if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, nil
}

// row is a slot with its time.
func (f *foresight) row(order newsletter.Order) planned {
	l := order.List
	row := planned{
		List: l.ID, Kind: order.Kind, At: f.now.UTC(), Zone: l.Clock(),
		Items: []plannedItem{}, Zones: map[string]int{}, slot: order.Slot,
	}
	if row.Kind == "" {
		row.Kind = l.Kind
	}
	row.Civil, row.words = civil(newsletter.List{Zone: l.Zone}, f.now)
	if l.Local && order.Slot.Follows == 0 {
		row.Civil, row.words = civil(l, order.Slot.Due)
	}
	return row
}

// What the desk reads, with what would have changed by then.

func (f *foresight) Unused(ctx context.Context, list string, rehearsal bool, since time.Time) ([]newsletter.Item, error) {
	items, err := f.Store.Unused(ctx, list, rehearsal, since)
	return slices.DeleteFunc(items, func(i newsletter.Item) bool { return slices.Contains(f.used[list], i.ID) }), err
}

func (f *foresight) Audience(ctx context.Context, q newsletter.AudienceQuestion) ([]newsletter.Audience, error) {
	asked := q.Alerts
	q.Follows = max(q.Follows, 0) // of an alert to come: all of its list, and what they have had of it
	q.Alerts = slices.DeleteFunc(slices.Clone(asked), func(id newsletter.EditionID) bool { return id < 0 })
	q.Zones = true
	groups, err := f.Store.Audience(ctx, q)
	for i := range groups {
		for _, e := range f.made {
			if slices.Contains(asked, e.ID) {
				e.give(&groups[i])
			}
		}
	}
	return groups, err
}

// give adds what an edition to come will have brought a group of readers, or kept from them.
func (e madeEdition) give(to *newsletter.Audience) {
	for _, a := range e.audience {
		if a.Variant == 0 || a.Language != to.Language || a.Zone != to.Zone || !slices.Equal(a.Topics, to.Topics) {
			continue
		}
		c := newsletter.Copy{Edition: e.ID, Variant: a.Variant}
		if a.Bar == "" {
			to.Got = append(to.Got, c)
		} else {
			to.Barred = append(to.Barred, c)
		}
		return
	}
}

// AlertsSince has all that is to come, too.
func (f *foresight) AlertsSince(ctx context.Context, since time.Time, items []newsletter.ItemID, list string, now time.Time) ([]newsletter.AlertEdition, error) {
	alerts, err := f.Store.AlertsSince(ctx, since, items, list, now)
	for _, e := range f.made {
		alerts = append(alerts, e.AlertEdition)
	}
	return alerts, err
}

func (f *foresight) Announced(ctx context.Context, list string, now time.Time) ([]newsletter.AlertEdition, error) {
	alerts, err := f.Store.Announced(ctx, list, now)
	for _, e := range f.made {
		if e.List == list && e.Kind == newsletter.Alert {
			alerts = append(alerts, e.AlertEdition)
		}
	}
	for i := range alerts {
		for _, row := range f.rows {
			if row.List == list && row.Kind == newsletter.Reminder {
				for _, item := range row.Items {
					alerts[i].Reminded = append(alerts[i].Reminded, item.ID)
				}
			}
		}
	}
	return alerts, err
}

func (f *foresight) AlertDue(ctx context.Context, l newsletter.List, decided time.Time) (time.Time, error) {
	return f.desk.AlertDue(ctx, l, decided)
}

func (f *foresight) Reminders(ctx context.Context, l newsletter.List) ([]newsletter.Order, time.Time, error) {
	return f.desk.Reminders(ctx, l)
}
