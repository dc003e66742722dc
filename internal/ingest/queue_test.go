package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// memoryQueue keeps the promises of ingest.Queue in memory.
type memoryQueue struct {
	mu     sync.Mutex
	items  []newsletter.Item
	place  map[string]int // of an item, by each identity under which it is known
	states map[string]newsletter.FeedState
	broken error // when set, taking in fails
}

func newQueue() *memoryQueue {
	return &memoryQueue{place: map[string]int{}, states: map[string]newsletter.FeedState{}}
}

func (q *memoryQueue) FeedState(_ context.Context, name string) (newsletter.FeedState, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.states[name], nil
}

func (q *memoryQueue) Known(_ context.Context, items []newsletter.Item) ([]bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := make([]bool, len(items))
	for n, item := range items {
		known[n] = q.find(item) >= 0
	}
	return known, nil
}

func (q *memoryQueue) find(item newsletter.Item) int {
	for _, id := range item.Identities() {
		if n, ok := q.place[id]; ok {
			return n
		}
	}
	return -1
}

func (q *memoryQueue) TakeIn(_ context.Context, state *newsletter.FeedState, found []newsletter.Found, _ time.Time) (newsletter.Intake, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var intake newsletter.Intake
	if q.broken != nil {
		return intake, q.broken
	}
	articles := make([]newsletter.ItemID, len(found))
	for n, f := range found { // posts first: they say more of an action than an article that mentions it
		articles[n] = q.take(f.Item, &intake)
	}
	for n, f := range found {
		for _, action := range f.Inside {
			action.Parent = articles[n]
			q.take(action, &intake)
		}
	}
	if state != nil {
		q.states[state.Name] = *state
	}
	return intake, nil
}

func (q *memoryQueue) take(item newsletter.Item, intake *newsletter.Intake) newsletter.ItemID {
	n := q.find(item)
	if n < 0 {
		n = len(q.items)
		item.ID = newsletter.ItemID(n + 1)
		q.items = append(q.items, item)
		intake.New++
		switch item.State {
		case newsletter.Held:
			intake.Held++
		case newsletter.Dropped:
			intake.Dropped++
		}
	} else if old := q.items[n]; item.GUID != "" && old.Title != item.Title {
		q.items[n].Title = item.Title
		intake.Changed++
	} else {
		intake.Known++
	}
	for _, id := range item.Identities() {
		q.place[id] = n
	}
	return q.items[n].ID
}

// today is the clock of these tests.
var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newIngester(q ingest.Queue, s ingest.Settings) *ingest.Ingester {
	if s.Now == nil {
		s.Now = func() time.Time { return today }
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.UserAgent = "dispatcher/test (+https://news.example.org)"
	return ingest.New(q, s)
}

// usual are the rules that a feed has when its admin says nothing.
var usual = ingest.ActionRules{
	Categories:        []string{"Take Action", "Petition"},
	TitlePrefixes:     []string{"Take Action:", "Petition:"},
	ParagraphPrefixes: []string{"Take action:"},
	UrgentCategories:  []string{"Urgent"},
	DeadlineCategory:  "deadline-",
	DefaultLife:       14 * 24 * time.Hour,
}

// feedAt is a feed whose first poll lets everything through.
func feedAt(url string) ingest.Feed {
	return ingest.Feed{Name: "magazine", URL: url, FirstPoll: 1000, MaxNew: 20, MaxAge: 14 * 24 * time.Hour, Actions: usual}
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// serveText serves one document under every path.
func serveText(t *testing.T, document string) *httptest.Server {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(document)); err != nil {
			t.Log(err) // the client may have had enough
		}
	})
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fetch polls a feed once, which must succeed.
func fetch(t *testing.T, i *ingest.Ingester, feed ingest.Feed) newsletter.Intake {
	t.Helper()
	intake, err := i.Fetch(t.Context(), feed)
	if err != nil {
		t.Fatal(err)
	}
	return intake
}

// entry is one entry of an RSS feed to be written.
type entry struct {
	title       string
	link        string
	guid        string
	date        time.Time
	categories  []string
	description string // HTML
	content     string // HTML
	extra       string // XML
}

// post is an ordinary entry, n hours old.
func post(name string, hours int) entry {
	return entry{
		title: "The post that is called " + name, link: "https://magazine.example/" + name + "/", guid: "https://magazine.example/?p=" + name,
		date: today.Add(-time.Duration(hours) * time.Hour), content: "<p>What " + name + " has to say.</p>",
	}
}

// wordpress writes a feed that says that WordPress made it.
func wordpress(entries ...entry) string {
	return strings.Replace(rss(entries...), "<item>", "<generator>https://wordpress.org/?v=6.8.1</generator><item>", 1)
}

// rss writes a feed.
func rss(entries ...entry) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" ` +
		`xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/"><channel><title>Harbour Gazette</title>` +
		`<link>https://magazine.example/</link>`)
	element := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "<%s><![CDATA[%s]]></%s>", name, value, name)
		}
	}
	for _, e := range entries {
		b.WriteString("<item>")
		element("title", e.title)
		element("link", e.link)
		element("guid", e.guid)
		if !e.date.IsZero() {
			element("pubDate", e.date.Format(time.RFC1123Z))
		}
		for _, c := range e.categories {
			element("category", c)
		}
		element("description", e.description)
		element("content:encoded", e.content)
		b.WriteString(e.extra + "</item>")
	}
	b.WriteString("</channel></rss>")
	return b.String()
}

// read imports a document with the usual rules and the flood gate open, and gives all items that it makes.
func read(t *testing.T, file, document string) []newsletter.Item {
	t.Helper()
	q := newQueue()
	if _, err := newIngester(q, ingest.Settings{}).Import(t.Context(), file, strings.NewReader(document), ingest.ImportOptions{Actions: usual, Release: true}); err != nil {
		t.Fatal(err)
	}
	return q.items
}

// readOne is read for an entry that makes one item.
func readOne(t *testing.T, e entry) newsletter.Item {
	t.Helper()
	items := read(t, "feed.xml", rss(e))
	if len(items) != 1 {
		t.Fatalf("%d items, want 1: %+v", len(items), items)
	}
	return items[0]
}
