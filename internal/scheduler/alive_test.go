package scheduler_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
)

// stuckLedger says what the scheduler owes while it waits for the ledger, and keeps it waiting for a while.
type stuckLedger struct {
	*ledger
	asked func()
}

func (l *stuckLedger) Mark(ctx context.Context, list string, begin newsletter.Mark) (newsletter.Mark, error) {
	l.asked()
	return l.ledger.Mark(ctx, list, begin)
}

// The scheduler gives each sign of life in the time that it said at its last one, owes one while it waits for the ledger, and none
// when it has ended.
func TestTheSchedulerShowsThatItIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until time.Time
		signs, asked := 0, 0
		p := &press{ledger: newLedger()}
		waiting := &stuckLedger{ledger: p.ledger, asked: func() {
			asked++
			if until.IsZero() {
				t.Error("no sign is owed while the ledger is asked")
			}
		}}
		s, err := scheduler.New(waiting, p, []newsletter.List{daily}, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.Alive = func(within time.Duration) {
			if now := time.Now(); !until.IsZero() && now.After(until) {
				t.Errorf("a sign comes at %s that was to come by %s", now, until)
			}
			signs++
			if until = time.Now().Add(within); within == 0 {
				until = time.Time{}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 36*time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if !until.IsZero() || signs == 0 || asked == 0 {
			t.Errorf("after the end a sign is owed by %s; there were %d, and the ledger was asked %d times", until, signs, asked)
		}
	})
}
