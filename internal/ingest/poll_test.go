package ingest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// posts are n posts, the newest an hour old and each next one an hour older.
func posts(n int) []entry {
	all := make([]entry, n)
	for k := range all {
		all[k] = post(fmt.Sprintf("number-%d", n-k), k+1)
	}
	return all
}

// states counts the items of a queue by state and reason.
func states(q *memoryQueue) map[string]int {
	counts := map[string]int{}
	for _, item := range q.items {
		counts[strings.TrimSuffix(string(item.State)+", "+item.Reason, ", ")]++
	}
	return counts
}

func TestFirstPollIsTheBaseline(t *testing.T) {
	old := post("old", 24*20)
	tests := map[string]struct {
		firstPoll int
		entries   []entry
		want      map[string]int
	}{
		"none":                    {0, posts(30), map[string]int{"dropped, first poll": 30}},
		"the newest":              {4, posts(30), map[string]int{"queued": 4, "dropped, first poll": 26}},
		"more than max_new":       {25, posts(30), map[string]int{"queued": 25, "dropped, first poll": 5}},
		"more than there are":     {50, posts(30), map[string]int{"queued": 30}},
		"by date, not by order":   {1, []entry{old, post("new", 1)}, map[string]int{"queued": 1, "dropped, first poll": 1}},
		"an old one among newest": {2, []entry{post("new", 1), old}, map[string]int{"queued": 1, "held, flood gate: older than 14d": 1}},
		"an empty feed":           {0, nil, map[string]int{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			feed := feedAt(serveText(t, rss(tt.entries...)).URL)
			feed.FirstPoll = tt.firstPoll
			fetch(t, newIngester(q, ingest.Settings{}), feed)
			if diff := cmp.Diff(tt.want, states(q)); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if !q.states["magazine"].BaselineDone {
				t.Error("the baseline is not done")
			}
		})
	}
}

func TestFloodGate(t *testing.T) {
	tests := map[string]struct {
		entries []entry
		want    map[string]int
	}{
		"as many as may be":        {posts(20), map[string]int{"queued": 20}},
		"one more":                 {posts(21), map[string]int{"held, flood gate: 21 new at once (max_new 20)": 21}},
		"an old one":               {append(posts(2), post("old", 24*14+1)), map[string]int{"queued": 2, "held, flood gate: older than 14d": 1}},
		"as old as may be":         {[]entry{post("old", 24*14)}, map[string]int{"queued": 1}},
		"without a date":           {[]entry{{title: "A post without a date at all", link: "https://magazine.example/undated/"}}, map[string]int{"queued": 1}},
		"an action that is closed": {[]entry{{title: "Sign by the end of last month", link: "https://magazine.example/late/", date: today, categories: []string{"petition", "deadline-2026-10-31"}}}, map[string]int{"dropped, closed before it was seen": 1}},
		"a deadline that is no date": {
			[]entry{{title: "Sign by the end of the week", link: "https://magazine.example/soon/", date: today, categories: []string{"petition", "Deadline Friday"}}},
			map[string]int{`held, the category "Deadline Friday" gives no deadline: write it as deadline-2026-12-31`: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			document := rss()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, document) })
			var logged bytes.Buffer
			q := newQueue()
			i := newIngester(q, ingest.Settings{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			fetch(t, i, feedAt(server.URL))
			document = rss(tt.entries...)
			intake := fetch(t, i, feedAt(server.URL))
			if diff := cmp.Diff(tt.want, states(q)); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			warnings := strings.Count(logged.String(), "level=WARN")
			if want := min(intake.Held, 1); warnings != want {
				t.Errorf("%d warnings, want %d:\n%s", warnings, want, logged.String())
			}
			if intake.Held > 0 && !strings.Contains(logged.String(), fmt.Sprintf("feed=magazine held=%d ", intake.Held)) {
				t.Errorf("the warning does not say what is held: %s", logged.String())
			}
		})
	}
}

func TestKnownEntriesDoNotMakeAFlood(t *testing.T) {
	document := rss(posts(30)...)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, document) })
	i := newIngester(newQueue(), ingest.Settings{})
	fetch(t, i, feedAt(server.URL))
	document = rss(posts(31)...)
	if got := fetch(t, i, feedAt(server.URL)); got != (newsletter.Intake{New: 1, Known: 30}) {
		t.Errorf("one new entry among 30 known ones brought %+v", got)
	}
}

func TestActionInsideSharesTheFateOfItsArticle(t *testing.T) {
	appeal := `<p>Take action: <a href="https://actions.example/%s">Sign the petition for a second ferry</a>.</p>`
	article := post("ferry", 24*15)
	article.content = fmt.Sprintf(appeal, "ferry")
	document := rss()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, document) })
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	fetch(t, i, feedAt(server.URL))
	document = rss(article)
	if got := fetch(t, i, feedAt(server.URL)); got != (newsletter.Intake{New: 2, Held: 2}) {
		t.Errorf("an old article with an action brought %+v", got)
	}
	for _, item := range q.items {
		if item.Kind == newsletter.Action && item.Parent == 0 {
			t.Error("the action is not tied to its article")
		}
	}
	again := post("ferry-again", 1)
	again.content = fmt.Sprintf(appeal, "ferry/?utm_source=again")
	document = rss(again, article)
	if got := fetch(t, i, feedAt(server.URL)); got.New != 1 || got.Held != 0 {
		t.Errorf("a new article with the known petition brought %+v", got)
	}
}

// paged serves a feed in pages of ten, as WordPress does, and notes which were asked for.
func paged(t *testing.T, all *[]entry) (server *httptest.Server, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		page := 1
		if n, err := strconv.Atoi(r.URL.Query().Get("paged")); err == nil {
			page = n
		}
		from, to := (page-1)*10, min(page*10, len(*all))
		if from >= to {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, wordpress((*all)[from:to]...))
	})
	return server, asked
}

func TestOlderPagesAreReadWhileTheyMayBeNew(t *testing.T) {
	everything := posts(150)
	last := func(n int) []entry { return everything[150-n:] }
	tests := map[string]struct {
		firstPoll   int
		before, now []entry // before is nil: now is the first poll
		wantAsked   []string
		wantNew     int
	}{
		"first poll, none let through": {0, nil, last(40), []string{"cat=7"}, 10},
		"first poll, the newest 25":    {25, nil, last(40), []string{"cat=7", "cat=7&paged=2", "cat=7&paged=3"}, 30},
		"first poll, fewer there":      {25, nil, last(15), []string{"cat=7", "cat=7&paged=2", "cat=7&paged=3"}, 15},
		"first poll, ten pages":        {1000, nil, last(150), nil, 100},
		"nothing new":                  {0, last(10), last(10), []string{"cat=7"}, 0},
		"three new":                    {0, last(10), last(13), []string{"cat=7"}, 3},
		"fourteen new":                 {0, last(10), last(24), []string{"cat=7", "cat=7&paged=2"}, 14},
		"all new, to the end":          {0, nil, last(12), []string{"cat=7"}, 10},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			i := newIngester(q, ingest.Settings{})
			all := tt.before
			server, asked := paged(t, &all)
			feed := feedAt(server.URL + "/?cat=7")
			feed.FirstPoll = tt.firstPoll
			if tt.before != nil {
				fetch(t, i, feed)
				*asked = nil
			}
			all = tt.now
			if got := fetch(t, i, feed); got.New != tt.wantNew {
				t.Errorf("brought %+v, want %d new", got, tt.wantNew)
			}
			if tt.wantAsked != nil {
				if diff := cmp.Diff(tt.wantAsked, *asked); diff != "" {
					t.Errorf("pages (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestStickyPostDoesNotHideOlderPages(t *testing.T) {
	sticky := post("sticky", 24*10)
	sticky.date = today // it stands first, and is dated anew
	all := []entry{sticky}
	server, asked := paged(t, &all)
	i := newIngester(newQueue(), ingest.Settings{})
	fetch(t, i, feedAt(server.URL))
	all = append(all, posts(14)...)
	if got := fetch(t, i, feedAt(server.URL)); got.New != 14 {
		t.Errorf("brought %+v after asking for %q, want 14 new", got, *asked)
	}
}

func TestServerThatIgnoresPagesIsAskedOnce(t *testing.T) {
	for name, document := range map[string]string{"the same again": wordpress(posts(10)...), "another generator": rss(posts(10)...)} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				fmt.Fprint(w, document)
			})
			if got := fetch(t, newIngester(newQueue(), ingest.Settings{}), feedAt(server.URL)); got != (newsletter.Intake{New: 10}) {
				t.Errorf("brought %+v", got)
			}
			if want := strings.Count(document, "wordpress.org") + 1; requests != want {
				t.Errorf("%d requests, want %d", requests, want)
			}
		})
	}
}

func TestPageThatFailsIsNotTheEnd(t *testing.T) {
	all := posts(24)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("paged") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, wordpress(all[:10]...))
	})
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	for range 2 {
		if _, err := i.Fetch(t.Context(), feedAt(server.URL)); err == nil || len(q.items) != 0 {
			t.Fatalf("error %v and %d items: half of what is new counts for all", err, len(q.items))
		}
	}
	if got := fetch(t, i, feedAt(server.URL)); got.New != 10 {
		t.Errorf("the third poll brought %+v: a page that is always bad holds up the first", got)
	}
}

func TestExcludedEntriesLeaveNoTrace(t *testing.T) {
	sponsored, podcast, fine := post("sponsored", 1), post("podcast", 2), post("fine", 3)
	sponsored.categories = []string{"Sea", "SPONSORED  posts"}
	podcast.title = "PODCAST: The sound of the harbour bell"
	feed := feedAt(serveText(t, rss(sponsored, podcast, fine)).URL)
	feed.Exclude = ingest.Exclude{Categories: []string{"Sponsored Posts"}, TitlePrefixes: []string{"Podcast:"}}
	q := newQueue()
	fetch(t, newIngester(q, ingest.Settings{}), feed)
	if len(q.items) != 1 || q.items[0].Title != fine.title {
		t.Errorf("the queue has %+v", q.items)
	}
}

func TestIdentityOfCarelessFeeds(t *testing.T) {
	one, two, twin, undated := post("one", 1), post("two", 2), post("two", 2), post("undated", 3)
	one.guid, two.guid, twin.guid = "0", "0", "0"
	undated.date, undated.guid = time.Time{}, ""
	ahead := post("ahead", -25)
	ancient := post("ancient", 0)
	ancient.date = time.Unix(0, 0)
	q := newQueue()
	fetch(t, newIngester(q, ingest.Settings{}), feedAt(serveText(t, rss(one, two, twin, undated, ahead, ancient)).URL))
	if len(q.items) != 5 {
		t.Fatalf("%d items, want 5: %+v", len(q.items), q.items)
	}
	for _, item := range q.items[:3] {
		if item.GUID != "" {
			t.Errorf("%q has the guid %q, which others have too", item.Title, item.GUID)
		}
	}
	for _, item := range q.items[2:] {
		if !item.Published.Equal(today) {
			t.Errorf("%q is dated %v, want the time it was first seen", item.Title, item.Published)
		}
	}
}

func TestTwoPostsForOnePetitionAreTheNewer(t *testing.T) {
	newer, older := post("newer", 1), post("older", 2)
	for _, e := range []*entry{&newer, &older} {
		e.content = `<p>Take action: <a href="https://actions.example/ferry">Sign for the second ferry</a>.</p>`
	}
	newer.categories, older.categories = []string{"Petition"}, []string{"Petition", "Ferries", "Urgent"}
	q := newQueue()
	if got := fetch(t, newIngester(q, ingest.Settings{}), feedAt(serveText(t, rss(newer, older)).URL)); got != (newsletter.Intake{New: 1}) {
		t.Errorf("brought %+v", got)
	}
	if got := q.items[0]; got.Title != newer.title || !got.Urgent || len(got.Topics) != 3 {
		t.Errorf("the action is %+v", got)
	}
}

func TestTopicsOfTheFeedAreAdded(t *testing.T) {
	e := post("one", 1)
	e.categories = []string{"Iran", "Q&amp;A", "iran", "deadline-2026-12-01"}
	feed := feedAt(serveText(t, rss(e)).URL)
	feed.Topics = []string{"Iran", "Women"}
	q := newQueue()
	fetch(t, newIngester(q, ingest.Settings{}), feed)
	if diff := cmp.Diff([]string{"Iran", "Q&A", "Women"}, q.items[0].Topics); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}
