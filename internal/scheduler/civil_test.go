package scheduler_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // the zones below on a machine that has no zone files

	"dispatcher/internal/scheduler"
)

// zones have every kind of change that there was or will be from 2000 to 2037, and some have none.
var zones = []string{
	"America/New_York", "Europe/Berlin", "Asia/Tehran", "Africa/Cairo", "Asia/Beirut", "America/Santiago", "Australia/Lord_Howe",
	"Pacific/Apia", "Pacific/Kiritimati", "Africa/Casablanca", "Antarctica/Troll", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns",
	"UTC", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Moscow", "Europe/Istanbul", "Europe/Volgograd", "Europe/Chisinau",
	"America/Los_Angeles", "America/Phoenix", "America/Sao_Paulo", "America/Caracas", "America/Havana", "America/Asuncion", "America/Nuuk",
	"America/Scoresbysund", "America/Mexico_City", "Asia/Amman", "Asia/Damascus", "Asia/Gaza", "Asia/Jerusalem", "Asia/Baghdad",
	"Asia/Dhaka", "Asia/Karachi", "Asia/Pyongyang", "Asia/Tokyo", "Asia/Colombo", "Asia/Ulaanbaatar", "Africa/El_Aaiun", "Africa/Khartoum",
	"Africa/Windhoek", "Africa/Juba", "Antarctica/Casey", "Atlantic/Azores", "Australia/Adelaide", "Australia/Eucla", "Pacific/Auckland",
	"Pacific/Chatham", "Pacific/Easter", "Pacific/Fiji", "Pacific/Norfolk", "Pacific/Tongatapu",
}

// sparse lines come due twelve times a day at most, dense ones oftener.
var (
	sparse = []string{
		"0 9 * * *", "0 9 * * MON", "0 0 * * *", "30 0 * * *", "15 0 * * 5", "0 1 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "45 2 * * *",
		"0 3 * * *", "30 3 * * *", "15 1 * * SUN", "30 2 * * 0", "30 2 * * SAT", "0 0 * * SUN", "59 23 * * *", "30 23 * * *", "0 12 * * *", "0 6 * * MON-FRI",
		"0 18 * * FRI", "0 0 1 * *", "30 2 1 * *", "0 9 15 * *", "0 9 31 * *", "0 0 30 12 *", "0 12 30 12 *", "0 0 29 2 *", "30 2 29 2 *", "0 9 1 1 *",
		"0 0 1 1,4,7,10 *", "0 9 * 3 *", "30 2 * 3,10,11 SUN", "0,30 2,3 * * *", "0 */2 * * *", "15 1-3 * * *", "0 22-23 * * *",
		"0 0-6/2 * * *", "0 9 1-7 * MON", "0 9 13 * FRI", "30 2 8-14 3 SUN", "0 9 */2 * WED", "0 9 ? * TUE,THU", "0 0 * JAN-JUN *", "45 1 */10 * *", "20 4 31 * SUN", "0 7 * * 1/2",
		"3 1 * OCT,nov Sun", "0 8 28-31 * *",
	}
	dense = []string{
		"0 * * * *", "30 * * * *", "5,35 * * * *", "*/15 * * * *", "* * * * *", "*/15 2 * * *", "* 2 * * *", "*/7 * * * *", "*/5 0-3 * * SUN", "10-20 * * * *", "*/20 1,2 * 3,10 *",
	}
)

const day = 24 * 60 // in minutes

// names are a cron line's names of months and days of the week.
var names = map[string]int{
	"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
	"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6,
}

// matcher is a cron line read a second time, by the tests alone.
type matcher struct {
	minutes             []int // of a day
	dom, month, dow     []int
	anyOfDom, anyOfWeek bool
}

func newMatcher(line string) matcher {
	f := strings.Fields(line)
	m := matcher{dom: numbers(f[2], 1, 31), month: numbers(f[3], 1, 12), dow: numbers(f[4], 0, 6)}
	m.anyOfDom, m.anyOfWeek = strings.ContainsAny(f[2][:1], "*?") && len(f[2]) == 1, strings.ContainsAny(f[4][:1], "*?") && len(f[4]) == 1
	for _, hour := range numbers(f[1], 0, 23) {
		for _, minute := range numbers(f[0], 0, 59) {
			m.minutes = append(m.minutes, hour*60+minute)
		}
	}
	return m
}

func numbers(field string, least, top int) (all []int) {
	number := func(text string) int {
		if n, known := names[strings.ToUpper(text)]; known {
			return n
		}
		n, _ := strconv.Atoi(text)
		return n
	}
	for n := least; n <= top; n++ {
		if slices.ContainsFunc(strings.Split(field, ","), func(one string) bool {
			span, step, stepped := strings.Cut(one, "/")
			from, until, ranged := strings.Cut(span, "-")
			first, last, every := number(from), number(from), 1
			if stepped {
				last, every = top, number(step)
			}
			if ranged {
				last = number(until)
			}
			if span == "*" || span == "?" {
				first, last = least, top
			}
			return first <= n && n <= last && (n-first)%every == 0
		}) {
			all = append(all, n)
		}
	}
	return all
}

// on are the minutes of a day, counted from 1 January 1970, that the line names.
func (m matcher) on(days int) []int {
	date := time.Unix(int64(days)*day*60, 0).UTC()
	byDom, byWeek := slices.Contains(m.dom, date.Day()), slices.Contains(m.dow, int(date.Weekday()))
	if !m.anyOfDom && !m.anyOfWeek {
		byDom = byDom || byWeek
		byWeek = byDom
	}
	if byDom && byWeek && slices.Contains(m.month, int(date.Month())) {
		return m.minutes
	}
	return nil
}

// dial is a zone's clock over a while, read minute by minute. All times in it are whole minutes since 1970, civil ones as if UTC.
type dial struct {
	zone  *time.Location
	begin int
	first []int // for each civil minute from begin on, when the clock first shows it or a later one
}

// readDial reads a zone's clock up to an instant, from a day early: the clock is nowhere put back by more.
func readDial(t testing.TB, zone *time.Location, from, until int) dial {
	d := dial{zone: zone, first: make([]int, 0, until-from+2*day)}
	for at := from - day; at <= until; at++ {
		shown := time.Unix(int64(at)*60, 0).In(zone)
		y, mon, dd := shown.Date()
		h, m, s := shown.Clock()
		if s != 0 {
			t.Fatalf("%s shows %v, which is no whole minute", zone, shown)
		}
		civil := int(time.Date(y, mon, dd, h, m, 0, 0, time.UTC).Unix() / 60)
		if len(d.first) == 0 {
			d.begin = civil
		}
		for d.begin+len(d.first) <= civil {
			d.first = append(d.first, at)
		}
	}
	return d
}

// slots are what a line must make of a dial in (from, until]: one for each civil match, equal ones once, none left out.
func (d dial) slots(m matcher, from, until int) (all []int) {
	last := from
	for days := d.begin / day; days*day < d.begin+len(d.first); days++ {
		for _, minute := range m.on(days) {
			i := days*day + minute - d.begin
			if i >= 0 && i < len(d.first) && d.first[i] > last && d.first[i] <= until {
				last = d.first[i]
				all = append(all, last)
			}
		}
	}
	return all
}

// changes are the instants in (from, until] at which a zone's clock is changed, up to an hour late.
func changes(zone *time.Location, from, until int) (all []int) {
	offset := func(at int) int {
		_, offset := time.Unix(int64(at)*60, 0).In(zone).Zone()
		return offset
	}
	for at := from + 60; at <= until; at += 60 {
		if offset(at) != offset(at-60) {
			all = append(all, at)
		}
	}
	return all
}

// schedule is a cron line, read by the scheduler and by the tests.
type schedule struct {
	line string
	scheduler.Schedule
	matcher
}

func readSchedules(t *testing.T, lines []string) (all []schedule) {
	for _, line := range lines {
		s, err := scheduler.Parse(line, time.UTC)
		if err != nil {
			t.Fatalf("schedule %q %v", line, err)
		}
		all = append(all, schedule{line, s, newMatcher(line)})
	}
	return all
}

// compare walks schedules over (from, until] beside what a dial says of them, and says how many slots there are. It asks for
// each slot from the one before and from halfway, which may lie in an hour that runs a second time.
func compare(t *testing.T, d dial, schedules []schedule, from, until int) (slots int64) {
	for _, s := range schedules {
		s.Schedule = s.In(d.zone)
		last := time.Unix(int64(from)*60, 0)
		for _, minute := range d.slots(s.matcher, from, until) {
			want := time.Unix(int64(minute)*60, 0)
			for _, after := range []time.Time{last, last.Add(want.Sub(last) / 2)} {
				if got := s.Next(after); !got.Equal(want) {
					t.Errorf("%s %q: the slot after %v is at %v, want %v", d.zone, s.line, after.In(d.zone), got.In(d.zone), want.In(d.zone))
					return slots
				}
			}
			last = want
			slots++
		}
		if got, end := s.Next(last), time.Unix(int64(until)*60, 0); !got.After(end) {
			t.Errorf("%s %q: a slot at %v, want none until %v", d.zone, s.line, got.In(d.zone), end.In(d.zone))
		}
	}
	return slots
}

// Each list's slots are an instant for each civil time that its line names, equal instants once and none left out: around
// every change of clocks from 2000 to 2037 and over a few longer whiles, or all through those years with SOAK=1.
func TestSlotsAreTheFirstInstantsOfCivilTimes(t *testing.T) {
	year := func(y int) int { return int(time.Date(y, time.January, 1, 0, 0, 0, 0, time.UTC).Unix() / 60) }
	begin, end := year(2000), year(2038)
	sparse, dense := readSchedules(t, sparse), readSchedules(t, dense)
	all := slices.Concat(sparse, dense)
	var slots atomic.Int64
	for i, name := range zones {
		zone := load(t, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("SOAK") != "" {
				for y := 2000; y < 2038; y++ {
					slots.Add(compare(t, readDial(t, zone, year(y), year(y+1)), all, year(y), year(y+1)))
				}
				return
			}
			for _, change := range changes(zone, begin, end) {
				d := readDial(t, zone, change-3*day, change+3*day)
				slots.Add(compare(t, d, sparse, change-3*day, change+3*day))
				slots.Add(compare(t, d, dense, change-3*60, change+3*60))
			}
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 5 {
				from, pick := begin+random.IntN(end-begin-60*day), random.IntN(len(all))
				slots.Add(compare(t, readDial(t, zone, from, from+60*day), all[pick:pick+1], from, from+60*day))
			}
		})
	}
	t.Cleanup(func() { t.Logf("compared %d slots of %d schedules in %d zones", slots.Load(), len(all), len(zones)) })
}

func load(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}
