package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func address(n int) newsletter.Address {
	return newsletter.Address(fmt.Sprintf("reader%d@example.net", n))
}

// enrol adds n confirmed readers to a list.
func enrol(t *testing.T, s *store.Store, n int, list string) []newsletter.SubscriberID {
	t.Helper()
	var batch []store.Enrolment
	for i := range n {
		batch = append(batch, store.Enrolment{
			Subscriber: newsletter.Subscriber{Address: address(i), Name: "Reader"}, Lists: []string{list}, Confirmed: true,
			Consent: newsletter.Consent{At: start, Source: "test"},
		})
	}
	var ids []newsletter.SubscriberID
	for _, e := range must[[]store.Enrolled](t)(s.Enrol(t.Context(), batch, start)) {
		ids = append(ids, e.ID)
	}
	return ids
}

// draft is an edition of everything that a list has not used, in one variant for everyone.
func draft(t *testing.T, s *store.Store, list string, slot time.Time) newsletter.Draft {
	t.Helper()
	d := newsletter.Draft{
		List: newsletter.List{ID: list, Kind: newsletter.Digest}, Slot: newsletter.Slot{List: list, Due: slot}, Made: slot, Life: 72 * time.Hour, Expires: slot.Add(72 * time.Hour),
		Subject:  "A subject",
		Variants: []newsletter.Variant{{ID: 1, Subject: "A subject", HTML: "<p>", Text: "text", Message: []byte("message"), Nonce: "nonce"}},
	}
	for _, i := range must[[]newsletter.Item](t)(s.Unused(t.Context(), list, false, time.Time{})) {
		d.Items = append(d.Items, i.ID)
	}
	d.Audience = must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: list}))
	for i := range d.Audience {
		d.Audience[i].Variant = 1
	}
	return d
}

func freeze(t *testing.T, s *store.Store, d newsletter.Draft) newsletter.EditionID {
	t.Helper()
	return must[newsletter.EditionID](t)(s.Freeze(t.Context(), d))
}

func claim(t *testing.T, s *store.Store, now time.Time, n int) []newsletter.Delivery {
	t.Helper()
	return must[[]newsletter.Delivery](t)(s.ClaimDeliveries(t.Context(), newsletter.Claim{Run: 1, Lane: newsletter.DigestLane, Now: now, N: n}))
}

func finished(t *testing.T, s *store.Store) []newsletter.Edition {
	t.Helper()
	return must[[]newsletter.Edition](t)(s.FinishEditions(t.Context()))
}

func counts(t *testing.T, s *store.Store, id newsletter.EditionID) newsletter.Counts {
	t.Helper()
	return must[newsletter.Edition](t)(s.Edition(t.Context(), id)).Counts
}

func sent(d newsletter.Delivery) newsletter.Outcome {
	return newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Sent, At: start, Attempts: d.Attempts + 1, Code: 250}
}

func record(t *testing.T, s *store.Store, outcomes ...newsletter.Outcome) {
	t.Helper()
	if err := s.RecordOutcomes(t.Context(), outcomes); err != nil {
		t.Fatal(err)
	}
}

func TestASlotYieldsOneEdition(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 3, "weekly")
	mark := newsletter.Mark{Considered: start.Add(-time.Hour), Schedule: "0 9 * * *", Zone: "UTC"}
	must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", mark))
	d := draft(t, s, "weekly", start)
	id := freeze(t, s, d)
	if _, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("the same slot again: %v", err)
	}
	if err := s.Skip(t.Context(), []newsletter.Decided{{Slot: d.Slot, Fate: newsletter.SkippedNoItems}}, start); err != nil {
		t.Error(err)
	}
	if slots := must[[]newsletter.Decided](t)(s.DecidedSlots(t.Context(), "weekly", start)); len(slots) != 1 || slots[0].Fate != newsletter.MadeEdition {
		t.Errorf("skipping a slot that has an edition: %+v", slots)
	}
	d.Slot.Due = start.Add(time.Minute)
	if _, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrFrozen) {
		t.Errorf("the same items in another slot: %v", err)
	}
	if all := must[[]newsletter.Edition](t)(s.Editions(t.Context(), "weekly", 0)); len(all) != 1 || all[0].ID != id || all[0].Counts.Audience != 3 {
		t.Errorf("what failed has left something behind: %+v", all)
	}
	if mark := must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", mark)); !mark.Considered.Equal(start) {
		t.Errorf("the list's mark stands at %v", mark)
	}
}

func TestAnEditionByHandDecidesNoSlot(t *testing.T) {
	s := open(t, t.TempDir())
	begin := must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{Considered: start}))
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 1, "weekly")
	d := draft(t, s, "weekly", start.Add(90*time.Minute))
	d.ByHand = true
	freeze(t, s, d)
	if at := must[newsletter.Mark](t)(s.Mark(t.Context(), "weekly", newsletter.Mark{})); at != begin {
		t.Errorf("the list's mark has moved to %v: a slot between would be lost", at)
	}
}

func TestReadersAreTheSameInAnyCase(t *testing.T) {
	s := open(t, t.TempDir())
	one := store.Enrolment{Subscriber: newsletter.Subscriber{Address: "Reader@example.net", Name: "First"}, Lists: []string{"weekly"}}
	two := one
	two.Subscriber.Address, two.Subscriber.Name, two.Confirmed = "reader@example.net", "Second", true
	got := must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{one, two, two}, start))
	want := []store.Enrolled{{ID: got[0].ID, New: true, Began: 1}, {ID: got[0].ID, Confirmed: 1}, {ID: got[0].ID, Known: 1}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("enrolment %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if sub := must[newsletter.Subscriber](t)(s.Subscriber(t.Context(), "READER@example.net")); sub.Address != "Reader@example.net" || sub.Name != "First" {
		t.Errorf("kept %+v: the address as first given is the one to write to", sub)
	}
}

func TestAnImportUndoesNoLeaving(t *testing.T) {
	s := open(t, t.TempDir())
	id := enrol(t, s, 1, "weekly")[0]
	link := newsletter.Link{Subscriber: id, List: "weekly"}
	for range 2 {
		if err := s.Unsubscribe(t.Context(), link, start); err != nil {
			t.Fatal(err)
		}
	}
	enrol(t, s, 1, "weekly")
	if state := must[newsletter.SubscriptionState](t)(s.Subscription(t.Context(), link)); state != newsletter.Ended {
		t.Errorf("after the import the subscription is %s", state)
	}
	if err := s.Resubscribe(t.Context(), link, start.Add(25*time.Hour)); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("undoing it a day later: %v", err)
	}
	if err := s.Resubscribe(t.Context(), link, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if state := must[newsletter.SubscriptionState](t)(s.Subscription(t.Context(), link)); state != newsletter.Confirmed {
		t.Errorf("after the undo the subscription is %s", state)
	}
	if err := s.Unsubscribe(t.Context(), newsletter.Link{Subscriber: 99, List: "weekly"}, start); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("leaving a list that one is not on: %v", err)
	}
}

func TestAnUndoneLeavingConfirmsNobody(t *testing.T) {
	s := open(t, t.TempDir())
	pending := store.Enrolment{Subscriber: newsletter.Subscriber{Address: address(1)}, Lists: []string{"weekly"}}
	link := newsletter.Link{Subscriber: must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{pending}, start))[0].ID, List: "weekly"}
	if err := errors.Join(s.Unsubscribe(t.Context(), link, start), s.Resubscribe(t.Context(), link, start)); err != nil {
		t.Fatal(err)
	}
	if state := must[newsletter.SubscriptionState](t)(s.Subscription(t.Context(), link)); state != newsletter.PendingConsent {
		t.Errorf("leaving and coming back made a pending subscription %s", state)
	}
}

// Promise 4: who left gets nothing, also when she left after the edition was made.
func TestWhoLeftAfterTheEditionWasMadeGetsNothing(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	ids := enrol(t, s, 4, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	if err := s.Unsubscribe(t.Context(), newsletter.Link{Subscriber: ids[0], List: "weekly"}, start); err != nil {
		t.Fatal(err)
	}
	first := claim(t, s, start, 2)
	gone := sent(first[0])
	gone.State, gone.Owner, gone.Code, gone.Enhanced, gone.Words = newsletter.Failed, newsletter.RecipientGone, 550, "5.1.1", "unknown user"
	record(t, s, gone, sent(first[1]))
	if got := claim(t, s, start, 10); len(got) != 1 {
		t.Errorf("%d more are claimed, want the one who is left", len(got))
	}
	if got, want := counts(t, s, id), (newsletter.Counts{Audience: 4, Sent: 1, Pending: 1, Failed: 1, Withdrawn: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	takeIn(t, s, article("The next letter from the wing"))
	if got := draft(t, s, "weekly", start.Add(time.Hour)); len(got.Audience) != 1 || got.Audience[0].Readers != 2 {
		t.Errorf("the next edition is for %+v, want the two who are neither gone nor suppressed", got.Audience)
	}
}

// Promise 5: a petition that has closed is not sent, and a digest outlives one of its actions.
func TestTheFormIsPickedByTheClock(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 3, "weekly")
	d := draft(t, s, "weekly", start)
	closes := start.Add(time.Hour)
	d.Variants = append(d.Variants, d.Variants[0])
	d.Variants[0].Until, d.Variants[0].Subject = closes, "with the action"
	id := freeze(t, s, d)
	before, after := claim(t, s, closes.Add(-time.Millisecond), 1), claim(t, s, closes, 1)
	if len(before) != 1 || len(after) != 1 || !before[0].Until.Equal(closes) || !after[0].Until.IsZero() {
		t.Fatalf("claimed %+v before and %+v after the deadline", before, after)
	}
	if v := must[newsletter.Variant](t)(s.Variant(t.Context(), id, 1, closes)); v.Subject != "with the action" {
		t.Errorf("the form before the deadline is %q", v.Subject)
	}
}

func TestACopyWhoseActionsHaveAllClosedIsWithdrawn(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, action("Free the printers of Port Sel"))
	enrol(t, s, 2, "weekly")
	d := draft(t, s, "weekly", start)
	d.Variants[0].Until = start.Add(time.Hour)
	id := freeze(t, s, d)
	if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 0 {
		t.Errorf("claimed %+v after the deadline", got)
	}
	if got := counts(t, s, id); got.Withdrawn != 2 {
		t.Errorf("counts %+v", got)
	}
	if done := finished(t, s); len(done) != 1 || done[0].ID != id || done[0].Counts.Withdrawn != 2 {
		t.Errorf("the editions that are done: %+v", done)
	}
}

// Promise 2: what a dead run had claimed is tried again; what has a recorded 250 never is.
func TestANewRunTakesBackWhatADeadOneHadClaimed(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 5, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	claimed := claim(t, s, start, 3)
	record(t, s, sent(claimed[0]))
	if got := claim(t, s, start, 10); len(got) != 2 {
		t.Errorf("%d are claimed twice or not at all", len(got))
	}
	_, back, err := s.BeginRun(t.Context(), nil, start)
	if err != nil || back != 4 {
		t.Fatalf("taken back %d, %v, want 4", back, err)
	}
	again := claim(t, s, start, 10)
	if len(again) != 4 {
		t.Fatalf("%d claimed again, want 4", len(again))
	}
	for _, d := range again {
		if d.Subscriber == claimed[0].Subscriber {
			t.Error("a reader with a recorded 250 is tried again")
		}
		record(t, s, sent(d))
	}
	if done := finished(t, s); len(done) != 1 {
		t.Errorf("the editions that are done: %+v", done)
	}
	if e := must[newsletter.Edition](t)(s.Edition(t.Context(), id)); e.State != newsletter.Done || e.Counts != (newsletter.Counts{Audience: 5, Sent: 5}) {
		t.Errorf("the edition ends as %s with %+v", e.State, e.Counts)
	}
}

func TestARetryWaitsForItsTimeAndPatienceEnds(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 1, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	d := claim(t, s, start, 1)[0]
	later := newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Pending, At: start, Due: start.Add(5 * time.Minute), Attempts: 1, Code: 451, Enhanced: "4.7.1", Words: "try again later"}
	record(t, s, later)
	if got := claim(t, s, start.Add(4*time.Minute), 1); len(got) != 0 {
		t.Errorf("claimed before its time: %+v", got)
	}
	if got := claim(t, s, start.Add(5*time.Minute), 1); len(got) != 1 || got[0].Attempts != 1 || !got[0].FirstDue.Equal(start) {
		t.Fatalf("claimed %+v, want one with its first due time", got)
	}
	record(t, s, later)
	if got := claim(t, s, start.Add(80*time.Hour), 1); len(got) != 0 {
		t.Errorf("claimed after the edition expired: %+v", got)
	}
	if got := counts(t, s, id); got.Failed != 1 {
		t.Errorf("counts %+v", got)
	}
	copies := must[[]store.Copy](t)(s.Copies(t.Context(), d.Subscriber, 10))
	if len(copies) != 1 || len(copies[0].Tries) != 2 || copies[0].Tries[0].Words != "try again later" {
		t.Errorf("the reader's copies tell %+v", copies)
	}
}

// Promise 10: the proof goes first, and a rehearsal reaches nobody else, now or later.
func TestProofsGoFirstAndARehearsalGoesNoFurther(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 2, "weekly")
	d := draft(t, s, "weekly", start)
	d.Proofs, d.Rehearsal = []newsletter.Address{"desk@example.org"}, true
	rehearsal := freeze(t, s, d)
	proof := claim(t, s, start, 10)
	if len(proof) != 1 || !proof[0].Subscriber.Proof() || proof[0].Address != "desk@example.org" {
		t.Fatalf("a rehearsal gives out %+v", proof)
	}
	record(t, s, sent(proof[0]))
	if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 0 {
		t.Errorf("after the proof a rehearsal gives out %+v", got)
	}
	if got := counts(t, s, rehearsal); got != (newsletter.Counts{Audience: 2, Withdrawn: 2}) {
		t.Errorf("counts of the rehearsal: %+v", got)
	}
	real := draft(t, s, "weekly", start.Add(time.Hour))
	if len(real.Items) != 1 {
		t.Fatalf("the rehearsal has used up the items of the real edition")
	}
	real.Proofs = d.Proofs
	freeze(t, s, real)
	if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 1 || !got[0].Subscriber.Proof() {
		t.Fatalf("before the proof was tried, %+v are given out", got)
	}
	refused := newsletter.Outcome{DeliveryKey: newsletter.DeliveryKey{Edition: rehearsal + 1, Subscriber: proof[0].Subscriber}, State: newsletter.Pending, At: start, Due: start.Add(24 * time.Hour), Attempts: 1, Code: 451}
	record(t, s, refused)
	if got := claim(t, s, start.Add(time.Hour), 10); len(got) != 2 {
		t.Errorf("a proof that is refused holds the readers back: %+v", got)
	}
}

// Whatever happens to the deliveries, the counts add up to the audience.
func TestTheCountsAddUp(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 40, "weekly")
	id := freeze(t, s, draft(t, s, "weekly", start))
	now := start
	rapid.Check(t, func(rt *rapid.T) {
		for _, d := range claim(t, s, now, rapid.IntRange(0, 5).Draw(rt, "n")) {
			state := rapid.SampledFrom([]newsletter.State{newsletter.Sent, newsletter.Pending, newsletter.Failed, newsletter.Unknown}).Draw(rt, "state")
			if rapid.Bool().Draw(rt, "recorded") {
				record(t, s, newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: state, At: now, Due: now.Add(time.Minute), Attempts: 1, Code: 450, Words: "x"})
			}
		}
		now = now.Add(time.Second)
		c := counts(t, s, id)
		if c.Audience != 40 || c.Audience != c.Sent+c.Pending+c.Failed+c.Withdrawn+c.Unknown {
			rt.Fatalf("counts %+v", c)
		}
	})
}

func TestWhatComesBackIsCountedOnceAndFollowed(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	ids := enrol(t, s, 3, "weekly")
	enrol(t, s, 3, "urgent")
	id := freeze(t, s, draft(t, s, "weekly", start))
	bounce := newsletter.Bounce{DeliveryKey: newsletter.DeliveryKey{Edition: id, Subscriber: ids[0]}, Kind: newsletter.HardBounce, Status: "5.1.1", At: start}
	if _, err := s.RecordBounce(t.Context(), bounce); !errors.Is(err, newsletter.ErrNotFound) {
		t.Errorf("a bounce of what was not sent: %v", err)
	}
	for _, d := range claim(t, s, start, 3) {
		record(t, s, sent(d))
	}
	for i, kind := range []newsletter.BounceKind{newsletter.HardBounce, newsletter.SoftBounce, newsletter.Complaint} {
		bounce.Subscriber, bounce.Kind = ids[i], kind
		for n := range 2 {
			if first, err := s.RecordBounce(t.Context(), bounce); err != nil || first != (n == 0) {
				t.Errorf("%s bounce, time %d: first %v, %v", kind, n+1, first, err)
			}
		}
	}
	suppressed := func(n int) bool {
		_, err := s.Suppression(t.Context(), address(n))
		return err == nil
	}
	if !suppressed(0) || suppressed(1) || !suppressed(2) {
		t.Errorf("suppressed: hard %v, soft %v, complaint %v", suppressed(0), suppressed(1), suppressed(2))
	}
	for _, list := range []string{"weekly", "urgent"} {
		if state := must[newsletter.SubscriptionState](t)(s.Subscription(t.Context(), newsletter.Link{Subscriber: ids[2], List: list})); state != newsletter.Ended {
			t.Errorf("after a complaint the subscription to %s is %s", list, state)
		}
	}
}

// A copy that was put off in a streak and has been tried again meanwhile is not taken up a second time.
func TestWhoIsTriedAgainIsNotRevived(t *testing.T) {
	s := open(t, t.TempDir())
	editionFor(t, s, 1, newsletter.FirstWave{})
	first := putOff(claim(t, s, start, 1)[0], start.Add(time.Minute))
	record(t, s, first)
	again := claim(t, s, start.Add(time.Hour), 1)
	if len(again) != 1 {
		t.Fatalf("%d copies are given out again", len(again))
	}
	revived := first
	revived.State, revived.Revived, revived.Untried, revived.Due = newsletter.Pending, true, true, start
	record(t, s, revived)
	if got := claim(t, s, start.Add(time.Hour), 1); len(got) != 0 {
		t.Error("the copy on the line is given out a second time")
	}
}

// A clock that is set back after an edition was made changes nothing: its proof still goes first, and its first wave is still waited for.
func TestAClockSetBackKeepsTheOrder(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 600, "weekly")
	d := draft(t, s, "weekly", start)
	d.Proofs = []newsletter.Address{"desk@example.org"}
	freeze(t, s, d)
	before := start.Add(-time.Hour)
	first := claim(t, s, before, 700)
	if len(first) != 1 || !first[0].Subscriber.Proof() {
		t.Fatalf("%d copies are given out before the proof was tried", len(first))
	}
	record(t, s, sent(first[0]))
	if got := claim(t, s, before, 100); len(got) != 100 {
		t.Errorf("%d copies are given out", len(got))
	}
	if judged, err := s.JudgeTrials(t.Context(), before); err != nil || len(judged) != 0 {
		t.Errorf("the first wave is judged while it waits: %+v %v", judged, err)
	}
}
