package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// atWork is a mailer's store in the middle of a digest, beside another process on the same folder. An alert waits.
type atWork struct {
	t       *testing.T
	s       *store.Store        // the mailer's
	other   *store.Store        // another process
	earlier newsletter.Delivery // the reader's copy of an edition that is done
	now     newsletter.Delivery // her copy that is about to leave
	next    newsletter.Delivery // another reader's
	proof   newsletter.Delivery
}

func newWork(t *testing.T) *atWork {
	t.Helper()
	dir := t.TempDir()
	w := &atWork{t: t, s: open(t, dir), other: open(t, dir)}
	takeIn(t, w.s, article("A letter from the north wing"))
	enrol(t, w.s, 3, "weekly")
	freeze(t, w.s, draft(t, w.s, "weekly", start.Add(-time.Hour)))
	done := claim(t, w.s, start, 3)
	recordEach(t, w.s, done, sentEach)
	finished(t, w.s)
	takeIn(t, w.s, article("The next letter from the wing"))
	d := draft(t, w.s, "weekly", start)
	d.Proofs = []newsletter.Address{"desk@example.org"}
	freeze(t, w.s, d)
	record(t, w.s, putOff(claim(t, w.s, start, 1)[0], start)) // the proof has been tried: the readers' turn
	enrol(t, w.s, 3, "urgent")
	alert := draft(t, w.s, "urgent", start)
	alert.List.Kind = newsletter.Alert
	freeze(t, w.s, alert)
	w.earlier = done[0]
	for _, d := range claim(t, w.s, start, 10) {
		switch {
		case d.Subscriber.Proof():
			w.proof = d
		case d.Subscriber == w.earlier.Subscriber:
			w.now = d
		default:
			w.next = d
		}
	}
	return w
}

// due is what a look at a delivery says.
func (w *atWork) due(d newsletter.Delivery) bool {
	w.t.Helper()
	return must[bool](w.t)(w.s.StillDue(w.t.Context(), d))
}

// until looks, and does something between the looks, until something is so.
func (w *atWork) until(what string, is func() bool, meanwhile func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	for !is() {
		if ctx.Err() != nil {
			w.t.Fatalf("waited in vain: %s", what)
		}
		meanwhile()
	}
}

func (w *atWork) leave(s *store.Store, d newsletter.Delivery) error {
	return s.Unsubscribe(w.t.Context(), newsletter.Link{Subscriber: d.Subscriber, List: "weekly"}, start)
}

// bounce is what came back about the copy of an earlier edition.
func (w *atWork) bounce(s *store.Store, kind newsletter.BounceKind) error {
	_, err := s.RecordBounce(w.t.Context(), newsletter.Bounce{DeliveryKey: w.earlier.DeliveryKey, Kind: kind, At: start})
	return err
}

// Promise 4, at the last moment: whoever wrote it down, it is seen before the copy leaves.
func TestWhatTakesADeliverysReasonAway(t *testing.T) {
	acts := map[string]struct {
		do       func(w *atWork, s *store.Store) error
		everyone bool // it is about the edition, not one reader
	}{
		"she leaves":     {func(w *atWork, s *store.Store) error { return w.leave(s, w.now) }, false},
		"she complains":  {func(w *atWork, s *store.Store) error { return w.bounce(s, newsletter.Complaint) }, false},
		"a copy bounces": {func(w *atWork, s *store.Store) error { return w.bounce(s, newsletter.HardBounce) }, false},
		"a relay says that she is gone": {func(w *atWork, s *store.Store) error {
			return s.RecordOutcomes(w.t.Context(), []newsletter.Outcome{sent(w.next), refused(w.now, newsletter.RecipientGone)})
		}, false},
		"the edition is paused": {func(w *atWork, s *store.Store) error { return s.PauseEdition(w.t.Context(), w.now.Edition, "") }, true},
		"the edition is cancelled": {func(w *atWork, s *store.Store) error {
			_, err := s.CancelEdition(w.t.Context(), w.now.Edition, "", start)
			return err
		}, true},
	}
	seen := map[string]func(w *atWork, act func(w *atWork, s *store.Store) error) error{
		"here": func(w *atWork, act func(*atWork, *store.Store) error) error { return act(w, w.s) },
		"elsewhere, and here all is quiet": func(w *atWork, act func(*atWork, *store.Store) error) error {
			err := act(w, w.other)
			w.until("the copy is not due", func() bool { return !w.due(w.now) }, func() {})
			return err
		},
		"elsewhere, and here work goes on": func(w *atWork, act func(*atWork, *store.Store) error) error {
			err := act(w, w.other)
			w.until("the copy is not due", func() bool { return !w.due(w.now) }, func() {
				for _, d := range claimLane(w.t, w.s, newsletter.AlertLane, 3) {
					record(w.t, w.s, givenBack(d, start))
				}
			})
			return err
		},
	}
	for name, act := range acts {
		for where, see := range seen {
			t.Run(name+"/"+where, func(t *testing.T) {
				w := newWork(t)
				if !w.due(w.now) || !w.due(w.next) || !w.due(w.proof) {
					t.Fatal("not due before anything has happened")
				}
				if err := see(w, act.do); err != nil {
					t.Fatal(err)
				}
				if w.due(w.now) {
					t.Error("it is still due")
				}
				if w.due(w.next) == act.everyone || w.due(w.proof) == act.everyone {
					t.Errorf("another reader's is due: %v, a proof: %v", w.due(w.next), w.due(w.proof))
				}
			})
		}
	}
}

// A write that says nothing about a delivery leaves it due, and what was undone is due again.
func TestWhatLeavesADeliveryDue(t *testing.T) {
	acts := map[string]func(w *atWork, s *store.Store) error{
		"another leaves": func(*atWork, *store.Store) error { return nil }, // as in all cases
		"an item comes": func(w *atWork, s *store.Store) error {
			takeIn(w.t, s, article("A third letter from the wing"))
			return nil
		},
		"readers come": func(w *atWork, s *store.Store) error { enrol(w.t, s, 5, "weekly"); return nil },
		"she leaves another list": func(w *atWork, s *store.Store) error {
			return s.Unsubscribe(w.t.Context(), newsletter.Link{Subscriber: w.now.Subscriber, List: "urgent"}, start)
		},
		"a copy is late": func(w *atWork, s *store.Store) error { return w.bounce(s, newsletter.SoftBounce) },
		"she leaves and comes back": func(w *atWork, s *store.Store) error {
			return errors.Join(w.leave(s, w.now), s.Resubscribe(w.t.Context(), newsletter.Link{Subscriber: w.now.Subscriber, List: "weekly"}, start))
		},
		"the edition is paused and resumed": func(w *atWork, s *store.Store) error {
			return errors.Join(s.PauseEdition(w.t.Context(), w.now.Edition, ""), s.ResumeEdition(w.t.Context(), w.now.Edition))
		},
	}
	for name, act := range acts {
		for _, here := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/here %v", name, here), func(t *testing.T) {
				w := newWork(t)
				s := w.other
				if here {
					s = w.s
				}
				if err := errors.Join(act(w, s), w.leave(s, w.next)); err != nil {
					t.Fatal(err)
				}
				w.until("what came later has been seen", func() bool { return !w.due(w.next) }, func() {})
				if !w.due(w.now) || !w.due(w.proof) {
					t.Errorf("a reader's is due: %v, a proof: %v", w.due(w.now), w.due(w.proof))
				}
			})
		}
	}
}

// Where nothing has been written the look costs nothing, be there ever so many processes; where something has, it costs a query.
func TestALookAtWhatHasNotChangedCostsNothing(t *testing.T) {
	w := newWork(t)
	cost := func() float64 {
		return testing.AllocsPerRun(2000, func() {
			if !w.due(w.now) {
				t.Error("not due")
			}
		})
	}
	if n := cost(); n != 0 {
		t.Errorf("a look at what has not changed takes %v allocations", n)
	}
	record(t, w.s, sent(w.next))
	if n := cost(); n != 0 {
		t.Errorf("after an outcome of its own a look takes %v allocations", n)
	}
	takeIn(t, w.other, article("A third letter from the wing"))
	w.until("another process has written and somebody looks", func() bool { return cost() > 0 }, func() {})
}

// ledger is an edition with what must be true of its copies whatever is done to them, and in whatever order.
type ledger struct {
	*store.Store
	edition newsletter.EditionID
	readers []newsletter.SubscriberID
	run     newsletter.RunID
	now     time.Time
	given   []newsletter.SubscriberID                       // in order, each once
	flying  map[newsletter.SubscriberID]newsletter.Delivery // given out, and nothing heard of them
	sent    map[newsletter.SubscriberID]bool
	left    map[newsletter.SubscriberID]bool // or suppressed
}

func TestTheLedgerHoldsWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := must[*store.Store](t)(store.Open(rt.Context(), t.TempDir(), start))
		defer s.Close()
		if err := s.Relax(rt.Context(), true); err != nil { // nobody pulls the plug here
			t.Fatal(err)
		}
		l := &ledger{
			Store: s, now: start, run: 1, edition: editionFor(t, s, 8, newsletter.FirstWave{N: 3, Wait: time.Hour}),
			flying: map[newsletter.SubscriberID]newsletter.Delivery{}, sent: map[newsletter.SubscriberID]bool{}, left: map[newsletter.SubscriberID]bool{},
		}
		for id := range 8 {
			l.readers = append(l.readers, newsletter.SubscriberID(id+1))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"claim": l.claim, "outcome": l.outcome, "leave": l.leave, "bounce": l.bounce, "kill": l.kill, "retry": l.retry, "cancel": l.cancel,
			"pause":  func(rt *rapid.T) { l.may(rt, l.PauseEdition(rt.Context(), l.edition, "by hand")) },
			"resume": func(rt *rapid.T) { l.may(rt, l.ResumeEdition(rt.Context(), l.edition)) },
			"judge":  func(rt *rapid.T) { _, err := l.JudgeTrials(rt.Context(), l.now); l.may(rt, err) },
			"finish": func(rt *rapid.T) { _, err := l.FinishEditions(rt.Context()); l.may(rt, err) },
			"":       l.check,
		})
	})
}

// may accepts that something came at the wrong moment.
func (l *ledger) may(rt *rapid.T, err error) {
	if err != nil && !errors.Is(err, newsletter.ErrNotFound) && !errors.Is(err, newsletter.ErrTooLate) {
		rt.Fatal(err)
	}
}

func (l *ledger) check(rt *rapid.T) {
	e, err := l.Edition(rt.Context(), l.edition)
	l.may(rt, err)
	c := e.Counts
	if c.Audience != len(l.readers) || c.Audience != c.Sent+c.Pending+c.Failed+c.Withdrawn+c.Unknown {
		rt.Fatalf("the counts do not add up: %+v", c)
	}
	if c.Sent != len(l.sent) {
		rt.Fatalf("%d are sent in the ledger, and %d were", c.Sent, len(l.sent))
	}
	over := e.State == newsletter.Done || e.State == newsletter.Cancelled
	if c.Pending < len(l.flying) || over && c.Pending > len(l.flying) {
		rt.Fatalf("the edition is %s, %d are on their way, and %d pending", e.State, len(l.flying), c.Pending)
	}
}

func (l *ledger) claim(rt *rapid.T) {
	l.now = l.now.Add(time.Duration(rapid.IntRange(0, 240).Draw(rt, "minutes")) * time.Minute)
	got, err := l.ClaimDeliveries(rt.Context(), newsletter.Claim{Run: l.run, Lane: newsletter.DigestLane, Now: l.now, N: rapid.IntRange(1, 4).Draw(rt, "n")})
	l.may(rt, err)
	e, err := l.Edition(rt.Context(), l.edition)
	l.may(rt, err)
	for _, d := range got {
		_, twice := l.flying[d.Subscriber]
		if twice || l.sent[d.Subscriber] || l.left[d.Subscriber] || e.State != newsletter.Sending {
			rt.Fatalf("reader %d's copy is given out: twice %v, sent %v, left %v, edition %s", d.Subscriber, twice, l.sent[d.Subscriber], l.left[d.Subscriber], e.State)
		}
		l.flying[d.Subscriber] = d
		if !slices.Contains(l.given, d.Subscriber) {
			l.given = append(l.given, d.Subscriber)
		}
	}
}

// outcome is about a copy on its way; or it comes late, about one that is sent; or it revives one.
func (l *ledger) outcome(rt *rapid.T) {
	if len(l.given) == 0 {
		rt.Skip("nothing was given out")
	}
	id := rapid.SampledFrom(l.given).Draw(rt, "reader")
	d, flies := l.flying[id]
	d.DeliveryKey = newsletter.DeliveryKey{Edition: l.edition, Subscriber: id}
	became := rapid.SampledFrom([]string{"revived", "sent", "put off", "given back", "gone", "ours", "refused", "unknown"}).Draw(rt, "became")
	if !flies && !l.sent[id] {
		became = "revived"
	}
	o := refused(d, newsletter.OwnerUnknown)
	switch became {
	case "revived":
		o = putOff(d, l.now)
		o.Revived, o.Untried = true, true
	case "sent":
		o, l.sent[id] = sent(d), true
	case "put off":
		o = putOff(d, l.now.Add(time.Hour))
	case "given back":
		o = givenBack(d, l.now)
	case "gone":
		o.Owner, l.left[id] = newsletter.RecipientGone, true
	case "ours":
		o.Owner = newsletter.OurContent
	case "unknown":
		o.State = newsletter.Unknown
	}
	l.may(rt, l.RecordOutcomes(rt.Context(), []newsletter.Outcome{o}))
	if became != "revived" { // who is on the way again is past reviving
		delete(l.flying, id)
	}
}

func (l *ledger) leave(rt *rapid.T) {
	id := rapid.SampledFrom(l.readers).Draw(rt, "reader")
	l.may(rt, l.Unsubscribe(rt.Context(), newsletter.Link{Subscriber: id, List: "weekly"}, l.now))
	l.left[id] = true
}

func (l *ledger) bounce(rt *rapid.T) {
	b := newsletter.Bounce{DeliveryKey: newsletter.DeliveryKey{Edition: l.edition, Subscriber: rapid.SampledFrom(l.readers).Draw(rt, "reader")}, At: l.now}
	b.Kind = rapid.SampledFrom([]newsletter.BounceKind{newsletter.HardBounce, newsletter.SoftBounce, newsletter.Complaint}).Draw(rt, "kind")
	first, err := l.RecordBounce(rt.Context(), b)
	l.may(rt, err)
	if first && b.Kind != newsletter.SoftBounce {
		l.left[b.Subscriber] = true
	}
}

// kill ends the mailer in the middle of everything; another begins.
func (l *ledger) kill(rt *rapid.T) {
	var hold []newsletter.Lane
	if rapid.Bool().Draw(rt, "hold") {
		hold = append(hold, newsletter.DigestLane)
	}
	var err error
	l.run, _, err = l.BeginRun(rt.Context(), hold, l.now)
	l.may(rt, err)
	clear(l.flying)
}

func (l *ledger) retry(rt *rapid.T) {
	_, err := l.RetryEdition(rt.Context(), l.edition, rapid.SampledFrom([]store.Which{store.WhichOurs, store.WhichUnknown}).Draw(rt, "which"), l.now)
	l.may(rt, err)
}

// cancel is rare: it ends most of what could happen.
func (l *ledger) cancel(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "really") > 0 {
		rt.Skip("not yet")
	}
	_, err := l.CancelEdition(rt.Context(), l.edition, "by hand", l.now)
	l.may(rt, err)
}
