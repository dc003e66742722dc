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
	work     <-chan claimed

	session  *session      // nil: not connected
	recorded chan struct{} // closed when the last outcome is on disk
	spare    []byte        // a buffer for the next message's data
}

// freight is a delivery with its message, on its way over the worker's connection.
type freight struct {
	claimed
	message newsletter.Message
	offered bool // its envelope rides behind the end of the last message
	broken  int  // fresh connections that broke under it
}

// idle is how long a connection is kept without work. Relays close theirs after five minutes or so.
const idle = 30 * time.Second

// mostBroken is how many fresh connections may break under one delivery before it makes room for others.
const mostBroken = 3

// run carries deliveries until it is cancelled. The message that is on the line is finished and its outcome recorded.
func (w *worker) run(ctx context.Context) error {
	defer w.hangUp()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		timer.Reset(idle)
		select {
		case d := <-w.work:
			w.recorder.busy()
			for next := w.load(ctx, d); next != nil; {
				next = w.carry(ctx, next)
			}
			w.recorder.idle()
		case <-timer.C:
			w.hangUp()
		case <-ctx.Done():
			return nil
		}
	}
}

// hangUp ends the session, once the last outcome is on disk.
func (w *worker) hangUp() {
	w.settled()
	if w.session != nil {
		w.session.quit()
		w.session = nil
	}
}

// load composes a delivery's message. It returns nil when there is none to carry.
func (w *worker) load(ctx context.Context, d claimed) *freight {
	m, err := w.Composer.Compose(ctx, d.Delivery, w.spare[:0])
	if err != nil {
		if ctx.Err() == nil {
			w.Log.Error("composing a message failed", "edition", d.Edition, "subscriber", d.Subscriber, "error", newsletter.Redact(err.Error()))
			w.record(outcome(d.Delivery, err, w.Now(), jitter()))
		}
		return nil
	}
	w.spare = nil
	return &freight{claimed: d, message: m}
}

// carry makes one try at a delivery and returns what to carry next: the delivery whose envelope rode along, the same one where
// a connection broke under it that says nothing about it, or nil.
func (w *worker) carry(ctx context.Context, f *freight) (next *freight) {
	if !w.connect(ctx, f) {
		return nil
	}
	fresh := w.session.carried == 0
	if err := w.offer(f); err != nil {
		return w.refused(f, err, fresh)
	}
	w.settled() // what cannot be recorded must not be followed by another message
	var following *newsletter.Message
	if next = w.companion(ctx); next != nil {
		following, next.offered = &next.message, true
	}
	err := w.session.deliver(&f.message, following)
	w.unload(f, err)
	if w.session == nil && next != nil {
		next.offered = false
	}
	return next
}

// offer gets the relay ready for a message's data.
func (w *worker) offer(f *freight) error {
	if !w.session.pipelined {
		return w.session.offer(&f.message)
	}
	if !f.offered {
		if err := w.session.envelope(&f.message); err != nil {
			return &cutError{doing: "at mail", err: err}
		}
	}
	f.offered = false
	return w.session.accepted()
}

// companion is the next delivery if there is one at hand and its envelope may ride behind the message that is ending.
func (w *worker) companion(ctx context.Context) *freight {
	last := w.Relay.Messages > 0 && w.session.carried >= w.Relay.Messages
	if !w.session.pipelined || last || ctx.Err() != nil {
		return nil
	}
	select {
	case d := <-w.work:
		next := w.load(ctx, d)
		if next == nil || w.overtaken(ctx, next) {
			return nil
		}
		return next
	default:
		return nil
	}
}

// refused ends a try that did not get as far as the end of the data. A connection that broke or was closed by the relay
// says nothing about the reader: she is tried again at once on a fresh one, unless several have broken under her.
func (w *worker) refused(f *freight, err error, fresh bool) *freight {
	var reply *newsletter.ReplyError
	verdict := errors.As(err, &reply) && reply.Code != 421
	if !verdict {
		w.session.drop()
		w.session = nil
		if fresh {
			f.broken++
		}
		if f.broken < mostBroken {
			return f
		}
	}
	w.unload(f, err)
	return nil
}

// unload records what a try meant, and leaves the connection ready for the next message, or closed.
func (w *worker) unload(f *freight, err error) {
	var reply *newsletter.ReplyError
	verdict := err == nil || errors.As(err, &reply) && reply.Code != 421
	if !verdict && w.session != nil {
		w.session.drop()
		w.session = nil
	}
	w.record(outcome(f.Delivery, err, w.Now(), jitter()))
	w.spare = f.message.Data
	if w.session != nil && w.Relay.Messages > 0 && w.session.carried >= w.Relay.Messages {
		w.hangUp()
	}
}

// record hands an outcome to the recorder. settled waits until it is on disk.
func (w *worker) record(o newsletter.Outcome) {
	w.settled()
	w.recorded = w.recorder.submit(o)
}

func (w *worker) settled() {
	if w.recorded != nil {
		<-w.recorded
		w.recorded = nil
	}
}

// connect sees to it that there is a session. While the relay is out of reach or refuses us, the delivery waits here,
// unblamed; what would be too late by then is given back to be judged by the next claim. False means: do not send.
func (w *worker) connect(ctx context.Context, f *freight) bool {
	wait := 100 * time.Millisecond << f.broken
	for pause := f.broken > 0; w.session == nil; pause, wait = true, min(2*wait, time.Minute) {
		if pause {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return false
			}
		}
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
	}
	return f.offered || ctx.Err() == nil && !w.overtaken(ctx, f)
}

// lookAgainAfter is how old a claim may be before its delivery is looked at once more: who leaves while the relay is out of
// reach gets nothing when it is back.
const lookAgainAfter = time.Second

// overtaken gives a delivery back that is not to be sent as it stands: its time has come while it waited here, or its reader
// has left. The next claim picks another form of it, or withdraws it.
func (w *worker) overtaken(ctx context.Context, f *freight) bool {
	now := w.Now()
	over := !now.Before(f.Expires) || !f.Until.IsZero() && !now.Before(f.Until)
	if !over && (time.Since(f.at) > lookAgainAfter || w.line.wasDownSince(f.at)) {
		due, err := w.Outbox.StillDue(ctx, f.Delivery)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("looking at a delivery once more failed, it goes back", "edition", f.Edition, "subscriber", f.Subscriber, "error", err)
		}
		over = err != nil || !due
		f.at = time.Now()
	}
	if over {
		w.record(newsletter.Outcome{DeliveryKey: f.DeliveryKey, State: newsletter.Pending, At: now, Due: now, Attempts: f.Attempts, Untried: true})
		w.spare = f.message.Data
	}
	return over
}

// lineState tells the log once that the relay is out of reach, and once that it is back, whatever the number of workers.
type lineState struct {
	relay string
	log   *slog.Logger

	mu    sync.Mutex
	since time.Time // zero: the relay is in reach
	last  time.Time // when it last was not
}

func (l *lineState) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	if l.since.IsZero() {
		l.since = l.last
		l.log.Error("relay out of reach, mail waits", "relay", l.relay, "error", newsletter.Redact(err.Error()))
	}
}

// wasDownSince reports whether the relay was out of reach at any time after an instant.
func (l *lineState) wasDownSince(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.After(at)
}

func (l *lineState) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		l.log.Info("relay in reach again", "relay", l.relay, "after", time.Since(l.since).Round(time.Second))
		l.since = time.Time{}
	}
}
