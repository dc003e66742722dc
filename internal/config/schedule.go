package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const scheduleCure = `write "Mon 09:00", "Mon,Thu 09:00", "weekdays 08:00", "daily 07:30", or a cron line such as "0 9 * * MON"; the zone goes under timezone`

// cronLine makes the five-field cron line that a schedule stands for: "Mon,Thu 09:00" is
// "0 9 * * MON,THU". A cron line comes back as it is, its shape alone checked: whether it
// ever comes due is for the scheduler to say.
func cronLine(text string) (string, error) {
	fields := strings.Fields(text)
	switch {
	case len(fields) == 2:
		at, err := time.Parse("15:04", fields[1])
		if err != nil {
			return "", &misfit{"has no time of day such as 09:00", scheduleCure}
		}
		days, ok := cronDays(fields[0])
		if !ok {
			return "", &misfit{"does not begin with days of the week", scheduleCure}
		}
		return fmt.Sprintf("%d %d * * %s", at.Minute(), at.Hour(), days), nil
	case len(fields) == 5 && !slices.ContainsFunc(fields, notCron):
		return strings.Join(fields, " "), nil
	}
	return "", &misfit{"is not a schedule", scheduleCure}
}

// notCron reports whether a field has characters that no cron field has.
func notCron(field string) bool {
	return strings.ContainsFunc(field, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		digit := r >= '0' && r <= '9'
		return !letter && !digit && !strings.ContainsRune("*,-/?", r)
	})
}

// cronDays makes a cron field from daily, weekdays, weekends, or names and ranges of days. Ranges
// are written out, since cron knows none that runs over the end of the week.
func cronDays(text string) (string, bool) {
	week := []string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}
	switch strings.ToLower(text) {
	case "daily":
		return "*", true
	case "weekdays":
		return strings.Join(week[:5], ","), true
	case "weekends":
		return strings.Join(week[5:], ","), true
	}
	var days []string
	for part := range strings.SplitSeq(text, ",") {
		from, until, isRange := strings.Cut(part, "-")
		if !isRange {
			until = from
		}
		first, last := weekday(from), weekday(until)
		if first < 0 || last < 0 {
			return "", false
		}
		for i := first; ; i = (i + 1) % 7 {
			days = append(days, week[i])
			if i == last {
				break
			}
		}
	}
	return strings.Join(days, ","), true
}

// weekday counts from Monday, 0; -1 is no day. It takes mon and monday in any case.
func weekday(name string) int {
	names := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	name = strings.ToLower(name)
	return slices.IndexFunc(names, func(full string) bool { return name == full || name == full[:3] })
}
