package config

import (
	"strconv"
	"strings"
	"time"
)

// Rate is the most messages in a time. The zero Rate is no limit.
type Rate struct {
	N   int
	Per time.Duration // a second, a minute, an hour or a day
}

// PerSecond is the rate in messages a second; 0 is no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.N) / r.Per.Seconds()
}

// UnmarshalText reads so many per unit of time: 50/s, 1000/h.
func (r *Rate) UnmarshalText(text []byte) error {
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": day}
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || n == 0 || units[unit] == 0 {
		return &misfit{"is not a rate", "write so many per second, minute, hour or day, such as 50/s, 300/m or 1000/h"}
	}
	*r = Rate{N: int(n), Per: units[unit]}
	return nil
}
