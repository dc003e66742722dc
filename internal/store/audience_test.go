package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// reader enrols a confirmed reader of a list.
func reader(t *testing.T, s *store.Store, list string, sub newsletter.Subscriber, topics ...string) newsletter.SubscriberID {
	t.Helper()
	e := store.Enrolment{Subscriber: sub, Lists: []string{list}, Topics: topics, Confirmed: true, Consent: newsletter.Consent{At: start, Source: "test"}}
	return must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{e}, start))[0].ID
}

// question asks who a draft for a list may go to, and gives each group the draft's variant.
func question(t *testing.T, s *store.Store, d *newsletter.Draft, q newsletter.AudienceQuestion) {
	t.Helper()
	d.Question, d.Audience = q, must[[]newsletter.Audience](t)(s.Audience(t.Context(), q))
	for i := range d.Audience {
		d.Audience[i].Variant = 1
	}
}

// query reads the database beside the store, for what no method tells.
func query(t *testing.T, s *store.Store, text string, args ...any) (all []string) {
	t.Helper()
	db := must[*sql.DB](t)(sql.Open("sqlite3", s.Path()))
	defer db.Close()
	rows := must[*sql.Rows](t)(db.Query(text, args...))
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// insert writes what no method of the store writes so directly.
func insert(t *testing.T, s *store.Store, text string, args ...any) {
	t.Helper()
	db := must[*sql.DB](t)(sql.Open("sqlite3", s.Path()))
	defer db.Close()
	must[sql.Result](t)(db.Exec(text, args...))
}

func TestReadersAreToldApartByWhatIsAsked(t *testing.T) {
	s := open(t, t.TempDir())
	reader(t, s, "urgent", newsletter.Subscriber{Address: "a@example.net", Zone: "Asia/Tehran", Language: "fa"})
	reader(t, s, "urgent", newsletter.Subscriber{Address: "b@example.net", Zone: "Europe/Berlin", Language: "fa"})
	reader(t, s, "urgent", newsletter.Subscriber{Address: "c@example.net"}, "press", "iran")
	reader(t, s, "weekly", newsletter.Subscriber{Address: "d@example.net", Zone: "Asia/Tokyo"})
	ask := func(q newsletter.AudienceQuestion) []newsletter.Audience {
		return must[[]newsletter.Audience](t)(s.Audience(t.Context(), q))
	}
	choosy := newsletter.Audience{Topics: []string{"iran", "press"}, Readers: 1}
	if diff := cmp.Diff([]newsletter.Audience{{Language: "fa", Readers: 2}, choosy}, ask(newsletter.AudienceQuestion{List: "urgent"})); diff != "" {
		t.Errorf("zones are not asked for:\n%s", diff)
	}
	want := []newsletter.Audience{{Language: "fa", Zone: "Asia/Tehran", Readers: 1}, {Language: "fa", Zone: "Europe/Berlin", Readers: 1}, choosy}
	if diff := cmp.Diff(want, ask(newsletter.AudienceQuestion{List: "urgent", Zones: true})); diff != "" {
		t.Errorf("zones are asked for:\n%s", diff)
	}
	zones := must[[]string](t)(s.Zones(t.Context(), "urgent"))
	slices.Sort(zones)
	if !slices.Equal(zones, []string{"", "Asia/Tehran", "Europe/Berlin"}) {
		t.Errorf("the zones are %q", zones)
	}
}

// Only a subscription that is confirmed counts, and none but to the lists that are asked for. An id is a word and no SQL.
func TestReadersAreToldApartByTheirOtherLists(t *testing.T) {
	s := open(t, t.TempDir())
	odd := "o'clock"
	for n, others := range []map[string][]string{{odd: nil}, {odd: {"iran", "press"}, "daily": nil}, {"daily": {"iran"}}, {}} {
		reader(t, s, "weekly", newsletter.Subscriber{Address: address(n), Zone: fmt.Sprintf("Etc/GMT-%d", n)})
		for list, topics := range others {
			reader(t, s, list, newsletter.Subscriber{Address: address(n)}, topics...)
		}
	}
	insert(t, s, `UPDATE subscriptions SET state = 'ended' WHERE list = 'daily' AND topics <> ''`)
	got := map[string]map[string][]string{}
	for _, a := range must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: "weekly", Zones: true, Lists: []string{odd, "daily"}})) {
		got[a.Zone] = a.Lists
	}
	want := map[string]map[string][]string{"Etc/GMT-0": {odd: nil}, "Etc/GMT-1": {odd: {"iran", "press"}, "daily": nil}, "Etc/GMT-2": nil, "Etc/GMT-3": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the other lists:\n%s", diff)
	}
	if all := must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: "weekly", Lists: []string{"monthly"}})); len(all) != 1 {
		t.Errorf("by a list that nobody reads they are in %d groups", len(all))
	}
}

// Of what was given up or taken back a reader has had nothing, and she was not barred from it either.
func TestWhatReadersHaveHad(t *testing.T) {
	s := open(t, t.TempDir())
	var ids []newsletter.SubscriberID
	states := []newsletter.State{newsletter.Pending, "claimed", newsletter.Sent, newsletter.Unknown, newsletter.Failed, newsletter.Withdrawn}
	for n := range len(states) + 1 {
		ids = append(ids, reader(t, s, "urgent", newsletter.Subscriber{Address: address(n), Zone: fmt.Sprintf("Etc/GMT-%d", n)}))
	}
	takeIn(t, s, action("Free the weavers"))
	d := draft(t, s, "urgent", start)
	d.List.Kind = newsletter.Alert
	question(t, s, &d, newsletter.AudienceQuestion{List: "urgent", Zones: true})
	for i := range d.Audience {
		switch a := &d.Audience[i]; a.Zone {
		case "Etc/GMT-1":
			a.Variant = 2
		case "Etc/GMT-6":
			a.Variant, a.Bar = 2, "quiet hours"
		}
	}
	id := freeze(t, s, d)
	for n, state := range states {
		insert(t, s, `UPDATE deliveries SET state = $1 WHERE subscriber = $2`, state, ids[n])
	}
	insert(t, s, `INSERT INTO item_done (item, subscriber, at) VALUES ($1, $2, 1)`, d.Items[0], ids[4])

	got := map[string]string{}
	for _, a := range must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{
		List: "urgent", Zones: true, Alerts: []newsletter.EditionID{id}, Done: d.Items,
	})) {
		got[a.Zone] = fmt.Sprint(a.Got, a.Barred, a.Done)
	}
	want := map[string]string{
		"Etc/GMT-0": "[{1 1}] [] []", "Etc/GMT-1": "[{1 2}] [] []", "Etc/GMT-2": "[{1 1}] [] []", "Etc/GMT-3": "[{1 1}] [] []",
		"Etc/GMT-4": "[] [] [1]", "Etc/GMT-5": "[] [] []", "Etc/GMT-6": "[] [{1 2}] []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got, barred and done:\n%s", diff)
	}
	if all := must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: "urgent"})); len(all) != 1 {
		t.Errorf("nothing is asked, and readers are in %d groups", len(all))
	}
	follows := must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: "urgent", Follows: id}))
	if len(follows) != 1 || follows[0].Readers != 2 {
		t.Errorf("those who have it are %+v, want the two whose copy is sent or may be", follows)
	}
	follows = must[[]newsletter.Audience](t)(s.Audience(t.Context(), newsletter.AudienceQuestion{List: "urgent", Follows: id, Waiting: true}))
	if readersIn(follows) != 4 {
		t.Errorf("with those whose copy waits they are %+v, want four", follows)
	}
}

// Between the question and the freezing readers join and change. None is lost for that: the edition has to be drafted again.
func TestAReaderOfNoGroupIsNotLost(t *testing.T) {
	ways := map[string]string{
		"joined with other topics": `INSERT INTO subscriptions (list, subscriber, state, topics, consent_at, consent_source, changed) VALUES ('weekly', 3, 'confirmed', '["iran"]', 1, 'test', 1)`,
		"another language":         `UPDATE subscribers SET language = 'fa' WHERE id = 1`,
		"another zone":             `UPDATE subscribers SET zone = 'Asia/Tehran' WHERE id = 1`,
		"has acted":                `INSERT INTO item_done (item, subscriber, at) VALUES (1, 1, 1)`,
		"was not to have it":       `UPDATE subscribers SET zone = 'Asia/Tehran' WHERE id = 2`,
	}
	for name, change := range ways {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			takeIn(t, s, action("Free the weavers"))
			reader(t, s, "weekly", newsletter.Subscriber{Address: address(1)})
			reader(t, s, "weekly", newsletter.Subscriber{Address: address(2), Zone: "Asia/Tokyo"})
			reader(t, s, "urgent", newsletter.Subscriber{Address: address(3)})
			d := draft(t, s, "weekly", start)
			ask := newsletter.AudienceQuestion{List: "weekly", Zones: true, Done: d.Items}
			question(t, s, &d, ask)
			d.Audience[slices.IndexFunc(d.Audience, func(a newsletter.Audience) bool { return a.Zone != "" })].Variant = 0
			insert(t, s, change)
			if id, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrReadersChanged) {
				t.Fatalf("edition %d, %v; want none, to be drafted again", id, err)
			}
			question(t, s, &d, ask)
			if got, want := counts(t, s, freeze(t, s, d)).Audience, d.Audience; got != readersIn(want) || got < 2 {
				t.Errorf("%d copies for %+v", got, want)
			}
		})
	}
}

func readersIn(groups []newsletter.Audience) (n int) {
	for _, a := range groups {
		n += a.Readers
	}
	return n
}

func TestTheBarredGetNothingAndAreCounted(t *testing.T) {
	s := open(t, t.TempDir())
	reader(t, s, "urgent", newsletter.Subscriber{Address: "a@example.net", Zone: "Asia/Tehran"})
	reader(t, s, "urgent", newsletter.Subscriber{Address: "b@example.net", Zone: "Asia/Tehran"})
	awake := reader(t, s, "urgent", newsletter.Subscriber{Address: "c@example.net"})
	takeIn(t, s, action("Free the weavers"))
	d := draft(t, s, "urgent", start)
	d.List.Kind = newsletter.Alert
	question(t, s, &d, newsletter.AudienceQuestion{List: "urgent", Zones: true})
	d.Audience[1].Bar = "quiet hours"
	id := freeze(t, s, d)
	if got := claimLane(t, s, newsletter.AlertLane, 10); len(got) != 1 || got[0].Subscriber != awake {
		t.Errorf("%+v are given out, want reader %d alone", got, awake)
	}
	want := []store.Reason{{State: newsletter.Withdrawn, Words: "quiet hours", Owner: "barred", Count: 2}}
	if diff := cmp.Diff(want, reasonsOf(t, s, id)); diff != "" {
		t.Errorf("why:\n%s", diff)
	}
	if got := query(t, s, `SELECT barred FROM editions`); !slices.Equal(got, []string{"2"}) {
		t.Errorf("%s barred are counted", got)
	}
}

// Whatever readers have had, each one gets what her group was given: none is lost between the question and the freezing.
func TestEveryReaderGetsWhatHerGroupDoes(t *testing.T) {
	s := open(t, t.TempDir())
	zones, languages, topics := []string{"", "Asia/Tehran", "Europe/Berlin"}, []string{"", "fa"}, [][]string{nil, {"iran"}, {"iran", "press"}}
	var ids []newsletter.SubscriberID
	n, slot := 0, start
	rapid.Check(t, func(rt *rapid.T) {
		list := fmt.Sprintf("list%d", n)
		n++
		pick := func(what string, of int) int { return rapid.IntRange(0, of-1).Draw(rt, what) }
		for i := range rapid.IntRange(1, 8).Draw(rt, "readers") {
			ids = append(ids, reader(t, s, list, newsletter.Subscriber{
				Address: newsletter.Address(fmt.Sprintf("reader%d-%d@example.net", n, i)), Zone: zones[pick("zone", 3)], Language: languages[pick("language", 2)],
			}, topics[pick("topics", 3)]...))
			if rapid.Bool().Draw(rt, "reads another list") {
				reader(t, s, "other", newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d-%d@example.net", n, i))}, topics[pick("topics there", 3)]...)
			}
		}
		asked := newsletter.AudienceQuestion{Lists: [][]string{nil, {"other"}}[pick("lists", 2)]}
		for range 1 + rapid.IntRange(0, 3).Draw(rt, "editions before") {
			takeIn(t, s, action(fmt.Sprintf("Action for slot %d", slot.Unix())))
			slot = slot.Add(time.Minute)
			d := draft(t, s, list, slot)
			asked.List, asked.Zones = list, rapid.Bool().Draw(rt, "zones")
			question(t, s, &d, asked)
			id := check(t, rt, s, d)
			if rapid.Bool().Draw(rt, "told apart by it") {
				asked.Alerts, asked.Done = append(asked.Alerts, id), append(asked.Done, d.Items[len(d.Items)-1])
			}
			for _, sub := range ids[max(0, len(ids)-4):] {
				if rapid.Bool().Draw(rt, "done") {
					insert(t, s, `INSERT OR IGNORE INTO item_done (item, subscriber, at) VALUES ($1, $2, 1)`, d.Items[0], sub)
				}
			}
		}
	})
}

// check freezes a draft whose groups get random variants, moments and bars, and compares the copies with that.
func check(t *testing.T, rt *rapid.T, s *store.Store, d newsletter.Draft) newsletter.EditionID {
	t.Helper()
	pick := func(what string, of int) int { return rapid.IntRange(0, of-1).Draw(rt, what) }
	second := d.Variants[0]
	second.ID = 2
	d.Variants = append(d.Variants, second)
	type copies struct {
		Variant newsletter.VariantID
		Due     int64
		Bar     string
	}
	want, barred := map[copies]int{}, 0
	for i := range d.Audience {
		a := &d.Audience[i]
		a.Variant, a.Due = newsletter.VariantID(1+pick("variant", 2)), d.Made.Add(time.Duration(pick("moment", 3))*time.Hour)
		if pick("bar", 3) == 0 {
			a.Bar, barred = "quiet hours", barred+a.Readers
		}
		want[copies{a.Variant, a.Due.UnixMilli(), a.Bar}] += a.Readers
	}
	id := freeze(t, s, d)
	got := map[copies]int{}
	for _, row := range query(t, s, `SELECT variant || ' ' || due || ' ' || CASE WHEN owner = 'barred' AND state = 'withdrawn' THEN words ELSE '' END
		FROM deliveries WHERE edition = $1`, id) {
		var c copies
		_, _ = fmt.Sscan(row, &c.Variant, &c.Due)
		if n := len(fmt.Sprint(c.Variant, c.Due)) + 1; len(row) > n {
			c.Bar = row[n:]
		}
		got[c]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("the copies are not what the groups were given:\n%s", diff)
	}
	if says := query(t, s, `SELECT barred FROM editions WHERE id = $1`, id); says[0] != fmt.Sprint(barred) {
		rt.Fatalf("%s of %d barred are counted", says[0], barred)
	}
	return id
}

// twoMoments is a draft whose readers in Tehran have their moment after that of the others.
func twoMoments(t *testing.T, s *store.Store, others int, apart time.Duration) newsletter.Draft {
	t.Helper()
	takeIn(t, s, article("A letter from the north wing"))
	reader(t, s, "weekly", newsletter.Subscriber{Address: "east@example.net", Zone: "Asia/Tehran"})
	enrol(t, s, others, "weekly")
	d := draft(t, s, "weekly", start)
	question(t, s, &d, newsletter.AudienceQuestion{List: "weekly", Zones: true})
	for i := range d.Audience {
		d.Audience[i].Due = start
		if d.Audience[i].Zone != "" {
			d.Audience[i].Due = start.Add(apart)
		}
	}
	d.Life, d.Expires = 2*time.Hour, start.Add(apart+2*time.Hour)
	return d
}

func TestACopyLivesFromItsOwnMoment(t *testing.T) {
	s := open(t, t.TempDir())
	id := freeze(t, s, twoMoments(t, s, 1, 6*time.Hour))
	moment := start.Add(6 * time.Hour)
	if got := claim(t, s, moment.Add(-time.Second), 10); len(got) != 0 { // the other's has ended
		t.Errorf("%d are given out before the moment", len(got))
	}
	wantEdition(t, s, id, newsletter.Sending, newsletter.Counts{Audience: 2, Pending: 1, Failed: 1})
	got := claim(t, s, moment, 10)
	if len(got) != 1 || !got[0].FirstDue.Equal(moment) || !got[0].Expires.Equal(moment.Add(2*time.Hour)) {
		t.Fatalf("at the moment %+v is given out", got)
	}
	record(t, s, putOff(got[0], moment.Add(time.Hour)))
	got = claim(t, s, moment.Add(time.Hour), 10)
	if len(got) != 1 || !got[0].Expires.Equal(moment.Add(2*time.Hour)) {
		t.Fatalf("for the retry %+v is given out", got)
	}
	record(t, s, putOff(got[0], moment.Add(2*time.Hour)))
	if got := claim(t, s, moment.Add(2*time.Hour), 10); len(got) != 0 {
		t.Errorf("%d are given out when its life is over", len(got))
	}
	wantEdition(t, s, id, newsletter.Sending, newsletter.Counts{Audience: 2, Failed: 2})
}

// A retry takes up those copies of a staggered edition that still live.
func TestARetryOfWhatStillLives(t *testing.T) {
	s := open(t, t.TempDir())
	id := freeze(t, s, twoMoments(t, s, 1, 6*time.Hour))
	for _, at := range []time.Duration{0, 6 * time.Hour} {
		record(t, s, refused(claim(t, s, start.Add(at), 10)[0], newsletter.OurIdentity))
	}
	finished(t, s)
	if n := must[int](t)(s.RetryEdition(t.Context(), id, store.WhichOurs, start.Add(7*time.Hour))); n != 1 {
		t.Errorf("%d copies are taken up again, want the one that lives", n)
	}
}

func TestAMomentThatHasPassedIsNow(t *testing.T) {
	s := open(t, t.TempDir())
	freeze(t, s, twoMoments(t, s, 0, -6*time.Hour))
	if got := claim(t, s, start, 10); len(got) != 1 || !got[0].FirstDue.Equal(start) || !got[0].Expires.Equal(start.Add(2*time.Hour)) {
		t.Errorf("%+v is given out", got)
	}
}

// Who gets the edition hours later can tell nothing about the list by then.
func TestTheFirstAreOfThoseWhoGetItAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	for n := range 3 { // those with the lowest numbers are the ones who wait
		reader(t, s, "weekly", newsletter.Subscriber{Address: address(100 + n), Zone: "Asia/Tehran"})
	}
	d := twoMoments(t, s, 5, time.Hour)
	d.List.FirstWave = newsletter.FirstWave{N: 3}
	id := freeze(t, s, d)
	first := claim(t, s, start, 10)
	if want := []newsletter.SubscriberID{5, 6, 7}; !slices.Equal(readersOf(first), want) {
		t.Fatalf("the first are %v, want %v", readersOf(first), want)
	}
	recordEach(t, s, first, sentEach)
	if diff := cmp.Diff([]newsletter.Trial{{Edition: id, List: "weekly", Readers: 3}}, judge(t, s, start.Add(time.Second))); diff != "" {
		t.Errorf("the verdict:\n%s", diff)
	}
	if rest := readersOf(claim(t, s, start.Add(time.Second), 10)); !slices.Equal(rest, []newsletter.SubscriberID{8, 9}) {
		t.Errorf("then %v go", rest)
	}
}

func TestNoFirstWaveOfThoseWhoWait(t *testing.T) {
	s := open(t, t.TempDir())
	d := twoMoments(t, s, 3, time.Hour)
	d.List.FirstWave = newsletter.FirstWave{N: 3}
	freeze(t, s, d)
	if got := claim(t, s, start, 10); len(got) != 3 {
		t.Errorf("%d of 3 are given out", len(got))
	}
	if trials := judge(t, s, start.Add(time.Minute)); len(trials) != 0 {
		t.Errorf("three readers at once are judged as the first of more: %+v", trials)
	}
}
