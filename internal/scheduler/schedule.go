// Package scheduler says when: which slot of which list is due. robfig/cron parses and steps; its runner, which forgets
// what it missed, is not used. What has been decided stands in the store, so a restart neither repeats a slot nor loses one.
//
// A schedule speaks of the wall clock of its zone, and so it is stepped on that clock; each time found is then mapped to an
// instant. Where the clock jumps forward over a time, its slot is the first instant after the gap. Where the clock goes
// back and shows a time twice, its slot is the first of the two. Times that one gap has swallowed share one slot.
package scheduler

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a cron line on the wall clock of a zone. It does not change, and may be used from several goroutines.
type Schedule struct {
	spec cron.Schedule // on civil time: it has no zone of its own
	zone *time.Location
}

// Why a line is refused, and the cure: phrases that go on after the line itself.
var (
	errEmpty   = errors.New(`is empty: write a cron line such as "0 9 * * MON"`)
	errZone    = errors.New("has a time zone in it: take it out, the zone goes under timezone")
	errWord    = errors.New(`has an @ word, which is not read here: write the times out, such as "0 9 * * *" for nine o'clock each day or "*/15 * * * *" for each quarter of an hour`)
	errSeconds = errors.New("has six fields, as if it began with seconds: take the first field out, a minute is the smallest step")
	errNever   = errors.New("names a day that never comes: choose one that its months have")
)

// field is one of the five of a cron line.
type field struct {
	name  string
	top   int    // its highest number
	takes string // for the admin
}

var fields = [5]field{
	{"minute", 59, "0 to 59"},
	{"hour", 23, "0 to 23"},
	{"day of month", 31, "1 to 31"},
	{"month", 12, "1 to 12, or JAN to DEC"},
	{"day of week", 6, "0 (Sunday) to 6, or SUN to SAT"},
}

// Parse reads a five-field cron line (minute, hour, day of month, month, day of week) for the clock of a zone. Where both day
// fields are given, a day that fits one of them is enough, as in Vixie's cron; a field is not given when it has a * or ?
// without a step.
//
// The error goes on after the line, and ends with the cure: "names a day that never comes: choose one that its months have".
func Parse(line string, zone *time.Location) (Schedule, error) {
	parts := strings.Fields(line)
	if err := checkShape(parts); err != nil {
		return Schedule{}, err
	}
	for i, part := range parts {
		if !holds(i, part) {
			return Schedule{}, fmt.Errorf("has %q as its %s, which takes * or %s, in lists (,), ranges that go up (-) and steps (/)", part, fields[i].name, fields[i].takes)
		}
	}
	spec, err := parser().Parse(strings.Join(parts, " "))
	if err != nil {
		return Schedule{}, fmt.Errorf("is not a cron line: %w", err)
	}
	s := Schedule{spec: spec, zone: zone}
	if s.match(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, errNever
	}
	return s, nil
}

// parser takes five fields and no words.
func parser() cron.Parser {
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
}

// checkShape refuses what is no line of five fields. Some of it would make the parser panic, or mean what nobody expects.
func checkShape(parts []string) error {
	line := strings.Join(parts, " ")
	switch {
	case line == "":
		return errEmpty
	case strings.Contains(strings.ToUpper(line), "TZ="):
		return errZone
	case strings.Contains(line, "@"):
		return errWord
	case len(parts) == 6:
		return errSeconds
	case len(parts) != 5:
		return fmt.Errorf(`has not the five fields of a cron line but %d: write minute, hour, day of month, month and day of week, such as "0 9 * * MON"`, len(parts))
	}
	return nil
}

// item is one item of the list that a field is: *, a number, a name or a range, and a step.
var item = regexp.MustCompile(`^(?:[*?]|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:/([0-9]+))?$`)

// holds reports whether a text can stand in the i-th field of a line. The parser alone would take an empty list for a
// time that never comes, "*-5" for *, and a step of 90 minutes for one of an hour.
func holds(i int, text string) bool {
	for one := range strings.SplitSeq(text, ",") {
		parts := item.FindStringSubmatch(one)
		if parts == nil {
			return false
		}
		if step, err := strconv.Atoi(parts[1]); parts[1] != "" && (err != nil || step > fields[i].top) {
			return false
		}
	}
	line := []string{"*", "*", "*", "*", "*"}
	line[i] = text
	_, err := parser().Parse(strings.Join(line, " "))
	return err == nil
}

// In is the same line on the clock of another zone.
func (s Schedule) In(zone *time.Location) Schedule {
	s.zone = zone
	return s
}

// Next is the first slot after an instant, in UTC. There is one, since Parse refuses a day that never comes.
func (s Schedule) Next(after time.Time) time.Time {
	_, slot := s.next(after)
	return slot
}

// Elsewhere is the instant, in UTC, of the same civil time on the clock of another zone: a slot at nine o'clock has its
// nine o'clock there. What counts is the time that the line names, not the one to which a gap moved it; where one gap
// swallowed several times, it is the first of them. So what comes out is a slot of s.In(zone). An instant that is no
// slot of s counts as the time that the clock of s shows then.
func (s Schedule) Elsewhere(slot time.Time, zone *time.Location) time.Time {
	civil, same := s.next(slot.Add(-1))
	if !same.Equal(slot) {
		civil = wall(slot, s.zone)
	}
	return instant(civil, zone)
}

// next is the first slot after an instant, and the first civil time that it stands for.
func (s Schedule) next(after time.Time) (civil, slot time.Time) {
	civil = wall(after, s.zone)
	for {
		if civil = s.match(civil); civil.IsZero() {
			return civil, time.Time{}
		}
		// In an hour that runs a second time, the times ahead on the clock had their slots when it ran first.
		if slot = instant(civil, s.zone); slot.After(after) {
			return civil, slot
		}
	}
}

// match is the first civil time after another that the line names, or the zero time. The parser's schedule looks five
// years ahead, but 29 February, the rarest of days, is eight years away where a century is no leap year: from 2096 to 2104.
func (s Schedule) match(after time.Time) time.Time {
	lastSecond := after.Truncate(time.Minute).Add(59 * time.Second) // from where the next minute is one step, and not sixty
	civil := s.spec.Next(lastSecond)
	if civil.IsZero() {
		civil = s.spec.Next(time.Date(after.Year()+6, time.January, 1, 0, 0, -1, 0, time.UTC))
	}
	return civil
}
