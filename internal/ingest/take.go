package ingest

import (
	"context"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// take is what one poll or import has read: each entry once, in the document's order.
type take struct {
	found []newsletter.Found
	known []bool         // for each entry, whether the queue knows it
	place map[string]int // of an entry in found, by each of its identities
}

// add puts in the entries that are not there yet, asks the queue about them, and returns them with its answers.
func (t *take) add(ctx context.Context, queue Queue, found []newsletter.Found) ([]newsletter.Item, []bool, error) {
	added := t.merge(found)
	if len(added) == 0 {
		return nil, nil, nil
	}
	known, err := queue.Known(ctx, added)
	if err != nil {
		return nil, nil, err
	}
	t.known = append(t.known, known...)
	return added, known, nil
}

// merge puts in the entries that are not there yet and returns them. One that is there already is absorbed: the first
// in a feed is the newest, and the newest word on a petition counts.
func (t *take) merge(found []newsletter.Found) (added []newsletter.Item) {
	if t.place == nil {
		t.place = map[string]int{}
	}
	for _, f := range found {
		ids := f.Identities()
		if n := slices.IndexFunc(ids, func(id string) bool { _, ok := t.place[id]; return ok }); n >= 0 {
			absorb(&t.found[t.place[ids[n]]].Item, f.Item)
			continue
		}
		for _, id := range ids {
			t.place[id] = len(t.found)
		}
		t.found = append(t.found, f)
		added = append(added, f.Item)
	}
	return added
}

// joinMentions lets the first mention of each petition, its own post before all others, absorb the later ones. They
// stay where they are: the queue knows them for the same action, and ties it to its article.
func (t *take) joinMentions() {
	first := map[string]*newsletter.Item{}
	for id, n := range t.place {
		first[id] = &t.found[n].Item
	}
	for n := range t.found {
		for k := range t.found[n].Inside {
			action := &t.found[n].Inside[k]
			id := action.Identities()[0] // its petition: a web link, so there is one
			if twin, ok := first[id]; ok {
				absorb(twin, *action)
				continue
			}
			first[id] = action
		}
	}
}

// absorb adds to an item what another mention of the same adds to it: topics, urgency, a deadline that it lacks.
func absorb(item *newsletter.Item, other newsletter.Item) {
	item.Topics = newsletter.AddTopics(item.Topics, other.Topics...)
	if item.Kind != newsletter.Action || other.Kind != newsletter.Action {
		return
	}
	item.Urgent = item.Urgent || other.Urgent
	if item.Deadline.IsZero() && !other.Deadline.IsZero() {
		item.Deadline, item.Expires = other.Deadline, time.Time{}
	}
}

// countNew tells for each entry how many items it would make: itself and the actions inside, each where neither the
// queue knows it nor an earlier mention has made it.
func (t *take) countNew(ctx context.Context, queue Queue) ([]int, error) {
	var inside []newsletter.Item
	var within []int // for each action inside, the place of its article
	for n, f := range t.found {
		for _, action := range f.Inside {
			inside, within = append(inside, action), append(within, n)
		}
	}
	counts := make([]int, len(t.found))
	for n := range t.found {
		if !t.known[n] {
			counts[n]++
		}
	}
	if len(inside) == 0 {
		return counts, nil
	}
	known, err := queue.Known(ctx, inside)
	if err != nil {
		return nil, err
	}
	counted := map[string]bool{}
	for k, action := range inside {
		id := action.Identities()[0]
		if _, isPost := t.place[id]; !isPost && !known[k] && !counted[id] {
			counts[within[k]]++
		}
		counted[id] = true
	}
	return counts, nil
}
