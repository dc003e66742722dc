//go:build race

package main

import "testing"

// notUnderRace leaves out a long test that has no concurrency of its own, or looks at processes from outside: the race detector would find
// nothing in it and take minutes. It runs without.
func notUnderRace(t *testing.T) { t.Skip("it runs without the race detector") }
