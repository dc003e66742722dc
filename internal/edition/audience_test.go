package edition_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/edition"
	"dispatcher/internal/newsletter"
)

var urgent = newsletter.List{ID: "urgent", Kind: newsletter.Alert, Language: "en", Wait: 10 * time.Minute, Reminder: 24 * time.Hour}

const day = 24 * time.Hour

// queued is an action that waits, as the store gives it.
func queued(id newsletter.ItemID, closes time.Duration, topics ...string) newsletter.Item {
	i := action(id, closes, topics...)
	i.State, i.Urgent = newsletter.Queued, true
	return i
}

func alerted(id newsletter.EditionID, ago time.Duration, items ...newsletter.Item) newsletter.AlertEdition {
	return newsletter.AlertEdition{
		ID: id, List: "urgent", Kind: newsletter.Alert, Made: now.Add(-ago), Items: items, Bears: map[newsletter.VariantID][]newsletter.ItemID{1: ids(items)},
	}
}

// group is what a draft gives one group of readers.
type group struct {
	News, Reminders []newsletter.ItemID
	Bar             string
	Due             time.Duration // from now
}

// groups reads a draft back by what was rendered for its variants, which must not change with time.
func groups(d newsletter.Draft, p *printer) (all []group) {
	for _, a := range d.Audience {
		g := group{Bar: a.Bar, Due: a.Due.Sub(now)}
		if a.Variant > 0 {
			c := p.rendered[slices.IndexFunc(d.Variants, func(v newsletter.Variant) bool { return v.ID == a.Variant })]
			g.News, g.Reminders = ids(c.Items), ids(c.Reminders)
		}
		all = append(all, g)
	}
	return all
}

func drafted(t *testing.T, d *edition.Desk, p *printer, o newsletter.Order) (newsletter.Draft, []group) {
	t.Helper()
	p.rendered = nil
	got, err := d.Draft(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return got, groups(got, p)
}

func nothing(t *testing.T, d *edition.Desk, o newsletter.Order, want newsletter.SlotFate) {
	t.Helper()
	var none *newsletter.NoEdition
	if got, err := d.Draft(t.Context(), o); !errors.As(err, &none) || none.Fate != want {
		t.Errorf("%+v, %v; want none because %q", got, err, want)
	}
}

// copies are of the variant that brings all.
func copies(ids ...newsletter.EditionID) (all []newsletter.Copy) {
	for _, id := range ids {
		all = append(all, newsletter.Copy{Edition: id, Variant: 1})
	}
	return all
}

func got(ids ...newsletter.EditionID) newsletter.Audience {
	return newsletter.Audience{Got: copies(ids...), Readers: 1}
}

func barred(ids ...newsletter.EditionID) newsletter.Audience {
	return newsletter.Audience{Barred: copies(ids...), Readers: 1}
}

func TestAReaderHasHadEnough(t *testing.T) {
	reminder := alerted(3, time.Hour)
	reminder.Kind = newsletter.Reminder
	digest := alerted(4, time.Hour)
	digest.Kind = newsletter.Digest
	q := &queue{
		items:    []newsletter.Item{queued(1, 9*day)},
		audience: []newsletter.Audience{{Readers: 1}, got(1), got(1, 2), got(1, 3), got(2), got(1, 4), got(5)},
		alerts:   []newsletter.AlertEdition{alerted(1, 23*time.Hour), alerted(2, time.Hour), reminder, digest, alerted(5, day)},
	}
	tests := map[string]struct {
		most newsletter.AtMost
		bars []string
	}{
		"no limit": {newsletter.AtMost{}, []string{"", "", "", "", "", "", ""}},
		"one a day": {newsletter.AtMost{N: 1, Per: day}, []string{
			"", "the reader has had 1 in 24 hours", "the reader has had 1 in 24 hours", "the reader has had 1 in 24 hours",
			"the reader has had 1 in 24 hours", "the reader has had 1 in 24 hours", "",
		}},
		"two in two days": {newsletter.AtMost{N: 2, Per: 2 * day}, []string{"", "", "the reader has had 2 in 2 days", "the reader has had 2 in 2 days", "", "", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, p := desk(q)
			d.AtMost = tt.most
			_, all := drafted(t, d, p, order(urgent))
			var bars []string
			for _, g := range all {
				bars = append(bars, g.Bar)
				if !slices.Equal(g.News, []newsletter.ItemID{1}) {
					t.Errorf("it would have %v for a group", g.News)
				}
			}
			if diff := cmp.Diff(tt.bars, bars); diff != "" {
				t.Errorf("barred:\n%s", diff)
			}
			if want := now.Add(-tt.most.Per); tt.most.N > 0 && !q.alertsSince.Equal(want) {
				t.Errorf("alerts are asked for since %v, want %v", q.alertsSince, want)
			}
		})
	}
}

func TestWhatWasKeptComesWithTheNextAlert(t *testing.T) {
	ofDigest := alerted(3, day, queued(1, 9*day), queued(2, 5*day))
	ofDigest.Kind, ofDigest.List = newsletter.Digest, "weekly"
	elsewhere := alerted(4, day, queued(1, 9*day))
	elsewhere.List = "press"
	over, ended, dropped := queued(6, 0), queued(7, 9*day), queued(8, 9*day)
	ended.Ended, dropped.State = now, newsletter.Dropped
	q := &queue{
		items:    []newsletter.Item{queued(2, 5*day)},
		audience: []newsletter.Audience{{Readers: 1}, barred(1), {Barred: copies(1), Got: copies(2)}, barred(1, 2), {Barred: copies(1), Got: copies(3)}, {Barred: copies(1), Got: copies(4)}, barred(4), got(5)},
		alerts: []newsletter.AlertEdition{
			alerted(1, 3*day, queued(1, 9*day), over, ended, dropped), alerted(2, 2*day, queued(1, 9*day)), ofDigest, elsewhere, alerted(5, day, queued(2, 5*day)),
		},
	}
	d, p := desk(q)
	draft, all := drafted(t, d, p, order(urgent))
	fresh, both := group{News: []newsletter.ItemID{2}}, group{News: []newsletter.ItemID{2, 1}}
	// She who has had the action in another list's alert, or in a digest, does not get it again, and who has had all gets nothing.
	if diff := cmp.Diff([]group{fresh, both, fresh, both, fresh, fresh, fresh, {}}, all); diff != "" {
		t.Errorf("the groups get:\n%s", diff)
	}
	if !slices.Equal(draft.Items, []newsletter.ItemID{2}) || !slices.Equal(draft.Again, []newsletter.ItemID{1}) {
		t.Errorf("new are %v, and again %v", draft.Items, draft.Again)
	}
	if q.owing != "urgent" {
		t.Errorf("what %q owes is asked for", q.owing)
	}
	q.items = []newsletter.Item{queued(1, 9*day)} // another list of alerts has not used it yet
	press := urgent
	press.ID = "press"
	if _, all := drafted(t, d, p, order(press)); len(all[1].News) != 1 {
		t.Errorf("whoever was barred from another list's alert gets %v", all[1].News)
	}
}

func TestADigestTellsAlertsFromNews(t *testing.T) {
	reminder := alerted(2, time.Hour, queued(1, 9*day))
	reminder.Kind = newsletter.Reminder
	q := &queue{
		items:    []newsletter.Item{article(5), queued(1, 9*day)},
		audience: []newsletter.Audience{{Readers: 1}, got(1), barred(1), got(1, 2)},
		alerts:   []newsletter.AlertEdition{alerted(1, day, queued(1, 9*day)), reminder},
	}
	d, p := desk(q)
	d.AtMost = newsletter.AtMost{N: 1, Per: 7 * day}
	d.Quiet = newsletter.QuietHours{From: 8 * time.Hour, Until: 12 * time.Hour}
	draft, all := drafted(t, d, p, order(weekly))
	news, line := group{News: []newsletter.ItemID{5, 1}}, group{News: []newsletter.ItemID{5}, Reminders: []newsletter.ItemID{1}}
	if diff := cmp.Diff([]group{news, line, news, line}, all); diff != "" {
		t.Errorf("the groups get:\n%s", diff)
	}
	if !slices.Equal(draft.Items, []newsletter.ItemID{5, 1}) || len(draft.Again) > 0 || q.owing != "" || q.asked.Zones {
		t.Errorf("new are %v, again %v; what %q owes is asked for, zones: %v", draft.Items, draft.Again, q.owing, q.asked.Zones)
	}
	q.items = q.items[1:]
	if _, all := drafted(t, d, p, order(weekly)); len(all[1].News)+len(all[1].Reminders) > 0 || len(all[2].News) != 1 {
		t.Errorf("with nothing else new the groups get %+v", all)
	}
	q.audience = []newsletter.Audience{got(1)}
	nothing(t, d, order(weekly), newsletter.SkippedNoItems) // what there is they have had
}

func TestWhoHasActedReadsNoMoreOfIt(t *testing.T) {
	q := &queue{
		items:    []newsletter.Item{article(5), queued(1, 9*day), queued(2, 9*day)},
		audience: []newsletter.Audience{got(1), {Got: copies(1), Done: []newsletter.ItemID{1}}, {Done: []newsletter.ItemID{1, 2}}},
		alerts:   []newsletter.AlertEdition{alerted(1, day, queued(1, 9*day))},
	}
	d, p := desk(q)
	_, all := drafted(t, d, p, order(weekly))
	want := []group{{News: []newsletter.ItemID{5, 2}, Reminders: []newsletter.ItemID{1}}, {News: []newsletter.ItemID{5, 2}}, {News: []newsletter.ItemID{5}}}
	if diff := cmp.Diff(want, all); diff != "" || !slices.Equal(q.asked.Done, []newsletter.ItemID{1, 2}) {
		t.Errorf("who has taken %v is asked; the groups get:\n%s", q.asked.Done, diff)
	}
	q.items = q.items[1:]
	if _, all := drafted(t, d, p, order(urgent)); !slices.Equal(all[0].News, []newsletter.ItemID{2}) || len(all[2].News) != 0 {
		t.Errorf("as an alert the groups get %+v", all)
	}
}

// What an editor cancelled half way is owed to nobody; those who have had it have had it.
func TestACancelledAlert(t *testing.T) {
	half := alerted(1, day, queued(1, 9*day))
	half.Cancelled = true
	q := &queue{
		items:    []newsletter.Item{queued(2, 9*day)},
		audience: []newsletter.Audience{barred(1), got(1)},
		alerts:   []newsletter.AlertEdition{half},
	}
	d, p := desk(q)
	if _, all := drafted(t, d, p, order(urgent)); !slices.Equal(all[0].News, []newsletter.ItemID{2}) {
		t.Errorf("the groups get %+v", all)
	}
	won := queued(1, 9*day)
	won.Ended, won.Won = now, true
	_, all := drafted(t, d, p, newsletter.Order{List: urgent, Kind: newsletter.Update, Items: []newsletter.Item{won}, Slot: newsletter.Slot{List: "urgent", Due: now, Follows: 1}})
	if len(all[0].News) != 0 || len(all[1].News) != 1 {
		t.Errorf("as an update the groups get %+v", all)
	}
}

// The night is 22:00 to 07:00. At 09:00 UTC it is 22:00 in Auckland, 01:00 in Los Angeles and 04:00 in New York.
var night = newsletter.QuietHours{From: 22 * time.Hour, Until: 7 * time.Hour}

func inZone(name string) newsletter.Audience { return newsletter.Audience{Zone: name, Readers: 1} }

func TestQuietHoursAreOnTheReadersClock(t *testing.T) {
	zones := []newsletter.Audience{inZone("Europe/Berlin"), inZone("Pacific/Auckland"), inZone("America/Los_Angeles"), inZone("America/New_York"), inZone(""), inZone("Mars/Olympus")}
	tests := map[string]struct {
		kind   newsletter.Kind
		closes time.Duration
		zone   string
		bars   string // b: barred; +: at once; 3: in so many hours
	}{
		"an alert":                             {newsletter.Alert, 9 * day, "", "+bbb++"},
		"on a list's clock":                    {newsletter.Alert, 9 * day, "America/New_York", "+bbbbb"},
		"closes in some nights":                {newsletter.Alert, 4 * time.Hour, "", "+++b++"},
		"closes as the night ends in New York": {newsletter.Alert, 3 * time.Hour, "", "++++++"},
		"a reminder":                           {newsletter.Reminder, 9 * day, "", "+963++"},
		"a reminder that cannot wait":          {newsletter.Reminder, 4 * time.Hour, "", "+++3++"},
		"an update":                            {newsletter.Update, -time.Hour, "", "++++++"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := &queue{items: []newsletter.Item{queued(1, tt.closes)}, audience: zones}
			d, p := desk(q)
			d.Quiet = night
			o := order(urgent)
			o.Kind, o.Items = tt.kind, q.items
			if tt.zone != "" {
				o.List.Zone, _ = time.LoadLocation(tt.zone)
			}
			draft, all := drafted(t, d, p, o)
			var bars strings.Builder
			last := time.Duration(0)
			for _, g := range all {
				last = max(last, g.Due)
				switch {
				case g.Bar == "quiet hours":
					bars.WriteByte('b')
				case g.Bar == "" && g.Due == 0:
					bars.WriteByte('+')
				default:
					bars.WriteByte('0' + byte(g.Due/time.Hour))
				}
			}
			if bars.String() != tt.bars {
				t.Errorf("%s, want %s", bars.String(), tt.bars)
			}
			if q.asked.Zones != (tt.kind != newsletter.Update) || !draft.Expires.Equal(now.Add(last+draft.Life)) {
				t.Errorf("zones are asked for: %v; copies end after %v, and the last begins after %v", q.asked.Zones, draft.Expires.Sub(now), last)
			}
		})
	}
}

func TestAnActionThatNeverClosesKeepsTheNight(t *testing.T) {
	q := &queue{items: []newsletter.Item{queued(1, 0)}, audience: []newsletter.Audience{inZone("America/New_York")}, zones: []string{"Asia/Tokyo"}}
	q.items[0].Deadline = time.Time{}
	d, p := desk(q)
	d.Quiet = night
	if _, all := drafted(t, d, p, order(urgent)); all[0].Bar != "quiet hours" {
		t.Errorf("it goes: %+v", all)
	}
	if due, err := d.AlertDue(t.Context(), urgent, now.Add(-time.Hour)); err != nil || !due.Equal(now.Add(urgent.Wait)) {
		t.Errorf("due %v, %v", due, err)
	}
}

func TestAnAlertComesBeforeTheNight(t *testing.T) {
	tests := map[string]struct {
		closes time.Duration
		zones  []string
		quiet  newsletter.QuietHours
		want   time.Duration
	}{
		"the night is far":                {9 * time.Hour, []string{"UTC"}, night, 30 * time.Minute},
		"it begins, and the action ends":  {9 * time.Hour, []string{"UTC", "Asia/Bangkok"}, newsletter.QuietHours{From: 16*time.Hour + 20*time.Minute, Until: 6 * time.Hour}, 0},
		"it begins on the list's clock":   {9 * time.Hour, []string{""}, newsletter.QuietHours{From: 9*time.Hour + 20*time.Minute, Until: 20 * time.Hour}, 0},
		"ends as the action does":         {11 * time.Hour, []string{""}, newsletter.QuietHours{From: 9*time.Hour + 20*time.Minute, Until: 20 * time.Hour}, 0},
		"it ends before the action does":  {12 * time.Hour, []string{""}, newsletter.QuietHours{From: 9*time.Hour + 20*time.Minute, Until: 20 * time.Hour}, 30 * time.Minute},
		"it begins after the wait":        {9 * time.Hour, []string{""}, newsletter.QuietHours{From: 9*time.Hour + 31*time.Minute, Until: 20 * time.Hour}, 30 * time.Minute},
		"no quiet hours":                  {9 * time.Hour, []string{""}, newsletter.QuietHours{}, 30 * time.Minute},
		"the action ends during the wait": {59 * time.Minute, nil, newsletter.QuietHours{}, 0},
		"as the second wait ends":         {time.Hour, nil, newsletter.QuietHours{}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, _ := desk(&queue{items: []newsletter.Item{queued(1, tt.closes)}, zones: tt.zones})
			d.Quiet = tt.quiet
			list := urgent
			list.Wait = 30 * time.Minute
			if due, err := d.AlertDue(t.Context(), list, now.Add(-time.Hour)); err != nil || due.Sub(now) != tt.want {
				t.Errorf("due in %v, %v; want %v", due.Sub(now), err, tt.want)
			}
		})
	}
}

// A list on the readers' own clocks: nine o'clock is in the future of those in the west, and too long ago for those in the far east.
func TestALocalListKeepsTheReadersClock(t *testing.T) {
	q := &queue{items: []newsletter.Item{article(1, "Iran")}, audience: []newsletter.Audience{
		inZone("America/New_York"), inZone("UTC"), inZone("Asia/Tehran"), inZone("Asia/Tokyo"),
		{Zone: "Pacific/Auckland", Topics: []string{"press"}, Readers: 1},
	}}
	hours := map[string]time.Duration{"America/New_York": 5, "UTC": 0, "Asia/Tehran": -4, "Asia/Tokyo": -9, "Pacific/Auckland": -13}
	d, p := desk(q)
	o := order(weekly)
	o.Moment = func(zone string) time.Time { return now.Add(hours[zone] * time.Hour) }
	o.NextMoment = func(zone string) time.Time { return o.Moment(zone).Add(day) }
	o.Late, o.Slot.Due, o.NextSlot = 4*time.Hour, now, now.Add(day)
	draft, all := drafted(t, d, p, o)
	news := []newsletter.ItemID{1}
	want := []group{
		{News: news, Due: 5 * time.Hour},
		{News: news},
		{News: news, Due: -4 * time.Hour},
		{News: news, Due: -9 * time.Hour, Bar: "too late: its time on the reader's clock was 9h0m ago"},
		{Due: -13 * time.Hour}, // nothing is kept from those for whom there is nothing
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("the groups get:\n%s", diff)
	}
	if !q.asked.Zones || draft.Life != 20*time.Hour || !draft.Expires.Equal(now.Add(5*time.Hour+draft.Life)) { // in Tehran tomorrow's is as near
		t.Errorf("zones are asked for: %v; copies live %v, the last until %v", q.asked.Zones, draft.Life, draft.Expires)
	}
	o.Late = 0
	if draft, all := drafted(t, d, p, o); all[3].Bar != "" || draft.Life != 15*time.Hour { // in Tokyo it is at nine hours more
		t.Errorf("without a limit the groups get %+v, copies live %v", all, draft.Life)
	}
	q.audience = q.audience[:2]
	if draft, _ := drafted(t, d, p, o); draft.Life != day {
		t.Errorf("copies live %v", draft.Life)
	}
	o.NextMoment = func(zone string) time.Time { // the clocks go forward in New York
		return o.Moment(zone).Add(day - map[string]time.Duration{"America/New_York": time.Hour}[zone])
	}
	if draft, _ := drafted(t, d, p, o); draft.Life != day-time.Hour {
		t.Errorf("copies live %v, past a reader's next slot", draft.Life)
	}
	o.NextMoment = func(string) time.Time { return now.Add(10 * time.Minute) }
	if draft, _ := drafted(t, d, p, o); draft.Life != time.Hour {
		t.Errorf("copies live %v, and must at least outlive one refusal", draft.Life)
	}
}
