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
	case strings.Contains(strings.ToUpper(text), "TZ="):
		return "", &misfit{"has a time zone in it", "take it out: the zone goes under timezone"}
	case strings.Contains(text, "@"):
		return "", &misfit{"has an @ word, which is not read here", withoutWord(text)}
	case len(fields) == 1 || len(fields) == 2:
		return daysAndTime(fields)
	case len(fields) < 3 || !startsCron(fields[0]):
		return "", &misfit{"is not a schedule", scheduleCure}
	case len(fields) == 6 && !slices.ContainsFunc(fields, notCron):
		return "", &misfit{"has six fields, as if it began with seconds", fmt.Sprintf("leave the seconds out, a minute is the smallest step: write %q", shorten(strings.Join(fields[1:], " ")))}
	case len(fields) != 5:
		return "", &misfit{fmt.Sprintf("has %d fields where a cron line has five", len(fields)), `write minute, hour, day of month, month and day of week, such as "0 9 * * MON"`}
	}
	if i := slices.IndexFunc(fields, notCron); i >= 0 {
		return "", &misfit{fmt.Sprintf("has %q in it, which is no field of a cron line here", shorten(fields[i])), scheduleCure}
	}
	return strings.Join(fields, " "), nil
}

// daysAndTime makes the cron line of the two fields of "Mon 09:00". One field alone lacks the other.
func daysAndTime(fields []string) (string, error) {
	days, hasDays := cronDays(fields[0])
	at, hasTime := timeOfDay(fields[len(fields)-1])
	switch {
	case len(fields) == 1 && hasDays:
		return "", &misfit{"has no time of day", fmt.Sprintf("write %q, or another time", shorten(fields[0])+" 09:00")}
	case len(fields) == 1 && hasTime:
		return "", &misfit{"does not say on which days", fmt.Sprintf("write %q, or name the days, as in %q", "daily "+fields[0], "Mon,Thu "+fields[0])}
	case len(fields) == 1:
		return "", &misfit{"is not a schedule", scheduleCure}
	case !hasDays:
		return "", &misfit{"does not begin with days of the week", scheduleCure}
	case !hasTime:
		return "", &misfit{"has no time of day such as 09:00", scheduleCure}
	}
	return fmt.Sprintf("%d %d * * %s", at%time.Hour/time.Minute, at/time.Hour, days), nil
}

// withoutWord is the cure for a schedule with one of cron's words in it: the same times, written out.
func withoutWord(text string) string {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "@hourly":
		return `write "0 * * * *"`
	case "@daily", "@midnight":
		return `write "daily 00:00", or another time`
	case "@weekly":
		return `write "Sun 00:00", or another day and time`
	case "@monthly":
		return `write "0 0 1 * *"`
	case "@yearly", "@annually":
		return `write "0 0 1 1 *"`
	}
	return `write the times out, such as "daily 07:30", or "0 */4 * * *" for every fourth hour`
}

// startsCron reports whether a field can be the minutes with which a cron line begins.
func startsCron(field string) bool {
	return strings.ContainsAny(field[:1], "*?0123456789")
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
