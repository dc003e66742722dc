package mailer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dispatcher/internal/newsletter"
)

// worker owns one connection to the relay.
type worker struct {
	*Mailer
	line     *lineState
	recorder *recorder
	session  *session // nil: not connected
}

// idle is how long a connection is kept without work. Relays close theirs after five minutes or so.
const idle = 30 * time.Second

// run takes deliveries until it is cancelled. The message that is on the line is finished and its outcome recorded.
func (w *worker) run(ctx context.Context, work <-chan newsletter.Delivery) error {
	defer w.hangUp()
	for {
		select {
		case d := <-work:
			w.deliver(ctx, d)
		case <-time.After(idle):
			w.hangUp()
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *worker) hangUp() {
	if w.session != nil {
		w.session.quit()
		w.session = nil
	}
}

// deliver makes one try at a delivery and has its outcome on disk when it returns. It returns without an outcome only when it
// was cancelled while the relay was out of reach; the claim is then given back by EndRun.
func (w *worker) deliver(ctx context.Context, d newsletter.Delivery) {
	message, err := w.Composer.Compose(ctx, d)
	if err != nil {
		if ctx.Err() == nil {
			w.Log.Error("composing a message failed", "edition", d.Edition, "subscriber", d.Subscriber, "error", newsletter.Redact(err.Error()))
			w.recorder.record(outcome(d, err, w.Now(), jitter()))
		}
		return
	}
	for fresh := false; ; fresh = true {
		reused := w.session != nil && !fresh
		if !w.connect(ctx, d) {
			return
		}
		err := w.session.send(message)
		w.settle(err)
		if again(err, reused) {
			continue
		}
		w.recorder.record(outcome(d, err, w.Now(), jitter()))
		return
	}
}

// again reports whether a try says nothing, since it met a kept connection that had died in the meantime, or that the relay
// wanted to close: it is made again at once on a fresh one, and nobody is blamed.
func again(err error, reused bool) bool {
	var cut *cutError
	var reply *newsletter.ReplyError
	return reused && (errors.As(err, &cut) && !cut.afterEnd || errors.As(err, &reply) && reply.Code == 421)
}

// settle leaves the connection ready for the next message, or closed.
func (w *worker) settle(err error) {
	var reply *newsletter.ReplyError
	switch {
	case err == nil: // acceptance is final and ends the transaction: no RSET is needed
	case errors.As(err, &reply) && reply.Code != 421 && reply.Stage != newsletter.StageEnd:
		if w.session.reset() != nil {
			w.dropLine()
		}
	case errors.As(err, &reply) && reply.Code != 421: // refused after the end of DATA: the transaction is over
	default:
		w.dropLine()
	}
}

func (w *worker) dropLine() {
	w.session.drop()
	w.session = nil
}

// connect sees to it that there is a session. While the relay is out of reach or refuses us, the delivery waits here,
// unblamed; what would be too late by then is given back to be judged by the next claim. False means: do not send.
func (w *worker) connect(ctx context.Context, d newsletter.Delivery) bool {
	for wait := 250 * time.Millisecond; w.session == nil; wait = min(2*wait, time.Minute) {
		s, err := dial(ctx, w.Relay)
		if err == nil {
			w.session = s
			w.line.up()
			break
		}
		if ctx.Err() != nil {
			return false
		}
		w.line.down(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	if now := w.Now(); !now.Before(d.Expires) || !d.Until.IsZero() && !now.Before(d.Until) {
		w.recorder.record(newsletter.Outcome{
			DeliveryKey: d.DeliveryKey, State: newsletter.Pending, At: now, Due: now, Attempts: d.Attempts,
			Words: "the relay was out of reach",
		})
		return false
	}
	return ctx.Err() == nil
}

// lineState tells the log once that the relay is out of reach, and once that it is back, whatever the number of workers.
type lineState struct {
	relay string
	log   *slog.Logger

	mu    sync.Mutex
	since time.Time // zero: the relay is in reach
}

func (l *lineState) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		l.since = time.Now()
		l.log.Error("relay out of reach, mail waits", "relay", l.relay, "error", newsletter.Redact(err.Error()))
	}
}

func (l *lineState) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		l.log.Info("relay in reach again", "relay", l.relay, "after", time.Since(l.since).Round(time.Second))
		l.since = time.Time{}
	}
}
