package scheduler_test

import (
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
	nothing  = " " + string(newsletter.SkippedNoItems)
	forLater = " " + string(newsletter.SkippedForLater)
	missed   = " " + string(newsletter.SkippedMissed)
	tooLate  = " " + string(newsletter.SkippedLate)
	newPlan  = " " + string(newsletter.SkippedNewPlan)
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
