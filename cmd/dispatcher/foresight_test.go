package main

import (
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// join enrols a reader of some lists, with what she follows on each.
func (a *ages) join(n int, zone string, lists map[string][]string) newsletter.SubscriberID {
	a.t.Helper()
	var id newsletter.SubscriberID
	for list, topics := range lists {
		enrolled, err := a.store.Enrol(a.t.Context(), []store.Enrolment{{
			Subscriber: newsletter.Subscriber{Address: newsletter.Address(address(n)), Zone: zone}, Lists: []string{list}, Topics: topics, Confirmed: true,
		}}, a.now)
		if err != nil {
			a.t.Fatal(err)
		}
		id = enrolled[0].ID
	}
	return id
}

// inShort is an edition as it is foretold, or as it was made.
type inShort struct {
	List, Subject   string
	Kind            newsletter.Kind
	Made            time.Time
	Readers, Barred int
}

func (a *ages) foretold(until time.Time) (short []inShort) {
	a.t.Helper()
	rows, err := a.foresee(a.t.Context(), a.lists, a.now, until)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Skipped == "" {
			short = append(short, inShort{r.List, r.Subject, r.Kind, r.At, r.Readers, r.Barred})
		}
	}
	return short
}

// lived are the editions that are made until an instant, where mail goes out in good time, with how many of some readers were kept from each.
func (a *ages) lived(ids []newsletter.SubscriberID, until time.Time) (short []inShort) {
	a.t.Helper()
	old := len(a.editions())
	for next := a.now; !next.After(until); {
		a.now = later(a.now, next)
		next = a.scheduler.Look(a.t.Context())
		a.handOver(newsletter.AlertLane)
		if soon := a.now.Add(6 * time.Hour); next.IsZero() || soon.Before(next) { // copies may wait for the end of the night
			next = soon
		}
	}
	a.now = until
	barred := map[newsletter.EditionID]int{}
	for _, id := range ids {
		copies, err := a.store.Copies(a.t.Context(), id, 1000)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, c := range copies {
			if c.State == newsletter.Withdrawn {
				barred[c.Edition.ID]++
			}
		}
	}
	for _, e := range a.editions()[:len(a.editions())-old] {
		short = append(short, inShort{e.List, e.Subject, e.Kind, e.Made.UTC(), e.Counts.Audience - barred[e.ID], barred[e.ID]})
	}
	slices.Reverse(short)
	return short
}

// What two readers of the weekly list have in common says nothing about the alert: one of them does not get it.
func TestPlanTellsReadersApartByTheirOtherLists(t *testing.T) {
	notUnderRace(t)
	monday := time.Date(2026, time.March, 2, 0, 0, 30, 0, time.UTC)
	const config = `
  - {id: weekly, title: Weekly, schedule: Mon 09:00}
  - {id: urgent, title: Act Now, kind: alert, wait: 10m}
topics: [{id: iran}, {id: press}]
`
	for name, readers := range map[string][]map[string][]string{
		"not on the list":          {{"weekly": nil, "urgent": nil}, {"weekly": nil, "urgent": nil}, {"weekly": nil}},
		"follows other things":     {{"weekly": nil, "urgent": {"iran"}}, {"weekly": nil, "urgent": {"iran"}}, {"weekly": nil, "urgent": {"press"}}},
		"follows it on one of two": {{"weekly": {"iran"}, "urgent": nil}, {"weekly": {"iran"}, "urgent": nil}, {"weekly": {"iran"}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAges(t, t.TempDir(), monday, config)
			defer a.close()
			for n, lists := range readers {
				a.join(n, "", lists)
			}
			a.until(a.now)
			a.item(newsletter.Item{Kind: newsletter.Action, Urgent: true, Published: a.now, Deadline: a.now.AddDate(0, 0, 9), Topics: []string{"iran"}})
			const subject = "News 1 from the harbour"
			want := []inShort{
				{"urgent", subject, newsletter.Alert, monday.Add(10 * time.Minute), 2, 0},
				{"weekly", subject, newsletter.Digest, time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC), 1, 0},
			}
			if diff := gocmp.Diff(want, a.foretold(monday.AddDate(0, 0, 1))); diff != "" {
				t.Errorf("plan (-want +foretold):\n%s", diff)
			}
			if diff := gocmp.Diff(want, a.lived(nil, monday.AddDate(0, 0, 1))); diff != "" {
				t.Errorf("serve (-want +made):\n%s", diff)
			}
		})
	}
}

// What an edition to come brings or is kept from goes by what its readers will have had, which others may not tell by themselves.
func TestPlanFollowsWhatReadersWillHaveHad(t *testing.T) {
	notUnderRace(t)
	midnight := time.Date(2026, time.March, 2, 0, 0, 30, 0, time.UTC)
	for name, tt := range map[string]struct {
		lists   string
		readers []map[string][]string
		want    []string
	}{
		"barred for another alert": {
			"  - {id: press, title: Press, kind: alert, wait: 10m, topics: [press]}\n  - {id: urgent, title: Act Now, kind: alert, wait: 20m, topics: [iran]}\n",
			[]map[string][]string{{"press": nil, "urgent": nil, "daily": nil}, {"urgent": nil, "daily": nil}, {"urgent": nil, "daily": nil}},
			[]string{"press 1 0", "urgent 2 1", "daily 1 0"},
		},
		"an alert after a digest": {
			"  - {id: press, title: Press, schedule: \"0 1 * * *\", topics: [press]}\n  - {id: urgent, title: Act Now, kind: alert, wait: 2h, topics: [iran]}\n",
			[]map[string][]string{{"press": nil, "urgent": nil, "daily": nil}, {"press": nil, "urgent": nil, "daily": nil}, {"daily": nil}},
			[]string{"press 2 0", "urgent 2 0", "daily 1 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAges(t, t.TempDir(), midnight, "\n"+tt.lists+`  - {id: daily, title: Daily, schedule: "0 9 * * *", topics: [iran]}
topics: [{id: iran}, {id: press}]
alerts: {at_most: 1 per 24h}
`)
			defer a.close()
			for n, lists := range tt.readers {
				a.join(n, "", lists)
			}
			a.until(a.now)
			for _, topic := range []string{"press", "iran"} {
				a.item(newsletter.Item{Kind: newsletter.Action, Urgent: true, Published: a.now, Deadline: a.now.AddDate(0, 0, 9), Topics: []string{topic}})
			}
			var got []string
			plan := a.foretold(midnight.Add(12 * time.Hour))
			for _, e := range plan {
				got = append(got, fmt.Sprint(e.List, " ", e.Readers, " ", e.Barred))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("plan has %q, want %q", got, tt.want)
			}
			for i, e := range a.lived(nil, midnight.Add(12*time.Hour)) {
				if p := plan[min(i, len(plan)-1)]; p.List != e.List || p.Readers+p.Barred != e.Readers || !p.Made.Equal(e.Made) {
					t.Errorf("plan said %+v; serve made %+v", p, e)
				}
			}
		})
	}
}

// The reminder of an alert that is on its way is for those to whom it is on its way. One that nobody is to get is told once.
func TestPlanRemindsOfAnAlertThatIsOnItsWay(t *testing.T) {
	notUnderRace(t)
	for _, tt := range []struct {
		state newsletter.State
		want  []string
	}{
		{newsletter.Pending, []string{"reminder 3 "}}, {"claimed", []string{"reminder 3 "}}, {newsletter.Withdrawn, []string{"reminder 0 skipped: no readers"}},
	} {
		t.Run(string(tt.state), func(t *testing.T) {
			a := newAges(t, t.TempDir(), time.Date(2026, time.March, 2, 0, 0, 30, 0, time.UTC), `
  - {id: urgent, title: Act Now, kind: alert, reminder: 24h}
  - {id: hourly, title: Hourly, schedule: "0 * * * *"}
`)
			defer a.close()
			a.enrol(3, []string{""})
			a.until(a.now)
			a.item(newsletter.Item{Kind: newsletter.Action, Urgent: true, Published: a.now, Deadline: a.now.Add(48 * time.Hour)})
			a.until(a.now.Add(time.Hour))
			inDatabase(t, a.store.Path(), `UPDATE deliveries SET state = '`+string(tt.state)+`'`)
			rows, err := a.foresee(t.Context(), a.lists[:1], a.now, a.now.AddDate(0, 0, 2))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, fmt.Sprint(r.Kind, " ", r.Readers, " ", r.Skipped))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("plan has %q, want %q", got, tt.want)
			}
		})
	}
}

// inDatabase changes what is stored, beside the store.
func inDatabase(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// countIn asks the database for a number, beside the store.
func countIn(t *testing.T, path, query string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Where the store cannot be read plan fails, and no list is missing from what it prints.
func TestPlanFailsWithTheStore(t *testing.T) {
	notUnderRace(t)
	const digest, local, alert = `  - {id: daily, schedule: "0 9 * * *"}`, `  - {id: theirs, schedule: "0 9 * * *", timezone: subscriber}`, `  - {id: urgent, kind: alert, reminder: 24h}`
	for name, tt := range map[string]struct{ list, table string }{
		"zones":     {local, "subscriptions"},
		"alert due": {alert, "items"},
		"reminders": {alert, "editions"},
		"edition":   {digest, "edition_items"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), tt.list+"\n")
			e.ok("plan")
			inDatabase(t, filepath.Join(e.dir, "data", "dispatcher.db"), `PRAGMA legacy_alter_table = ON; ALTER TABLE `+tt.table+` RENAME TO gone`)
			if r := e.run("plan"); r.code != exitFailed || r.stdout != "" || strings.Count(r.stderr, "no such table") != 1 {
				t.Errorf("plan without %s: %+v", tt.table, r)
			}
		})
	}
}

// nine lets a serve begin with a daily list at ten to nine, and then make its edition of nine.
func (e *era) nine(list string) {
	e.t.Helper()
	e.life(func(serve *daemon) {
		eventually(e.t, "serve has begun with "+list, func() bool {
			s, err := store.Open(e.t.Context(), filepath.Join(e.dir, "data"), e.clock.now())
			if err != nil {
				e.t.Fatal(err)
			}
			defer s.Close()
			marks, err := s.Marks(e.t.Context())
			return err == nil && !marks[list].Considered.IsZero()
		})
		e.clock.move(10 * time.Minute)
		e.sent(serve, list, 1)
	})
}

// Plan goes on from what serve has decided, however far its own clock goes on while it is read.
func TestPlanBeginsAfterWhatIsDecided(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, instantOf(t, "2026-02-01T08:50:00Z"), "  - {id: daily, schedule: \"0 9 * * *\", timezone: UTC}\n")
	e.ok("subscribers", "import", e.write("readers.csv", "email,lists\nreader1@example.net,daily\n"), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	e.nine("daily")
	e.bring(anArticle("quay", e.clock.now()))
	e.write("config.yaml", strings.Replace(e.config, "0 9 * * *", "0 17 * * *", 1))
	tomorrow, next := "2026-02-02T17:00", "2026-02-03T17:00"
	plans := func(flags ...string) (got []string) {
		t.Helper()
		var rows []planned
		e.clock.move(time.Millisecond)
		e.okJSON(&rows, append([]string{"plan"}, flags...)...)
		for _, r := range rows {
			if r.Skipped != string(newsletter.SkippedNewPlan) {
				got = append(got, r.Civil)
			}
		}
		return got
	}
	check := func(want []string, flags ...string) {
		t.Helper()
		if got := plans(flags...); !slices.Equal(got, want) {
			t.Errorf("plan %q has %q, want %q", flags, got, want)
		}
	}
	checkAll := func() {
		t.Helper()
		check([]string{tomorrow, next}, "--until", "2026-02-04")
		check([]string{tomorrow, next}, "--slots", "2")
		check([]string{tomorrow}, "--slots", "5", "--until", "2026-02-03")
	}
	checkAll() // as serve is going to decide
	e.life(func(serve *daemon) { serve.says("the schedule of a list has changed") })
	checkAll()
}

// What was decided once is not to come again, though the clock was set back.
func TestPlanHasNoSlotThatIsDecided(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, instantOf(t, "2026-02-04T08:50:00Z"), "  - {id: daily, schedule: \"0 9 * * *\", timezone: UTC}\n")
	e.ok("subscribers", "import", e.write("readers.csv", "email,lists\nreader1@example.net,daily\n"), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	e.nine("daily")
	e.bring(anArticle("quay", e.clock.now()))
	ask := func(want []string, flags ...string) {
		t.Helper()
		var plan []planned
		e.okJSON(&plan, append([]string{"plan", "--until", "2026-02-05T12:00:00Z"}, flags...)...)
		var got []string
		for _, p := range plan {
			got = append(got, p.Civil+" "+fmt.Sprint(len(p.Items))+" "+p.Skipped)
		}
		if !slices.Equal(got, want) {
			t.Errorf("plan %q has %q, want %q", flags, got, want)
		}
	}
	const nothing = " 0 " + string(newsletter.SkippedNoItems)
	ask([]string{"2026-02-03T09:00 1 ", "2026-02-05T09:00" + nothing}, "--from", "2026-02-03T08:00:00Z")
	e.clock.move(-60 * time.Hour) // more than changes of clocks and zones can account for
	ask([]string{"2026-02-02T09:00 1 ", "2026-02-03T09:00" + nothing, "2026-02-05T09:00" + nothing})
	if s := e.slots("daily", "2026-02-03T08:00:00Z", 2); s[1].Civil != "2026-02-05T09:00" {
		t.Errorf("the slots to come are %+v", s)
	}
}

// Whatever lists readers are on, whatever they follow there, and whatever they have had: each edition goes when plan has said, and to
// as many.
func TestEachDayComesAsPlannedWhateverReadersHaveHad(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	zones, topics := []string{"", "Asia/Tehran", "America/New_York"}, [][]string{nil, {"iran"}, {"press"}}
	const most = 6 // lives, each of which opens a database and writes to disk
	lives, failed := 0, false
	rapid.Check(t, func(r *rapid.T) {
		if lives++; lives > most && !failed { // what has failed is lived again, to find the shortest
			return
		}
		defer func() { failed = failed || r.Failed() }()
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		some := func(what string, of int) int { return rapid.IntRange(0, of).Draw(r, what) }
		limits := rapid.SampledFrom([]string{"{}", "{at_most: 1 per 2d}", "{at_most: 2 per 3d}", `{quiet_hours: "22:00-07:00"}`, `{at_most: 1 per 24h, quiet_hours: "20:00-09:00"}`}).Draw(r, "limits")
		lists := []string{"daily", "morning", "urgent", "press"}
		a := newAges(t, dir, time.Date(2026, time.March, 2, some("hour", 23), 30, 0, 0, time.UTC), fmt.Sprintf(`
  - {id: daily, title: Daily, schedule: "0 9 * * *"}
  - {id: morning, title: Morning, schedule: "0 7 * * *", timezone: subscriber}
  - {id: urgent, title: Act Now, kind: alert, wait: 10m, reminder: 24h}
  - {id: press, title: Press, kind: alert, wait: 40m, reminder: 36h}
topics: [{id: iran}, {id: press}]
alerts: %s
`, limits))
		defer a.close()
		var ids []newsletter.SubscriberID
		for n := range 1 + some("readers", 14) {
			on := map[string][]string{}
			for _, l := range lists {
				if some("on "+l, 2) > 0 {
					on[l] = topics[some("topics", 2)]
				}
			}
			ids = append(ids, a.join(n, zones[some("zone", 2)], on))
		}
		a.until(a.now)
		for range 1 + some("days before", 2) {
			for range 1 + some("actions", 2) {
				a.item(newsletter.Item{
					Kind: newsletter.Action, Urgent: some("urgent", 3) > 0, Published: a.now, Deadline: a.now.Add(time.Duration(24+some("deadline", 100)) * time.Hour), Topics: topics[some("about", 2)],
				})
			}
			a.news(1)
			a.lived(nil, a.now.Add(time.Duration(some("hours", 30))*time.Hour))
		}
		end := a.now.AddDate(0, 0, 5)
		want := a.foretold(end)
		got := a.lived(ids, end)
		order := func(a, b inShort) int {
			return cmp.Or(a.Made.Compare(b.Made), strings.Compare(a.List, b.List), strings.Compare(a.Subject, b.Subject), cmp.Compare(a.Readers, b.Readers))
		}
		slices.SortFunc(want, order)
		slices.SortFunc(got, order)
		if diff := gocmp.Diff(want, got); diff != "" {
			r.Errorf("the editions (-foretold +made):\n%s", diff)
		}
	})
}
