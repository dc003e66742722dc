package main

/*
#include <malloc.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

// What must be said before the second thread is there.
__attribute__((constructor)) static void settle(void) {
#ifdef M_ARENA_MAX
	// One heap for all threads, where the C library makes several: SQLite moves from thread to thread and would leave pieces in each.
	mallopt(M_ARENA_MAX, 1);
#endif
#ifdef PR_SET_TIMERSLACK
	// While outcomes are synced to the disk, Go's monitor gives the processor to who can use it after two of its sleeps of 20
	// microseconds. The kernel may let each last 50 more, where nobody says that it matters: a fifth of the speed with 20 connections.
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
#endif
}
*/
import "C"

import (
	"os"
	"runtime"
	"runtime/debug"
)

// leaveRoom keeps the process small, since the relay most often runs on the same machine. It uses half of the processors: one that
// idles between two messages costs more than it brings, measured on two a sixth of the CPU for each message. The environment's
// GOMAXPROCS and GOGC override what is chosen here.
func leaveRoom() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2)) // of those that a container leaves us
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // what lives is small, and garbage collection hardly to be seen in a profile
	}
}
