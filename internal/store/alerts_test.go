package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// announce freezes an edition about a new action that closes two days after the start, or about what is in it when it names items.
func announce(t *testing.T, s *store.Store, list string, kind newsletter.Kind, change func(d *newsletter.Draft)) newsletter.EditionID {
	t.Helper()
	n := len(must[[]newsletter.Edition](t)(s.Editions(t.Context(), "", 0)))
	i := action(fmt.Sprintf("Free weaver %d", n))
	i.Deadline = start.Add(48 * time.Hour)
	takeIn(t, s, i)
	d := draft(t, s, list, start.Add(time.Duration(n)*time.Hour))
	newest := slices.MaxFunc(items(t, s), func(a, b newsletter.Item) int { return int(a.ID - b.ID) })
	d.Items, d.Kind = []newsletter.ItemID{newest.ID}, kind
	change(&d)
	return freeze(t, s, d)
}

func asItIs(*newsletter.Draft) {}

func barAll(d *newsletter.Draft) {
	for i := range d.Audience {
		d.Audience[i].Bar = "quiet hours"
	}
}

func idsOf(alerts []newsletter.AlertEdition) (ids []newsletter.EditionID) {
	for _, a := range alerts {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestAlertsByTheirAgeAndByWhatTheyBear(t *testing.T) {
	s := open(t, t.TempDir())
	first := announce(t, s, "urgent", newsletter.Alert, asItIs)
	bears := must[[]newsletter.Item](t)(s.EditionItems(t.Context(), first))[0].ID
	announce(t, s, "urgent", newsletter.Digest, asItIs)
	second := announce(t, s, "press", newsletter.Alert, asItIs)
	reminder := announce(t, s, "urgent", newsletter.Reminder, func(d *newsletter.Draft) { d.Slot.Follows = first })
	cancelled := announce(t, s, "urgent", newsletter.Alert, asItIs)
	must[int](t)(s.CancelEdition(t.Context(), cancelled, "wrong", start))
	announce(t, s, "urgent", newsletter.Alert, func(d *newsletter.Draft) { d.Rehearsal = true })
	announce(t, s, "urgent", newsletter.Update, func(d *newsletter.Draft) { d.Slot.Follows = first })

	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	tests := map[string]struct {
		since time.Time
		items []newsletter.ItemID
		want  []newsletter.EditionID
	}{
		"all":                  {start, nil, []newsletter.EditionID{first, second, reminder, cancelled}},
		"at the very instant":  {hour(2), nil, []newsletter.EditionID{second, reminder, cancelled}},
		"the newest":           {hour(3), nil, []newsletter.EditionID{reminder, cancelled}},
		"none for its age":     {hour(100), nil, nil},
		"those that bear this": {hour(100), []newsletter.ItemID{bears}, []newsletter.EditionID{first}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := must[[]newsletter.AlertEdition](t)(s.AlertsSince(t.Context(), tt.since, tt.items, "", start))
			if !slices.Equal(idsOf(got), tt.want) {
				t.Errorf("%v, want %v", idsOf(got), tt.want)
			}
		})
	}
	newest := must[[]newsletter.AlertEdition](t)(s.AlertsSince(t.Context(), hour(3), nil, "", start))
	if newest[0].Cancelled || !newest[1].Cancelled {
		t.Errorf("cancelled are %+v", newest)
	}
	got := newest[0]
	if got.List != "urgent" || got.Kind != newsletter.Reminder || !got.Made.Equal(hour(3)) || len(got.Items) != 1 {
		t.Errorf("the newest is %+v", got)
	}
}

// A form that leaves something out is for when that has closed: the variant brings it all the same.
func TestWhatEachVariantBrings(t *testing.T) {
	s := open(t, t.TempDir())
	reader(t, s, "urgent", newsletter.Subscriber{Address: "a@example.net"})
	takeIn(t, s, action("Free the weavers"))
	takeIn(t, s, action("Open the archive"))
	d := draft(t, s, "urgent", start)
	d.List.Kind = newsletter.Alert
	one, two := d.Items[1], d.Items[0]
	form := func(id newsletter.VariantID, until time.Duration, bears ...newsletter.ItemID) newsletter.Variant {
		v := d.Variants[0]
		v.ID, v.Until, v.Items = id, start.Add(until), bears
		return v
	}
	d.Variants = []newsletter.Variant{form(1, time.Hour, one, two), form(1, 2*time.Hour, two), form(2, time.Hour, two)}
	freeze(t, s, d)
	got := must[[]newsletter.AlertEdition](t)(s.AlertsSince(t.Context(), start, nil, "", start))
	if diff := cmp.Diff(map[newsletter.VariantID][]newsletter.ItemID{1: {one, two}, 2: {two}}, got[0].Bears); diff != "" {
		t.Errorf("variants bring:\n%s", diff)
	}
}

// What was kept from readers is theirs until it closes, and every edition counts in which they may have had it meanwhile.
func TestAlertsThatWereKeptFromReaders(t *testing.T) {
	s := open(t, t.TempDir())
	reader(t, s, "urgent", newsletter.Subscriber{Address: "a@example.net"})
	kept := announce(t, s, "urgent", newsletter.Alert, barAll)
	announce(t, s, "urgent", newsletter.Alert, asItIs)
	owed := must[[]newsletter.Item](t)(s.EditionItems(t.Context(), kept))[0]
	again := func(d *newsletter.Draft) { d.Items, d.Again = nil, []newsletter.ItemID{owed.ID} }
	next := announce(t, s, "urgent", newsletter.Alert, again)
	digest := announce(t, s, "weekly", newsletter.Digest, again)
	elsewhere := announce(t, s, "press", newsletter.Alert, again)
	all := []newsletter.EditionID{kept, next, digest, elsewhere}

	far := start.Add(1000 * time.Hour)
	ask := func(list string, now time.Time) []newsletter.EditionID {
		return idsOf(must[[]newsletter.AlertEdition](t)(s.AlertsSince(t.Context(), far, nil, list, now)))
	}
	if got := ask("urgent", start); !slices.Equal(got, all) {
		t.Errorf("%v, want %v", got, all)
	}
	if got := ask("press", start); len(got) != 0 {
		t.Errorf("another list owes %v", got)
	}
	if got := ask("urgent", owed.Deadline); len(got) != 0 {
		t.Errorf("%v when the action is over", got)
	}
	insert(t, s, `UPDATE items SET deadline = 0, expires = 0`)
	if got := ask("urgent", far); !slices.Equal(got, all) {
		t.Errorf("an action that never closes: %v, want %v", got, all)
	}
	insert(t, s, `UPDATE items SET ended = 1`)
	if got := ask("urgent", start); len(got) != 0 {
		t.Errorf("%v when an editor has ended the action", got)
	}
}

func TestAnnouncedAlerts(t *testing.T) {
	s := open(t, t.TempDir())
	first := announce(t, s, "urgent", newsletter.Alert, asItIs)
	announce(t, s, "press", newsletter.Alert, asItIs)
	announce(t, s, "urgent", newsletter.Digest, asItIs)
	announce(t, s, "urgent", newsletter.Alert, func(d *newsletter.Draft) { d.Rehearsal = true })
	must[int](t)(s.CancelEdition(t.Context(), announce(t, s, "urgent", newsletter.Alert, asItIs), "wrong", start))
	announced := func(now time.Time) []newsletter.AlertEdition {
		return must[[]newsletter.AlertEdition](t)(s.Announced(t.Context(), "urgent", now))
	}
	got := announced(start)
	if len(got) != 1 || got[0].ID != first || got[0].Reminded != nil || got[0].Decided != nil {
		t.Fatalf("announced are %+v, want edition %d alone, of which nobody was reminded", got, first)
	}
	bears := got[0].Items[0]

	due := start.Add(24 * time.Hour)
	skipped := newsletter.Slot{List: "urgent", Due: due.Add(time.Hour), Follows: first}
	announce(t, s, "urgent", newsletter.Reminder, func(d *newsletter.Draft) {
		d.Slot, d.Items, d.Again = newsletter.Slot{List: "urgent", Due: due, Follows: first}, nil, []newsletter.ItemID{bears.ID}
	})
	if err := s.Skip(t.Context(), []newsletter.Decided{{Slot: skipped, Fate: newsletter.SkippedLate}}, start); err != nil {
		t.Fatal(err)
	}
	got = announced(start)
	if diff := cmp.Diff([]newsletter.ItemID{bears.ID}, got[0].Reminded); diff != "" {
		t.Errorf("of these there was a reminder:\n%s", diff)
	}
	if diff := cmp.Diff([]time.Time{due, skipped.Due}, got[0].Decided); diff != "" {
		t.Errorf("these slots are decided:\n%s", diff)
	}
	if got := announced(bears.Deadline); len(got) != 0 {
		t.Errorf("%+v are announced when the deadline has passed", got)
	}
	for _, over := range []string{`ended = 1`, `ended = 0, state = 'dropped'`, `state = 'held'`, `state = 'queued', deadline = 0`} {
		insert(t, s, `UPDATE items SET `+over)
		if got := announced(start); len(got) != 0 {
			t.Errorf("%+v are announced with %s", got, over)
		}
	}
}

func TestAMarkIsKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{Considered: start, Schedule: "0 9 * * *", Zone: "UTC"}))
	want := newsletter.Mark{Considered: start.Add(-time.Hour), Schedule: "0 8 * * *", Zone: "Asia/Tehran", Day: "2026-11-05"}
	if err := s.SetMark(t.Context(), "weekly", want); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if diff := cmp.Diff(want, must[newsletter.Mark](t)(again.Mark(t.Context(), "weekly", newsletter.Mark{}))); diff != "" {
		t.Errorf("the mark:\n%s", diff)
	}
}

func TestASkippedSlotIsDecidedOnce(t *testing.T) {
	s := open(t, t.TempDir())
	must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{Considered: start, Schedule: "0 9 * * *", Zone: "UTC"}))
	decided := func(hours int, follows newsletter.EditionID, fate newsletter.SlotFate) newsletter.Decided {
		return newsletter.Decided{Slot: newsletter.Slot{List: "weekly", Due: start.Add(time.Duration(hours) * time.Hour), Follows: follows}, Fate: fate}
	}
	steps := []struct {
		skip []newsletter.Decided
		mark int // hours
	}{
		{[]newsletter.Decided{decided(1, 0, newsletter.SkippedMissed), decided(3, 0, newsletter.SkippedLate)}, 3},
		{[]newsletter.Decided{decided(3, 0, newsletter.SkippedNoItems), decided(2, 0, newsletter.SkippedNobody)}, 3},
		{[]newsletter.Decided{decided(9, 7, newsletter.SkippedLate), decided(3, 7, newsletter.SkippedLate)}, 3},
		{[]newsletter.Decided{decided(3, 0, newsletter.SkippedNoItems), decided(4, 0, newsletter.SkippedNobody)}, 4},
	}
	for i, step := range steps {
		if err := s.Skip(t.Context(), step.skip, start); err != nil {
			t.Fatal(err)
		}
		want := newsletter.Mark{Considered: start.Add(time.Duration(step.mark) * time.Hour), Schedule: "0 9 * * *", Zone: "UTC"}
		if diff := cmp.Diff(want, must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{Considered: start.Add(-time.Hour)}))); diff != "" {
			t.Errorf("the mark after step %d:\n%s", i, diff)
		}
		if diff := cmp.Diff(map[string]newsletter.Mark{"weekly": want}, must[map[string]newsletter.Mark](t)(s.Marks(t.Context()))); diff != "" {
			t.Errorf("all marks after step %d:\n%s", i, diff)
		}
	}
	want := []newsletter.Decided{
		decided(1, 0, newsletter.SkippedMissed), decided(2, 0, newsletter.SkippedNobody), decided(3, 0, newsletter.SkippedLate),
		decided(3, 7, newsletter.SkippedLate), decided(4, 0, newsletter.SkippedNobody), decided(9, 7, newsletter.SkippedLate),
	}
	if diff := cmp.Diff(want, must[[]newsletter.Decided](t)(s.DecidedSlots(t.Context(), "weekly", start))); diff != "" {
		t.Errorf("decided are:\n%s", diff)
	}
}
