package store_test

import (
	"slices"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// An alert was made in the evening, and something held its copies up: at night they wait for the morning, unless that would be too late.
func TestCopiesThatWereHeldUpKeepTheNight(t *testing.T) {
	night := newsletter.QuietHours{From: 22 * time.Hour, Until: 7 * time.Hour} // start is 09:00 UTC
	tests := map[string]struct {
		zone     string
		listZone string
		kind     newsletter.Kind
		deadline time.Duration
		life     time.Duration
		now      time.Duration
		waits    time.Duration // until then; 0: it goes
	}{
		"by day":                           {"UTC", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 12 * time.Hour, 0},
		"by night":                         {"UTC", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 22 * time.Hour},
		"the night is over":                {"UTC", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 22 * time.Hour, 0},
		"a reminder":                       {"UTC", "", newsletter.Reminder, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 22 * time.Hour},
		"it is day where she is":           {"Asia/Tokyo", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 0},
		"her clock is not known":           {"", "Asia/Tokyo", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 0},
		"nor the list's":                   {"", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 22 * time.Hour},
		"no such zone":                     {"Mars/Olympus", "", newsletter.Alert, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 22 * time.Hour},
		"the action closes in the night":   {"UTC", "", newsletter.Alert, 22 * time.Hour, 72 * time.Hour, 15 * time.Hour, 0},
		"it closes in the morning":         {"UTC", "", newsletter.Alert, 22*time.Hour + time.Minute, 72 * time.Hour, 15 * time.Hour, 22 * time.Hour},
		"her patience ends in the night":   {"UTC", "", newsletter.Alert, 100 * time.Hour, 22 * time.Hour, 15 * time.Hour, 0},
		"and one that keeps no such hours": {"UTC", "", newsletter.Digest, 100 * time.Hour, 72 * time.Hour, 15 * time.Hour, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			act := action("Free the weavers")
			act.Deadline = start.Add(tt.deadline)
			takeIn(t, s, act)
			reader(t, s, "urgent", newsletter.Subscriber{Address: address(1), Zone: tt.zone})
			d := draft(t, s, "urgent", start)
			d.Kind, d.Life = tt.kind, tt.life
			d.Variants[0].Items = d.Items
			if tt.kind != newsletter.Digest {
				d.Quiet = night
			}
			if tt.listZone != "" {
				d.List.Zone = must[*time.Location](t)(time.LoadLocation(tt.listZone))
			}
			freeze(t, s, d)
			at := func(since time.Duration) int {
				c := newsletter.Claim{Run: 1, Lane: tt.kind.Lane(), Now: start.Add(since), N: 10}
				return len(must[[]newsletter.Delivery](t)(s.ClaimDeliveries(t.Context(), c)))
			}
			if tt.waits == 0 {
				if at(tt.now) != 1 {
					t.Error("it waits")
				}
				return
			}
			if at(tt.now) != 0 || at(tt.waits-time.Millisecond) != 0 || at(tt.waits) != 1 {
				t.Error("it does not wait, or not until the morning")
			}
		})
	}
}

// She has signed while her reminder waits for the morning.
func TestWhoHasActedIsNotReminded(t *testing.T) {
	s := open(t, t.TempDir())
	enrol(t, s, 3, "urgent")
	takeIn(t, s, action("Free the weavers"))
	takeIn(t, s, action("Open the archive"))
	d := draft(t, s, "urgent", start)
	one, two := d.Items[1], d.Items[0]
	d.Kind = newsletter.Alert
	alert := freeze(t, s, d)
	remind := func(slot time.Duration, items ...newsletter.ItemID) newsletter.EditionID {
		d := d
		d.Kind, d.Items, d.Again = newsletter.Reminder, nil, items
		d.Slot = newsletter.Slot{List: "urgent", Due: start.Add(slot), Follows: alert}
		d.Variants = slices.Clone(d.Variants)
		d.Variants[0].Items = items
		return freeze(t, s, d)
	}
	ofOne, ofBoth := remind(time.Hour, one), remind(2*time.Hour, one, two)
	pending := func(id newsletter.EditionID) int { return counts(t, s, id).Pending }
	must[int](t)(s.RecordDone(t.Context(), two, []newsletter.Address{address(1)}, start))
	must[int](t)(s.RecordDone(t.Context(), one, []newsletter.Address{address(0)}, start))
	if a, b, c := pending(alert), pending(ofOne), pending(ofBoth); a != 3 || b != 2 || c != 3 {
		t.Errorf("after one action the alert and the reminders have %d, %d, %d copies to go; want 3, 2, 3", a, b, c)
	}
	must[int](t)(s.RecordDone(t.Context(), two, []newsletter.Address{address(0)}, start))
	if b, c := pending(ofOne), pending(ofBoth); b != 2 || c != 2 {
		t.Errorf("after both the reminders have %d and %d copies to go; want 2 and 2", b, c)
	}
	if got := reasonsOf(t, s, ofBoth); !slices.Contains(got, store.Reason{State: newsletter.Withdrawn, Words: "the reader has taken the action", Count: 1}) {
		t.Errorf("why: %+v", got)
	}
	if taken := must[[]newsletter.ItemID](t)(s.Taken(t.Context(), []newsletter.ItemID{two, 99, one})); !slices.Equal(taken, []newsletter.ItemID{one, two}) {
		t.Errorf("taken are %v", taken)
	}
}
