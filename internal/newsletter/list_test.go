package newsletter_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
)

func hours(from, until string) newsletter.QuietHours {
	clock := func(text string) time.Duration {
		at, err := time.Parse("15:04", text)
		if err != nil {
			panic(err)
		}
		return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	return newsletter.QuietHours{From: clock(from), Until: clock(until)}
}

func TestQuietHoursEnd(t *testing.T) {
	night, noon := hours("22:00", "07:00"), hours("12:00", "13:30")
	tests := map[string]struct {
		quiet newsletter.QuietHours
		zone  string
		at    string
		want  string // empty: not quiet
	}{
		"none":                         {newsletter.QuietHours{}, "UTC", "2026-11-23T03:00:00Z", ""},
		"before midnight":              {night, "UTC", "2026-11-23T23:59:00Z", "2026-11-24T07:00:00Z"},
		"after midnight":               {night, "UTC", "2026-11-24T00:00:00Z", "2026-11-24T07:00:00Z"},
		"at the beginning":             {night, "UTC", "2026-11-23T22:00:00Z", "2026-11-24T07:00:00Z"},
		"just before it":               {night, "UTC", "2026-11-23T21:59:59Z", ""},
		"just before the end":          {night, "UTC", "2026-11-24T06:59:59Z", "2026-11-24T07:00:00Z"},
		"at the end":                   {night, "UTC", "2026-11-24T07:00:00Z", ""},
		"by day":                       {noon, "UTC", "2026-11-23T12:30:00Z", "2026-11-23T13:30:00Z"},
		"at night":                     {noon, "UTC", "2026-11-23T03:00:00Z", ""},
		"over the end of a year":       {night, "UTC", "2026-12-31T23:00:00Z", "2027-01-01T07:00:00Z"},
		"east":                         {night, "Asia/Tokyo", "2026-11-23T13:00:00Z", "2026-11-23T22:00:00Z"},
		"a half hour off":              {night, "Asia/Tehran", "2026-11-23T19:00:00Z", "2026-11-24T03:30:00Z"},
		"west, on the day before":      {night, "America/Los_Angeles", "2026-11-23T09:00:00Z", "2026-11-23T15:00:00Z"},
		"the short night":              {night, "Europe/Berlin", "2026-03-28T21:00:00Z", "2026-03-29T05:00:00Z"},
		"the short night's other side": {night, "Europe/Berlin", "2026-03-29T04:59:00Z", "2026-03-29T05:00:00Z"},
		"the long night":               {night, "Europe/Berlin", "2026-10-24T20:00:00Z", "2026-10-25T06:00:00Z"},
		"the long night's other side":  {night, "Europe/Berlin", "2026-10-25T05:30:00Z", "2026-10-25T06:00:00Z"},
		"in the hour that is left out": {hours("02:00", "03:00"), "Europe/Berlin", "2026-03-29T01:00:00Z", ""},
		"a day without midnight":       {hours("00:00", "06:00"), "America/Santiago", "2026-09-06T05:00:00Z", "2026-09-06T09:00:00Z"},
		"all but an hour":              {hours("10:00", "09:00"), "UTC", "2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			end, quiet := tt.quiet.End(at, zone)
			if got := end.UTC().Format(time.RFC3339); quiet != (tt.want != "") || quiet && got != tt.want {
				t.Errorf("quiet: %v, until %s; want until %q", quiet, got, tt.want)
			}
		})
	}
}

// Whatever the zone and the season: it is quiet when the clock says so, and that ends within a day. The two nights a year in which the
// clock is changed are left to the table above.
func TestItIsQuietWhenTheClockSaysSo(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland", "Pacific/Kiritimati"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		minute := rapid.IntRange(0, 24*60-1)
		q := newsletter.QuietHours{From: time.Duration(minute.Draw(t, "from")) * time.Minute, Until: time.Duration(minute.Draw(t, "until")) * time.Minute}
		at := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "at"), 0).In(zone)
		_, before := at.AddDate(0, 0, -1).Zone()
		if _, after := at.AddDate(0, 0, 2).Zone(); before != after {
			return
		}
		clock := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
		want := clock >= q.From && clock < q.Until
		if q.From > q.Until {
			want = clock >= q.From || clock < q.Until
		}
		end, quiet := q.End(at, zone)
		if quiet != want {
			t.Fatalf("at %v quiet is %v", at, quiet)
		}
		if !quiet {
			return
		}
		if _, still := q.End(end, zone); still || !end.After(at) || end.Sub(at) > 24*time.Hour {
			t.Fatalf("at %v it ends at %v", at, end)
		}
	})
}

// Readers filter by the List-Id: neither a new title nor a new id changes it.
func TestAListIDIsOfTheFirstID(t *testing.T) {
	p := newsletter.Publisher{From: "news@example.org"}
	for want, l := range map[string]newsletter.List{
		"weekly.example.org": {ID: "weekly", Title: "Another"},
		"daily.example.org":  {ID: "weekly", Former: []string{"daily", "monday"}},
	} {
		if got := p.ListID(l); got != want {
			t.Errorf("the List-Id of %+v is %q, want %q", l, got, want)
		}
	}
}
