package edition_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dispatcher/internal/edition"
	"dispatcher/internal/newsletter"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// queue holds what a test gives it. The store's own tests prove that it keeps the same contract.
type queue struct {
	items    []newsletter.Item
	audience []newsletter.Audience
	frozen   []newsletter.Draft
	refuse   []error // for the next calls of Freeze
	since    time.Time
	asked    newsletter.AudienceQuestion
	zones    []string
	alerts   []newsletter.AlertEdition // that readers may have had

	alertsSince time.Time
	owing       string
}

func (q *queue) Unused(_ context.Context, _ string, _ bool, since time.Time) ([]newsletter.Item, error) {
	q.since = since
	return slices.Clone(q.items), nil
}

func (q *queue) Audience(_ context.Context, question newsletter.AudienceQuestion) ([]newsletter.Audience, error) {
	q.asked = question
	return slices.Clone(q.audience), nil
}

func (q *queue) Zones(context.Context, string) ([]string, error) { return q.zones, nil }

func (q *queue) AlertsSince(_ context.Context, since time.Time, _ []newsletter.ItemID, owing string, _ time.Time) ([]newsletter.AlertEdition, error) {
	q.owing, q.alertsSince = owing, since
	return q.alerts, nil
}

func (q *queue) Announced(context.Context, string, time.Time) ([]newsletter.AlertEdition, error) {
	return q.alerts, nil
}

func (q *queue) Taken(_ context.Context, actions []newsletter.ItemID) (taken []newsletter.ItemID, err error) {
	for _, a := range q.audience {
		for _, id := range a.Done {
			if slices.Contains(actions, id) && !slices.Contains(taken, id) {
				taken = append(taken, id)
			}
		}
	}
	return taken, nil
}

func (q *queue) Freeze(_ context.Context, d newsletter.Draft) (newsletter.EditionID, error) {
	if len(q.refuse) > 0 {
		err := q.refuse[0]
		q.refuse = q.refuse[1:]
		return 0, err
	}
	q.frozen = append(q.frozen, d)
	return newsletter.EditionID(len(q.frozen)), nil
}

// printer says what it was asked to render.
type printer struct{ rendered []newsletter.Content }

func (p *printer) Language(wanted ...string) string {
	for _, w := range wanted {
		if w == "fa" || w == "en" {
			return w
		}
	}
	return "en"
}

func (p *printer) Render(c newsletter.Content) (newsletter.Variant, error) {
	p.rendered = append(p.rendered, c)
	return newsletter.Variant{Language: c.Language, Subject: c.Items[0].Title, HTML: fmt.Sprint(ids(c.Items))}, nil
}

func ids(items []newsletter.Item) (all []newsletter.ItemID) {
	for _, i := range items {
		all = append(all, i.ID)
	}
	return all
}

func article(id newsletter.ItemID, topics ...string) newsletter.Item {
	return newsletter.Item{ID: id, Kind: newsletter.Article, Title: fmt.Sprintf("Article %d", id), Topics: topics, Published: now.Add(-time.Duration(id) * time.Hour), Waiting: now}
}

func action(id newsletter.ItemID, closes time.Duration, topics ...string) newsletter.Item {
	i := article(id, topics...)
	i.Kind, i.Deadline = newsletter.Action, now.Add(closes)
	return i
}

func desk(q *queue) (*edition.Desk, *printer) {
	p := &printer{}
	return &edition.Desk{Queue: q, Renderer: p, Now: func() time.Time { return now }}, p
}

var weekly = newsletter.List{ID: "weekly", Kind: newsletter.Digest, MaxItems: 12, MaxAge: 30 * 24 * time.Hour, Language: "en"}

func order(l newsletter.List) newsletter.Order {
	return newsletter.Order{List: l, Slot: newsletter.Slot{List: l.ID, Due: now}}
}

func draft(t *testing.T, d *edition.Desk, l newsletter.List) newsletter.Draft {
	t.Helper()
	got, err := d.Draft(t.Context(), order(l))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNeverAnEmptyEdition(t *testing.T) {
	everyone := []newsletter.Audience{{Readers: 3}}
	alert := newsletter.List{ID: "urgent", Kind: newsletter.Alert}
	picky := weekly
	picky.Topics = []string{"iran"}
	tests := map[string]struct {
		list newsletter.List
		q    queue
		want newsletter.SlotFate
	}{
		"nothing queued":         {weekly, queue{audience: everyone}, newsletter.SkippedNoItems},
		"nothing on its topics":  {picky, queue{items: []newsletter.Item{article(1, "Press")}, audience: everyone}, newsletter.SkippedNoItems},
		"all actions closed":     {weekly, queue{items: []newsletter.Item{action(1, 0)}, audience: everyone}, newsletter.SkippedNoItems},
		"an alert without any":   {alert, queue{items: []newsletter.Item{article(1)}, audience: everyone}, newsletter.SkippedNoItems},
		"no readers":             {weekly, queue{items: []newsletter.Item{article(1)}}, newsletter.SkippedNobody},
		"nobody for what is new": {weekly, queue{items: []newsletter.Item{article(1, "Press")}, audience: []newsletter.Audience{{Topics: []string{"iran"}, Readers: 3}}}, newsletter.SkippedNobody},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, _ := desk(&tt.q)
			_, err := d.Print(t.Context(), order(tt.list))
			var none *newsletter.NoEdition
			if !errors.As(err, &none) || none.Fate != tt.want || len(tt.q.frozen) > 0 {
				t.Errorf("%v, %d frozen; want %q", err, len(tt.q.frozen), tt.want)
			}
		})
	}
}

func TestEachGroupOfReadersGetsWhatItFollows(t *testing.T) {
	q := &queue{
		items: []newsletter.Item{article(1, "Iran"), article(2, "Press"), article(3, "Sport")},
		audience: []newsletter.Audience{
			{Readers: 10},
			{Topics: []string{"iran"}, Readers: 5},
			{Topics: []string{"iran"}, Language: "fa", Readers: 2},
			{Topics: []string{"cooking"}, Readers: 1},
			{Language: "en", Readers: 7},
			{Topics: []string{"iran", "press", "sport"}, Readers: 1},
		},
	}
	d, p := desk(q)
	got := draft(t, d, weekly)
	var variants []newsletter.VariantID
	for _, a := range got.Audience {
		variants = append(variants, a.Variant)
	}
	if want := []newsletter.VariantID{1, 2, 3, 0, 1, 1}; !slices.Equal(variants, want) {
		t.Errorf("the groups get variants %v, want %v", variants, want)
	}
	if len(p.rendered) != 3 {
		t.Errorf("%d renderings for 3 distinct variants", len(p.rendered))
	}
	if !slices.Equal(got.Items, []newsletter.ItemID{1, 2, 3}) || got.Subject != "Article 1" {
		t.Errorf("items %v, subject %q", got.Items, got.Subject)
	}
}

func TestItemsStandInReadingOrder(t *testing.T) {
	urgent := action(9, 100*time.Hour)
	urgent.Urgent = true
	q := &queue{items: []newsletter.Item{action(7, 48*time.Hour), article(3), action(8, 24*time.Hour), urgent, article(1)}, audience: []newsletter.Audience{{Readers: 1}}}
	d, _ := desk(q)
	if got := draft(t, d, weekly).Items; !slices.Equal(got, []newsletter.ItemID{1, 3, 9, 8, 7}) {
		t.Errorf("the order is %v", got)
	}
	if want := now.Add(-weekly.MaxAge); !q.since.Equal(want) {
		t.Errorf("items are asked for since %v, want %v", q.since, want)
	}
	short := weekly
	short.MaxItems = 2
	if got := draft(t, d, short).Items; !slices.Equal(got, []newsletter.ItemID{1, 9}) {
		t.Errorf("cut to two: %v", got)
	}
}

// Promise 5: for each stretch between deadlines there is a form that asks for nothing that is closed by then.
func TestNoFormAsksForWhatIsClosed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{audience: []newsletter.Audience{{Readers: 1}}}
		for i := range rapid.IntRange(0, 3).Draw(t, "articles") {
			q.items = append(q.items, article(newsletter.ItemID(i+1)))
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "actions") {
			q.items = append(q.items, action(newsletter.ItemID(i+10), time.Duration(rapid.IntRange(-2, 100).Draw(t, "closes"))*time.Hour))
		}
		d, p := desk(q)
		got, err := d.Draft(context.Background(), order(weekly))
		if err != nil {
			return // nothing to say
		}
		for at := now; at.Before(got.Expires); at = at.Add(20 * time.Minute) {
			form := formAt(got, p, at)
			open := slices.DeleteFunc(slices.Clone(q.items), func(i newsletter.Item) bool { return !i.Open(at) })
			if form < 0 {
				if len(open) > 0 {
					t.Fatalf("at %v there is no form, and %v are open", at, ids(open))
				}
				continue
			}
			for _, i := range p.rendered[form].Items {
				if !i.Open(at) {
					t.Fatalf("the form at %v asks for item %d, closed since %v", at, i.ID, i.Closes())
				}
			}
			if len(p.rendered[form].Items) != len(open) {
				t.Fatalf("the form at %v has %v of the open %v", at, ids(p.rendered[form].Items), ids(open))
			}
		}
	})
}

// formAt is the index of the form that is sent at an instant, or below zero: the fullest of those that are good and bear nothing closed, as
// the outbox picks it.
func formAt(d newsletter.Draft, p *printer, at time.Time) int {
	form := -1
	for n, v := range d.Variants {
		items := p.rendered[n].Items
		closed := slices.ContainsFunc(items, func(i newsletter.Item) bool { return !i.Open(at) })
		if (v.Until.IsZero() || at.Before(v.Until)) && !closed && (form < 0 || len(items) > len(p.rendered[form].Items)) {
			form = n
		}
	}
	return form
}

// Whatever one action ends before its deadline, the rest goes on without it.
func TestEachActionMayEndEarly(t *testing.T) {
	q := &queue{items: []newsletter.Item{article(1), action(2, 300*time.Hour), action(3, 300*time.Hour), action(4, 5*time.Hour)}, audience: []newsletter.Audience{{Readers: 1}}}
	d, p := desk(q)
	got := draft(t, d, weekly)
	for _, ended := range []newsletter.ItemID{2, 3, 4} {
		without := slices.IndexFunc(p.rendered, func(c newsletter.Content) bool {
			return len(c.Items) == 3 && !slices.Contains(ids(c.Items), ended)
		})
		if without < 0 {
			t.Errorf("no form is left when %d ends", ended)
		}
	}
	if bare := p.rendered[len(p.rendered)-1]; !slices.Equal(ids(bare.Items), []newsletter.ItemID{1}) {
		t.Errorf("when all have ended, %v is left", ids(bare.Items))
	}
	seen := map[time.Time]bool{}
	for _, v := range got.Variants {
		if seen[v.Until] {
			t.Errorf("two forms are good until %v, which names them", v.Until)
		}
		seen[v.Until] = true
	}
}

func TestCopiesLiveUntilTheNextSlotOrPatienceEnds(t *testing.T) {
	alert := newsletter.List{ID: "urgent", Kind: newsletter.Alert}
	tests := map[string]struct {
		list newsletter.List
		next time.Duration // 0: no next slot
		want time.Duration
	}{
		"weekly":             {weekly, 7 * 24 * time.Hour, 72 * time.Hour},
		"daily":              {weekly, 24 * time.Hour, 24 * time.Hour},
		"just before a slot": {weekly, time.Minute, time.Hour},
		"by hand":            {weekly, 0, 72 * time.Hour},
		"alert":              {alert, 0, 48 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, _ := desk(&queue{items: []newsletter.Item{action(1, 500*time.Hour)}, audience: []newsletter.Audience{{Readers: 1}}})
			o := order(tt.list)
			if tt.next > 0 {
				o.NextSlot = now.Add(tt.next)
			}
			got, err := d.Draft(t.Context(), o)
			if err != nil || got.Expires.Sub(now) != tt.want {
				t.Errorf("copies live %v, %v; want %v", got.Expires.Sub(now), err, tt.want)
			}
		})
	}
}

func TestAnItemUsedMeanwhileIsLeftOut(t *testing.T) {
	q := &queue{items: []newsletter.Item{article(1)}, audience: []newsletter.Audience{{Readers: 1}}, refuse: []error{newsletter.ErrFrozen, newsletter.ErrFrozen}}
	d, _ := desk(q)
	if _, err := d.Print(t.Context(), order(weekly)); err != nil || len(q.frozen) != 1 {
		t.Errorf("%v, %d frozen", err, len(q.frozen))
	}
	q.refuse = []error{newsletter.ErrSlotTaken}
	if _, err := d.Print(t.Context(), order(weekly)); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("a slot that is decided already: %v", err)
	}
}

func TestAnAlertIsDueWhenAnUrgentActionHasWaited(t *testing.T) {
	alert := newsletter.List{ID: "urgent", Kind: newsletter.Alert, Wait: 10 * time.Minute}
	at := func(minutes int, urgent bool, closes time.Duration) newsletter.Item {
		i := action(1, closes)
		i.Waiting, i.Urgent = now.Add(time.Duration(minutes)*time.Minute), urgent
		return i
	}
	const days = 24 * time.Hour
	tests := map[string]struct {
		items []newsletter.Item
		want  int // minutes from now; -1: not due
	}{
		"no action":                 {nil, -1},
		"none is urgent":            {[]newsletter.Item{at(-60, false, 5*days)}, -1},
		"gathered for the wait":     {[]newsletter.Item{at(-3, true, 5*days), at(-1, true, 5*days)}, 7},
		"closes before it is over":  {[]newsletter.Item{at(-3, true, 12*time.Minute)}, -3},
		"too late for the last one": {[]newsletter.Item{at(-120, true, 5*days)}, -50},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, _ := desk(&queue{items: tt.items})
			due, err := d.AlertDue(t.Context(), alert, now.Add(-time.Hour))
			if tt.want == -1 {
				if !errors.Is(err, newsletter.ErrNotFound) {
					t.Errorf("due %v, %v; want none", due, err)
				}
				return
			}
			if want := now.Add(time.Duration(tt.want) * time.Minute); err != nil || !due.Equal(want) {
				t.Errorf("due %v, %v; want %v", due, err, want)
			}
		})
	}
}

func TestARehearsalIsProvedWithoutReaders(t *testing.T) {
	q := &queue{items: []newsletter.Item{article(1)}}
	d, _ := desk(q)
	d.Rehearsal, d.Proofs = true, []newsletter.Address{"desk@example.org"}
	if _, err := d.Print(t.Context(), order(weekly)); err != nil || len(q.frozen) != 1 || !q.frozen[0].Rehearsal || len(q.frozen[0].Variants) != 1 {
		t.Errorf("%v, %+v", err, q.frozen)
	}
}

func TestMailHasTheStableLinksOfActions(t *testing.T) {
	const petition = "https://actions.example/sign"
	story, both, apart, uncoded := article(1), queued(2, day), queued(3, 2*day), queued(4, 3*day)
	story.URL, story.Code = "https://magazine.example/story", "odd"
	both.URL, both.Petition, both.Code = petition, petition, "bcd"
	apart.URL, apart.Petition, apart.Code = "https://magazine.example/about", petition, "efg"
	uncoded.URL, uncoded.Petition = petition, petition
	q := &queue{
		items: []newsletter.Item{story, both, apart, uncoded}, audience: []newsletter.Audience{{Readers: 1}, got(7)},
		alerts: []newsletter.AlertEdition{alerted(7, day, both)},
	}
	links := func(items []newsletter.Item) (all []string) {
		for _, i := range items {
			all = append(all, i.URL+" "+i.Petition)
		}
		return all
	}
	const stable, about = "https://mail.example/a/", "https://magazine.example/about "
	for base, want := range map[string][]string{
		"":     {story.URL + " ", petition + " " + petition, about + petition, petition + " " + petition},
		stable: {story.URL + " ", " " + stable + "bcd", about + stable + "efg", petition + " " + petition},
	} {
		d, p := desk(q)
		d.Links = base
		drafted(t, d, p, order(weekly))
		reminded := slices.IndexFunc(p.rendered, func(c newsletter.Content) bool { return len(c.Reminders) > 0 })
		if diff := cmp.Diff(want, links(p.rendered[0].Items)); diff != "" {
			t.Errorf("with links below %q:\n%s", base, diff)
		}
		if diff := cmp.Diff(want[1:2], links(p.rendered[reminded].Reminders)); diff != "" {
			t.Errorf("with links below %q, of what readers are reminded of:\n%s", base, diff)
		}
		if _, err := d.Proof(t.Context(), weekly, newsletter.Audience{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, links(p.rendered[len(p.rendered)-1].Items)); diff != "" {
			t.Errorf("with links below %q, in the proof:\n%s", base, diff)
		}
	}
	if q.items[1].Petition != petition || q.items[1].URL != petition {
		t.Errorf("the queue's own item is changed to %+v", q.items[1])
	}
}
