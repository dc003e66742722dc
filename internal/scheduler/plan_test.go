package scheduler_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
)

// newsroom has one list and a clock that goes from one look of the scheduler to the next.
type newsroom struct {
	*press
	list    newsletter.List
	now     time.Time
	restart bool // a new scheduler looks each time, as if serve was restarted in between
	s       *scheduler.Scheduler
	log     strings.Builder
}

func newNewsroom(list newsletter.List, now string) *newsroom {
	n := &newsroom{press: &press{ledger: newLedger()}, list: list, now: at(now)}
	n.clock = func() time.Time { return n.now }
	return n
}

// at is a moment of November 2026, in UTC: "05T09:00". Its fifth day is a Thursday.
func at(moment string) time.Time {
	t, err := time.Parse("2006-01-02T15:04", "2026-11-"+moment)
	if err != nil {
		panic(err)
	}
	return t
}

// change gives the list another plan. As with a reload, another scheduler goes on.
func (n *newsroom) change(schedule, zone string) {
	n.list.Schedule, n.s = schedule, nil
	if n.list.Local = zone == "subscriber"; !n.list.Local {
		n.list.Zone, _ = time.LoadLocation(zone)
	}
}

// until runs the scheduler up to a moment, and at it.
func (n *newsroom) until(t *testing.T, moment time.Time) {
	t.Helper()
	for looks := 0; ; looks++ {
		if n.s == nil || n.restart {
			var err error
			if n.s, err = scheduler.New(n.ledger, n.press, []newsletter.List{n.list}, n.clock, slog.New(slog.NewTextHandler(&n.log, nil))); err != nil {
				t.Fatal(err)
			}
		}
		switch next := n.s.Look(t.Context()); {
		case !next.IsZero() && !next.After(n.now):
			if looks > 100 {
				t.Fatalf("the scheduler looks without end at %v\n%s", n.now, n.log.String())
			}
			continue
		case next.IsZero() || next.After(moment):
			n.now = moment
			return
		default:
			n.now, looks = next, 0
		}
	}
}

// decided tells each slot with its fate, and when an edition was made.
func (n *newsroom) decided() (all []string) {
	for slot, fate := range n.fates {
		if slot.Follows != 0 {
			all = append(all, fmt.Sprintf("%s of %d %s", slot.Due.Format("02T15:04"), slot.Follows, fate))
			continue
		}
		line := fmt.Sprintf("%s %s", slot.Due.Format("02T15:04"), fate)
		for i, o := range n.orders {
			if o.Slot == slot {
				line = fmt.Sprintf("%s made %s", slot.Due.Format("02T15:04"), n.at[i].UTC().Format("02T15:04"))
			}
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func wantDecided(t *testing.T, n *newsroom, want ...string) {
	t.Helper()
	if got := n.decided(); !slices.Equal(got, want) {
		t.Errorf("slots\n\t%s\nwant\n\t%s\n%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), n.log.String())
	}
}

const (
	forLater = " skipped: missed, a later slot was made"
	missed   = " skipped: missed"
	tooLate  = " skipped: too late"
	newPlan  = " skipped: the schedule has changed, and this day had its slot"
)

// What came while nothing ran becomes what on_missed and max_lateness say, and each slot of it has its fate.
func TestWhatBecomesOfMissedSlots(t *testing.T) {
	tests := map[string]struct {
		onMissed newsletter.OnMissed
		most     time.Duration
		back     string
		want     []string
	}{
		"one edition for all":                {newsletter.MissedLatest, 0, "07T11:00", []string{"05T09:00" + forLater, "06T09:00" + forLater, "07T09:00 made 07T11:00"}},
		"that is what is done by default":    {"", 0, "06T09:30", []string{"05T09:00" + forLater, "06T09:00 made 06T09:30"}},
		"all are too late":                   {newsletter.MissedLatest, time.Hour, "06T10:01", []string{"05T09:00" + tooLate, "06T09:00" + tooLate}},
		"the latest is just not too late":    {newsletter.MissedLatest, time.Hour, "06T10:00", []string{"05T09:00" + forLater, "06T09:00 made 06T10:00"}},
		"too late is half a day by default":  {newsletter.MissedLatest, 0, "05T21:01", []string{"05T09:00" + tooLate}},
		"missed slots are skipped":           {newsletter.MissedSkip, 0, "06T09:03", []string{"05T09:00" + missed, "06T09:00" + missed}},
		"two minutes late is not yet missed": {newsletter.MissedSkip, 0, "06T09:02", []string{"05T09:00" + missed, "06T09:00 made 06T09:02"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			list := daily
			list.OnMissed, list.MaxLateness = tt.onMissed, tt.most
			n := newNewsroom(list, "04T12:00")
			n.until(t, at("04T12:00"))
			n.now = at(tt.back)
			n.until(t, n.now)
			wantDecided(t, n, tt.want...)
			if next := at("01T09:00").AddDate(0, 0, n.now.Day()); len(n.orders) > 0 && !n.orders[0].NextSlot.Equal(next) {
				t.Errorf("the copies are good until %v, want %v", n.orders[0].NextSlot, next)
			}
		})
	}
}

func TestAListsFirstSlotIsItsNextOne(t *testing.T) {
	for _, zone := range []string{"UTC", "subscriber"} {
		n := newNewsroom(daily, "05T09:01")
		n.zones = []string{"UTC"}
		n.change("0 9 * * *", zone)
		n.until(t, at("06T12:00"))
		wantDecided(t, n, "06T09:00 made 06T09:00")
	}
}

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

// A clock that is set back makes no slot again, and none is lost when it goes on.
func TestAClockThatGoesBack(t *testing.T) {
	for _, back := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 25 * time.Hour, 3 * 24 * time.Hour, 6 * 24 * time.Hour} {
		n := newNewsroom(daily, "01T12:00")
		n.until(t, at("08T09:00"))
		n.now = n.now.Add(-back)
		n.until(t, at("10T12:00"))
		if got, want := fmt.Sprint(due(n.orders)), "[02T09:00 03T09:00 04T09:00 05T09:00 06T09:00 07T09:00 08T09:00 09T09:00 10T09:00]"; got != want {
			t.Errorf("the clock goes back by %v: editions for %s, want %s", back, got, want)
		}
	}
}

// An alert does not wait until a clock that was ahead once has come so far again.
func TestAnAlertAfterAClockThatWasAhead(t *testing.T) {
	n := newNewsroom(newsletter.List{ID: "urgent", Kind: newsletter.Alert, Wait: 10 * time.Minute}, "06T12:00")
	n.alerts = []time.Time{at("06T12:00")}
	n.until(t, at("06T13:00"))
	n.now = at("05T12:00")
	n.alerts = []time.Time{at("05T12:30")}
	n.until(t, n.now)
	n.until(t, at("05T13:00"))
	wantDecided(t, n, "05T12:40 made 05T12:40", "06T12:10 made 06T12:10")
}

// While mail is held back nothing is decided; that is told once, and so is that it goes on.
func TestHeldMail(t *testing.T) {
	n := newNewsroom(daily, "04T12:00")
	n.until(t, n.now)
	n.until(t, at("05T08:59").Add(30*time.Second))
	n.until(t, n.now)
	n.held = "the clock is far ahead"
	for n.now = at("05T09:30"); n.now.Before(at("05T10:00")); n.now = n.now.Add(5 * time.Second) {
		n.until(t, n.now)
	}
	n.now = at("05T08:59").Add(59 * time.Second) // set back to when mail still went
	n.until(t, n.now.Add(time.Minute))
	n.until(t, at("05T10:00"))
	wantDecided(t, n)
	n.held = ""
	n.until(t, n.now)
	wantDecided(t, n, "05T09:00 made 05T10:00")
	for _, words := range []string{"the clock is far ahead", "mail goes again"} {
		if strings.Count(n.log.String(), words) != 1 {
			t.Errorf("%q is not told once:\n%s", words, n.log.String())
		}
	}
}

// A reminder is made when it is due, however late that is: what it asks for can still be done. One that fails holds up no other.
func TestReminders(t *testing.T) {
	alert := newsletter.List{ID: "urgent", Kind: newsletter.Alert, MaxLateness: time.Hour}
	n := newNewsroom(alert, "05T09:00")
	for id, due := range map[newsletter.EditionID]string{1: "03T05:59", 2: "05T06:00", 3: "05T12:00", 4: "05T06:00"} {
		n.owed = append(n.owed, newsletter.Order{List: alert, Kind: newsletter.Reminder, Slot: newsletter.Slot{List: "urgent", Due: at(due), Follows: id}})
	}
	slices.SortFunc(n.owed, func(a, b newsletter.Order) int { return int(b.Slot.Follows - a.Slot.Follows) })
	n.spoilt = 4
	n.until(t, n.now)
	n.until(t, n.now)
	wantDecided(t, n, "03T05:59 of 1 edition", "05T06:00 of 2 edition")
	if strings.Count(n.log.String(), "there is no template") != 1 {
		t.Errorf("that one fails is not told once:\n%s", n.log.String())
	}
	n.owed = n.owed[1:]
	n.until(t, at("05T11:00"))
	wantDecided(t, n, "03T05:59 of 1 edition", "05T06:00 of 2 edition")
	n.until(t, at("05T12:00"))
	wantDecided(t, n, "03T05:59 of 1 edition", "05T06:00 of 2 edition", "05T12:00 of 3 edition")
	if late := n.at[2].Sub(at("05T12:00")); late != 0 {
		t.Errorf("the last reminder is %v late", late)
	}
}
