package mailer

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"dispatcher/internal/newsletter"
)

// worker owns one connection to one relay.
type worker struct {
	*Mailer
	pool     *pool
	gate     *gate
	recorder *recorder
	alive    func(within time.Duration)
	leaving  func() bool // it may claim no more

	session   *session      // nil: not connected
	recorded  chan struct{} // gets a token when the last outcome is on disk
	recording bool          // it has not come yet
	spare     []byte        // a buffer for the next message's data

	// What the pool and the gate know of this worker. The pool's lock guards these.
	busy       bool      // it carries something
	permit     time.Time // its place in the line where the relay has a rate; zero: none
	probing    bool      // what it carries is to show whether the relay takes mail again
	companion  bool      // it asks for what may ride behind its message
	crowdedOut time.Time // the relay takes no more connections until then
	crowding   time.Duration
}

// freight is a delivery with its message, on its way over the worker's connection.
type freight struct {
	newsletter.Delivery
	message newsletter.Message
	offered bool      // its envelope rides behind the end of the last message
	broken  int       // fresh connections that broke under it
	looked  time.Time // when it was last seen to be due
}

// defaultIdle is how long a connection is kept without work. Relays close theirs after five minutes or so.
const defaultIdle = 30 * time.Second

// mostBroken is how many fresh connections may break under one delivery before it makes room for others.
const mostBroken = 3

// run carries deliveries until it may claim no more. The message that is on the line is finished and its outcome recorded; when line is
// cancelled, it has to hurry.
func (w *worker) run(claiming, line context.Context) error {
	defer w.alive(0)
	defer w.hangUp()
	w.leaving = func() bool { return claiming.Err() != nil }
	for {
		d, ok := w.take(claiming)
		if !ok {
			return nil
		}
		w.alive(w.gate.patience())
		for f := w.load(line, d); f != nil; {
			f = w.carry(line, f)
			w.alive(w.gate.patience())
		}
		w.alive(0)
	}
}

// take waits for a delivery that this worker may carry. False means that it is cancelled.
func (w *worker) take(ctx context.Context) (newsletter.Delivery, bool) {
	w.companion = false
	var idling, waiting *time.Timer
	for ctx.Err() == nil {
		t := w.pool.next(w)
		if t.shut {
			w.hangUp() // a probe begins anew: what the admin mended is often not known to a connection that was open before
			w.alive(0)
		}
		if t.ok {
			return t.Delivery, true
		}
		if idling == nil {
			idle := cmp.Or(w.Idle, defaultIdle)
			idling, waiting = time.NewTimer(idle), time.NewTimer(idle)
			defer idling.Stop()
			defer waiting.Stop()
		}
		waiting.Reset(t.wait)
		soon := waiting.C
		if t.wait == 0 {
			soon = nil
		}
		select {
		case <-t.changed:
		case <-soon:
		case <-idling.C:
			w.hangUp()
			w.alive(0)
		case <-ctx.Done():
		}
	}
	return newsletter.Delivery{}, false
}

// hangUp ends the session, once the last outcome is on disk.
func (w *worker) hangUp() {
	w.settled()
	if w.session != nil {
		w.session.quit()
		w.session = nil
		w.gate.disconnected()
	}
}

// drop closes the connection without a word.
func (w *worker) drop() {
	if w.session != nil {
		w.session.drop()
		w.session = nil
		w.gate.disconnected()
	}
}

// load composes a delivery's message. It returns nil when there is none to carry: the class of its recipient is to be spared for
// now, or it cannot be composed.
func (w *worker) load(ctx context.Context, d newsletter.Delivery) *freight {
	if turn := w.gate.admit(&d); !turn.IsZero() {
		w.gate.abandoned(w)
		w.giveBack(d, turn, "its turn comes: this class of recipients takes mail more slowly")
		return nil
	}
	m, err := w.Composer.Compose(ctx, d, w.spare[:0])
	if err != nil {
		w.gate.abandoned(w)
		if ctx.Err() != nil {
			return nil
		}
		if w.pool.breaks(d.Edition) {
			w.Log.Error("composing a message failed", "edition", d.Edition, "subscriber", d.Subscriber, "error", newsletter.Redact(err.Error()))
		}
		w.record(w.outcome(d, err))
		return nil
	}
	w.spare = nil
	return &freight{Delivery: d, message: m}
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
	var following *newsletter.Message
	if next = w.next(ctx); next != nil { // while the last outcome is on its way to the disk
		following, next.offered = &next.message, true
	}
	if !w.settled() || !w.stillDue(ctx, f) {
		w.drop() // the relay waits for the message: nothing else takes it back
		w.leave(next)
		return nil
	}
	err := w.session.deliver(&f.message, following)
	if aboutTheLine(err) && !afterEnd(err) {
		w.leave(next)
		return w.refused(f, err, fresh)
	}
	w.unload(f, err)
	if w.session == nil && next != nil {
		next.offered = false
	}
	return next
}

// leave puts what was to be carried next back into the pool.
func (w *worker) leave(next *freight) {
	if next != nil {
		w.pool.putBack(next.Delivery)
		w.gate.unused()
	}
}

// offer gets the relay ready for a message's data.
func (w *worker) offer(f *freight) error {
	if err := w.session.carries(&f.message); err != nil {
		return err
	}
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

// next is a delivery whose envelope may ride behind the message that is ending, if there is one at hand.
func (w *worker) next(ctx context.Context) *freight {
	last := w.gate.Messages > 0 && w.session.carried+1 >= w.gate.Messages
	if !w.session.pipelined || last || w.leaving() {
		return nil
	}
	w.companion = true
	t := w.pool.next(w)
	if !t.ok {
		return nil
	}
	f := w.load(ctx, t.Delivery)
	if f == nil || !w.stillDue(ctx, f) {
		return nil
	}
	if w.session.carries(&f.message) != nil { // to be told when it stands alone
		w.pool.putBack(f.Delivery)
		w.gate.unused()
		return nil
	}
	return f
}

// refused ends a try that did not get as far as the end of the data. A connection that broke or was closed by the relay
// says nothing about the reader: she is tried again at once on a fresh one, unless several have broken under her.
func (w *worker) refused(f *freight, err error, fresh bool) *freight {
	if aboutTheLine(err) {
		w.drop()
		if errors.Is(err, os.ErrDeadlineExceeded) && w.gate.stalled(w, err) {
			w.gate.abandoned(w)
			w.pool.putBack(f.Delivery)
			return nil
		}
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
	if aboutTheLine(err) || errors.As(err, &reply) && reply.Code == 421 {
		w.drop()
	}
	o := w.outcome(f.Delivery, err)
	w.gate.counts.tried(err)
	if maybe := err == nil || afterEnd(err); !maybe {
		w.gate.unused()
	} else if w.gate.quota.limited() {
		o.Relay = w.gate.Name
	}
	w.record(o)
	for _, again := range w.gate.learn(w, f, judge(err), o) {
		w.recorder.submit(again, nil)
	}
	w.spare = f.message.Data
	if w.session != nil && w.gate.Messages > 0 && w.session.carried >= w.gate.Messages {
		w.hangUp()
	}
}

// outcome is what a try meant for a delivery.
func (w *worker) outcome(d newsletter.Delivery, err error) newsletter.Outcome {
	return outcome(attempt{d, err, w.Now(), jitter(), w.Hold, len(w.Relays) > 1})
}

// record hands an outcome to the recorder. settled waits until it is on disk; false means that it never will be.
func (w *worker) record(o newsletter.Outcome) {
	w.settled()
	w.recorder.submit(o, w.recorded)
	w.recording = true
}

func (w *worker) settled() bool {
	if w.recording {
		w.alive(0) // it is the recorder's turn
		<-w.recorded
		w.alive(w.gate.patience())
		w.recording = false
	}
	return !w.recorder.lost.Load()
}

// connect sees to it that there is a session. Where the relay is out of reach or refuses us, the delivery goes back to the pool,
// unblamed. False means: do not send.
func (w *worker) connect(ctx context.Context, f *freight) bool {
	if w.session == nil {
		w.gate.dials()
		s, err := dial(ctx, *w.gate.Relay)
		if err != nil {
			if ctx.Err() == nil {
				w.gate.unreached(w, err)
			}
			w.gate.abandoned(w)
			w.pool.putBack(f.Delivery)
			w.spare = f.message.Data
			return false
		}
		s.alive = w.alive
		w.session = s
		w.gate.connected(w)
	}
	return f.offered || w.stillDue(ctx, f)
}

// stillDue gives a delivery back that is not to be sent as it stands: its time has come while it waited here, its reader has left,
// its edition was paused. The next claim picks another form of it, or withdraws it.
func (w *worker) stillDue(ctx context.Context, f *freight) bool {
	now := w.Now()
	f.looked = now
	before := func(end time.Time) bool { return end.IsZero() || now.Before(end) }
	due := now.Before(f.Expires) && before(f.Until) && before(f.Closes)
	if due {
		var err error
		if due, err = w.Outbox.StillDue(ctx, f.Delivery); err != nil && ctx.Err() == nil {
			w.Log.Error("looking at a delivery once more failed, it goes back", "edition", f.Edition, "subscriber", f.Subscriber, "error", err)
		}
	}
	if !due {
		w.gate.abandoned(w)
		w.giveBack(f.Delivery, now, "")
		w.spare = f.message.Data
	}
	return due
}

// giveBack returns a delivery to the outbox as it was, to be claimed again when it is due.
func (w *worker) giveBack(d newsletter.Delivery, due time.Time, why string) {
	w.record(newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Pending, At: w.Now(), Due: due, Attempts: d.Attempts, Untried: true, Words: why})
}
