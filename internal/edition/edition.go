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
	// Audience groups the readers of a list who may be mailed by what they chose.
	Audience(ctx context.Context, list string) ([]newsletter.Audience, error)
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
	Now       func() time.Time
}

// Print makes the edition that is ordered. It returns a *newsletter.NoEdition when there is nothing to say or nobody to
// say it to, and newsletter.ErrSlotTaken when the slot is decided already.
func (d *Desk) Print(ctx context.Context, order newsletter.Order) (newsletter.EditionID, error) {
	const tries = 3 // another process may use one of the items between the look and the freezing
	for try := 1; ; try++ {
		draft, err := d.Draft(ctx, order)
		if err != nil {
			return 0, err
		}
		id, err := d.Queue.Freeze(ctx, draft)
		if errors.Is(err, newsletter.ErrFrozen) && try < tries {
			continue
		}
		return id, err
	}
}

// Draft is the edition as Print would freeze it now. It stores nothing.
func (d *Desk) Draft(ctx context.Context, order newsletter.Order) (newsletter.Draft, error) {
	now := d.Now()
	items, err := d.choose(ctx, order.List, now)
	if err != nil {
		return newsletter.Draft{}, err
	}
	if len(items) == 0 {
		return newsletter.Draft{}, &newsletter.NoEdition{Fate: newsletter.SkippedNoItems}
	}
	audience, err := d.Queue.Audience(ctx, order.List.ID)
	if err != nil {
		return newsletter.Draft{}, err
	}
	draft := newsletter.Draft{
		List: order.List, Slot: order.Slot, Made: now, Expires: expiry(order, now),
		Audience: audience, Proofs: d.Proofs, Rehearsal: d.Rehearsal, ByHand: order.ByHand,
	}
	sets := d.sets(&draft, items)
	if len(sets) == 0 {
		return newsletter.Draft{}, &newsletter.NoEdition{Fate: newsletter.SkippedNobody}
	}
	for i, set := range sets {
		forms, err := d.forms(set, draft, newsletter.VariantID(i+1))
		if err != nil {
			return newsletter.Draft{}, err
		}
		draft.Variants = append(draft.Variants, forms...)
		for _, item := range set.items {
			if !slices.Contains(draft.Items, item.ID) {
				draft.Items = append(draft.Items, item.ID)
			}
		}
	}
	draft.Subject = draft.Variants[0].Subject
	return draft, nil
}

// leastLife is what every copy gets, however soon the next slot is: a list that is sent by hand just before its slot,
// or every minute, still reaches the reader whose server says "try again in five minutes".
const leastLife = time.Hour

// expiry is when copies of an edition are too late: at the end of the lane's patience, or at the list's next slot.
func expiry(order newsletter.Order, now time.Time) time.Time {
	life := order.List.Kind.Lane().Patience()
	if !order.NextSlot.IsZero() {
		life = max(leastLife, min(life, order.NextSlot.Sub(now)))
	}
	return now.Add(life)
}

// set is the items of one variant, before it is rendered.
type set struct {
	language string
	items    []newsletter.Item
}

func (s set) equal(o set) bool {
	return s.language == o.language && slices.EqualFunc(s.items, o.items, func(a, b newsletter.Item) bool { return a.ID == b.ID })
}

// sets finds the distinct variants that the audience needs and writes into each group of it which one it gets. The set
// with the most items comes first: it is the proof, and gives the edition its subject.
func (d *Desk) sets(draft *newsletter.Draft, items []newsletter.Item) []set {
	var sets []set
	if draft.Rehearsal { // the proof is sent whoever the readers are
		sets = append(sets, set{d.Renderer.Language(draft.List.Language), limit(draft.List, items)})
	}
	groups := make([]set, len(draft.Audience))
	for i, a := range draft.Audience {
		groups[i] = set{d.Renderer.Language(a.Language, draft.List.Language), limit(draft.List, d.following(items, a.Topics))}
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
// signature that is no longer taken. When nothing would be left there is no later form, and late copies are withdrawn.
func (d *Desk) forms(s set, draft newsletter.Draft, id newsletter.VariantID) ([]newsletter.Variant, error) {
	var forms []newsletter.Variant
	open := s.items
	for len(open) > 0 {
		v, err := d.Renderer.Render(newsletter.Content{List: draft.List, Language: s.language, Items: open, Moment: draft.Made})
		if err != nil {
			return nil, fmt.Errorf("rendering an edition of %s: %w", draft.List.ID, err)
		}
		v.ID, v.Until = id, nextDeadline(open, draft.Expires)
		forms = append(forms, v)
		if v.Until.IsZero() {
			break
		}
		open = slices.DeleteFunc(slices.Clone(open), func(i newsletter.Item) bool { return !i.Open(v.Until) })
	}
	return forms, nil
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
	return d.Renderer.Render(newsletter.Content{List: list, Language: d.Renderer.Language(reader.Language, list.Language), Items: items, Moment: now})
}
