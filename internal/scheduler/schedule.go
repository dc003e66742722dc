// Package scheduler says when: which slot of which list is due. robfig/cron parses and steps; its runner, which forgets
// what it missed, is not used. What has been decided stands in the store, so a restart neither repeats a slot nor loses one.
package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a cron line on the wall clock of a zone.
type Schedule struct {
	spec cron.Schedule
}

// Why a schedule is refused: phrases that go on after the schedule itself.
var (
	errFields = errors.New(`has not the five fields of a cron line (minute, hour, day of month, month, day of week), such as "0 9 * * MON"`)
	errNever  = errors.New("names a day that never comes")
)

// Parse reads a five-field cron line (minute, hour, day of month, month, day of week). The error goes on after the line:
// "names a day that never comes".
func Parse(line string, zone *time.Location) (Schedule, error) {
	if len(strings.Fields(line)) != 5 || strings.Contains(line, "=") || strings.HasPrefix(line, "@") {
		return Schedule{}, errFields
	}
	spec, err := cron.ParseStandard(line)
	if err != nil {
		return Schedule{}, fmt.Errorf("is not a cron line: %w", err)
	}
	if s, ok := spec.(*cron.SpecSchedule); ok {
		s.Location = zone
	}
	if spec.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, zone)).IsZero() {
		return Schedule{}, errNever
	}
	return Schedule{spec: spec}, nil
}

// Next is the first slot after an instant, in UTC.
func (s Schedule) Next(after time.Time) time.Time {
	return s.spec.Next(after).UTC()
}

// latest is the last slot in (after, now], and how many there are; the zero time when there is none.
func (s Schedule) latest(after, now time.Time) (due time.Time, n int) {
	for next := s.Next(after); !next.IsZero() && !next.After(now); next = s.Next(next) {
		due = next
		n++
	}
	return due, n
}
