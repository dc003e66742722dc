package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// beginRun begins a run that holds what may have been on the line in some lanes.
func beginRun(t *testing.T, s *store.Store, hold ...newsletter.Lane) (takenBack int) {
	t.Helper()
	_, takenBack, err := s.BeginRun(t.Context(), hold, start)
	if err != nil {
		t.Fatal(err)
	}
	return takenBack
}

func claimLane(t *testing.T, s *store.Store, lane newsletter.Lane, n int) []newsletter.Delivery {
	t.Helper()
	return must[[]newsletter.Delivery](t)(s.ClaimDeliveries(t.Context(), newsletter.Claim{Run: 1, Lane: lane, Now: start, N: n}))
}

// wantEdition compares how an edition stands.
func wantEdition(t *testing.T, s *store.Store, id newsletter.EditionID, state newsletter.EditionState, want newsletter.Counts) {
	t.Helper()
	e := must[newsletter.Edition](t)(s.Edition(t.Context(), id))
	if e.State != state || e.Counts != want {
		t.Errorf("edition %d is %s with %+v, want %s with %+v", id, e.State, e.Counts, state, want)
	}
}

// reasonsOf is why copies of an edition were not sent.
func reasonsOf(t *testing.T, s *store.Store, id newsletter.EditionID) []store.Reason {
	t.Helper()
	return must[[]store.Reason](t)(s.Reasons(t.Context(), id, 10))
}

// Where an admin wants it, what a dead run may have handed over is not sent again until she says so.
func TestARunHoldsWhatADeadOneHadOnTheLine(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 5, "weekly")
	enrol(t, s, 4, "urgent")
	old := freeze(t, s, draft(t, s, "weekly", start.Add(-time.Hour)))
	recordEach(t, s, claim(t, s, start, 10), sentEach)
	finished(t, s)
	takeIn(t, s, article("The next letter from the wing"))
	digest := freeze(t, s, draft(t, s, "weekly", start))
	d := draft(t, s, "urgent", start)
	d.List.Kind = newsletter.Alert
	alert := freeze(t, s, d)
	record(t, s, sent(claim(t, s, start, 3)[0]))
	claimLane(t, s, newsletter.AlertLane, 3)

	if n := beginRun(t, s, newsletter.DigestLane); n != 5 {
		t.Errorf("%d taken back, want 2 digests and 3 alerts", n)
	}
	wantEdition(t, s, old, newsletter.Done, newsletter.Counts{Audience: 5, Sent: 5})
	wantEdition(t, s, digest, newsletter.Sending, newsletter.Counts{Audience: 5, Sent: 1, Pending: 2, Unknown: 2})
	wantEdition(t, s, alert, newsletter.Sending, newsletter.Counts{Audience: 4, Pending: 4})
	want := []store.Reason{{State: newsletter.Unknown, Words: "sending was interrupted while this copy may have been on the line", Count: 2}}
	if diff := cmp.Diff(want, reasonsOf(t, s, digest)); diff != "" {
		t.Errorf("why:\n%s", diff)
	}
	if digests, alerts := claim(t, s, start, 10), claimLane(t, s, newsletter.AlertLane, 10); len(digests) != 2 || len(alerts) != 4 {
		t.Errorf("then %d digests and %d alerts are given out", len(digests), len(alerts))
	}
	if n := beginRun(t, s, newsletter.AlertLane, newsletter.DigestLane); n != 6 {
		t.Errorf("%d taken back, want all that was given out", n)
	}
	wantEdition(t, s, digest, newsletter.Sending, newsletter.Counts{Audience: 5, Sent: 1, Unknown: 4})
	wantEdition(t, s, alert, newsletter.Sending, newsletter.Counts{Audience: 4, Unknown: 4})
}

func TestAPausedEditionWaitsAndGoesOn(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 6, newsletter.FirstWave{})
	flying := claim(t, s, start, 3)
	if err := s.PauseEdition(t.Context(), id, "a wrong date"); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 0 {
		t.Errorf("%d are given out of a paused edition", len(got))
	}
	record(t, s, sent(flying[0]), refused(flying[1], newsletter.OurContent), givenBack(flying[2], start))
	wantEdition(t, s, id, newsletter.Paused, newsletter.Counts{Audience: 6, Sent: 1, Failed: 1, Pending: 4})
	if e := must[newsletter.Edition](t)(s.Edition(t.Context(), id)); e.Reason != "a wrong date" {
		t.Errorf("it is paused because %q", e.Reason)
	}
	if err := s.ResumeEdition(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	recordEach(t, s, claim(t, s, start, 10), sentEach)
	if done := finished(t, s); len(done) != 1 || done[0].Reason != "" {
		t.Errorf("the editions that are done: %+v", done)
	}
	wantEdition(t, s, id, newsletter.Done, newsletter.Counts{Audience: 6, Sent: 5, Failed: 1})
}

// An edition that is paused keeps others waiting no longer than one that is done.
func TestAPauseIsForOneEdition(t *testing.T) {
	s := open(t, t.TempDir())
	paused := editionFor(t, s, 3, newsletter.FirstWave{})
	takeIn(t, s, article("The next letter from the wing"))
	other := freeze(t, s, draft(t, s, "weekly", start.Add(time.Minute)))
	if err := s.PauseEdition(t.Context(), paused, "a wrong date"); err != nil {
		t.Fatal(err)
	}
	for _, d := range claim(t, s, start.Add(time.Minute), 10) {
		if d.Edition != other {
			t.Errorf("a copy of edition %d is given out", d.Edition)
		}
		record(t, s, sent(d))
	}
	wantEdition(t, s, paused, newsletter.Paused, newsletter.Counts{Audience: 3, Pending: 3})
	wantEdition(t, s, other, newsletter.Sending, newsletter.Counts{Audience: 3, Sent: 3})
}

// What comes in after the end is written down as it was: what is sent is sent, and nothing waits any more.
func TestACancelledEditionEnds(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 8, newsletter.FirstWave{})
	flying := claim(t, s, start, 5)
	withdrawn, err := s.CancelEdition(t.Context(), id, "it names a source", start)
	if err != nil || withdrawn != 3 {
		t.Errorf("%d withdrawn, %v, want the three that nobody had taken", withdrawn, err)
	}
	wantEdition(t, s, id, newsletter.Cancelled, newsletter.Counts{Audience: 8, Pending: 5, Withdrawn: 3})
	want := []store.Reason{{State: newsletter.Withdrawn, Words: "the edition was cancelled", Count: 3}}
	if diff := cmp.Diff(want, reasonsOf(t, s, id)); diff != "" {
		t.Errorf("why:\n%s", diff)
	}
	unknown := refused(flying[4], newsletter.OwnerNone)
	unknown.State = newsletter.Unknown
	record(t, s, sent(flying[0]), putOff(flying[1], start), givenBack(flying[2], start), refused(flying[3], newsletter.OurContent), unknown)
	wantEdition(t, s, id, newsletter.Cancelled, newsletter.Counts{Audience: 8, Sent: 1, Failed: 1, Withdrawn: 5, Unknown: 1})
	if e := must[newsletter.Edition](t)(s.Edition(t.Context(), id)); e.Reason != "it names a source" {
		t.Errorf("it is cancelled because %q", e.Reason)
	}
	if got, done := claim(t, s, start.Add(time.Hour), 10), finished(t, s); len(got) != 0 || len(done) != 0 {
		t.Errorf("%d are given out of a cancelled edition, done: %+v", len(got), done)
	}
}

// A run that ends, or died, gives nothing of a cancelled edition back to those who wait: nobody would ever take it.
func TestNothingWaitsInACancelledEdition(t *testing.T) {
	tests := map[string]struct {
		end  func(s *store.Store) error
		want newsletter.Counts
	}{
		"the run ends": {
			func(s *store.Store) error { return s.EndRun(t.Context(), 1, start) },
			newsletter.Counts{Audience: 4, Withdrawn: 4},
		},
		"it was killed": {
			func(s *store.Store) error { _, _, err := s.BeginRun(t.Context(), nil, start); return err },
			newsletter.Counts{Audience: 4, Withdrawn: 4},
		},
		"killed, and held": {
			func(s *store.Store) error {
				_, _, err := s.BeginRun(t.Context(), []newsletter.Lane{newsletter.DigestLane}, start)
				return err
			},
			newsletter.Counts{Audience: 4, Withdrawn: 2, Unknown: 2},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			id := editionFor(t, s, 4, newsletter.FirstWave{})
			claim(t, s, start, 2)
			must[int](t)(s.CancelEdition(t.Context(), id, "by hand", start))
			if err := tt.end(s); err != nil {
				t.Fatal(err)
			}
			wantEdition(t, s, id, newsletter.Cancelled, tt.want)
		})
	}
}

// Each command says when it comes at the wrong moment, and changes nothing then.
func TestSteeringAtTheWrongMoment(t *testing.T) {
	verbs := map[string]func(s *store.Store, id newsletter.EditionID) error{
		"pause":  func(s *store.Store, id newsletter.EditionID) error { return s.PauseEdition(t.Context(), id, "again") },
		"resume": func(s *store.Store, id newsletter.EditionID) error { return s.ResumeEdition(t.Context(), id) },
		"cancel": func(s *store.Store, id newsletter.EditionID) error {
			_, err := s.CancelEdition(t.Context(), id, "again", start)
			return err
		},
		"retry": func(s *store.Store, id newsletter.EditionID) error {
			_, err := s.RetryEdition(t.Context(), id, store.WhichOurs, start)
			return err
		},
		"retry too late": func(s *store.Store, id newsletter.EditionID) error {
			_, err := s.RetryEdition(t.Context(), id, store.WhichOurs, start.Add(72*time.Hour))
			return err
		},
	}
	refuses := map[newsletter.EditionState]map[string]error{
		newsletter.Sending:   {"resume": newsletter.ErrNotFound, "retry too late": newsletter.ErrTooLate},
		newsletter.Paused:    {"pause": newsletter.ErrNotFound, "retry too late": newsletter.ErrTooLate},
		newsletter.Done:      {"pause": newsletter.ErrNotFound, "resume": newsletter.ErrNotFound, "cancel": newsletter.ErrNotFound, "retry too late": newsletter.ErrTooLate},
		newsletter.Cancelled: {"pause": newsletter.ErrNotFound, "resume": newsletter.ErrNotFound, "cancel": newsletter.ErrNotFound, "retry": newsletter.ErrNotFound, "retry too late": newsletter.ErrNotFound},
		"never made":         {"pause": newsletter.ErrNotFound, "resume": newsletter.ErrNotFound, "cancel": newsletter.ErrNotFound, "retry": newsletter.ErrNotFound, "retry too late": newsletter.ErrNotFound},
	}
	for state, wrong := range refuses {
		for verb, do := range verbs {
			t.Run(string(state)+"/"+verb, func(t *testing.T) {
				s := open(t, t.TempDir())
				id := editionFor(t, s, 2, newsletter.FirstWave{})
				bring(t, s, id, state)
				before := must[newsletter.Edition](t)(s.Edition(t.Context(), id))
				if state == "never made" {
					id++
				}
				err := do(s, id)
				if !errors.Is(err, wrong[verb]) {
					t.Fatalf("%v, want %v", err, wrong[verb])
				}
				after := must[newsletter.Edition](t)(s.Edition(t.Context(), before.ID))
				if diff := cmp.Diff(before, after); wrong[verb] != nil && diff != "" {
					t.Errorf("refused, and yet:\n%s", diff)
				}
			})
		}
	}
}

// bring brings an edition into a state.
func bring(t *testing.T, s *store.Store, id newsletter.EditionID, state newsletter.EditionState) {
	t.Helper()
	var err error
	switch state {
	case newsletter.Paused:
		err = s.PauseEdition(t.Context(), id, "by hand")
	case newsletter.Cancelled:
		_, err = s.CancelEdition(t.Context(), id, "by hand", start)
	case newsletter.Done:
		recordEach(t, s, claim(t, s, start, 10), func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.OurContent) })
		finished(t, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What is taken up again is what was asked for, and the edition goes on until that has ended, too.
func TestCopiesAreTriedAgainByHand(t *testing.T) {
	tests := map[string]struct {
		which store.Which
		want  newsletter.Counts
	}{
		"ours":    {store.WhichOurs, newsletter.Counts{Audience: 6, Sent: 1, Pending: 2, Failed: 2, Unknown: 1}},
		"unknown": {store.WhichUnknown, newsletter.Counts{Audience: 6, Sent: 1, Pending: 1, Failed: 4}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			which, want := tt.which, tt.want
			s := open(t, t.TempDir())
			id := editionFor(t, s, 6, newsletter.FirstWave{})
			d := claim(t, s, start, 10)
			unknown := refused(d[5], newsletter.OwnerNone)
			unknown.State = newsletter.Unknown
			record(t, s, sent(d[0]), refused(d[1], newsletter.OurIdentity), refused(d[2], newsletter.OurQuota), refused(d[3], newsletter.RecipientGone), refused(d[4], newsletter.OwnerUnknown), unknown)
			finished(t, s)
			last := start.Add(72*time.Hour - time.Millisecond)
			if n, err := s.RetryEdition(t.Context(), id, which, last); err != nil || n != want.Pending {
				t.Errorf("%d are taken up, %v, want %d", n, err, want.Pending)
			}
			wantEdition(t, s, id, newsletter.Sending, want)
			if n, err := s.RetryEdition(t.Context(), id, which, last); err != nil || n != 0 {
				t.Errorf("%d are taken up twice, %v", n, err)
			}
			again := claim(t, s, last, 10)
			if len(again) != want.Pending {
				t.Fatalf("%d are given out, want %d", len(again), want.Pending)
			}
			for _, a := range again {
				if a.Attempts != 1 || !a.FirstDue.Equal(start) {
					t.Errorf("reader %d's second copy would be another message: %+v", a.Subscriber, a)
				}
				record(t, s, sent(a))
			}
			if done := finished(t, s); len(done) != 1 || done[0].ID != id {
				t.Errorf("the editions that are done: %+v", done)
			}
			want.Sent, want.Pending = want.Sent+want.Pending, 0
			wantEdition(t, s, id, newsletter.Done, want)
		})
	}
}

func TestWhatIsTriedAgainInAPausedEditionWaits(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 2, newsletter.FirstWave{})
	record(t, s, refused(claim(t, s, start, 1)[0], newsletter.OurContent))
	bring(t, s, id, newsletter.Paused)
	if n, err := s.RetryEdition(t.Context(), id, store.WhichOurs, start); err != nil || n != 1 {
		t.Errorf("%d are taken up, %v", n, err)
	}
	if got := claim(t, s, start, 10); len(got) != 0 {
		t.Errorf("%d are given out of a paused edition", len(got))
	}
	wantEdition(t, s, id, newsletter.Paused, newsletter.Counts{Audience: 2, Pending: 2})
}

// What had failed while the relay refused us all is pending again when that shows, also where its edition is over by then.
func TestWhatFailedForAnothersReasonIsRevived(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 3, newsletter.FirstWave{})
	d := claim(t, s, start, 3)
	record(t, s, refused(d[0], newsletter.OurReputation), refused(d[1], newsletter.RecipientBusy), sent(d[2]))
	finished(t, s)
	revived := func(d newsletter.Delivery) newsletter.Outcome {
		o := putOff(d, start.Add(time.Minute))
		o.Revived, o.Untried = true, true
		return o
	}
	record(t, s, revived(d[0]), revived(d[2]))
	wantEdition(t, s, id, newsletter.Sending, newsletter.Counts{Audience: 3, Sent: 1, Pending: 1, Failed: 1})
	again := claim(t, s, start.Add(time.Minute), 10)
	if len(again) != 1 || again[0].Subscriber != d[0].Subscriber {
		t.Fatalf("%v are given out, want reader %d alone", readersOf(again), d[0].Subscriber)
	}
	record(t, s, sent(again[0]))
	if done := finished(t, s); len(done) != 1 {
		t.Errorf("the editions that are done: %+v", done)
	}
}

func TestSentStaysSent(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 1, newsletter.FirstWave{})
	d := claim(t, s, start, 1)[0]
	record(t, s, sent(d))
	for _, state := range []newsletter.State{newsletter.Sent, newsletter.Pending, newsletter.Failed, newsletter.Withdrawn, newsletter.Unknown} {
		late := refused(d, newsletter.OurContent)
		late.State, late.Due = state, start
		record(t, s, late)
		late.Revived, late.Untried = true, true
		record(t, s, late)
		beginRun(t, s, newsletter.DigestLane)
		for _, which := range []store.Which{store.WhichOurs, store.WhichUnknown} {
			must[int](t)(s.RetryEdition(t.Context(), id, which, start))
		}
		if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 0 {
			t.Errorf("given out again after %s", state)
		}
		wantEdition(t, s, id, newsletter.Sending, newsletter.Counts{Audience: 1, Sent: 1})
	}
	must[int](t)(s.CancelEdition(t.Context(), id, "by hand", start))
	wantEdition(t, s, id, newsletter.Cancelled, newsletter.Counts{Audience: 1, Sent: 1})
}

// Whoever marks an edition done must not overlook what is taken up again at that moment: nobody would look for it there.
func TestNoCopyWaitsInAnEditionThatIsDone(t *testing.T) {
	dir := t.TempDir()
	s, command := open(t, dir), open(t, dir)
	id := editionFor(t, s, 2, newsletter.FirstWave{})
	for range 50 {
		recordEach(t, s, claim(t, s, start, 10), func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.OurContent) })
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := s.FinishEditions(t.Context()); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if _, err := command.RetryEdition(t.Context(), id, store.WhichOurs, start); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if wantEdition(t, s, id, newsletter.Sending, newsletter.Counts{Audience: 2, Pending: 2}); t.Failed() {
			return
		}
	}
}
