package edition_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
)

func TestWhenReadersAreReminded(t *testing.T) {
	held, dropped, ended, soft := queued(2, 2*day), queued(3, 2*day), queued(4, 2*day), queued(5, 0)
	held.State, dropped.State, ended.Ended = newsletter.Held, newsletter.Dropped, now.Add(-time.Hour)
	soft.Deadline, soft.Expires = time.Time{}, now.Add(day)
	done := alerted(7, 3*day, queued(1, 20*time.Hour))
	done.Reminded = []newsletter.ItemID{1}
	decided := alerted(7, 3*day, queued(1, 20*time.Hour))
	decided.Decided = []time.Time{now.Add(-4 * time.Hour).In(time.FixedZone("", 3600))}
	tests := map[string]struct {
		alert newsletter.AlertEdition
		due   map[time.Duration][]newsletter.ItemID // hours from now
		next  time.Duration                         // 0: none
	}{
		"not yet":                    {alerted(7, 3*day, queued(1, 2*day), queued(2, 3*day)), nil, day},
		"now":                        {alerted(7, 3*day, queued(1, day)), map[time.Duration][]newsletter.ItemID{0: {1}}, 0},
		"late":                       {alerted(7, 3*day, queued(1, time.Hour)), map[time.Duration][]newsletter.ItemID{-23: {1}}, 0},
		"over":                       {alerted(7, 3*day, queued(1, 0)), nil, 0},
		"two at once, one later":     {alerted(7, 3*day, queued(1, day), queued(2, day), queued(3, 30*time.Hour)), map[time.Duration][]newsletter.ItemID{0: {1, 2}}, 6 * time.Hour},
		"two one after the other":    {alerted(7, 3*day, queued(1, day), queued(2, 23*time.Hour)), map[time.Duration][]newsletter.ItemID{0: {1}, -1: {2}}, 0},
		"soon after the alert":       {alerted(7, 0, queued(1, day+12*time.Hour-time.Second)), nil, 0},
		"half a day after the alert": {alerted(7, 0, queued(1, day+12*time.Hour)), nil, 12 * time.Hour},
		"reminded":                   {done, nil, 0},
		"decided":                    {decided, nil, 0},
		"nothing to be reminded of":  {alerted(7, 3*day, held, dropped, ended, soft), nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, _ := desk(&queue{alerts: []newsletter.AlertEdition{tt.alert}})
			orders, next, err := d.Reminders(t.Context(), urgent)
			if err != nil {
				t.Fatal(err)
			}
			if want := now.Add(tt.next); tt.next == 0 && !next.IsZero() || tt.next > 0 && !next.Equal(want) {
				t.Errorf("the next is at %v, want in %v", next, tt.next)
			}
			var due map[time.Duration][]newsletter.ItemID
			last := time.Time{}
			for _, o := range orders {
				if due == nil {
					due = map[time.Duration][]newsletter.ItemID{}
				}
				due[o.Slot.Due.Sub(now)/time.Hour] = ids(o.Items)
				if o.Kind != newsletter.Reminder || o.Slot.List != "urgent" || o.Slot.Follows != 7 || o.Slot.Due.Before(last) {
					t.Errorf("ordered is %+v", o)
				}
				last = o.Slot.Due
			}
			if diff := cmp.Diff(tt.due, due); diff != "" {
				t.Errorf("due:\n%s", diff)
			}
			d.Rehearsal = true
			if orders, next, err := d.Reminders(t.Context(), urgent); len(orders) > 0 || !next.IsZero() || err != nil {
				t.Errorf("a rehearsal has %+v, %v, %v", orders, next, err)
			}
		})
	}
}

func TestAReminderIsForThoseWhoHaveNotActed(t *testing.T) {
	first, second := queued(1, 20*time.Hour), queued(2, 20*time.Hour)
	q := &queue{
		audience: []newsletter.Audience{got(7), {Got: copies(7), Done: []newsletter.ItemID{1}}, {Got: copies(7), Done: []newsletter.ItemID{1, 2}}, got(7, 8)},
		alerts:   []newsletter.AlertEdition{alerted(7, 3*day, first, second), alerted(8, 2*day, queued(3, 9*day))},
	}
	d, p := desk(q)
	o := newsletter.Order{List: urgent, Kind: newsletter.Reminder, Items: []newsletter.Item{first, second, queued(3, 0)}, Slot: newsletter.Slot{List: "urgent", Due: now, Follows: 7}}
	draft, all := drafted(t, d, p, o)
	both := group{News: []newsletter.ItemID{1, 2}}
	if diff := cmp.Diff([]group{both, {News: []newsletter.ItemID{2}}, {}, both}, all); diff != "" {
		t.Errorf("the groups get:\n%s", diff)
	}
	if q.asked.Follows != 7 || !slices.Equal(q.asked.Done, []newsletter.ItemID{1, 2}) || len(draft.Items) > 0 || !slices.Equal(draft.Again, []newsletter.ItemID{1, 2}) {
		t.Errorf("asked is %+v; new are %v, again %v", q.asked, draft.Items, draft.Again)
	}
	if c := p.rendered[0]; c.Kind != newsletter.Reminder || !c.Follows || draft.Kind != newsletter.Reminder {
		t.Errorf("rendered is %+v", c)
	}
	q.audience = q.audience[2:3]
	nothing(t, d, o, newsletter.SkippedNobody)
	o.Items = o.Items[2:]
	nothing(t, d, o, newsletter.SkippedNoItems)
}

// Readers of one alert may have had different actions in it, and of one action different alerts. What follows goes to those who had the
// action, by the first alert that brought it, and a reminder once.
func TestWhatFollowsGoesToThoseWhoHadTheAction(t *testing.T) {
	first, second := queued(1, 20*time.Hour), queued(2, 20*time.Hour)
	earlier, later, press, reminder := alerted(5, 4*day, first), alerted(9, day, first), alerted(4, 4*day, first), alerted(8, day, first)
	press.List, reminder.Kind = "press", newsletter.Reminder
	alert := alerted(7, 3*day, first, second)
	alert.Bears[2] = []newsletter.ItemID{2}
	onlySecond := newsletter.Audience{Got: []newsletter.Copy{{Edition: 7, Variant: 2}}}
	q := &queue{
		audience: []newsletter.Audience{got(7), onlySecond, got(5, 7), got(7, 9), got(4, 7), got(7, 8)},
		alerts:   []newsletter.AlertEdition{press, earlier, alert, reminder, later},
	}
	both, two := group{News: []newsletter.ItemID{1, 2}}, group{News: []newsletter.ItemID{2}}
	for kind, want := range map[newsletter.Kind][]group{
		newsletter.Reminder: {both, two, two, both, both, two}, // a list reminds of its own alerts
		newsletter.Update:   {both, two, two, both, two, both},
	} {
		d, p := desk(q)
		_, all := drafted(t, d, p, newsletter.Order{
			List: urgent, Kind: kind, Items: []newsletter.Item{first, second}, Slot: newsletter.Slot{List: "urgent", Due: now, Follows: 7},
		})
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("the groups get as %s:\n%s", kind, diff)
		}
	}
}

func TestAnUpdateIsAboutWhatHasClosed(t *testing.T) {
	won, open := queued(1, 9*day), queued(2, time.Hour)
	won.Ended, won.Won = now.Add(-time.Hour), true
	q := &queue{audience: []newsletter.Audience{got(7)}, alerts: []newsletter.AlertEdition{alerted(7, time.Hour, won, open)}}
	d, p := desk(q)
	d.AtMost = newsletter.AtMost{N: 1, Per: day}
	draft, all := drafted(t, d, p, newsletter.Order{
		List: urgent, Kind: newsletter.Update, Items: []newsletter.Item{won, open}, Slot: newsletter.Slot{List: "urgent", Due: now, Follows: 7},
	})
	if diff := cmp.Diff([]group{{News: []newsletter.ItemID{1, 2}}}, all); diff != "" {
		t.Errorf("the groups get:\n%s", diff)
	}
	if len(draft.Variants) != 1 || !draft.Variants[0].Until.IsZero() || len(p.rendered) != 1 || !p.rendered[0].Follows || p.rendered[0].Kind != newsletter.Update {
		t.Errorf("its forms are %+v, rendered as %+v", draft.Variants, p.rendered)
	}
	if q.asked.Follows != 7 || len(draft.Items) > 0 || !slices.Equal(draft.Again, []newsletter.ItemID{1, 2}) {
		t.Errorf("asked is %+v; new are %v, again %v", q.asked, draft.Items, draft.Again)
	}
}
