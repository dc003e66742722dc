package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// clockLists are lists around the changes of clocks in New York and Berlin.
const clockLists = `  - {id: gap, schedule: "30 2 * * *", timezone: America/New_York}
  - {id: twice, schedule: "30 1 * * *", timezone: America/New_York}
  - {id: weekly, schedule: Mon 09:00, timezone: Europe/Berlin}
  - {id: sunday, schedule: Sun 02:30, timezone: Europe/Berlin}
  - {id: theirs, schedule: "0 9 * * *", timezone: subscriber}
  - {id: urgent, kind: alert}
`

// slots asks for a list's next ones.
func (e *era) slots(list, from string, n int) (all []slotAt) {
	e.t.Helper()
	e.okJSON(&all, "plan", "--list", list, "--slots", fmt.Sprint(n), "--from", from)
	if len(all) != n {
		e.t.Fatalf("%d slots of %s, want %d", len(all), list, n)
	}
	return all
}

func TestPlannedSlotsKeepToTheWallClock(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	for _, tt := range []struct {
		list, from string
		want       []string // civil time and instant
	}{
		{"gap", "2026-03-07T00:00:00-05:00", []string{"2026-03-07T02:30 2026-03-07T07:30:00Z", "2026-03-08T03:00 2026-03-08T07:00:00Z", "2026-03-09T02:30 2026-03-09T06:30:00Z"}},
		{"twice", "2026-10-31T12:00:00-04:00", []string{"2026-11-01T01:30 2026-11-01T05:30:00Z", "2026-11-02T01:30 2026-11-02T06:30:00Z"}},
		{"twice", "2026-11-01T01:30:00-04:00", []string{"2026-11-02T01:30 2026-11-02T06:30:00Z"}},
	} {
		var got []string
		for _, s := range e.slots(tt.list, tt.from, len(tt.want)) {
			got = append(got, s.Civil+" "+s.At.Format(time.RFC3339))
			if s.List != tt.list || s.Zone != "America/New_York" {
				t.Errorf("%+v is not one of %s", s, tt.list)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s from %s: %q, want %q", tt.list, tt.from, got, tt.want)
		}
	}
	if text := e.ok("plan", "--list", "gap", "--slots", "2", "--from", "2026-03-07T00:00:00-05:00"); !strings.Contains(squeeze(text), "gap Sun 2026-03-08 03:00 EDT 2026-03-08 07:00") {
		t.Errorf("for people: %s", text)
	}
}

func TestAPlannedWeekIsNeverLost(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	for list, first := range map[string]string{"weekly": "2026-02-02T09:00", "sunday": "2026-02-08T02:30"} {
		want, err := time.Parse("2006-01-02T15:04", first)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range e.slots(list, "2026-02-01T20:00:00Z", 110) {
			civil := want.Format("2006-01-02T15:04")
			if day, isGap := strings.CutSuffix(civil, "T02:30"); isGap && (day == "2026-03-29" || day == "2027-03-28") {
				civil = day + "T03:00"
			}
			if s.Civil != civil {
				t.Fatalf("a slot of %s at %s, want %s", list, s.Civil, civil)
			}
			want = want.AddDate(0, 0, 7)
		}
	}
}

func TestPlannedSlotsAreListCivilAtZone(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	var rows []map[string]any
	e.okJSON(&rows, "plan", "--slots", "2")
	if len(rows) != 10 {
		t.Errorf("%d slots, want two of each list with a schedule", len(rows))
	}
	last := ""
	for _, row := range rows {
		if keys := slices.Sorted(maps.Keys(row)); !slices.Equal(keys, []string{"at", "civil", "list", "zone"}) {
			t.Errorf("the keys are %q", keys)
		}
		at, _ := row["at"].(string)
		if !strings.HasSuffix(at, "Z") || at < last {
			t.Errorf("%q comes after %q", at, last)
		}
		if row["list"] == "theirs" && row["zone"] != "subscriber" {
			t.Errorf("a list on its readers' clocks: %v", row)
		}
		last = at
	}
	if out := e.ok("plan", "--slots", "2", "--list", "urgent", "--json"); out != "[]\n" {
		t.Errorf("a list without a schedule has %s", out)
	}
}

func TestPlanRefusesWhatItCannotFollow(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	for line, want := range map[string]string{
		"--from tomorrow":                      `--from "tomorrow": write an instant such as 2026-12-01T09:00:00+01:00, or a day such as 2026-12-01`,
		"--from 2026-13-01":                    `--from "2026-13-01"`,
		"--until 2026-02-30":                   `--until "2026-02-30"`,
		"--until 2026-01-01":                   "--until is later than --from",
		"--from 2026-03-01 --until 2026-03-01": "--until is later than --from",
		"--list daily":                         `there is no list "daily" in the config; it has gap, twice`,
		"--slots -1":                           "--slots is at least 1",
		"--slots 0":                            "--slots is at least 1",
		"--slots many":                         "--help",
		"weekly":                               "Usage: dispatcher plan",
	} {
		if r := e.run(append([]string{"plan"}, strings.Fields(line)...)...); r.code != exitUsage || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("plan %s: %+v; want code %d and %q", line, r, exitUsage, want)
		}
	}
}

// plan stores nothing: the database is the same, byte by byte, and so serve begins as if nobody had looked.
func TestPlanWritesNothing(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	e.ok("subscribers", "import", e.write("readers.csv", "email,lists\nreader1@example.net,weekly;gap;urgent\n"), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()), anAction("bell", e.clock.now().Add(72*time.Hour), true))
	before := e.backup()
	for _, args := range [][]string{{}, {"--json"}, {"--slots", "4"}, {"--from", "2026-01-01"}, {"--until", "2026-03-01"}, {"--list", "weekly"}} {
		e.ok(append([]string{"plan"}, args...)...)
		if !bytes.Equal(before, e.backup()) {
			t.Fatalf("plan %q has changed the database", args)
		}
	}
	if all := e.ok("editions", "list", "--json"); all != "[]\n" {
		t.Errorf("plan has made editions: %s", all)
	}
}

// What plan says of the coming days is what serve then does, and asking beside it changes nothing.
func TestServeDoesWhatPlanSays(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, instantOf(t, "2026-02-01T12:00:00Z"), "  - {id: weekly, schedule: Mon 09:00, timezone: Europe/Berlin}\n  - {id: urgent, kind: alert, wait: 10m, reminder: 24h}\n")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.ok("subscribers", "add", "reader9@example.net", "--list", "weekly", "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()), anArticle("quay", e.clock.now()), anAction("bell", e.clock.now().Add(5*24*time.Hour), true))

	var plan, beside []planned
	e.okJSON(&plan, "plan", "--until", "2026-02-08T12:00:00Z")
	var kinds []string
	for _, p := range plan {
		kinds = append(kinds, string(p.Kind)+" "+p.Skipped)
	}
	if !slices.Equal(kinds, []string{"alert ", "digest ", "reminder "}) {
		t.Fatalf("plan has %q", kinds)
	}
	serve := e.serve()
	e.okJSON(&beside, "plan", "--until", "2026-02-08T12:00:00Z")
	if len(beside) != len(plan) {
		t.Errorf("beside a serve plan has %d slots, want %d", len(beside), len(plan))
	}
	made := map[string]int{}
	for _, p := range plan {
		e.clock.move(p.At.Add(time.Second).Sub(e.clock.now()))
		made[p.List]++
		checkPlanned(t, e, p, e.sent(serve, p.List, made[p.List]))
	}
	if n := relay.Counts().Accepted; n != 3+4+3 {
		t.Errorf("%d messages are out", n)
	}
}

// What an alert to come will have brought is no news in the digest after it, and counts for at_most.
func TestPlanKnowsWhatReadersWillHaveHad(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), "  - {id: weekly, schedule: Mon 09:00, timezone: Europe/Berlin}\n  - {id: urgent, kind: alert, wait: 10m, reminder: 23h}\n")
	e.write("config.yaml", e.config+"\nalerts: {at_most: 1 per 4d}\n")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anAction("bell", e.clock.now().Add(4*24*time.Hour), true))
	var plan []planned
	e.okJSON(&plan, "plan", "--until", "2026-02-08T12:00:00Z")
	var got []string
	for _, p := range plan {
		got = append(got, fmt.Sprint(p.Kind, " ", p.Readers, " ", p.Barred, p.Skipped))
	}
	if want := []string{"alert 3 0", "digest 0 0skipped: nothing new", "reminder 0 3"}; !slices.Equal(got, want) {
		t.Errorf("plan has %q, want %q", got, want)
	}
}

// Of one list, too: the readers of a list have what they have had of the others.
func TestPlanOfOneListKnowsTheOthers(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), "  - {id: weekly, schedule: Mon 09:00, timezone: Europe/Berlin}\n  - {id: urgent, kind: alert, wait: 10m}\n")
	e.ok("subscribers", "import", e.readers(3), "--confirmed", "form")
	e.bring(anAction("bell", e.clock.now().Add(4*24*time.Hour), true))
	var plan []planned
	e.okJSON(&plan, "plan", "--list", "weekly", "--until", "2026-02-08T12:00:00Z")
	if len(plan) != 1 || plan[0].List != "weekly" || plan[0].Skipped != string(newsletter.SkippedNoItems) {
		t.Errorf("plan has %+v, want the digest that is skipped since the alert has brought it all", plan)
	}
}

func checkPlanned(t *testing.T, e *era, p planned, made editionView) {
	t.Helper()
	if made.Kind != p.Kind || made.Audience != p.Readers || made.Sent != p.Readers || made.Subject != p.Subject || !made.Slot.Equal(p.At) {
		t.Errorf("plan said %+v; serve made %+v", p, made)
	}
	var detail editionDetail
	e.okJSON(&detail, "editions", "show", fmt.Sprint(made.ID))
	var said, bears []int
	for _, i := range p.Items {
		said = append(said, int(i.ID))
	}
	for _, i := range detail.Items {
		bears = append(bears, int(i.ID))
	}
	slices.Sort(said)
	slices.Sort(bears)
	if !slices.Equal(said, bears) {
		t.Errorf("plan said that the %s of %s bears the items %v; it bears %v", p.Kind, p.List, said, bears)
	}
}

// A relay whose quota does not let an edition out in time is told of before the edition is made.
func TestPlanWarnsOfARelayThatIsTooSlow(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), "  - {id: daily, schedule: \"0 9 * * *\"}\n")
	plenty := e.config
	e.config = strings.Replace(plenty, "port: 1}", "port: 1, per_day: 2}", 1)
	e.write("config.yaml", e.config)
	var b strings.Builder
	b.WriteString("email,lists\n")
	for i := range 5 {
		fmt.Fprintf(&b, "%s,daily\n", address(i+1))
	}
	e.ok("subscribers", "import", e.write("readers.csv", b.String()), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	ask := func() (plan []planned) {
		e.okJSON(&plan, "plan", "--until", "2026-02-03T12:00:00Z")
		if len(plan) != 2 || plan[0].Readers != 5 || plan[1].Skipped != string(newsletter.SkippedNoItems) || plan[1].Warning != "" {
			t.Fatalf("plan: %+v", plan)
		}
		return plan
	}
	if w := ask()[0].Warning; !strings.Contains(w, "this takes 2 days, and copies expire in 24 hours") {
		t.Errorf("the warning is %q", w)
	}
	if text := e.ok("plan"); !strings.Contains(text, "warning: with the rates and quotas of the relays") {
		t.Errorf("people are not warned:\n%s", text)
	}
	e.write("config.yaml", plenty)
	if w := ask()[0].Warning; w != "" {
		t.Errorf("without a quota the warning is %q", w)
	}
}

// Where nothing can go, plan says so once and not at each look.
func TestPlanOfAnAlertThatNobodyReads(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), clockLists)
	e.bring(anAction("bell", e.clock.now().Add(5*24*time.Hour), true))
	var plan []planned
	if err := json.Unmarshal([]byte(e.ok("plan", "--list", "urgent", "--json")), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan) != 1 || plan[0].Skipped != string(newsletter.SkippedNobody) {
		t.Errorf("plan has %d rows, such as %+v", len(plan), plan[:min(2, len(plan))])
	}
}

// What a clock that was ahead has skipped is to come.
func TestPlanHasWhatAWrongClockSkipped(t *testing.T) {
	notUnderRace(t)
	a := newAges(t, t.TempDir(), time.Date(2026, time.March, 2, 0, 0, 30, 0, time.UTC), `
  - {id: daily, title: Daily, schedule: "0 9 * * *"}
`)
	defer a.close()
	id := a.join(1, "", map[string][]string{"daily": nil})
	a.until(a.now)
	a.news(1)
	wrong := []newsletter.Decided{{Slot: newsletter.Slot{List: "daily", Due: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)}, Fate: newsletter.SkippedForLater}}
	if err := a.store.Skip(t.Context(), wrong, a.now.AddDate(0, 0, 9)); err != nil {
		t.Fatal(err)
	}
	end := a.now.AddDate(0, 0, 3)
	plan := a.foretold(end)
	if made := a.lived([]newsletter.SubscriberID{id}, end); len(plan) != 1 || !slices.Equal(plan, made) || !plan[0].Made.Equal(wrong[0].Slot.Due) {
		t.Errorf("plan has %+v, serve makes %+v", plan, made)
	}
}

// After a standstill plan says what becomes of each slot that was missed, at its own time, and when the edition for all of them goes.
func TestPlanAfterAStandstill(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	relay := newRelay(t, smtptest.Config{})
	e := newEra(t, relay.Port, instantOf(t, "2026-02-01T08:50:00Z"), "  - {id: daily, schedule: \"0 9 * * *\", timezone: UTC}\n")
	e.ok("subscribers", "import", e.write("readers.csv", "email,lists\nreader1@example.net,daily\n"), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	e.nine("daily")
	e.bring(anArticle("quay", e.clock.now()))
	e.clock.move(instantOf(t, "2026-02-03T10:00:00Z").Sub(e.clock.now()))
	var plan []planned
	e.okJSON(&plan, "plan", "--until", "2026-02-04T12:00:00Z")
	var got []string
	for _, p := range plan {
		got = append(got, p.Civil+" "+fmt.Sprint(len(p.Items))+" "+p.Skipped)
	}
	if want := []string{"2026-02-02T09:00 0 " + string(newsletter.SkippedForLater), "2026-02-03T10:00 1 ", "2026-02-04T09:00 0 " + string(newsletter.SkippedNoItems)}; !slices.Equal(got, want) {
		t.Errorf("plan has %q, want %q", got, want)
	}
}

// A slot on the readers' own clocks is told with its zones, and with when the last of them have that time.
func TestPlanOfReadersOwnClocks(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, instantOf(t, "2026-02-01T12:00:00Z"), "  - {id: theirs, schedule: Mon 09:00, timezone: subscriber, default_timezone: UTC}\n")
	e.ok("subscribers", "import", e.write("readers.csv", "email,timezone,lists\n"+
		"reader1@example.net,Europe/Berlin,theirs\nreader2@example.net,America/New_York,theirs\nreader3@example.net,America/New_York,theirs\nreader4@example.net,,theirs\n"), "--confirmed", "form")
	e.bring(anArticle("pier", e.clock.now()))
	var plan []planned
	e.okJSON(&plan, "plan", "--until", "2026-02-03T12:00:00Z")
	if len(plan) != 1 || plan[0].Until == nil {
		t.Fatalf("plan has %+v", plan)
	}
	p := plan[0]
	if p.Civil != "2026-02-02T09:00" || !p.At.Equal(instantOf(t, "2026-02-02T08:00:00Z")) || !p.Until.Equal(instantOf(t, "2026-02-02T14:00:00Z")) || p.Readers != 4 ||
		!maps.Equal(p.Zones, map[string]int{"Europe/Berlin": 1, "America/New_York": 2, "": 1}) {
		t.Errorf("plan has %+v until %v", p, p.Until)
	}
	if text := e.ok("plan"); !strings.Contains(squeeze(text), "Mon 2026-02-02 09:00, reader's clock") || !strings.Contains(text, "(in 3 zones)") {
		t.Errorf("for people:\n%s", text)
	}
	if s := e.slots("theirs", "2026-02-01T12:00:00Z", 1)[0]; s.Civil != p.Civil || !s.At.Equal(p.At) {
		t.Errorf("among the slots it is %+v", s)
	}
}
