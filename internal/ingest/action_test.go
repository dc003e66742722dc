package ingest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
)

func TestPetitionOfAnActionPost(t *testing.T) {
	const self = "https://magazine.example/appeal/"
	tests := map[string]struct{ content, want string }{
		"the paragraph that says so": {
			`<p>Read <a href="https://other.example/sign">why people sign</a>.</p><p><em>take ACTION:</em> write to <a href="https://court.example/desk">the court</a>.</p>`,
			"https://court.example/desk",
		},
		"a link that says so": {
			`<p>See <a href="https://other.example/report">the report</a>.</p><p><a href="/call-list">Call your harbour master</a></p>`,
			"https://magazine.example/call-list",
		},
		"a paragraph around a link": {
			`<p>See <a href="https://other.example/report">the report</a>.</p><p>You can sign <a href="https://actions.example/ferry">here</a>.</p>`,
			"https://actions.example/ferry",
		},
		"designated is no sign": {
			`<p>A designated <a href="/berth">berth</a>, see <a href="https://actions.example/berth">the plan</a>.</p>`,
			"https://actions.example/berth",
		},
		"not the post itself, not a way to share it": {
			`<p>Sign <a href="http://www.magazine.example/appeal/?share=x#more">this</a> or <a href="https://www.facebook.com/sharer/sharer.php?u=x">share it</a> or <a href="https://x.com/intent/tweet?text=sign">post it</a>.</p><p><a href="https://actions.example/ferry">All of it</a></p>`,
			"https://actions.example/ferry",
		},
		"not a picture":  {`<p><a href="https://cdn.example/poster.JPG"><img src="https://cdn.example/poster.JPG" alt="Sign!"></a></p>`, self},
		"not an address": {`<p>Write to <a href="mailto:desk@court.example">the desk</a>.</p>`, self},
		"no link at all": {`<p>Come to the pier.</p>`, self},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: "An appeal for the second ferry", link: self, date: today, categories: []string{"take action"}, content: tt.content})
			if got.Kind != newsletter.Action || got.Petition != tt.want {
				t.Errorf("%s with petition %q, want an action with %q", got.Kind, got.Petition, tt.want)
			}
		})
	}
}

func TestWhatMakesAnAction(t *testing.T) {
	tests := map[string]struct {
		title      string
		categories []string
		want       string
	}{
		"a category":                  {"Free the ferry clerks of Port Sel", []string{"Sea", "take-action"}, "action: Free the ferry clerks of Port Sel"},
		"a title":                     {"PETITION: Free the ferry clerks", nil, "action: Free the ferry clerks"},
		"a title of the prefix alone": {"Take action:", nil, "action: Take action:"},
		"neither":                     {"They took action: a history", []string{"Actions"}, "article: They took action: a history"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: tt.title, link: "https://magazine.example/x/", date: today, categories: tt.categories})
			if line := string(got.Kind) + ": " + got.Title; line != tt.want {
				t.Errorf("got %s, want %s", line, tt.want)
			}
		})
	}
}

func TestTermsOfAnAction(t *testing.T) {
	tests := map[string]struct {
		categories []string
		deadline   time.Time
		expires    time.Time
		urgent     bool
	}{
		"none":          {nil, time.Time{}, today.Add(14 * 24 * time.Hour), false},
		"a deadline":    {[]string{"Deadline-2026-12-01"}, time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), time.Time{}, false},
		"two deadlines": {[]string{"deadline-2026-12-09", "deadline 2026-12-01"}, time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), time.Time{}, false},
		"until tonight": {[]string{"deadline-2026-11-21"}, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.Time{}, false},
		"urgent":        {[]string{"URGENT"}, time.Time{}, today.Add(14 * 24 * time.Hour), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: "Petition: Free the ferry clerks", link: "https://magazine.example/x/", date: today, categories: tt.categories})
			if !got.Deadline.Equal(tt.deadline) || !got.Expires.Equal(tt.expires) || got.Urgent != tt.urgent {
				t.Errorf("deadline %v, expires %v, urgent %v", got.Deadline, got.Expires, got.Urgent)
			}
			if got.State != newsletter.Queued {
				t.Errorf("state is %s (%s)", got.State, got.Reason)
			}
		})
	}
}

func TestActionInsideAnArticle(t *testing.T) {
	const article = "The clerk who kept the timetable"
	long := "asking the harbour court to release the clerk before the winter ferries stop, organised by the island’s readers, some of whom have waited for her every day."
	tests := map[string]struct{ content, title, summary string }{
		"the sentence": {
			`<p><strong>Take action:</strong> <a href="https://actions.example/1">Sign this petition</a> asking for a second ferry. It takes a minute.</p>`,
			"Sign this petition asking for a second ferry",
			"It takes a minute.",
		},
		"a long sentence": {
			`<p>Take action: <a href="https://actions.example/1">Sign this petition</a> ` + long + `</p>`,
			"Sign this petition asking the harbour court to release the clerk before the winter ferries stop",
			"Sign this petition " + long,
		},
		"a link that says enough": {
			`<p><b>TAKE ACTION: </b>The readers have begun to write, and you can join: <a href="https://actions.example/1">tell the court to free the clerk</a>.</p>`,
			"Tell the court to free the clerk",
			"The readers have begun to write, and you can join: tell the court to free the clerk.",
		},
		"few words": {
			`<ul><li>Take action: <a href="https://actions.example/1">sign here</a>!</li></ul>`,
			"sign here!: " + article,
			"sign here!",
		},
		"an address for words": {
			`Take action: <a href="https://actions.example/1">https://actions.example/1</a><br><br>More to come.`,
			article,
			"https://actions.example/1",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			items := read(t, "feed.xml", rss(entry{
				title: article, link: "https://magazine.example/clerk/", guid: "7", date: today.Add(-time.Hour), categories: []string{"Sea", "Urgent", "deadline-2026-12-01"},
				content: "<p>It began on a Monday.</p>" + tt.content,
			}))
			if len(items) != 2 {
				t.Fatalf("%d items, want article and action: %+v", len(items), items)
			}
			want := newsletter.Item{
				ID: 2, Kind: newsletter.Action, Feed: "feed.xml", URL: "https://magazine.example/clerk/", Title: tt.title, Summary: tt.summary,
				Topics: []string{"Sea", "Urgent"}, Published: today.Add(-time.Hour), FirstSeen: today, Waiting: today,
				Petition: "https://actions.example/1", Deadline: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), Urgent: true,
				State: newsletter.Queued, Parent: 1,
			}
			if diff := cmp.Diff(want, items[1]); diff != "" {
				t.Errorf("action (-want +got):\n%s", diff)
			}
			if !strings.Contains(items[0].Body, "https://actions.example/1") || items[0].Summary == "" || strings.Contains(strings.ToLower(items[0].Summary), "take action") {
				t.Errorf("the article has body %q and summary %q", items[0].Body, items[0].Summary)
			}
		})
	}
}

func TestParagraphsThatAreNoAction(t *testing.T) {
	for name, content := range map[string]string{
		"no link":          `<p>Take action: come to the pier.</p>`,
		"no web link":      `<p>Take action: <a href="mailto:desk@court.example">write</a> or <a href="javascript:go()">go</a>.</p>`,
		"the article":      `<p>Take action: <a href="https://www.magazine.example/clerk">read on</a>.</p>`,
		"in mid-paragraph": `<p>They said: Take action: <a href="https://actions.example/1">sign</a>.</p>`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := readOne(t, entry{title: "The clerk who kept time", link: "https://magazine.example/clerk/", date: today, content: content}); got.Kind != newsletter.Article {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOnePetitionIsOneAction(t *testing.T) {
	appeal := `<p>Take action: <a href="https://actions.example/1">Sign for the second ferry today</a>.</p>`
	first, second, own := post("first", 1), post("second", 2), post("own", 3)
	first.content, second.content, own.content = appeal, appeal, appeal
	first.categories, second.categories, own.categories = []string{"Sea"}, []string{"Urgent", "deadline-2026-12-01"}, []string{"Petition"}
	items := read(t, "feed.xml", rss(first, second, own))
	if len(items) != 3 {
		t.Fatalf("%d items, want 2 articles and an action: %+v", len(items), items)
	}
	got := items[2]
	if got.Title != own.title || got.GUID != own.guid {
		t.Errorf("the action is %q, not the post that is about it", got.Title)
	}
	if !got.Urgent || !got.Deadline.Equal(time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)) || !got.Expires.IsZero() {
		t.Errorf("an article's urgency and deadline are lost: %+v", got)
	}
	if diff := cmp.Diff([]string{"Petition", "Sea", "Urgent"}, got.Topics); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}
