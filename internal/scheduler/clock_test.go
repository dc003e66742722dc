package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
)

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

// What a clock that was ahead has skipped is made when it comes. What it has made is made, and not again.
func TestAClockThatWasAheadLosesNoSlot(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]struct {
		schedule, zone string
		onMissed       newsletter.OnMissed
		jump           string
		ahead          time.Duration
		empty          bool // there is nothing to say meanwhile
		mended         string
		until          string
		want           []string
	}{
		"daily": {"0 9 * * *", "UTC", "", "02T10:00", 10 * day, false, "02T11:00", "14T10:00", []string{
			"02T09:00 made 02T09:00", "03T09:00 made 03T09:00", "04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "06T09:00 made 06T09:00", "07T09:00 made 07T09:00",
			"08T09:00 made 08T09:00", "09T09:00 made 09T09:00", "10T09:00 made 10T09:00", "11T09:00 made 11T09:00", "12T09:00 made 12T10:00", "13T09:00 made 13T09:00", "14T09:00 made 14T09:00",
		}},
		"daily, on the readers' clocks": {"0 9 * * *", "subscriber", "", "02T10:00", 3 * day, false, "02T11:00", "06T07:00", []string{
			"02T09:00 made 02T08:00", "03T09:00 made 03T08:00", "04T09:00 made 04T08:00", "05T09:00 made 05T10:00",
		}},
		"weekly": {"0 9 * * MON", "UTC", "", "03T10:00", 24 * day, false, "03T10:30", "24T10:00", []string{
			"02T09:00 made 02T09:00", "09T09:00 made 09T09:00", "16T09:00 made 16T09:00", "23T09:00 made 23T09:00",
		}},
		"several a day, by little more than a day": {"0 */6 * * *", "UTC", "", "03T10:00", 30 * time.Hour, false, "03T10:05", "04T18:00", []string{
			"02T00:00 made 02T00:00", "02T06:00 made 02T06:00", "02T12:00 made 02T12:00", "02T18:00 made 02T18:00", "03T00:00 made 03T00:00", "03T06:00 made 03T06:00",
			"03T12:00 made 03T12:00", "03T18:00 made 03T18:00", "04T00:00 made 04T00:00", "04T06:00 made 04T06:00", "04T12:00 made 04T16:00", "04T18:00 made 04T18:00",
		}},
		"weekly, where missed slots are skipped, by little": {"0 9 * * MON", "UTC", newsletter.MissedSkip, "09T08:00", 90 * time.Minute, false, "09T08:10", "09T10:00", []string{
			"02T09:00 made 02T09:00", "09T09:00 made 09T09:00",
		}},
		"with nothing to say then": {"0 9 * * *", "UTC", "", "03T08:00", 2 * time.Hour, true, "03T08:30", "03T10:00", []string{
			"02T09:00 made 02T09:00", "03T09:00 made 03T09:00",
		}},
		"with nothing to say later, either": {"0 9 * * *", "UTC", "", "03T08:00", 2 * time.Hour, true, "03T11:00", "03T12:00", []string{
			"02T09:00 made 02T09:00", "03T09:00" + nothing,
		}},
	}
	for name, tt := range tests {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " restarts ", restart), func(t *testing.T) {
				list := daily
				list.OnMissed = tt.onMissed
				n := newNewsroom(list, "01T20:00")
				n.zones, n.restart = []string{"Europe/Berlin", "America/New_York"}, restart
				n.change(tt.schedule, tt.zone)
				n.until(t, at(tt.jump))
				n.now, n.empty = n.now.Add(tt.ahead), tt.empty
				n.until(t, at(tt.mended).Add(tt.ahead))
				n.now, n.empty = at(tt.mended), false
				n.until(t, at(tt.until))
				wantDecided(t, n, tt.want...)
				told := 1
				if tt.mended == "03T11:00" { // then nothing lay ahead
					told = 0
				}
				if got := strings.Count(n.log.String(), "clock was wrong"); got != told {
					t.Errorf("that the clock was wrong is told %d times, want %d\n%s", got, told, n.log.String())
				}
			})
		}
	}
}

// Plans change while the clock is ahead and after it is mended: still no day has its slot twice, and none loses it.
func TestAPlanThatChangesAroundAClockThatWasAhead(t *testing.T) {
	const ahead = 20 * 24 * time.Hour
	berlin, readers := "Europe/Berlin", "subscriber"
	tests := map[string]struct {
		first  change
		before change // all of them may be none
		wrong  change // by the clock that is ahead, from 05T10:00
		after  change // from the moment on at which the clock is mended
		want   []string
	}{
		"none": {
			change{"", "0 9 * * *", "UTC"},
			change{},
			change{},
			change{"05T11:00", "0 9 * * *", "UTC"},
			[]string{"04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "06T09:00 made 06T09:00", "07T09:00 made 07T09:00", "25T09:00 made 25T10:00"},
		},
		"meanwhile, and again": {
			change{"", "0 9 * * *", "UTC"},
			change{},
			change{"25T10:30", "30 10 * * *", "UTC"},
			change{"05T11:00", "0 15 * * *", "UTC"},
			[]string{"04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "05T15:00" + newPlan, "06T15:00 made 06T15:00", "07T15:00 made 07T15:00", "25T09:00 made 25T10:00"},
		},
		"meanwhile, before the day's slot, and again": {
			change{"", "0 13 * * *", "UTC"},
			change{},
			change{"25T10:30", "0 14 * * *", "UTC"},
			change{"05T11:00", "0 15 * * *", "UTC"},
			[]string{"04T13:00 made 04T13:00", "05T15:00 made 05T15:00", "06T15:00 made 06T15:00", "07T15:00 made 07T15:00"},
		},
		"afterwards": {
			change{"", "0 9 * * *", "UTC"},
			change{},
			change{},
			change{"05T11:00", "0 12 * * *", "UTC"},
			[]string{"04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "05T12:00" + newPlan, "06T12:00 made 06T12:00", "07T12:00 made 07T12:00", "25T09:00 made 25T10:00"},
		},
		"before": {
			change{"", "0 9 * * *", "UTC"},
			change{"05T09:30", "0 12 * * *", "UTC"},
			change{},
			change{"05T11:00", "0 12 * * *", "UTC"},
			[]string{"04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "05T12:00" + newPlan, "06T12:00 made 06T12:00", "07T12:00 made 07T12:00"},
		},
		"before, and afterwards": {
			change{"", "0 9 * * *", "UTC"},
			change{"05T09:30", "0 12 * * *", "UTC"},
			change{},
			change{"05T11:00", "0 13 * * *", "UTC"},
			[]string{"04T09:00 made 04T09:00", "05T09:00 made 05T09:00", "05T12:00" + newPlan, "05T13:00" + newPlan, "06T13:00 made 06T13:00", "07T13:00 made 07T13:00"},
		},
		"to the readers' clocks": {
			change{"", "0 13 * * *", berlin},
			change{},
			change{},
			change{"05T11:00", "0 9 * * *", readers},
			[]string{"04T12:00 made 04T12:00", "05T09:00 made 05T11:00", "06T09:00 made 05T20:00", "07T09:00 made 06T20:00"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNewsroom(daily, "04T08:00")
			n.zones = []string{"America/New_York", "Pacific/Auckland"}
			n.change(tt.first.schedule, tt.first.zone)
			n.until(t, n.now)
			for _, c := range []change{tt.before, {at: "05T10:00"}, tt.wrong, tt.after} {
				if c.at != "" && at(c.at).Before(n.now) {
					n.now = at(c.at)
				} else if c.at != "" {
					n.until(t, at(c.at))
				}
				if c.schedule != "" {
					n.change(c.schedule, c.zone)
					n.until(t, n.now)
				} else if c.at != "" {
					n.now = n.now.Add(ahead)
					n.until(t, n.now)
				}
			}
			n.until(t, at("07T18:00"))
			got := slices.DeleteFunc(n.decided(), func(line string) bool { return strings.HasSuffix(line, forLater) || strings.HasSuffix(line, tooLate) })
			if !slices.Equal(got, tt.want) {
				t.Errorf("slots\n\t%s\nwant\n\t%s\n%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"), n.log.String())
			}
		})
	}
}

// However often a clock runs ahead for a while: each slot that comes while it is right has its edition.
func TestEachSlotUnderARightClockIsMade(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := newNewsroom(daily, "01T00:00")
		n.list.OnMissed = rapid.SampledFrom([]newsletter.OnMissed{newsletter.MissedLatest, newsletter.MissedSkip}).Draw(r, "on_missed")
		schedule := rapid.SampledFrom([]string{"0 9 * * *", "0 * * * *", "0 9 * * MON", "0 0 1,15 * *"}).Draw(r, "schedule")
		n.zones = []string{"UTC"}
		n.change(schedule, rapid.SampledFrom([]string{"UTC", "subscriber"}).Draw(r, "zone"))
		n.restart = rapid.Bool().Draw(r, "restart")
		s, err := scheduler.Parse(schedule, time.UTC)
		if err != nil {
			r.Fatal(err)
		}
		n.until(t, n.now)
		for range rapid.IntRange(1, 8).Draw(r, "turns") {
			begin := n.now
			n.until(t, n.now.Add(time.Duration(rapid.IntRange(1, 9*24*60).Draw(r, "right"))*time.Minute))
			for slot := s.Next(begin); !slot.After(n.now); slot = s.Next(slot) {
				if fate := n.fates[newsletter.Slot{List: "daily", Due: slot}]; fate != newsletter.MadeEdition {
					r.Fatalf("the slot %v of %q: %q\n%s", slot, schedule, fate, n.log.String())
				}
			}
			mended := n.now.Add(time.Duration(rapid.IntRange(0, 24*60).Draw(r, "wrong")) * time.Minute)
			ahead := time.Duration(rapid.IntRange(1, 59*24*60).Draw(r, "ahead")) * time.Minute
			n.now = n.now.Add(ahead)
			n.until(t, mended.Add(ahead))
			n.now = mended
			n.until(t, n.now)
		}
	})
}
