package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
)

// An edition on the readers' clocks is made at the first of their moments, and says when each of them is.
func TestReadersClocks(t *testing.T) {
	tests := map[string]struct {
		schedule string
		now      string // a day before
		made     string
		moments  map[string]string // by zone; the list is in Berlin
		next     string
		there    string // when that one is in New York
	}{
		"a common day": {"0 9 * * *", "2026-11-04T12:00:00Z", "2026-11-04T20:00:00Z", map[string]string{
			"Pacific/Auckland": "2026-11-04T20:00:00Z", "Europe/Berlin": "2026-11-05T08:00:00Z", "America/New_York": "2026-11-05T14:00:00Z",
			"": "2026-11-05T08:00:00Z", "Mars/Olympus": "2026-11-05T08:00:00Z",
		}, "2026-11-06T09:00:00Z", "2026-11-06T14:00:00Z"},
		"a gap in New York": {"30 2 * * *", "2026-03-07T12:30:00Z", "2026-03-07T13:30:00Z", map[string]string{
			"America/New_York": "2026-03-08T07:00:00Z", "Europe/Berlin": "2026-03-08T01:30:00Z", "Pacific/Auckland": "2026-03-07T13:30:00Z",
		}, "2026-03-09T02:30:00Z", "2026-03-09T06:30:00Z"},
		"an hour that runs twice in New York": {"30 1 * * *", "2026-10-31T11:30:00Z", "2026-10-31T12:30:00Z", map[string]string{
			"America/New_York": "2026-11-01T05:30:00Z", "Europe/Berlin": "2026-11-01T00:30:00Z",
		}, "2026-11-02T01:30:00Z", "2026-11-02T06:30:00Z"},
		"weekly": {"0 9 * * MON", "2026-11-06T12:00:00Z", "2026-11-08T20:00:00Z", map[string]string{"America/New_York": "2026-11-09T14:00:00Z"}, "2026-11-16T09:00:00Z", "2026-11-16T14:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNewsroom(daily, "01T00:00")
			n.change("", "Europe/Berlin")
			n.change(tt.schedule, "subscriber")
			n.zones = []string{"America/New_York", "Europe/Berlin", "Pacific/Auckland", "", "Mars/Olympus"}
			n.now, _ = time.Parse(time.RFC3339, tt.now)
			n.until(t, n.now)
			for made := len(n.orders); len(n.orders) == made; {
				n.until(t, n.now.Add(time.Minute))
			}
			o := n.orders[0]
			if got := n.at[0].UTC().Format(time.RFC3339); got != tt.made || o.NextSlot.Format(time.RFC3339) != tt.next {
				t.Errorf("slot %v was made at %s, and the next is %v", o.Slot.Due, got, o.NextSlot)
			}
			for zone, want := range tt.moments {
				if got := o.Moment(zone).UTC().Format(time.RFC3339); got != want {
					t.Errorf("in %q its moment is %s, want %s", zone, got, want)
				}
			}
			if got := o.NextMoment("America/New_York").UTC().Format(time.RFC3339); got != tt.there {
				t.Errorf("in New York the next one's moment is %s, want %s", got, tt.there)
			}
		})
	}
}

// What is made goes to everybody, however late that is for some; where missed slots are skipped, a copy whose moment is over is not made.
func TestReadersClocksAfterDowntime(t *testing.T) {
	for onMissed, late := range map[newsletter.OnMissed]time.Duration{newsletter.MissedLatest: 0, newsletter.MissedSkip: 2 * time.Minute} {
		list := daily
		list.OnMissed = onMissed
		n := newNewsroom(list, "04T12:00")
		n.zones = []string{"America/New_York", "Pacific/Auckland"}
		n.change("0 9 * * *", "subscriber")
		n.until(t, n.now)
		n.now = at("05T10:00") // between the two
		n.until(t, n.now)
		wantDecided(t, n, "05T09:00 made 05T10:00")
		if got := n.orders[0].Late; got != late {
			t.Errorf("%s: a copy may be %v late, want %v", onMissed, got, late)
		}
	}
}

// In an hour that runs twice, what the clock has shown is over: a list that is new then begins with the next day.
func TestAListThatBeginsInAnHourThatRunsTwice(t *testing.T) {
	n := newNewsroom(daily, "01T06:10") // New York shows 01:10 for the second time
	n.zones = []string{"America/New_York"}
	n.change("30 1 * * *", "subscriber")
	n.until(t, at("02T12:00"))
	wantDecided(t, n, "02T01:30 made 02T06:30")
}

// Readers come and go with their zones, day by day and from either end of the world. Each slot is made once.
func TestReadersWhoMove(t *testing.T) {
	names := []string{"", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Apia", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "America/New_York"}
	rapid.Check(t, func(r *rapid.T) {
		n := newNewsroom(daily, "01T00:00")
		n.now = n.now.Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(r, "begin")) * time.Minute)
		schedule := rapid.SampledFrom([]string{"0 9 * * *", "30 2 * * *", "0 0 * * MON", "0 */6 * * *"}).Draw(r, "schedule")
		n.change(schedule, "subscriber")
		n.zones = []string{"UTC"}
		n.until(t, n.now)
		begin := n.now
		for range rapid.IntRange(5, 30).Draw(r, "changes") {
			n.zones = append(rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID).Draw(r, "zones"), "UTC") // somebody stays
			n.restart = rapid.Bool().Draw(r, "restart")
			n.until(t, n.now.Add(time.Duration(rapid.IntRange(1, 36*60).Draw(r, "minutes"))*time.Minute))
		}
		n.zones = []string{"UTC"}
		n.until(t, n.now.Add(27*time.Hour))
		s, err := scheduler.Parse(schedule, time.UTC)
		if err != nil {
			r.Fatal(err)
		}
		made := map[time.Time]bool{}
		for _, o := range n.orders {
			made[o.Slot.Due] = true
		}
		for slot := s.Next(begin); !slot.After(n.now); slot = s.Next(slot) {
			fate := n.fates[newsletter.Slot{List: "daily", Due: slot}]
			if !made[slot] && (fate != newsletter.SkippedForLater || schedule != "0 */6 * * *") {
				r.Fatalf("slot %v of %q from %v: %q\n%s", slot, schedule, begin, fate, n.log.String())
			}
		}
		if strings.Contains(n.log.String(), "clock was wrong") {
			r.Fatalf("readers who leave are taken for a wrong clock:\n%s", n.log.String())
		}
	})
}

// When all readers of the most eastern zone leave, the list is a day ahead of those who stay; that is no wrong clock.
func TestTheMostEasternReadersLeave(t *testing.T) {
	n := newNewsroom(daily, "01T00:00")
	n.zones = []string{"Pacific/Kiritimati"} // +14
	n.change("0 9 * * *", "subscriber")
	n.until(t, at("03T19:00"))
	n.zones = []string{"Pacific/Pago_Pago"} // -11
	n.until(t, at("05T21:00"))
	wantDecided(t, n, "02T09:00 made 01T19:00", "03T09:00 made 02T19:00", "04T09:00 made 03T19:00", "05T09:00 made 05T20:00")
	if strings.Contains(n.log.String(), "clock was wrong") {
		t.Errorf("it is taken for one:\n%s", n.log.String())
	}
}
