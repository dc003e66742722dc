//go:build clockoffset

package main

import (
	"os"
	"time"
)

// clock is what the process takes for the time of day: it begins at the instant in CLOCK_BEGINS (RFC 3339) and runs on from
// there. Only a binary that tests build for themselves has it.
func clock() func() time.Time {
	text := os.Getenv("CLOCK_BEGINS")
	if text == "" {
		return time.Now
	}
	begin, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic("CLOCK_BEGINS: " + err.Error())
	}
	started := time.Now()
	return func() time.Time { return begin.Local().Add(time.Since(started)) }
}
