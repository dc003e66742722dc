package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func article(title string) newsletter.Item {
	slug := newsletter.Slug(title)
	return newsletter.Item{
		Kind: newsletter.Article, Feed: "magazine", GUID: "guid-" + slug, URL: "https://magazine.example/" + slug + "/", Title: title,
		Summary: "What happened, in a sentence.", Topics: []string{"Iran"}, Published: start.Add(-time.Hour), State: newsletter.Queued,
	}
}

func action(title string) newsletter.Item {
	a := article(title)
	a.Kind, a.Petition, a.Expires = newsletter.Action, "https://actions.example/"+newsletter.Slug(title), start.Add(14*24*time.Hour)
	return a
}

func takeIn(t *testing.T, s *store.Store, items ...newsletter.Item) newsletter.Intake {
	t.Helper()
	var entries []newsletter.Found
	for _, i := range items {
		entries = append(entries, newsletter.Found{Item: i})
	}
	return must[newsletter.Intake](t)(s.TakeIn(t.Context(), nil, entries, start))
}

func items(t *testing.T, s *store.Store) []newsletter.Item {
	t.Helper()
	return must[[]newsletter.Item](t)(s.Items(t.Context(), "", 0))
}

func TestTheSameFeedAgainBringsNothing(t *testing.T) {
	s := open(t, t.TempDir())
	a, b := article("A letter from the north wing"), action("Free the printers of Port Sel")
	if got := takeIn(t, s, a, b); got != (newsletter.Intake{New: 2}) {
		t.Fatalf("the first time: %+v", got)
	}
	if got := takeIn(t, s, a, b); got != (newsletter.Intake{Known: 2}) {
		t.Errorf("the same again: %+v", got)
	}
	for _, i := range []*newsletter.Item{&a, &b} {
		i.GUID, i.URL = "new-"+i.GUID, "http"+i.URL[len("https"):]
	}
	if got := takeIn(t, s, a, b); got.New != 0 {
		t.Errorf("with new guids and another scheme: %+v", got)
	}
	if known := must[[]bool](t)(s.Known(t.Context(), []newsletter.Item{a, article("Another story altogether now")})); !slices.Equal(known, []bool{true, false}) {
		t.Errorf("Known says %v", known)
	}
}

func TestOneArticleInTwoTagFeedsHasBothTopics(t *testing.T) {
	s := open(t, t.TempDir())
	one, two := article("A letter from the north wing"), article("A letter from the north wing")
	two.Feed, two.Topics = "other tag", []string{"iran", "Press Freedom"}
	takeIn(t, s, one)
	if got := takeIn(t, s, two); got != (newsletter.Intake{Changed: 1}) {
		t.Errorf("the second feed: %+v", got)
	}
	if got := items(t, s); len(got) != 1 || !slices.Equal(got[0].Topics, []string{"Iran", "Press Freedom"}) {
		t.Errorf("the queue has %+v", got)
	}
}

func TestAnActionInsideAnArticleAndItsPostAreOne(t *testing.T) {
	post := action("Free the printers of Port Sel")
	inside := newsletter.Item{Kind: newsletter.Action, Feed: "magazine", URL: "https://magazine.example/a-letter/", Title: "Sign this", Petition: post.Petition + "/?utm_source=letter", State: newsletter.Queued, Expires: post.Expires}
	letter := article("A letter from the north wing")
	for name, order := range map[string][]newsletter.Found{
		"post later": {{Item: letter, Inside: []newsletter.Item{inside}}, {Item: post}},
		"post first": {{Item: post}, {Item: letter, Inside: []newsletter.Item{inside}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			for range 2 {
				for _, f := range order { // each in a poll of its own
					must[newsletter.Intake](t)(s.TakeIn(t.Context(), nil, []newsletter.Found{f}, start))
				}
			}
			got := items(t, s)
			if len(got) != 2 {
				t.Fatalf("%d items, want the article and one action: %+v", len(got), got)
			}
			for _, i := range got {
				if i.Kind == newsletter.Action && (i.Title != post.Title || i.URL != post.URL) {
					t.Errorf("the mention has overwritten the post: %q %s", i.Title, i.URL)
				}
				if i.Kind == newsletter.Action && i.Parent == 0 {
					t.Error("the action is not tied to the article")
				}
			}
		})
	}
}

func TestAnEditInTheFeedChangesTheItemUntilItIsFrozen(t *testing.T) {
	s := open(t, t.TempDir())
	a := article("A letter from the north wing")
	takeIn(t, s, a)
	id := items(t, s)[0].ID
	a.Summary = "Corrected."
	if got := takeIn(t, s, a); got != (newsletter.Intake{Changed: 1}) {
		t.Errorf("an edit: %+v", got)
	}
	title := "An editor's own title"
	if err := s.ChangeItem(t.Context(), id, store.ItemChange{Title: &title}, start); err != nil {
		t.Fatal(err)
	}
	a.Title, a.Summary = "The feed's next title of it", "Corrected again."
	takeIn(t, s, a)
	if got := items(t, s)[0]; got.Title != title || got.Summary != "Corrected again." {
		t.Errorf("after editor and feed: %q, %q", got.Title, got.Summary)
	}
	enrol(t, s, 1, "weekly")
	freeze(t, s, draft(t, s, "weekly", start))
	a.Summary = "Too late."
	takeIn(t, s, a)
	if got := items(t, s)[0]; got.Summary != "Corrected again." {
		t.Errorf("a frozen item changed to %q", got.Summary)
	}
	if err := s.ChangeItem(t.Context(), id, store.ItemChange{Title: &title}, start); !errors.Is(err, newsletter.ErrFrozen) {
		t.Errorf("changing a frozen item: %v", err)
	}
}

func TestHeldItemsWaitForTheirRelease(t *testing.T) {
	s := open(t, t.TempDir())
	held, dropped := article("One that the gate holds back"), article("One that the baseline knows of")
	held.State, held.Reason = newsletter.Held, "flood gate"
	dropped.State, dropped.Reason = newsletter.Dropped, "first poll"
	if got := takeIn(t, s, held, dropped); got != (newsletter.Intake{New: 2, Held: 1, Dropped: 1}) {
		t.Errorf("taken in: %+v", got)
	}
	unused := func() int {
		return len(must[[]newsletter.Item](t)(s.Unused(t.Context(), "weekly", false, time.Time{})))
	}
	if n := unused(); n != 0 {
		t.Errorf("%d of them wait in the queue", n)
	}
	queued, later := newsletter.Queued, start.Add(time.Hour)
	for _, i := range items(t, s) {
		if err := s.ChangeItem(t.Context(), i.ID, store.ItemChange{State: &queued}, later); err != nil {
			t.Fatal(err)
		}
	}
	if n := unused(); n != 2 {
		t.Errorf("%d wait after the release", n)
	}
	if got := items(t, s)[0]; got.Reason != "" || !got.Waiting.Equal(later) {
		t.Errorf("a released item has reason %q and waits since %v", got.Reason, got.Waiting)
	}
}

func TestFeedStateIsKeptWithItsItems(t *testing.T) {
	s := open(t, t.TempDir())
	want := newsletter.FeedState{Name: "magazine", URL: "https://magazine.example/feed/", ETag: `"x"`, LastModified: "Mon, 23 Nov 2026 08:00:00 GMT", LastPoll: start, Failures: 2, LastError: "timed out", BaselineDone: true}
	must[newsletter.Intake](t)(s.TakeIn(t.Context(), &want, nil, start))
	if got := must[newsletter.FeedState](t)(s.FeedState(t.Context(), "magazine")); got != want {
		t.Errorf("kept %+v, want %+v", got, want)
	}
	if got := must[newsletter.FeedState](t)(s.FeedState(t.Context(), "new")); got != (newsletter.FeedState{Name: "new"}) {
		t.Errorf("a feed never polled has %+v", got)
	}
}
