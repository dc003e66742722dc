package main

import "context"

// room is a part of a serve at work.
type room struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when it has ended
}

// enter starts a part, which runs until its room is left or ctx is cancelled. What it fails with goes to the channel, unless that is full.
func enter(ctx context.Context, failed chan<- error, run func(context.Context) error) *room {
	ctx, cancel := context.WithCancel(ctx)
	r := &room{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		defer cancel()
		if err := run(ctx); err != nil {
			select {
			case failed <- err:
			default: // another has failed before
			}
		}
	}()
	return r
}

// leave cancels rooms, all at once, and returns when they have ended. It does no harm to leave twice.
func leave(rooms ...*room) {
	for _, r := range rooms {
		r.cancel()
	}
	for _, r := range rooms {
		<-r.ended
	}
}
