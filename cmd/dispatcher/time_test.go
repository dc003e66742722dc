package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/store"
)

// ages is an office whose clock a test sets. It has a scheduler, and no mailer.
type ages struct {
	*office
	t         *testing.T
	now       time.Time
	cfg       config.Config
	scheduler *scheduler.Scheduler
	taken     int // items so far
}

// newAges opens an office with these lists.
func newAges(t *testing.T, dir string, now time.Time, lists string) *ages {
	t.Helper()
	path := filepath.Join(dir, "config.yaml")
	text := `public_url: https://gazette.example
publisher: {name: Harbour Gazette, from: news@gazette.example, postal_address: "1 Quay Street, Springfield"}
relays: [{host: relay.example}]
durability: normal
lists:
` + lists
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &ages{t: t, now: now, cfg: cfg}
	a.open()
	return a
}

func (a *ages) open() {
	a.t.Helper()
	var err error
	if a.office, err = openOffice(a.t.Context(), process{stderr: io.Discard, now: a.clock}, a.cfg); err != nil {
		a.t.Fatal(err)
	}
	if a.scheduler, err = scheduler.New(a.store, a.desk(), a.lists, a.clock, slog.New(slog.DiscardHandler)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *ages) clock() time.Time { return a.now }

func (a *ages) close() {
	a.t.Helper()
	if err := a.store.Close(); err != nil {
		a.t.Fatal(err)
	}
}

// until lets the scheduler look whenever something is due, up to a moment.
func (a *ages) until(moment time.Time) {
	a.t.Helper()
	for looks := 0; ; looks++ {
		next := a.scheduler.Look(a.t.Context())
		switch {
		case !next.IsZero() && !next.After(a.now) && looks < 100:
		case !next.IsZero() && !next.After(a.now):
			a.t.Fatalf("the scheduler looks without end at %v", a.now)
		case next.IsZero() || next.After(moment):
			a.now = moment
			return
		default:
			a.now, looks = next, 0
		}
	}
}

// news takes articles in.
func (a *ages) news(n int) {
	for range n {
		a.item(newsletter.Item{Kind: newsletter.Article, Published: a.now})
	}
}

func (a *ages) item(i newsletter.Item) {
	a.t.Helper()
	a.taken++
	i.Feed, i.GUID, i.Title, i.State = "gazette", fmt.Sprint(a.taken), fmt.Sprintf("News %d from the harbour", a.taken), newsletter.Queued
	i.URL = fmt.Sprintf("https://gazette.example/%d", a.taken)
	if i.Kind == newsletter.Action {
		i.Petition = i.URL + "/sign"
	}
	if _, err := a.store.TakeIn(a.t.Context(), nil, []newsletter.Found{{Item: i}}, a.now); err != nil {
		a.t.Fatal(err)
	}
}

// enrol adds n readers of all lists who live in these zones by turns.
func (a *ages) enrol(n int, zones []string) (ids []newsletter.SubscriberID) {
	a.t.Helper()
	var batch []store.Enrolment
	for i := range n {
		e := store.Enrolment{Confirmed: true, Subscriber: newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", i)), Zone: zones[i%len(zones)]}}
		for _, l := range a.lists {
			e.Lists = append(e.Lists, l.ID)
		}
		batch = append(batch, e)
	}
	enrolled, err := a.store.Enrol(a.t.Context(), batch, a.now)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, e := range enrolled {
		ids = append(ids, e.ID)
	}
	return ids
}

func (a *ages) editions() []newsletter.Edition {
	a.t.Helper()
	made, err := a.store.Editions(a.t.Context(), "", 0)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

// Whatever becomes of the machine and its clock, each slot of the time that was lived through is decided once. A clock that was over two days
// ahead at the first look may have those decided, too, that came before that one.
func TestEachSlotIsDecidedOnceWhateverTheClockDoes(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tehran", "UTC", "subscriber"}
	schedules := []string{"0 9 * * *", "30 2 * * *", "0 0 * * *", "0 */8 * * *", "0 9 * * MON", "15 23 1,15 * *"}
	const most = 25 // lives, each of which opens a database and writes to disk
	lives, failed := 0, false
	rapid.Check(t, func(r *rapid.T) {
		if lives++; lives > most && !failed { // what has failed is lived again, to find the shortest
			return
		}
		defer func() { failed = failed || r.Failed() }()
		begin := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(r, "month")), rapid.IntRange(1, 31).Draw(r, "day"), 0, rapid.IntRange(0, 24*60).Draw(r, "minute"), 30, 0, time.UTC)
		var lists strings.Builder
		for i := range 4 {
			fmt.Fprintf(&lists, "  - {id: list%d, title: List, schedule: %q, timezone: %s, max_items: 1, on_missed: %s, max_lateness: %dh}\n", i,
				rapid.SampledFrom(schedules).Draw(r, "schedule"), rapid.SampledFrom(zones).Draw(r, "zone"),
				rapid.SampledFrom([]string{"latest", "skip"}).Draw(r, "on_missed"), rapid.IntRange(1, 24).Draw(r, "lateness"))
		}
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		a := newAges(t, dir, begin, lists.String())
		defer a.close()
		a.enrol(3, []string{"Europe/Berlin", "Pacific/Apia", "America/New_York"})
		a.news(5)
		a.until(a.now)
		first, end := a.now, a.now // the earliest and the latest moment at which the scheduler has looked
		for range rapid.IntRange(1, 12).Draw(r, "events") {
			minutes := func(most int) time.Duration {
				return time.Duration(rapid.IntRange(1, most).Draw(r, "minutes")) * time.Minute
			}
			switch rapid.SampledFrom([]string{"run", "run", "stop", "restart", "forth", "back"}).Draw(r, "event") {
			case "run":
				a.until(a.now.Add(minutes(3 * 24 * 60)))
			case "stop":
				a.close()
				a.now = a.now.Add(minutes(5 * 24 * 60))
				a.open()
			case "restart":
				a.close()
				a.open()
			case "forth":
				a.now = a.now.Add(minutes(24 * 60))
			case "back":
				a.now = a.now.Add(-minutes(24 * 60))
			}
			a.news(rapid.IntRange(0, 2).Draw(r, "news"))
			a.until(a.now)
			end = later(end, a.now)
			if a.now.Before(first) {
				first = a.now
			}
		}
		if begin.Sub(first) <= 48*time.Hour {
			first = begin
		}
		a.checkSlots(r, first, begin, end)
	})
}

// checkSlots compares the slots that are decided with those that came from begin to end, and the editions with the slots. Those from first to
// begin may be decided.
func (a *ages) checkSlots(r *rapid.T, first, begin, end time.Time) {
	a.t.Helper()
	editions := map[newsletter.Slot]int{}
	for _, e := range a.editions() {
		editions[newsletter.Slot{List: e.List, Due: e.Slot}]++
	}
	for _, l := range a.lists {
		zone, ahead := l.Zone, time.Duration(0)
		if l.Local { // the readers in Apia come first
			zone, ahead = time.UTC, 13*time.Hour
		}
		s, err := scheduler.Parse(l.Schedule, zone)
		if err != nil {
			r.Fatal(err)
		}
		var want, got []string
		for slot := s.Next(begin.Add(ahead)); !slot.After(end.Add(ahead)); slot = s.Next(slot) {
			want = append(want, slot.Format(time.RFC3339))
		}
		decided, err := a.store.DecidedSlots(a.t.Context(), l.ID, time.Unix(0, 0))
		if err != nil {
			r.Fatal(err)
		}
		for _, d := range decided {
			if due := d.Slot.Due; due.After(begin.Add(ahead)) || !due.After(first.Add(ahead)) {
				got = append(got, due.UTC().Format(time.RFC3339))
			}
			if made := editions[d.Slot]; (made == 1) != (d.Fate == newsletter.MadeEdition) || made > 1 {
				r.Errorf("%s: the slot %v is %q and has %d editions", l.ID, d.Slot.Due, d.Fate, made)
			}
			delete(editions, d.Slot)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			r.Errorf("%s, %q in %s from %v to %v (-want +decided):\n%s", l.ID, l.Schedule, l.Clock(), begin, end, diff)
		}
	}
	if len(editions) > 0 {
		r.Errorf("editions without a slot: %v", editions)
	}
}

// everywhere is 24 zones, on either side of every change of clocks that comes in the month below.
var everywhere = []string{
	"", "Pacific/Pago_Pago", "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Chicago", "America/New_York",
	"America/Halifax", "America/St_Johns", "America/Sao_Paulo", "Atlantic/Azores", "Europe/London", "Europe/Berlin", "Africa/Cairo", "Europe/Istanbul",
	"Asia/Tehran", "Asia/Karachi", "Asia/Kathmandu", "Asia/Shanghai", "Asia/Tokyo", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati",
}

// copyDue is when a reader gets a copy of an edition.
type copyDue struct {
	List string
	Kind newsletter.Kind
	Made time.Time
	Due  time.Time
}

// In a month in which clocks change, the editions are those that `plan` has foretold, each reader has one copy of each, and those of a
// list on the readers' clocks at its hour there.
func TestAMonthComesAsPlanned(t *testing.T) {
	notUnderRace(t)
	const readers = 200
	a := newAges(t, t.TempDir(), time.Date(2026, time.October, 12, 0, 0, 30, 0, time.UTC), `
  - {id: daily, title: Daily, schedule: "30 2 * * *", timezone: Europe/Berlin}
  - {id: weekly, title: Weekly, schedule: Mon 09:00, timezone: America/New_York}
  - {id: morning, title: Morning, schedule: "30 2 * * *", timezone: subscriber}
  - {id: urgent, title: Act Now, kind: alert, reminder: 24h}
`)
	defer a.close()
	ids := a.enrol(readers, everywhere)
	a.until(a.now)
	var want []planned
	for day := range 30 {
		a.news(2)
		if day%5 == 2 {
			a.item(newsletter.Item{Kind: newsletter.Action, Urgent: true, Published: a.now, Deadline: a.now.Add(60 * time.Hour)})
		}
		tomorrow := a.now.AddDate(0, 0, 1)
		rows, err := a.foresee(t.Context(), a.lists, a.now, tomorrow)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, rows...)
		a.until(tomorrow)
		a.handOver(newsletter.AlertLane)
	}
	kinds := map[string]int{}
	foretold := map[string]map[copyDue]int{} // by zone: how many copies are due when
	for _, row := range want {
		kinds[row.List+" "+string(row.Kind)+" "+row.Skipped]++
		if row.Skipped != "" {
			continue
		}
		for zone, n := range row.Zones {
			if foretold[zone] == nil {
				foretold[zone] = map[copyDue]int{}
			}
			foretold[zone][copyDue{row.List, row.Kind, row.At, momentOf(t, row, zone)}] += n
		}
	}
	got := map[string]map[copyDue]int{}
	for i, id := range ids {
		zone := everywhere[i%len(everywhere)]
		if got[zone] == nil {
			got[zone] = map[copyDue]int{}
		}
		copies, err := a.store.Copies(t.Context(), id, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range copies {
			got[zone][copyDue{c.Edition.List, c.Edition.Kind, c.Edition.Made.UTC(), later(c.At, c.Edition.Made).UTC()}]++
		}
	}
	if diff := gocmp.Diff(foretold, got); diff != "" {
		t.Errorf("the copies (-foretold +made):\n%s", diff)
	}
	if diff := gocmp.Diff(map[string]int{"daily digest ": 30, "weekly digest ": 5, "morning digest ": 30, "urgent alert ": 6, "urgent reminder ": 6}, kinds); diff != "" {
		t.Errorf("the editions (-want +foretold):\n%s", diff)
	}
	a.compareEditions(want)
}

// momentOf is when readers in a zone get an edition: where that is at their own clock, it is found by looking at each minute of theirs.
func momentOf(t *testing.T, row planned, zone string) time.Time {
	t.Helper()
	if row.Zone != "subscriber" {
		return row.At
	}
	clock, err := time.LoadLocation(zone) // UTC for those whose zone is not known, as for the list
	if err != nil {
		t.Fatal(err)
	}
	for at := row.slot.Due.Add(-15 * time.Hour); at.Before(row.slot.Due.Add(15 * time.Hour)); at = at.Add(time.Minute) {
		if at.In(clock).Format("2006-01-02T15:04") >= row.slot.Due.UTC().Format("2006-01-02T15:04") {
			return at.UTC()
		}
	}
	t.Fatalf("%s never comes in %q", row.Civil, zone)
	return time.Time{}
}

// handOver notes all copies of a lane that are due as sent, at the moment at which they first were.
func (a *ages) handOver(lane newsletter.Lane) {
	a.t.Helper()
	for {
		got, err := a.store.ClaimDeliveries(a.t.Context(), newsletter.Claim{Run: 1, Lane: lane, Now: a.now, N: 1000})
		if err != nil {
			a.t.Fatal(err)
		}
		if len(got) == 0 {
			return
		}
		var outcomes []newsletter.Outcome
		for _, d := range got {
			outcomes = append(outcomes, newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Sent, At: d.FirstDue, Attempts: 1})
		}
		if err := a.store.RecordOutcomes(a.t.Context(), outcomes); err != nil {
			a.t.Fatal(err)
		}
	}
}

// compareEditions compares what was made with what was foretold.
func (a *ages) compareEditions(rows []planned) {
	a.t.Helper()
	type edition struct {
		List    string
		Kind    newsletter.Kind
		Slot    time.Time
		Made    time.Time
		Subject string
		Readers int
		Zones   int
	}
	var want, got []edition
	for _, row := range rows {
		want = append(want, edition{row.List, row.Kind, row.slot.Due.UTC(), row.At, row.Subject, row.Readers, len(slices.Collect(maps.Keys(row.Zones)))})
	}
	for _, e := range a.editions() {
		got = append(got, edition{e.List, e.Kind, e.Slot.UTC(), e.Made.UTC(), e.Subject, e.Counts.Audience, len(everywhere)})
	}
	order := func(a, b edition) int { return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.List, b.List)) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := gocmp.Diff(want, got); diff != "" {
		a.t.Errorf("the editions (-foretold +made):\n%s", diff)
	}
}
