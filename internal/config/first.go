package config

import (
	"strconv"
	"strings"
	"time"
)

// FirstPoll is how many of the items that a feed's first poll finds may be mailed, the newest first.
// 0, written none, makes that poll a baseline which mails nothing.
type FirstPoll int

// UnmarshalText reads none or newest N, with N from 1 to 1000.
func (f *FirstPoll) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*f = 0
		return nil
	}
	words := strings.Fields(string(text))
	if len(words) == 2 && words[0] == "newest" {
		if n, err := strconv.ParseUint(words[1], 10, 16); err == nil && n >= 1 && n <= 1000 {
			*f = FirstPoll(n)
			return nil
		}
	}
	return &misfit{"is not a choice for the first poll", "write none, or newest 20 with a number from 1 to 1000"}
}

// FirstWave holds an edition back: the copies of the first N readers go, the rest follows when Wait is
// over, unless the relay or the reports that came back meanwhile tell that too many went wrong. The
// zero FirstWave waits for no reports.
type FirstWave struct {
	N    int
	Wait time.Duration
}

// UnmarshalText reads N then WAIT, such as 500 then 15m, with N from 1 to 1,000,000 and WAIT from a minute to a day.
func (f *FirstWave) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) == 3 && words[1] == "then" {
		n, err := strconv.ParseUint(words[0], 10, 31)
		wait, waitErr := parseDuration(words[2])
		if err == nil && n >= 1 && n <= 1_000_000 && waitErr == nil && wait >= time.Minute && wait <= day {
			*f = FirstWave{N: int(n), Wait: wait}
			return nil
		}
	}
	return &misfit{"is not a first wave", "write how many readers and how long to wait, such as 500 then 15m: from 1 to 1000000 readers, from 1m to 24h"}
}
