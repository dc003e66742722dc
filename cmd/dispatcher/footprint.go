package main

/*
#include <malloc.h>

// One heap for all threads, where the C library makes several: SQLite moves from thread to thread and would leave pieces in each.
// It must be said before the second thread is there.
__attribute__((constructor)) static void one_heap(void) {
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, 1);
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
