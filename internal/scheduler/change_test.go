package scheduler_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
)

// change is another plan from a moment on.
type change struct{ at, schedule, zone string }

// However the plan changes, on the clock of either a day neither has its slot twice nor loses it, and no restart makes a difference.
func TestAChangedPlanNeitherRepeatsNorSkipsADay(t *testing.T) {
	tests := map[string]struct {
		from, until string
		plans       []change
		want        []string
	}{
		"to a later hour, after it was sent": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 12 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "05T12:00" + newPlan, "06T12:00 made 06T12:00"},
		},
		"to an earlier hour, before it went": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 12 * * *", "UTC"}, {"05T10:00", "0 9 * * *", "UTC"}},
			[]string{"05T09:00 made 05T10:00", "06T09:00 made 06T09:00"},
		},
		"to an earlier hour, after it was sent": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 8 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "06T08:00 made 06T08:00"},
		},
		"to a later hour, before it went": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T08:00", "0 12 * * *", "UTC"}},
			[]string{"05T12:00 made 05T12:00", "06T12:00 made 06T12:00"},
		},
		"twice on one day": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 8 * * *", "UTC"}, {"05T11:00", "0 12 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "05T12:00" + newPlan, "06T12:00 made 06T12:00"},
		},
		"there and back on one day": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 12 * * *", "UTC"}, {"05T11:00", "0 9 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "05T12:00" + newPlan, "06T09:00 made 06T09:00"},
		},
		"by way of a plan without that day": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 9 * * MON", "UTC"}, {"05T11:00", "0 8 * * MON", "UTC"}, {"05T12:00", "0 15 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "05T15:00" + newPlan, "06T15:00 made 06T15:00"},
		},
		"a weekly list to another day": {
			"01T00:30", "12T00:00",
			[]change{{"", "0 9 * * MON", "UTC"}, {"05T10:00", "0 9 * * WED", "UTC"}},
			[]string{"02T09:00 made 02T09:00", "11T09:00 made 11T09:00"},
		},
		"from weekly to daily": {
			"01T00:30", "07T00:00",
			[]change{{"", "0 9 * * MON", "UTC"}, {"05T10:00", "0 9 * * *", "UTC"}},
			[]string{"02T09:00 made 02T09:00", "06T09:00 made 06T09:00"},
		},
		"to several a day": {
			"04T12:30", "05T23:00",
			[]change{{"", "0 9 * * *", "UTC"}, {"05T10:00", "0 8,16,20 * * *", "UTC"}},
			[]string{"05T09:00 made 05T09:00", "05T16:00 made 05T16:00", "05T20:00 made 05T20:00"},
		},
		"to several a day, before it went": {
			"04T14:30", "05T20:00",
			[]change{{"", "0 14 * * *", "UTC"}, {"05T10:00", "0 */6 * * *", "UTC"}},
			[]string{"05T12:00 made 05T12:00", "05T18:00 made 05T18:00"},
		},
		"to a western zone, after it was sent": {
			"04T12:30", "06T23:00",
			[]change{{"", "0 9 * * *", "Europe/Berlin"}, {"05T09:00", "0 9 * * *", "America/New_York"}},
			[]string{"05T08:00 made 05T08:00", "05T14:00" + newPlan, "06T14:00 made 06T14:00"},
		},
		"to an eastern zone, after it was sent": {
			"04T14:30", "06T23:00",
			[]change{{"", "0 9 * * *", "America/New_York"}, {"05T20:00", "0 9 * * *", "Europe/Berlin"}},
			[]string{"05T14:00 made 05T14:00", "06T08:00 made 06T08:00"},
		},
		"to an eastern zone, before it went": {
			"04T14:30", "06T23:00",
			[]change{{"", "0 9 * * *", "America/New_York"}, {"05T10:00", "0 9 * * *", "Europe/Berlin"}},
			[]string{"05T08:00 made 05T10:00", "06T08:00 made 06T08:00"},
		},
		"from where it is tomorrow": {"04T14:30", "07T00:00", []change{{"", "0 9 * * *", "Pacific/Apia"}, {"05T21:00", "0 23 * * *", "UTC"}}, // Apia: +13
			[]string{"04T20:00 made 04T20:00", "05T20:00 made 05T20:00", "05T23:00" + newPlan, "06T23:00" + newPlan}},
		"to the readers' clocks, after it was sent": {
			"04T12:30", "06T19:00",
			[]change{{"", "0 9 * * *", "Europe/Berlin"}, {"05T09:00", "0 9 * * *", "subscriber"}},
			[]string{"05T08:00 made 05T08:00", "06T09:00 made 05T20:00"},
		},
		"to the readers' clocks, before it went": {
			"04T12:30", "05T19:00",
			[]change{{"", "0 9 * * *", "Europe/Berlin"}, {"05T07:00", "0 9 * * *", "subscriber"}},
			[]string{"05T09:00 made 05T07:00"},
		},
		"from the readers' clocks, while it is under way": {
			"04T21:00", "07T19:00",
			[]change{{"", "0 9 * * *", "subscriber"}, {"05T21:00", "0 9 * * *", "Europe/Berlin"}},
			[]string{"06T08:00" + newPlan, "06T09:00 made 05T20:00", "07T08:00 made 07T08:00"},
		},
	}
	for name, tt := range tests {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " restarts ", restart), func(t *testing.T) {
				n := newNewsroom(daily, tt.from)
				n.zones, n.restart = []string{"America/New_York", "Europe/Berlin", "Pacific/Auckland"}, restart
				for _, c := range tt.plans {
					if c.at != "" {
						n.until(t, at(c.at))
					}
					n.change(c.schedule, c.zone)
				}
				n.until(t, at(tt.until))
				wantDecided(t, n, tt.want...)
			})
		}
	}
}

// A slot that is over only since the plan has changed is not late: it is made however long its time is over, and whatever becomes of
// slots that were missed. On the readers' clocks everybody gets it.
func TestTheDaysSlotIsNotLateWhenThePlanHasChanged(t *testing.T) {
	tests := map[string]struct {
		onMissed newsletter.OnMissed
		plans    []change
		jammed   int
		want     []string
	}{
		"missed slots are skipped": {
			newsletter.MissedSkip,
			[]change{{"", "0 12 * * *", "UTC"}, {"05T10:00", "0 9 * * *", "UTC"}},
			0,
			[]string{"05T09:00 made 05T10:00", "06T09:00 made 06T09:00"},
		},
		"longer ago than the most": {
			newsletter.MissedLatest,
			[]change{{"", "0 23 * * *", "UTC"}, {"05T14:00", "0 1 * * *", "UTC"}},
			0,
			[]string{"04T23:00 made 04T23:00", "05T01:00 made 05T14:00", "06T01:00 made 06T01:00"},
		},
		"several a day": {
			newsletter.MissedSkip,
			[]change{{"", "0 23 * * *", "UTC"}, {"05T14:00", "0 1,2,3 * * *", "UTC"}},
			0,
			[]string{"04T23:00 made 04T23:00", "05T01:00" + forLater, "05T02:00" + forLater, "05T03:00 made 05T14:00", "06T01:00 made 06T01:00", "06T02:00 made 06T02:00", "06T03:00 made 06T03:00"},
		},
		"the day has had its slot then": {
			newsletter.MissedSkip,
			[]change{{"", "0 12 * * *", "UTC"}, {"05T10:00", "0 9 * * *", "UTC"}, {"05T11:00", "0 13 * * *", "UTC"}},
			0,
			[]string{"05T09:00 made 05T10:00", "05T13:00" + newPlan, "06T13:00 made 06T13:00"},
		},
		"it fails at first": {
			newsletter.MissedSkip,
			[]change{{"", "0 12 * * *", "UTC"}, {"05T10:00", "0 9 * * *", "UTC"}},
			50,
			[]string{"05T09:00 made 05T10:04", "06T09:00 made 06T09:00"},
		},
		"to the readers' clocks": {
			newsletter.MissedSkip,
			[]change{{"", "0 23 * * *", "Europe/Berlin"}, {"05T20:00", "0 9 * * *", "subscriber"}},
			0,
			[]string{"04T22:00 made 04T22:00", "05T09:00 made 05T20:00", "06T09:00 made 06T08:00"},
		},
	}
	for name, tt := range tests {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " restarts ", restart), func(t *testing.T) {
				list := daily
				list.OnMissed = tt.onMissed
				n := newNewsroom(list, "04T12:30")
				n.zones, n.restart = []string{"Europe/Berlin", "Pacific/Pago_Pago"}, restart
				for _, c := range tt.plans {
					if c.at != "" {
						n.until(t, at(c.at))
					}
					n.change(c.schedule, c.zone)
				}
				for n.jammed = tt.jammed; n.jammed > 0; n.now = n.now.Add(5 * time.Second) {
					n.until(t, n.now)
				}
				n.until(t, at("06T14:00"))
				wantDecided(t, n, tt.want...)
				for _, o := range n.orders {
					if o.Slot.Due.Equal(at("05T09:00")) && o.Late != 0 {
						t.Errorf("a copy of it may be %v late; those are barred from it whose time was before", o.Late)
					}
				}
			})
		}
	}
}

// What came before the plan was changed is what the old one says, also where the machine was off and the ledger fails at first.
func TestOldSlotsAreDecidedByTheOldPlan(t *testing.T) {
	n := newNewsroom(daily, "04T12:00")
	n.until(t, n.now)
	n.now = at("06T10:00")
	n.change("0 12 * * *", "UTC")
	n.until(t, at("07T13:00"))
	wantDecided(t, n, "05T09:00"+forLater, "06T09:00 made 06T10:00", "06T12:00"+newPlan, "07T12:00 made 07T12:00")

	n = newNewsroom(daily, "04T12:00")
	n.zones = []string{"UTC"}
	n.change("0 9 * * *", "subscriber")
	n.until(t, n.now)
	n.now = at("06T10:00")
	n.change("0 12 * * *", "UTC")
	n.broken = errors.New("the disk is out of order")
	n.until(t, n.now)
	n.broken = nil
	n.until(t, n.now)
	wantDecided(t, n, "05T09:00"+forLater, "06T09:00 made 06T10:00", "06T12:00"+newPlan)
}

func TestAPlanThatCannotBeReadStopsNoList(t *testing.T) {
	n := newNewsroom(daily, "05T08:00")
	n.marks["daily"] = newsletter.Mark{Considered: at("01T00:00"), Schedule: "0 9 * * *", Zone: "Nowhere/Atall"}
	n.until(t, at("05T10:00"))
	wantDecided(t, n, "05T09:00 made 05T09:00")
}
