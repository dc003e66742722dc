//go:build !clockoffset

package main

import "time"

// clock is what the process takes for the time of day.
func clock() func() time.Time { return time.Now }
