package store_test

import (
	"database/sql"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// editionFor freezes an edition for n new readers, of whom some get it first.
func editionFor(t *testing.T, s *store.Store, n int, first newsletter.FirstWave) newsletter.EditionID {
	t.Helper()
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, n, "weekly")
	d := draft(t, s, "weekly", start)
	d.List.FirstWave = first
	return freeze(t, s, d)
}

func refused(d newsletter.Delivery, owner newsletter.Owner) newsletter.Outcome {
	return newsletter.Outcome{
		DeliveryKey: d.DeliveryKey, State: newsletter.Failed, At: start, Attempts: d.Attempts + 1, Code: 550, Enhanced: "5.0.0", Words: "not taken", Owner: owner,
	}
}

func putOff(d newsletter.Delivery, due time.Time) newsletter.Outcome {
	return newsletter.Outcome{
		DeliveryKey: d.DeliveryKey, State: newsletter.Pending, At: start, Due: due, Attempts: d.Attempts + 1, Code: 451, Enhanced: "4.7.1", Words: "try again later",
	}
}

func givenBack(d newsletter.Delivery, due time.Time) newsletter.Outcome {
	return newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Pending, At: start, Due: due, Attempts: d.Attempts, Untried: true}
}

// recordEach records what became of each of some deliveries, in one group.
func recordEach(t *testing.T, s *store.Store, deliveries []newsletter.Delivery, became func(i int, d newsletter.Delivery) newsletter.Outcome) {
	t.Helper()
	var outcomes []newsletter.Outcome
	for i, d := range deliveries {
		outcomes = append(outcomes, became(i, d))
	}
	record(t, s, outcomes...)
}

func sentEach(_ int, d newsletter.Delivery) newsletter.Outcome { return sent(d) }

func judge(t *testing.T, s *store.Store, now time.Time) []newsletter.Trial {
	t.Helper()
	return must[[]newsletter.Trial](t)(s.JudgeTrials(t.Context(), now))
}

func readersOf(deliveries []newsletter.Delivery) (ids []newsletter.SubscriberID) {
	for _, d := range deliveries {
		ids = append(ids, d.Subscriber)
	}
	slices.Sort(ids)
	return ids
}

func TestTheFirstGoFirst(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := editionFor(t, s, 600, newsletter.FirstWave{})
	first := claim(t, s, start, 1000)
	var lowest []newsletter.SubscriberID
	for _, d := range must[[]newsletter.Delivery](t)(s.ClaimDeliveries(t.Context(), newsletter.Claim{Run: 1, Lane: newsletter.AlertLane, Now: start, N: 1000})) {
		t.Errorf("reader %d gets it in another lane", d.Subscriber)
	}
	for i := range 500 {
		lowest = append(lowest, newsletter.SubscriberID(i+1))
	}
	if diff := cmp.Diff(lowest, readersOf(first)); diff != "" {
		t.Fatalf("the first are not the 500 lowest:\n%s", diff)
	}
	recordEach(t, s, first[:499], sentEach)
	for name, s := range map[string]*store.Store{"the same process": s, "a restarted one": open(t, dir)} {
		if trials := judge(t, s, start.Add(time.Second)); len(trials) != 0 {
			t.Errorf("%s: judged before the last of the first has been tried: %+v", name, trials)
		}
		if got := claim(t, s, start.Add(time.Hour), 1000); len(got) != 0 {
			t.Errorf("%s: %d more are given out before the verdict", name, len(got))
		}
	}
	record(t, s, sent(first[499]))
	if got := claim(t, s, start.Add(time.Hour), 1000); len(got) != 0 {
		t.Errorf("%d are given out when the first are through and nobody has judged", len(got))
	}
	if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 500}}, judge(t, s, start.Add(time.Second))); diff != "" {
		t.Errorf("the verdict:\n%s", diff)
	}
	rest := readersOf(claim(t, s, start, 1000))
	if len(rest) != 100 || rest[0] != 501 || rest[99] != 600 {
		t.Errorf("after the verdict %d go: %v", len(rest), rest)
	}
	if trials := judge(t, s, start.Add(time.Second)); len(trials) != 0 {
		t.Errorf("judged twice: %+v", trials)
	}
}

// One in twenty is what may be gone. The verdict is final: an edition that an admin resumes is not judged again.
func TestAListOfTheGonePausesItself(t *testing.T) {
	for name, gone := range map[string]int{"at the mark": 25, "above it": 26} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			id := editionFor(t, s, 600, newsletter.FirstWave{})
			recordEach(t, s, claim(t, s, start, 1000), func(i int, d newsletter.Delivery) newsletter.Outcome {
				if i < gone {
					return refused(d, newsletter.RecipientGone)
				}
				return refused(d, newsletter.OurReputation) // says nothing about the list
			})
			tooMany := gone == 26
			if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 500, Gone: gone, Paused: tooMany}}, judge(t, s, start)); diff != "" {
				t.Errorf("the verdict:\n%s", diff)
			}
			if tooMany {
				e := must[newsletter.Edition](t)(s.Edition(t.Context(), id))
				if e.State != newsletter.Paused || e.Reason != "26 of the first 500 addresses are gone" {
					t.Errorf("the edition is %s because %q", e.State, e.Reason)
				}
				if got := claim(t, s, start, 1000); len(got) != 0 {
					t.Errorf("%d are given out of a paused edition", len(got))
				}
				if trials := judge(t, s, start); len(trials) != 0 {
					t.Errorf("a paused edition is judged again: %+v", trials)
				}
				if err := s.ResumeEdition(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			rest := claim(t, s, start, 1000)
			recordEach(t, s, rest, func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.RecipientGone) })
			if trials := judge(t, s, start); len(rest) != 100 || len(trials) != 0 {
				t.Errorf("%d of the rest go, want 100; judged again: %+v", len(rest), trials)
			}
			if done := finished(t, s); len(done) != 1 || done[0].Counts != (newsletter.Counts{Audience: 600, Failed: 600}) {
				t.Errorf("the editions that are done: %+v", done)
			}
		})
	}
}

func TestFewReadersAndRehearsalsAreNotJudged(t *testing.T) {
	tests := map[string]struct {
		readers   int
		rehearsal bool
		want      int
	}{
		"no more readers than go first": {500, false, 500},
		"a rehearsal":                   {600, true, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			takeIn(t, s, article("A letter from the north wing"))
			enrol(t, s, tt.readers, "weekly")
			d := draft(t, s, "weekly", start)
			if tt.rehearsal {
				d.Rehearsal, d.Proofs = true, []newsletter.Address{"desk@example.org"}
			}
			freeze(t, s, d)
			all := claim(t, s, start, 1000)
			if len(all) != tt.want {
				t.Fatalf("%d are given out at once, want %d", len(all), tt.want)
			}
			recordEach(t, s, all, func(_ int, d newsletter.Delivery) newsletter.Outcome { return refused(d, newsletter.RecipientGone) })
			if trials := judge(t, s, start.Add(time.Hour)); len(trials) != 0 {
				t.Errorf("judged: %+v", trials)
			}
			if done := finished(t, s); len(done) != 1 {
				t.Errorf("the editions that are done: %+v", done)
			}
		})
	}
}

func TestTheProofGoesBeforeTheFirst(t *testing.T) {
	s := open(t, t.TempDir())
	takeIn(t, s, article("A letter from the north wing"))
	enrol(t, s, 10, "weekly")
	d := draft(t, s, "weekly", start)
	d.List.FirstWave.N, d.Proofs = 4, []newsletter.Address{"desk@example.org"}
	id := freeze(t, s, d)
	proof := claim(t, s, start, 100)
	if len(proof) != 1 || !proof[0].Subscriber.Proof() {
		t.Fatalf("before the proof was tried, %v are given out", readersOf(proof))
	}
	record(t, s, refused(proof[0], newsletter.RecipientGone))
	first := claim(t, s, start, 100)
	recordEach(t, s, first, sentEach)
	if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 4}}, judge(t, s, start)); len(first) != 4 || diff != "" {
		t.Errorf("%d go first, want 4 readers; the verdict counts the proof:\n%s", len(first), diff)
	}
}

// What comes back by mail counts while the rest waits for it, and the wait survives a restart.
func TestTheRestWaitsForReports(t *testing.T) {
	for name, bounces := range map[string]int{"at the mark": 2, "above it": 3} { // one in twenty of 50 is 2.5
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			id := editionFor(t, s, 60, newsletter.FirstWave{N: 50, Wait: 15 * time.Minute})
			first := claim(t, s, start, 1000)
			recordEach(t, s, first, sentEach)
			tried := start.Add(time.Minute)
			if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 50, Waits: tried.Add(15 * time.Minute)}}, judge(t, s, tried)); len(first) != 50 || diff != "" {
				t.Fatalf("%d go first, then:\n%s", len(first), diff)
			}
			for i := range bounces {
				must[bool](t)(s.RecordBounce(t.Context(), newsletter.Bounce{DeliveryKey: first[i].DeliveryKey, Kind: newsletter.HardBounce, Status: "5.1.1", At: tried}))
				must[bool](t)(s.RecordBounce(t.Context(), newsletter.Bounce{DeliveryKey: first[i+10].DeliveryKey, Kind: newsletter.SoftBounce, Status: "4.2.2", At: tried}))
			}
			s = open(t, dir)
			early := tried.Add(15*time.Minute - time.Millisecond)
			if trials, got := judge(t, s, early), claim(t, s, early, 1000); len(trials) != 0 || len(got) != 0 {
				t.Errorf("before the time: %+v, %d given out", trials, len(got))
			}
			late, paused := tried.Add(15*time.Minute), bounces == 3
			if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 50, Gone: bounces, Paused: paused}}, judge(t, s, late)); diff != "" {
				t.Errorf("the verdict:\n%s", diff)
			}
			if got := claim(t, s, late, 1000); len(got) != 10 != paused {
				t.Errorf("%d given out after the verdict", len(got))
			}
		})
	}
}

// Enough refusals need no reports: nothing that comes later makes the gone fewer.
func TestTooManyRefusalsPauseAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	id := editionFor(t, s, 60, newsletter.FirstWave{N: 50, Wait: 15 * time.Minute})
	recordEach(t, s, claim(t, s, start, 1000), func(i int, d newsletter.Delivery) newsletter.Outcome {
		if i < 3 {
			return refused(d, newsletter.RecipientGone)
		}
		return sent(d)
	})
	if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 50, Gone: 3, Paused: true}}, judge(t, s, start)); diff != "" {
		t.Errorf("the verdict:\n%s", diff)
	}
}

// What counts as tried: the rest waits for each of the first, but not for ever for the few that a relay lets hang.
func TestWhatTheVerdictWaitsFor(t *testing.T) {
	const slowest = 10 * time.Second
	tomorrow := start.Add(24 * time.Hour)
	tests := map[string]struct {
		became func(i int, d newsletter.Delivery) newsletter.Outcome // state "": no outcome yet
		age    time.Duration                                         // of the last outcome
		judged bool
	}{
		"all are sent": {sentEach, 0, true},
		"one is greylisted": {func(i int, d newsletter.Delivery) newsletter.Outcome {
			if i == 0 {
				return putOff(d, tomorrow)
			}
			return sent(d)
		}, 0, true},
		"one is to come later": {func(i int, d newsletter.Delivery) newsletter.Outcome {
			if i == 0 {
				return givenBack(d, tomorrow)
			}
			return sent(d)
		}, 0, true},
		"most are to come later": {func(i int, d newsletter.Delivery) newsletter.Outcome {
			if i < 300 {
				return givenBack(d, tomorrow)
			}
			return sent(d)
		}, slowest - time.Millisecond, false},
		"most are to come later, and nothing happens": {func(i int, d newsletter.Delivery) newsletter.Outcome {
			if i < 300 {
				return givenBack(d, tomorrow)
			}
			return sent(d)
		}, slowest, true},
		"one in ten hangs":           {hanging(50, sentEach), slowest, true},
		"one in ten does not yet":    {hanging(50, sentEach), slowest - time.Millisecond, false},
		"more hang":                  {hanging(51, sentEach), time.Hour, false},
		"greylisted, and some hang":  {hanging(50, putOffEach), slowest, true},
		"greylisted, and all is new": {hanging(50, putOffEach), slowest - time.Millisecond, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			editionFor(t, s, 600, newsletter.FirstWave{})
			var outcomes []newsletter.Outcome
			for i, d := range claim(t, s, start, 1000) {
				if o := tt.became(i, d); o.State != "" {
					outcomes = append(outcomes, o)
				}
			}
			record(t, s, outcomes...)
			now := start.Add(tt.age)
			if trials := judge(t, s, now); len(trials) == 1 != tt.judged {
				t.Errorf("the verdict: %+v, want one: %v", trials, tt.judged)
			}
			if got := claim(t, s, now, 1000); len(got) == 100 != tt.judged || len(got) > 100 {
				t.Errorf("%d of the rest go", len(got))
			}
		})
	}
}

// hanging leaves the first n without an outcome.
func hanging(n int, others func(int, newsletter.Delivery) newsletter.Outcome) func(int, newsletter.Delivery) newsletter.Outcome {
	return func(i int, d newsletter.Delivery) newsletter.Outcome {
		if i < n {
			return newsletter.Outcome{}
		}
		return others(i, d)
	}
}

func putOffEach(_ int, d newsletter.Delivery) newsletter.Outcome {
	return putOff(d, start.Add(time.Hour))
}

// While the first are on their way a claim looks at those alone, however many wait behind them.
func TestAClaimInTheFirstWavePassesNobodyOver(t *testing.T) {
	db := must[*sql.DB](t)(sql.Open("sqlite3", open(t, t.TempDir()).Path()))
	defer db.Close()
	for name, want := range map[string]string{
		"dueFirst":   "USING PRIMARY KEY (edition=? AND subscriber<?)",
		"duePending": "USING INDEX deliveries_pending (edition=? AND due<?)",
	} {
		rows := must[*sql.Rows](t)(db.Query("EXPLAIN QUERY PLAN "+constant(t, "outbox.go", name), 1, 0, false, 501, 100))
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if len(plan) != 1 || !strings.HasPrefix(plan[0], "SEARCH") || !strings.HasSuffix(plan[0], want) {
			t.Errorf("%s is found by %q, want one search %s", name, plan, want)
		}
	}
}

// constant is the text of a constant in this package's code: a plan is about a statement, and no method shows those.
func constant(t *testing.T, file, name string) (text string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == name {
			text = must[string](t)(strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value))
		}
		return text == ""
	})
	if text == "" {
		t.Fatalf("%s has no constant %s", file, name)
	}
	return text
}
