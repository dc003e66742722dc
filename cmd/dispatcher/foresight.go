package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/edition"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/store"
)

// foresight stands in for the store and the press where the scheduler looks ahead: it reads what is there, remembers what would be
// decided, and writes nothing.
type foresight struct {
	*store.Store
	desk      *edition.Desk
	scheduler *scheduler.Scheduler
	lists     []newsletter.List // all: what a reader has of one makes a difference for others
	now       time.Time
	back      bool            // the clock was set back, and the marks that lie ahead with it
	begun     map[string]bool // lists whose marks were asked for
	marks     map[string]newsletter.Mark
	taken     map[newsletter.Slot]bool // the store has decided them; see named
	used      map[string][]newsletter.ItemID
	made      []madeEdition                        // that are to come; their ids are negative
	followed  map[newsletter.EditionID][]time.Time // slots of reminders that would be decided
	rows      []planned
	decisions int
	err       error // the first one: the scheduler would log it and go on
}

// madeEdition is an edition to come, and to whom it goes.
type madeEdition struct {
	newsletter.AlertEdition
	question newsletter.AudienceQuestion
	audience map[string]newsletter.Audience // by likeness
}

// newForesight looks ahead from an instant, or from now where that is earlier.
func newForesight(ctx context.Context, o *office, from time.Time) (*foresight, error) {
	f := &foresight{
		Store: o.store, desk: o.desk(), lists: o.liveLists(), now: o.now(), begun: map[string]bool{}, taken: map[newsletter.Slot]bool{},
		used: map[string][]newsletter.ItemID{}, followed: map[newsletter.EditionID][]time.Time{},
	}
	if from.Before(f.now) {
		f.now, f.back = from, true
	}
	f.desk.Queue, f.desk.Now = f, f.clock
	var err error
	if f.scheduler, err = scheduler.New(f, f, f.lists, f.clock, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if f.marks, err = o.store.Marks(ctx); err != nil {
		return nil, err
	}
	for _, l := range f.lists {
		since := f.marks[l.ID].Considered
		if f.now.Before(since) {
			since = f.now
		}
		decided, err := o.store.DecidedSlots(ctx, l.ID, since.AddDate(0, 0, -2)) // on another clock the name of a slot is hours away
		if err != nil {
			return nil, err
		}
		untimely, err := o.store.Untimely(ctx, l.ID, f.now, f.now)
		if err != nil && !errors.Is(err, newsletter.ErrNotFound) {
			return nil, err
		}
		for _, d := range decided {
			if d.Fate == newsletter.MadeEdition || d.Fate == newsletter.SkippedNewPlan || err != nil || d.Slot.Due.Before(untimely) {
				f.taken[named(d.Slot)] = true // what a wrong clock skipped is decided anew
			}
		}
	}
	return f, nil
}

// named is a slot as the store gives it back.
func named(slot newsletter.Slot) newsletter.Slot {
	slot.Due = time.UnixMilli(slot.Due.UnixMilli()).UTC()
	return slot
}

// run lets the scheduler and the desk decide all slots up to an instant, on a clock that goes from slot to slot.
func (f *foresight) run(ctx context.Context, until time.Time) error {
	for !f.now.After(until) {
		before := f.decisions
		next := f.scheduler.Look(ctx)
		if err := cmp.Or(f.err, ctx.Err()); err != nil {
			return err
		}
		if next.IsZero() {
			break
		}
		if next.After(f.now) {
			f.now = next
		} else if f.decisions == before {
			f.now = f.now.Add(time.Second) // it waits for the clock to go on
		}
	}
	return nil
}

// upcoming are the next slots of a list after an instant, at most n, without those that are decided already. Where the clock was set back
// none is: then they are those of the schedule.
func (f *foresight) upcoming(ctx context.Context, l newsletter.List, after time.Time, n int) ([]scheduler.Upcoming, error) {
	for ask := n; ; ask *= 2 {
		slots, err := f.scheduler.Upcoming(ctx, l, after, ask)
		all := len(slots)
		slots = slices.DeleteFunc(slots, func(u scheduler.Upcoming) bool {
			return !f.back && (!u.Slot.After(f.marks[l.ID].Considered) || f.taken[named(newsletter.Slot{List: l.ID, Due: u.Slot})])
		})
		if err != nil || len(slots) >= n || all < ask {
			return slots[:min(n, len(slots))], err
		}
	}
}

// fail keeps the first error.
func (f *foresight) fail(err error) error {
	f.err = cmp.Or(f.err, err)
	return err
}

func (f *foresight) clock() time.Time { return f.now }

// Beat is that of the scheduler's ledger. That mail is held back is told apart.
func (f *foresight) Beat(context.Context, time.Time) (string, error) { return "", nil }

func (f *foresight) Mark(_ context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error) {
	m, known := f.marks[list]
	if !known || f.back && !f.begun[list] && begin.Considered.Before(m.Considered) && begin.Schedule != "" {
		m = begin
		f.marks[list] = m
	}
	f.begun[list] = true
	return m, nil
}

func (f *foresight) SetMark(_ context.Context, list string, m newsletter.Mark) error {
	f.marks[list] = m
	f.decisions++
	return nil
}

func (f *foresight) Skip(_ context.Context, slots []newsletter.Decided, _ time.Time) error {
	for _, d := range slots {
		f.decide(d.Slot)
		if n := len(f.rows); f.taken[named(d.Slot)] || n > 0 && f.rows[n-1].slot == d.Slot { // Print has said why
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
	f.decisions++
	if slot.Follows != 0 {
		f.followed[slot.Follows] = append(f.followed[slot.Follows], slot.Due)
	} else if m := f.marks[slot.List]; slot.Due.After(m.Considered) {
		m.Considered = slot.Due
		f.marks[slot.List] = m
	}
}

// Print notes the edition that would be made.
func (f *foresight) Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error) {
	if f.taken[named(order.Slot)] {
		return 0, newsletter.ErrSlotTaken
	}
	draft, err := f.desk.Draft(ctx, order)
	row := f.row(order)
	var none *newsletter.NoEdition
	switch {
	case errors.As(err, &none):
		f.skip(row, none.Fate)
		return 0, err
	case err != nil:
		return 0, f.fail(err)
	}
	f.decide(order.Slot)
	f.used[order.List.ID] = append(f.used[order.List.ID], draft.Items...)
	row.Kind, row.Subject = draft.Kind, draft.Subject
	row.count(draft.Audience)
	items, err := f.items(ctx, draft)
	if err != nil {
		return 0, f.fail(err)
	}
	for _, i := range items {
		row.Items = append(row.Items, plannedItem{i.ID, i.Kind, i.Title})
	}
	f.rows = append(f.rows, row)
	return f.make(draft, items), nil
}

// make notes to whom a draft brings what.
func (f *foresight) make(draft newsletter.Draft, items []newsletter.Item) newsletter.EditionID {
	e := madeEdition{question: draft.Question, audience: map[string]newsletter.Audience{}, AlertEdition: newsletter.AlertEdition{
		ID: newsletter.EditionID(-1 - len(f.made)), List: draft.List.ID, Kind: draft.Kind, Made: f.now, Items: items, Bears: map[newsletter.VariantID][]newsletter.ItemID{},
	}}
	for _, v := range slices.Backward(draft.Variants) { // the first form of each bears all
		e.Bears[v.ID] = v.Items
	}
	for _, a := range draft.Audience {
		e.audience[e.likeness(a)] = a
	}
	f.made = append(f.made, e)
	return e.ID
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
	made := f.behind(q.Alerts)
	q.Follows = max(q.Follows, 0) // of an alert to come: all of its list, and what they have had of it
	q.Waiting, q.Zones = true, true
	q.Alerts, q.Done = slices.Clone(q.Alerts), slices.Clone(q.Done)
	for _, e := range made { // its readers are to be found among the groups
		q.Lists = append(q.Lists, e.List)
		q.Alerts = append(q.Alerts, e.question.Alerts...)
		q.Done = append(q.Done, e.question.Done...)
	}
	q.Alerts = slices.DeleteFunc(q.Alerts, func(id newsletter.EditionID) bool { return id < 0 })
	groups, err := f.Store.Audience(ctx, q)
	for i := range groups {
		if groups[i].Lists == nil {
			groups[i].Lists = map[string][]string{}
		}
		groups[i].Lists[q.List] = groups[i].Topics
		for _, e := range made {
			e.give(&groups[i])
		}
	}
	return groups, err
}

// behind are those editions to come by which readers are told apart, and those by which their readers were, in order.
func (f *foresight) behind(asked []newsletter.EditionID) (made []madeEdition) {
	asked = slices.Clone(asked)
	for _, e := range slices.Backward(f.made) {
		if slices.Contains(asked, e.ID) {
			made, asked = append(made, e), append(asked, e.question.Alerts...)
		}
	}
	slices.Reverse(made)
	return made
}

// give adds what an edition to come will have brought a group of readers, or kept from them.
func (e madeEdition) give(to *newsletter.Audience) {
	if _, reads := to.Lists[e.List]; !reads {
		return
	}
	a := e.audience[e.likeness(*to)]
	switch c := (newsletter.Copy{Edition: e.ID, Variant: a.Variant}); {
	case a.Variant == 0:
	case a.Bar == "":
		to.Got = append(to.Got, c)
	default:
		to.Barred = append(to.Barred, c)
	}
}

// likeness is all by which the readers of an edition were told apart, of a group of theirs or of another list's.
func (e madeEdition) likeness(a newsletter.Audience) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q %q", a.Lists[e.List], a.Language, a.Zone)
	of := func(copies []newsletter.Copy, word string) {
		for _, id := range e.question.Alerts {
			if i := slices.IndexFunc(copies, func(c newsletter.Copy) bool { return c.Edition == id }); i >= 0 {
				fmt.Fprintf(&b, " %s %d.%d", word, id, copies[i].Variant)
			}
		}
	}
	of(a.Got, "got")
	of(a.Barred, "barred")
	for _, id := range e.question.Done {
		if slices.Contains(a.Done, id) {
			fmt.Fprintf(&b, " done %d", id)
		}
	}
	return b.String()
}

// AlertsSince has all that is to come, too.
func (f *foresight) AlertsSince(ctx context.Context, since time.Time, items []newsletter.ItemID, list string, now time.Time) ([]newsletter.AlertEdition, error) {
	alerts, err := f.Store.AlertsSince(ctx, since, items, list, now)
	for _, e := range f.made {
		if e.Kind != newsletter.Digest || list != "" {
			alerts = append(alerts, e.AlertEdition)
		}
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
		a := &alerts[i]
		a.Decided = append(a.Decided, f.followed[a.ID]...)
		for _, row := range f.rows {
			if row.slot.Follows == a.ID {
				for _, item := range row.Items {
					a.Reminded = append(a.Reminded, item.ID)
				}
			}
		}
	}
	return alerts, err
}

// What the scheduler asks for. It must not lose an error.

func (f *foresight) AlertDue(ctx context.Context, l newsletter.List, decided time.Time) (time.Time, error) {
	due, err := f.desk.AlertDue(ctx, l, decided)
	if !errors.Is(err, newsletter.ErrNotFound) {
		return due, f.fail(err)
	}
	return due, err
}

func (f *foresight) Reminders(ctx context.Context, l newsletter.List) ([]newsletter.Order, time.Time, error) {
	orders, next, err := f.desk.Reminders(ctx, l)
	return orders, next, f.fail(err)
}

func (f *foresight) Zones(ctx context.Context, list string) ([]string, error) {
	zones, err := f.Store.Zones(ctx, list)
	return zones, f.fail(err)
}
