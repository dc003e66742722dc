package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// importFile imports a file with the usual rules and gives the problems found in it, as "line: text".
func importFile(t *testing.T, q *memoryQueue, file, text string, release bool) (newsletter.Intake, []string) {
	t.Helper()
	intake, err := newIngester(q, ingest.Settings{}).Import(t.Context(), file, strings.NewReader(text), ingest.ImportOptions{Actions: usual, Release: release})
	var bad *ingest.ImportError
	if err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	var problems []string
	if bad != nil {
		for _, p := range bad.Problems {
			problems = append(problems, fmt.Sprintf("%d: %s", p.Line, p.Text))
		}
	}
	return intake, problems
}

func TestImportKnowsAFormatByItsContent(t *testing.T) {
	files := map[string]struct{ file, text string }{
		"RSS":                {"items.txt", rss(post("one", 1))},
		"RSS in UTF-16":      {"feed.xml", string(utf16le(rss(post("one", 1))))},
		"RDF":                {"feed.rdf", `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><item rdf:about="x"><title>The post that is called one</title><link>https://magazine.example/one/</link></item></rdf:RDF>`},
		"Atom":               {"feed.atom", `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://magazine.example/"><entry><id>urn:1</id><title type="html">The post that is called &lt;b>one&lt;/b></title><link href="one/"/><updated>2026-11-20T10:00:00Z</updated><content type="html">&lt;p>What one has &lt;a href="say">to say&lt;/a>.&lt;/p></content></entry></feed>`},
		"JSON Feed":          {"feed.jsonl", `{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": "https://magazine.example/one/", "title": "The post that is called one", "content_text": "What <one> has\nto say.\n\nMore."}]}`},
		"JSON Lines":         {"feed.json", `{"title": "The post that is called one", "url": "https://magazine.example/one/", "body_markdown": "What *one* has to say."}`},
		"JSON Lines, two":    {"items", "\ufeff{\"title\": \"The post that is called one\", \"url\": \"https://magazine.example/one/\"}\r\n\r\n{\"title\": \"The post that is called two\", \"url\": \"https://magazine.example/two/\"}\n"},
		"Markdown":           {"one.txt", "---\ntitle: The post that is called one\nurl: https://magazine.example/one/\n---\nWhat *one* has to say.\n"},
		"Markdown from afar": {"one.md", "---\r\ntitle: \"The post that is called one\"\r\nurl: https://magazine.example/one/\r\n---\r\n\r\nWhat *one* has to say.\r\n"},
	}
	for name, tt := range files {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			if _, problems := importFile(t, q, "/home/desk/"+tt.file, tt.text, false); len(problems) > 0 {
				t.Fatalf("problems: %q", problems)
			}
			if len(q.items) == 0 {
				t.Fatal("no items")
			}
			got := q.items[0]
			if got.Title != "The post that is called one" || got.URL != "https://magazine.example/one/" || got.Feed != tt.file || got.State != newsletter.Queued {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestImportedRecordInFull(t *testing.T) {
	const keys = `"kind": "action", "title": "Free <the> clerk", "url": "https://magazine.example/clerk/", "summary": "She kept\nthe time.",
		"image": "https://cdn.example/clerk.jpg", "image_alt": "The clerk", "author": "Ada Quill", "language": "en", "topics": ["Sea", "sea", "Ferries"],
		"published": "2026-11-20", "petition": "https://actions.example/clerk", "deadline": "2026-12-01T18:00:00-05:00", "urgent": true`
	want := newsletter.Item{
		ID: 1, Kind: newsletter.Action, Title: "Free <the> clerk", URL: "https://magazine.example/clerk/", Summary: "She kept the time.",
		Body: `<p>Let her <strong>go</strong>.</p>`, Image: "https://cdn.example/clerk.jpg", ImageAlt: "The clerk", Author: "Ada Quill", Language: "en",
		Topics: []string{"Sea", "Ferries"}, Published: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), FirstSeen: today, Waiting: today,
		Petition: "https://actions.example/clerk", Deadline: time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC), Urgent: true, State: newsletter.Queued,
	}
	oneLine := strings.ReplaceAll(keys, ",\n\t\t", ", ")
	files := map[string]string{
		"html.jsonl":     `{` + strings.ReplaceAll(oneLine, "kept\nthe", `kept\nthe`) + `, "body": "<p onclick='x'>Let her <strong>go</strong>.</p><script>x</script>"}`,
		"markdown.jsonl": `{` + strings.ReplaceAll(oneLine, "kept\nthe", `kept\nthe`) + `, "body_markdown": "Let her **go**.\n\n<script>x</script>"}`,
		"clerk.md":       "---\n{" + keys + "}\n---\n\nLet her **go**.\n",
	}
	for file, text := range files {
		t.Run(file, func(t *testing.T) {
			q := newQueue()
			if _, problems := importFile(t, q, file, text, false); len(problems) > 0 {
				t.Fatalf("problems: %q", problems)
			}
			want.Feed = file
			if diff := cmp.Diff([]newsletter.Item{want}, q.items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadlineWithoutTimeIsTheEndOfTheDay(t *testing.T) {
	for name, text := range map[string]string{
		"JSON Lines": `{"title": "Sign", "petition": "https://actions.example/1", "deadline": "2026-12-01"}`,
		"Markdown":   "---\ntitle: Sign\npetition: https://actions.example/1\ndeadline: 2026-12-01\n---\n",
	} {
		got := read(t, name, text)[0]
		if want := time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC); !got.Deadline.Equal(want) || got.URL != got.Petition {
			t.Errorf("%s: deadline %v, want %v; url %q", name, got.Deadline, want, got.URL)
		}
	}
}

func TestImportTellsWhatIsWrongAndTakesTheRest(t *testing.T) {
	const good = `{"title": "A good line among bad ones", "url": "https://magazine.example/good/"}` + "\n"
	tests := map[string]struct {
		text    string
		want    []string // beginnings
		wantNew int
	}{
		"unknown key":       {good + `{"titel": "x", "Title": "y"}`, []string{`2: unknown key "Title": the keys are kind, title,`, `2: unknown key "titel"`}, 1},
		"not JSON":          {`{"title": }` + "\n\n" + good + "title\n", []string{"1: not a JSON object on one line", "4: not a JSON object on one line"}, 1},
		"wrong types":       {`{"title": 7}` + "\n" + `{"topics": "x"}` + "\n" + `{"urgent": "yes"}`, []string{"1: title must be text, not a number", "2: topics must be a list of texts, not a string", "3: urgent must be true or false, not a string"}, 0},
		"all of one line":   {`{"kind": "story", "url": "example.org", "language": "English!", "published": "soon", "deadline": "1.12.2026"}`, []string{`1: url is "example.org": write a whole link`, "1: title is missing", `1: language is "English!"`, `1: kind is "story": write article or action`, `1: published is "soon": write a date`, `1: deadline is "1.12.2026": write a date`}, 0},
		"article's needs":   {`{"title": "x"}`, []string{"1: url is missing"}, 0},
		"action's needs":    {`{"kind": "action", "title": "x", "url": "https://magazine.example/"}`, []string{"1: petition is missing"}, 0},
		"an urgent article": {`{"title": "x", "url": "https://magazine.example/", "urgent": true}`, []string{"1: petition, deadline and urgent are for actions"}, 0},
		"two bodies":        {`{"title": "x", "url": "https://magazine.example/", "body": "a", "body_markdown": "b"}`, []string{"1: there is both body and body_markdown"}, 0},
		"yet to come":       {`{"title": "x", "url": "https://magazine.example/", "published": "2027-01-01"}`, []string{`1: published is "2027-01-01", which is still to come`}, 0},
		"not UTF-8":         {good + "{\"title\": \"\xe9t\xe9\"}", []string{"2: the line is not UTF-8"}, 1},
		"front matter":      {"---\ntitle: x\ntitel: y\ntopics: x\nurgent: \"yes\"\nsummary: [x]\ntitle: z\n---\n", []string{`3: unknown key "titel"`, "4: topics must be a list of texts", "5: urgent must be true or false", "6: summary must be text", "7: title is there twice"}, 0},
		"no end":            {"---\ntitle: x\n", []string{"1: the front matter has no end"}, 0},
		"no keys":           {"---\n---\nText.", []string{"1: the front matter has no keys"}, 0},
		"no YAML":           {"---\ntitle: [x\n---\nText.", []string{"0: the front matter is not YAML"}, 0},
		"body twice":        {"---\ntitle: x\nbody: y\n---\nText.", []string{"0: there is a body in the front matter and one below it"}, 0},
		"no url":            {"---\ntitle: x\n---\nText.", []string{"0: url is missing"}, 0},
		"nothing":           {" \n", []string{"0: the file is empty"}, 0},
		"prose":             {"Dear desk,\n", []string{"0: the file is neither RSS, Atom"}, 0},
		"a list":            {"[" + strings.TrimSpace(good) + "]", []string{"0: the file is neither RSS, Atom"}, 0},
		"a web page":        {"<!DOCTYPE html><html><body>x</body></html>", []string{"0: the document is no RSS, Atom or JSON feed but a web page"}, 0},
		"half a feed":       {rss(post("one", 1))[:500], []string{"0: "}, 0},
		"nameless entries":  {rss(entry{}, post("one", 1), entry{link: "https://magazine.example/x/"}), []string{"0: 2 entries have no link or no title"}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			intake, problems := importFile(t, q, "items", tt.text, false)
			if intake.New != tt.wantNew || len(problems) != len(tt.want) {
				t.Fatalf("%+v with the problems %q", intake, problems)
			}
			for n, want := range tt.want {
				if !strings.HasPrefix(problems[n], want) {
					t.Errorf("problem %q, want %q", problems[n], want)
				}
			}
		})
	}
}

func TestImportErrorNamesFileAndLine(t *testing.T) {
	_, err := newIngester(newQueue(), ingest.Settings{}).Import(t.Context(), "desk/items.jsonl", strings.NewReader("{\"titel\": 1}\n"), ingest.ImportOptions{})
	if err == nil || !strings.HasPrefix(err.Error(), `desk/items.jsonl:1: unknown key "titel"`) {
		t.Errorf("the error is %v", err)
	}
}

func TestImportGoesThroughTheFloodGate(t *testing.T) {
	many := rss(posts(21)...)
	old := rss(post("old", 24*15), post("new", 1))
	tests := map[string]struct {
		text    string
		release bool
		want    newsletter.Intake
	}{
		"many":           {many, false, newsletter.Intake{New: 21, Held: 21}},
		"many, released": {many, true, newsletter.Intake{New: 21}},
		"old":            {old, false, newsletter.Intake{New: 2, Held: 1}},
		"old, released":  {old, true, newsletter.Intake{New: 2}},
		"closed, though released": {
			`{"title": "Sign by the end of last month", "petition": "https://actions.example/1", "deadline": "2026-10-31"}`, true, newsletter.Intake{New: 1, Dropped: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, problems := importFile(t, newQueue(), "items", tt.text, tt.release); got != tt.want || len(problems) > 0 {
				t.Errorf("%+v with problems %q, want %+v", got, problems, tt.want)
			}
		})
	}
}

func TestImportedTwiceIsThereOnce(t *testing.T) {
	q := newQueue()
	text := "{\"title\": \"An article of some length\", \"url\": \"https://magazine.example/a/\"}\n{\"title\": \"Sign\", \"petition\": \"https://actions.example/1\"}\n"
	importFile(t, q, "items.jsonl", text, false)
	if got, _ := importFile(t, q, "again.jsonl", text+text, false); got.New != 0 || len(q.items) != 2 {
		t.Errorf("the second import brought %+v", got)
	}
}
