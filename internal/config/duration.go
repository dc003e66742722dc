package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// misfit is a value that is not what its key wants: what it is, and how it should be written.
type misfit struct{ what, cure string }

func (m *misfit) Error() string { return m.what + "; " + m.cure }

// explain takes an error apart into what is wrong and the cure.
func explain(err error) (what, cure string) {
	if m, ok := errors.AsType[*misfit](err); ok {
		return m.what, m.cure
	}
	return err.Error(), ""
}

const durationCure = "write a number and a unit, such as 90s, 15m, 12h or 14d"

// parseDuration reads a duration as Go writes it, with days in front: 15m, 14d, 1d12h. A day is 24 hours.
func parseDuration(text string) (time.Duration, error) {
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		return 0, &misfit{"has no unit", durationCure}
	}
	var total time.Duration
	rest := text
	if days, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > 36500 {
			return 0, &misfit{"is not a duration", durationCure}
		}
		total, rest = time.Duration(n)*day, after
	}
	if rest == "" && text != "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.ContainsAny(rest, "+-") || total+d < total {
		return 0, &misfit{"is not a duration", durationCure}
	}
	return total + d, nil
}

// spell is a duration as an admin would write it, without units that are 0.
func spell(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
