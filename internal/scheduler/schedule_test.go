package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/scheduler"
)

func parse(t testing.TB, line string, zone *time.Location) scheduler.Schedule {
	t.Helper()
	s, err := scheduler.Parse(line, zone)
	if err != nil {
		t.Fatalf("schedule %q %v", line, err)
	}
	return s
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestSlotsWhereClocksChange(t *testing.T) {
	tests := map[string]struct {
		zone, line, after, want string
	}{
		"a time that is skipped":                               {"America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z 2026-03-09T06:30:00Z"},
		"a time that comes twice":                              {"America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z 2026-11-02T06:30:00Z"},
		"asked for between the two":                            {"America/New_York", "45 1 * * *", "2026-11-01T06:15:00Z", "2026-11-02T06:45:00Z"},
		"quarters of an hour over a gap":                       {"America/New_York", "*/15 * * * *", "2026-03-08T06:30:00Z", "2026-03-08T06:45:00Z 2026-03-08T07:00:00Z 2026-03-08T07:15:00Z"},
		"quarters of an hour that comes twice":                 {"America/New_York", "*/15 * * * *", "2026-11-01T05:30:00Z", "2026-11-01T05:45:00Z 2026-11-01T07:00:00Z 2026-11-01T07:15:00Z"},
		"each hour, one of them twice":                         {"America/New_York", "0 * * * *", "2026-11-01T04:30:00Z", "2026-11-01T05:00:00Z 2026-11-01T07:00:00Z"},
		"several times in one gap":                             {"America/New_York", "*/10 2 * * *", "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z 2026-03-09T06:00:00Z"},
		"times in a gap and just behind it":                    {"America/New_York", "0,30 2,3 * * *", "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z 2026-03-08T07:30:00Z 2026-03-09T06:00:00Z"},
		"a day that never was":                                 {"Pacific/Apia", "0 9 * * *", "2011-12-29T12:00:00Z", "2011-12-29T19:00:00Z 2011-12-30T10:00:00Z 2011-12-30T19:00:00Z"},
		"the week of a day that never was":                     {"Pacific/Apia", "0 9 * * FRI", "2011-12-24T00:00:00Z", "2011-12-30T10:00:00Z 2012-01-05T19:00:00Z"},
		"a day lost to the date line":                          {"Pacific/Kwajalein", "0 9 * * *", "1993-08-20T12:00:00Z", "1993-08-20T21:00:00Z 1993-08-21T12:00:00Z 1993-08-21T21:00:00Z"},
		"a gap of half an hour":                                {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
		"half an hour that comes twice":                        {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
		"a gap of two hours":                                   {"Antarctica/Troll", "*/30 1,2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-29T23:00:00Z"},
		"a gap at midnight":                                    {"Asia/Beirut", "0 0 * * *", "2022-03-26T12:00:00Z", "2022-03-26T22:00:00Z 2022-03-27T21:00:00Z"},
		"weekly in a gap at midnight":                          {"Africa/Cairo", "15 0 * * 5", "2010-04-28T00:00:00Z", "2010-04-29T22:00:00Z 2010-05-06T21:15:00Z"},
		"weekly in a southern gap at midnight":                 {"America/Santiago", "30 0 * * SUN", "2022-09-10T00:00:00Z", "2022-09-11T04:00:00Z 2022-09-18T03:30:00Z"},
		"the last hour of a day twice":                         {"Asia/Tehran", "30 23 * * *", "2022-09-21T12:00:00Z", "2022-09-21T19:00:00Z 2022-09-22T20:00:00Z"},
		"a clock that goes back for Ramadan":                   {"Africa/Casablanca", "30 2 * * *", "2025-02-22T12:00:00Z", "2025-02-23T01:30:00Z 2025-02-24T02:30:00Z"},
		"winter as the time that is saved":                     {"Europe/Dublin", "30 1 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		"another standard time":                                {"Asia/Pyongyang", "45 23 * * *", "2015-08-14T00:00:00Z", "2015-08-14T14:45:00Z 2015-08-15T15:15:00Z"},
		"offsets that have seconds":                            {"America/New_York", "1 12 * * *", "1883-11-18T00:00:00Z", "1883-11-18T16:57:02Z 1883-11-19T17:01:00Z"},
		"the last day of a leap year, by the rule of the zone": {"Europe/Berlin", "0 12 * * *", "2040-12-30T12:00:00Z", "2040-12-31T11:00:00Z 2041-01-01T11:00:00Z"},
		"a part of a second before a slot":                     {"Europe/Berlin", "0 12 * * *", "2026-06-01T09:59:59.999999999Z", "2026-06-01T10:00:00Z 2026-06-02T10:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(slots(t, tt.line, tt.zone, tt.after, len(strings.Fields(tt.want))), " ")
			if got != tt.want {
				t.Errorf("%s %q after %s:\n got %s\nwant %s", tt.zone, tt.line, tt.after, got, tt.want)
			}
		})
	}
}

// slots are the first n after an instant.
func slots(t *testing.T, line, zone, after string, n int) (all []string) {
	t.Helper()
	s, at := parse(t, line, load(t, zone)), instant(t, after)
	for range n {
		at = s.Next(at)
		all = append(all, at.Format(time.RFC3339Nano))
	}
	return all
}

func TestDaysOfACronLine(t *testing.T) {
	tests := map[string]struct {
		line, after string
		want        string
	}{
		"a day of month or one of the week":         {"0 9 13 * FRI", "2026-09-05", "[11 13 18 25]"},
		"a star with a step is a day that is given": {"0 9 */10 * MON", "2026-06-01", "[1 8 11 15]"},
		"a star is none":                            {"0 9 * * MON", "2026-06-02", "[8 15 22 29]"},
		"nor is a question mark":                    {"0 9 13 * ?", "2026-09-14", "[13 13 13 13]"},
		"29 February over a year that is no leap":   {"0 0 29 2 *", "2096-03-01", "[29 29 29 29]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, slot := range slots(t, tt.line, "UTC", tt.after+"T00:00:00Z", 4) {
				got = append(got, instant(t, slot).Day())
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("%q after %s comes on days %v, want %s", tt.line, tt.after, got, tt.want)
			}
		})
	}
	if got := slots(t, "30 2 29 2 *", "Europe/Berlin", "2096-03-01T00:00:00Z", 1)[0]; got != "2104-02-29T01:30:00Z" {
		t.Errorf("the first 29 February after that of 2096 is on %s", got)
	}
}

// Whatever the clocks do, each week from 2000 to 2037 has its edition.
func TestAWeeklyListLosesNoWeek(t *testing.T) {
	begin, end := instant(t, "2000-01-02T12:00:00Z"), instant(t, "2037-12-27T12:00:00Z")
	weeks := int(end.Sub(begin) / (7 * 24 * time.Hour))
	for _, line := range []string{"30 0 * * FRI", "30 1 * * SUN", "30 2 * * SUN", "59 23 * * SAT"} {
		s := parse(t, line, time.UTC)
		for _, name := range zones {
			in, n, last := s.In(load(t, name)), 0, begin
			for slot := in.Next(begin); !slot.After(end); slot = in.Next(slot) {
				if apart := slot.Sub(last); n > 0 && (apart < 6*24*time.Hour || apart > 8*24*time.Hour) {
					t.Errorf("%s %q: no slot between %v and %v", name, line, last, slot)
				}
				n, last = n+1, slot
			}
			if n < weeks || n > weeks+1 { // by the zone a slot at either end is in or out
				t.Errorf("%s %q: %d slots in %d weeks", name, line, n, weeks)
			}
		}
	}
}

func TestASlotElsewhere(t *testing.T) {
	tests := map[string]struct {
		line, slot string // in New York
		zone, want string
	}{
		"east of it":                      {"0 9 * * *", "2026-06-01T13:00:00Z", "Europe/Berlin", "2026-06-01T07:00:00Z"},
		"west of it":                      {"0 9 * * *", "2026-06-01T13:00:00Z", "America/Los_Angeles", "2026-06-01T16:00:00Z"},
		"a day ahead":                     {"0 9 * * *", "2026-06-01T13:00:00Z", "Pacific/Kiritimati", "2026-05-31T19:00:00Z"},
		"at home":                         {"30 2 * * *", "2026-03-08T07:00:00Z", "America/New_York", "2026-03-08T07:00:00Z"},
		"moved by a gap, not so there":    {"30 2 * * *", "2026-03-08T07:00:00Z", "Europe/London", "2026-03-08T02:30:00Z"},
		"moved by a gap, and there too":   {"30 2 * * *", "2026-03-08T07:00:00Z", "America/Los_Angeles", "2026-03-08T10:00:00Z"},
		"moved by a gap there":            {"30 2 * * *", "2026-03-29T06:30:00Z", "Europe/Berlin", "2026-03-29T01:00:00Z"},
		"the first of several in one gap": {"20,50 2 * * *", "2026-03-08T07:00:00Z", "Europe/London", "2026-03-08T02:20:00Z"},
		"in the gap or behind it":         {"45 2,3 * * *", "2026-03-08T07:45:00Z", "Europe/London", "2026-03-08T03:45:00Z"},
		"twice there":                     {"30 2 * * *", "2026-10-25T06:30:00Z", "Europe/Berlin", "2026-10-25T00:30:00Z"},
		"twice here":                      {"30 1 * * *", "2026-11-01T05:30:00Z", "Europe/London", "2026-11-01T01:30:00Z"},
		"an instant that is no slot":      {"0 9 * * *", "2026-06-01T14:10:05Z", "Europe/Berlin", "2026-06-01T08:10:05Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := parse(t, tt.line, load(t, "America/New_York"))
			if got := s.Elsewhere(instant(t, tt.slot), load(t, tt.zone)).Format(time.RFC3339Nano); got != tt.want {
				t.Errorf("%q: the slot at %s is at %s in %s, want %s", tt.line, tt.slot, got, tt.zone, tt.want)
			}
		})
	}
}

func TestARefusedLineSaysWhyAndWhatToWrite(t *testing.T) {
	tests := map[string]struct{ line, want string }{
		"nothing":                        {" \t", "is empty: write"},
		"a zone in front":                {"CRON_TZ=Europe/Berlin 0 9 * * *", "the zone goes under timezone"},
		"a zone in small letters":        {"tz=UTC 0 9 * * *", "the zone goes under timezone"},
		"a zone and nothing else":        {"TZ=UTC", "the zone goes under timezone"},
		"a word":                         {"@daily", `write the times out, such as "0 9 * * *"`},
		"an interval":                    {"@every 90m", `write the times out`},
		"seconds":                        {"0 0 9 * * MON", "take the first field out"},
		"too few fields":                 {"9 * * MON", "but 4: write minute, hour"},
		"too many fields":                {"0 0 9 * * MON 2026", "but 7: write minute, hour"},
		"an hour that is none":           {"0 24 * * *", `has "24" as its hour, which takes * or 0 to 23`},
		"a minute that is none":          {"60 * * * *", `has "60" as its minute, which takes * or 0 to 59`},
		"the Sunday of other crons":      {"0 9 * * 7", `has "7" as its day of week, which takes * or 0 (Sunday) to 6`},
		"a range over the end":           {"0 22-2 * * *", `has "22-2" as its hour`},
		"a day that is none":             {"0 9 * * MO", `has "MO" as its day of week`},
		"a month written out":            {"0 9 1 JANUARY *", `has "JANUARY" as its month, which takes * or 1 to 12, or JAN to DEC`},
		"a list of nothing":              {",,, * * * *", `has ",,," as its minute`},
		"a step beyond the hour":         {"*/90 * * * *", `has "*/90" as its minute`},
		"a step beyond all":              {"*/99999999999999999999 * * * *", "as its minute"},
		"no step at all":                 {"*/0 * * * *", `has "*/0" as its minute`},
		"a range from a star":            {"*-5 * * * *", `has "*-5" as its minute`},
		"a sign":                         {"+5 * * * *", `has "+5" as its minute`},
		"the last day, as Quartz has it": {"0 9 L * *", `has "L" as its day of month`},
		"the second Monday":              {"0 9 * * MON#2", `has "MON#2" as its day of week`},
		"30 February":                    {"0 0 30 2 *", "names a day that never comes: choose"},
		"31 in months that have 30":      {"0 0 31 4,6,9,11 *", "names a day that never comes: choose"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := scheduler.Parse(tt.line, time.UTC)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q %v, want %q", tt.line, err, tt.want)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	tests := map[string]struct{ line, after string }{
		"each minute":               {"* * * * *", "2026-06-01T12:00:30Z"},
		"each minute, second round": {"* * * * *", "2026-11-01T06:00:00Z"},
		"weekly":                    {"0 9 * * MON", "2026-06-01T13:00:00Z"},
		"weekly, over a gap":        {"30 2 * * SUN", "2026-03-02T12:00:00Z"},
		"29 February":               {"0 0 29 2 *", "2096-03-01T00:00:00Z"},
	}
	for name, tt := range tests {
		b.Run(name, func(b *testing.B) {
			s, after := parse(b, tt.line, load(b, "America/New_York")), instant(b, tt.after)
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}
