// Package edition says what, and to whom: it chooses the items of an edition, cuts them to what each group of readers
// follows, has each variant rendered once, and freezes it all with its audience.
package edition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// Queue is where the items wait and where editions are frozen (package store).
type Queue interface {
	// Unused are the queued items that a list has not used and that wait since an instant or later.
	Unused(ctx context.Context, list string, rehearsal bool, since time.Time) ([]newsletter.Item, error)
	// Audience groups the readers whom an edition may go to by what the question asks.
	Audience(ctx context.Context, question newsletter.AudienceQuestion) ([]newsletter.Audience, error)
	// Zones are the zones of a list's readers, the empty one for those whose zone is not known.
	Zones(ctx context.Context, list string) ([]string, error)
	// AlertsSince are the alerts and reminders that were made since an instant or bear one of some items. The alerts that were kept
	// from some readers of the list are among them while an action of theirs is open, and all alerts and digests that bear it.
	AlertsSince(ctx context.Context, since time.Time, items []newsletter.ItemID, list string, now time.Time) ([]newsletter.AlertEdition, error)
	// Announced are the alerts of a list that bear an action with a deadline to come.
	Announced(ctx context.Context, list string, now time.Time) ([]newsletter.AlertEdition, error)
	// Taken are those of some actions that a reader is known to have taken.
	Taken(ctx context.Context, actions []newsletter.ItemID) ([]newsletter.ItemID, error)
	// Freeze makes the edition in one transaction.
	Freeze(ctx context.Context, draft newsletter.Draft) (newsletter.EditionID, error)
}

// Renderer turns content into a variant (package render).
type Renderer interface {
	// Language picks the language of a variant for what a reader, or else the list, asks for.
	Language(wanted ...string) string
	// Render renders content once, with holes for the personal parts.
	Render(content newsletter.Content) (newsletter.Variant, error)
}

// Desk is where editions are made.
type Desk struct {
	Queue     Queue
	Renderer  Renderer
	Topics    newsletter.Topics
	Proofs    []newsletter.Address
	Rehearsal bool
	AtMost    newsletter.AtMost
	Quiet     newsletter.QuietHours
	Links     string // what stands before the code of an action's stable link; empty: mail has the petition's own
	Now       func() time.Time
}

// Print makes the edition that is ordered. It returns a *newsletter.NoEdition when there is nothing to say or nobody to
// say it to, and newsletter.ErrSlotTaken when the slot is decided already.
func (d *Desk) Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error) {
	const tries = 5 // another process may use one of the items between the look and the freezing, or readers may join
	for try := 1; ; try++ {
		draft, err := d.Draft(ctx, order)
		if err != nil {
			return 0, err
		}
		id, err := d.Queue.Freeze(ctx, draft)
		if (errors.Is(err, newsletter.ErrFrozen) || errors.Is(err, newsletter.ErrReadersChanged)) && try < tries {
			continue
		}
		return id, err
	}
}

// Draft is the edition as Print would freeze it now. It stores nothing.
func (d *Desk) Draft(ctx context.Context, order newsletter.Order) (newsletter.Draft, error) {
	m, err := d.gather(ctx, order)
	if err != nil {
		return newsletter.Draft{}, err
	}
	draft := newsletter.Draft{
		List: order.List, Slot: order.Slot, Kind: m.kind, Made: m.now, Life: life(order, m.kind, m.now), Question: m.question(d), Proofs: d.Proofs, Rehearsal: d.Rehearsal, ByHand: order.ByHand,
	}
	if d.hushed(m.kind) {
		draft.Quiet = d.Quiet
	}
	if draft.Audience, err = d.Queue.Audience(ctx, draft.Question); err != nil {
		return newsletter.Draft{}, err
	}
	sets := d.sets(&draft, m)
	if len(sets) == 0 {
		return newsletter.Draft{}, &newsletter.NoEdition{Fate: d.silence(draft.Audience, m)}
	}
	for i := range draft.Audience {
		d.time(&draft.Audience[i], sets, m)
	}
	expire(&draft, m)
	for i, set := range sets {
		forms, err := d.forms(set, draft, newsletter.VariantID(i+1))
		if err != nil {
			return newsletter.Draft{}, err
		}
		draft.Variants = append(draft.Variants, forms...)
		m.use(&draft, set)
	}
	draft.Subject = draft.Variants[0].Subject
	return draft, nil
}

// leastLife is what every copy gets, however soon the next slot is: a list that is sent by hand just before its slot,
// or every minute, still reaches the reader whose server says "try again in five minutes".
const leastLife = time.Hour

// life is how long copies of an edition have from their moment on: the lane's patience, but not beyond the list's next slot.
func life(order newsletter.Order, kind newsletter.Kind, now time.Time) time.Duration {
	patience := kind.Lane().Patience()
	if order.NextSlot.IsZero() || order.Moment != nil { // see expire
		return patience
	}
	return max(leastLife, min(patience, order.NextSlot.Sub(now)))
}

// silence is why there is nothing to make for an audience.
func (d *Desk) silence(audience []newsletter.Audience, m material) newsletter.SlotFate {
	if slices.ContainsFunc(audience, func(a newsletter.Audience) bool { return len(d.set(m.List, a, m).reminders) > 0 }) {
		return newsletter.SkippedNoItems // what there is its readers have had
	}
	return newsletter.SkippedNobody
}

// expire says how long copies of a draft live from their moment on, and when the last of them expires. On the readers' own clocks all live
// as long as the one whose reader's next slot is nearest: a change of clocks may lie between, or she gets it late.
func expire(draft *newsletter.Draft, m material) {
	last := draft.Made
	for _, a := range draft.Audience {
		due := a.Due
		if due.Before(draft.Made) {
			due = draft.Made
		}
		if due.After(last) {
			last = due
		}
		if m.NextMoment != nil && a.Variant > 0 && a.Bar == "" {
			draft.Life = max(leastLife, min(draft.Life, m.NextMoment(a.Zone).Sub(due)))
		}
	}
	draft.Expires = last.Add(draft.Life)
}

// set is the items of one variant, before it is rendered.
type set struct {
	language  string
	items     []newsletter.Item
	reminders []newsletter.Item // those of a digest that its readers have had as an alert
}

func (s set) equal(o set) bool {
	same := func(a, b newsletter.Item) bool { return a.ID == b.ID }
	return s.language == o.language && slices.EqualFunc(s.items, o.items, same) && slices.EqualFunc(s.reminders, o.reminders, same)
}

// sets finds the distinct variants that the audience needs and writes into each group of it which one it gets. The set
// with the most items comes first: it is the proof, and gives the edition its subject.
func (d *Desk) sets(draft *newsletter.Draft, m material) []set {
	var sets []set
	if draft.Rehearsal { // the proof is sent whoever the readers are
		sets = append(sets, set{language: d.Renderer.Language(draft.List.Language), items: limit(draft.List, m.items)})
	}
	groups := make([]set, len(draft.Audience))
	for i, a := range draft.Audience {
		groups[i] = d.set(draft.List, a, m)
		known := slices.ContainsFunc(sets, groups[i].equal)
		if len(groups[i].items) > 0 && !known {
			sets = append(sets, groups[i])
		}
	}
	slices.SortStableFunc(sets, func(a, b set) int { return len(b.items) - len(a.items) })
	for i := range draft.Audience {
		draft.Audience[i].Variant = newsletter.VariantID(slices.IndexFunc(sets, groups[i].equal) + 1)
	}
	return sets
}

// forms renders a set once for each stretch of time between the deadlines of its actions, so that no copy asks for a
// signature that is no longer taken. When nothing would be left there is no later form, and late copies are withdrawn. Spare forms follow,
// for what may end before its deadline.
func (d *Desk) forms(s set, draft newsletter.Draft, id newsletter.VariantID) ([]newsletter.Variant, error) {
	var forms []newsletter.Variant
	for rest := s; len(rest.items) > 0; {
		v, err := d.form(rest, draft, id)
		if err != nil {
			return nil, err
		}
		if draft.Kind != newsletter.Update { // which is about what has closed
			v.Until = nextDeadline(slices.Concat(rest.items, rest.reminders), draft.Expires)
		}
		forms = append(forms, v)
		if v.Until.IsZero() {
			break
		}
		rest = rest.without(func(i newsletter.Item) bool { return !i.Open(v.Until) })
	}
	if draft.Kind == newsletter.Update {
		return forms, nil
	}
	spares, err := d.spares(s, draft, id)
	return append(forms, spares...), err
}

// mostSpares bounds how many actions of a variant have a spare form each, the first in reading order.
const mostSpares = 4

// spares are forms that serve when an action ends before its deadline: one without it, and one without any action. They are good for
// as long as copies live, but a form is never sent while one of its actions is closed.
func (d *Desk) spares(s set, draft newsletter.Draft, id newsletter.VariantID) (forms []newsletter.Variant, err error) {
	var actions []newsletter.Item
	for _, i := range slices.Concat(s.items, s.reminders) {
		if i.Kind == newsletter.Action {
			actions = append(actions, i)
		}
	}
	var rests []set
	if len(actions) > 1 {
		for _, a := range actions[:min(len(actions), mostSpares)] {
			rests = append(rests, s.without(func(i newsletter.Item) bool { return i.ID == a.ID }))
		}
	}
	if len(actions) > 0 {
		rests = append(rests, s.without(func(i newsletter.Item) bool { return i.Kind == newsletter.Action }))
	}
	for n, rest := range rests {
		if len(rest.items) == 0 {
			continue
		}
		v, err := d.form(rest, draft, id)
		if err != nil {
			return nil, err
		}
		v.Until = draft.Expires.Add(time.Hour + time.Duration(n)*time.Millisecond) // what names a form must be its own
		forms = append(forms, v)
	}
	return forms, nil
}

// form renders a set.
func (d *Desk) form(s set, draft newsletter.Draft, id newsletter.VariantID) (newsletter.Variant, error) {
	v, err := d.Renderer.Render(newsletter.Content{
		List: draft.List, Kind: draft.Kind, Language: s.language, Items: d.linked(s.items), Reminders: d.linked(s.reminders),
		Follows: draft.Slot.Follows != 0, Moment: draft.Made,
	})
	if err != nil {
		return v, fmt.Errorf("rendering an edition of %s: %w", draft.List.ID, err)
	}
	v.ID = id
	for _, i := range slices.Concat(s.items, s.reminders) {
		v.Items = append(v.Items, i.ID)
	}
	return v, nil
}

func (s set) without(left func(newsletter.Item) bool) set {
	s.items, s.reminders = slices.DeleteFunc(slices.Clone(s.items), left), slices.DeleteFunc(slices.Clone(s.reminders), left)
	return s
}

// linked has the actions with their stable links, where those are wanted.
func (d *Desk) linked(items []newsletter.Item) []newsletter.Item {
	if d.Links == "" {
		return items
	}
	items = slices.Clone(items)
	for n := range items {
		i := &items[n]
		if i.Kind != newsletter.Action || i.Code == "" {
			continue
		}
		if i.URL == i.Petition { // there is no page beside it
			i.URL = ""
		}
		i.Petition = d.Links + i.Code
	}
	return items
}

// nextDeadline is the first deadline among items that comes before the edition expires, or zero.
func nextDeadline(items []newsletter.Item, expires time.Time) (first time.Time) {
	for _, i := range items {
		if c := i.Closes(); !c.IsZero() && c.Before(expires) && (first.IsZero() || c.Before(first)) {
			first = c
		}
	}
	return first
}

// Proof renders a list's next edition, as it stands now, for one choice of topics and language. It stores nothing. It returns a
// *newsletter.NoEdition when there is nothing to say.
func (d *Desk) Proof(ctx context.Context, list newsletter.List, reader newsletter.Audience) (newsletter.Variant, error) {
	now := d.Now()
	items, err := d.choose(ctx, list, now)
	if err != nil {
		return newsletter.Variant{}, err
	}
	items = limit(list, d.following(items, reader.Topics))
	if len(items) == 0 {
		return newsletter.Variant{}, &newsletter.NoEdition{Fate: newsletter.SkippedNoItems}
	}
	return d.Renderer.Render(newsletter.Content{List: list, Language: d.Renderer.Language(reader.Language, list.Language), Items: d.linked(items), Moment: now})
}
