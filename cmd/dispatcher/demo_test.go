package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/cmd/dispatcher/demo/pictures"
	"dispatcher/internal/newsletter"
)

// sampleReaders are the rows of the demo's subscriber file, by their column; reader n has the id n+1.
func sampleReaders(t *testing.T) (readers []map[string]string) {
	t.Helper()
	file, err := demoFiles.Open("demo/readers.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		reader := map[string]string{}
		for i, name := range rows[0] {
			reader[name] = row[i]
		}
		readers = append(readers, reader)
	}
	return readers
}

func TestDemoMailsEachReaderWhatSheAskedFor(t *testing.T) {
	t.Parallel()
	out, elsewhere := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "data")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), process{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now, environ: []string{"DISPATCHER_DATA_DIR=" + elsewhere},
	}, []string{"demo", "--json", "--out", out})
	if code != exitDone {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	var editions []editionView
	if err := json.Unmarshal(stdout.Bytes(), &editions); err != nil {
		t.Fatalf("--json prints no JSON: %v\n%s", err, &stdout)
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("the demo used the data folder of the environment")
	}
	if strings.Contains(stderr.String(), "@") || !strings.Contains(stderr.String(), out) {
		t.Errorf("stderr has an address, or does not name the folder:\n%s", &stderr)
	}

	want := map[string]int{} // readers of each list
	for i, reader := range sampleReaders(t) {
		for _, list := range []string{"weekly", "urgent"} {
			data, err := os.ReadFile(filepath.Join(out, "mail", fmt.Sprintf("%s-reader%02d.eml", list, i+1)))
			if subscribed := strings.Contains(reader["lists"], list); subscribed != (err == nil) {
				t.Errorf("reader %d: subscribed to %s is %t, but reading her copy says %v", i+1, list, subscribed, err)
			} else if !subscribed {
				continue
			}
			want[list]++
			if copied := readLetter(data); len(copied.To) != 1 || copied.To[0].Address != reader["email"] || copied.To[0].Name != reader["name"] {
				t.Errorf("reader %d: her copy of %s is addressed to %v", i+1, list, copied.To)
			}
		}
	}
	got := map[string]int{}
	for _, e := range editions {
		got[e.List] = e.Sent
		if e.State != newsletter.Done || e.Audience != e.Sent+e.Pending+e.Failed+e.Withdrawn+e.Unknown {
			t.Errorf("edition %d is %s and its counts do not add up: %+v", e.ID, e.State, e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(sampleReaders(t)) != 25 {
		t.Errorf("sent to the %d readers of each list (-want +got):\n%s", len(sampleReaders(t)), diff)
	}
	checkDemoFiles(t, out)
}

// checkDemoFiles looks into the files that stand for what most readers got, and for what those of one topic got.
func checkDemoFiles(t *testing.T, out string) {
	t.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Error(err)
		}
		return string(content)
	}
	persian := "چراغ کتاب\u200cفروشی خیابان بلوط هنوز روشن است"
	for name, wanted := range map[string][]string{
		"digest.html":               {`lang="fa" dir="rtl"`, persian, "/petitions/hear-mara-selwin/", "/petitions/pen-and-paper/", "Three Sisters, One Fax Machine"},
		"digest.txt":                {persian, "/petitions/hear-mara-selwin/", "/petitions/pen-and-paper/", "/u/"},
		"digest.eml":                {"List-Unsubscribe: <http://127.0.0.1:", "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Id: \"The Monday Lantern\" <weekly.lantern.example>"},
		"digest-fa.html":            {`<html lang="fa" dir="rtl"`},
		"digest-press-freedom.html": {"The Night Shift at the Orlesk Courier"},
		"digest-prisoners.html":     {"What the Court Heard in Eleven Minutes"},
		"alert.html":                {"Hear Mara Selwin", "/petitions/hear-mara-selwin/", "/petitions/pen-and-paper/"},
		"alert.txt":                 {"URGENT", "/petitions/hear-mara-selwin/"},
		"alert-press-freedom.txt":   {"/petitions/hear-mara-selwin/"},
	} {
		content := read(name)
		for _, w := range wanted {
			if !strings.Contains(content, w) {
				t.Errorf("%s lacks %q", name, w)
			}
		}
	}
	for name, unwanted := range map[string]string{
		"digest-press-freedom.html": "What the Court Heard in Eleven Minutes",
		"digest-prisoners.html":     "The Night Shift at the Orlesk Courier",
		"alert-press-freedom.txt":   "/petitions/pen-and-paper/",
	} {
		if strings.Contains(read(name), unwanted) {
			t.Errorf("%s has %q, which is not of its topic", name, unwanted)
		}
	}
	shown := regexp.MustCompile(`src="([^"]*)"`).FindAllStringSubmatch(read("digest.html"), -1)
	for _, picture := range shown {
		if _, err := os.Stat(filepath.Join(out, picture[1])); err != nil {
			t.Errorf("digest.html shows a picture that is not there: %v", err)
		}
	}
	if len(shown) != 10 {
		t.Errorf("digest.html shows %d pictures, its 10 stories have one each", len(shown))
	}
}

func TestDemoOnATerminalStaysAndItsLinksWork(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	screen, stdout := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(ctx, process{stdin: strings.NewReader(""), stdout: stdout, stderr: &stderr, now: time.Now, terminal: true}, []string{"demo"})
		_ = stdout.Close() // a pipe's Close has no error
	}()
	var inbox, config string
	lines := bufio.NewScanner(screen)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		if words := strings.Fields(lines.Text()); len(words) == 2 {
			switch words[0] {
			case "Inbox":
				inbox = words[1]
			case "Config":
				config = words[1]
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, screen) }()

	if page := demoGet(t, inbox); !strings.Contains(page, `data-count="45"`) {
		t.Errorf("the inbox does not show 45 messages:\n%s", page)
	}
	link := regexp.MustCompile(`List-Unsubscribe: &lt;(http://127\.0\.0\.1:\d+/u/\w+)&gt;`).FindStringSubmatch(demoGet(t, inbox+"messages/1/source"))
	if link == nil {
		t.Fatal("message 1 has no link to unsubscribe")
	}
	answer, err := http.Post(link[1], "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // nothing is read from it
	if answer.StatusCode != http.StatusOK {
		t.Errorf("unsubscribing: %s", answer.Status)
	}
	var listed bytes.Buffer
	run(t.Context(), process{stdout: &listed, stderr: io.Discard, now: time.Now}, []string{"--config", config, "subscribers", "list"})
	if n := strings.Count(listed.String(), " ended"); n != 1 {
		t.Errorf("after one reader left, %d subscriptions have ended:\n%s", n, &listed)
	}

	interrupt()
	if got := <-code; got != exitDone || stderr.Len() > 0 {
		t.Errorf("after Ctrl-C: exit code %d\n%s", got, &stderr)
	}
	if _, err := os.Stat(config); config == "" || !os.IsNotExist(err) {
		t.Errorf("the demo's folder with %q is still there: %v", config, err)
	}
}

func demoGet(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", url, answer.Status, err)
	}
	return string(body)
}

func TestDemoSaysWhyItFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	tests := map[string]struct {
		ctx  context.Context
		args []string
		want string
	}{
		"the inbox's address is taken": {t.Context(), []string{"--listen", taken.Addr().String()}, "give --listen another address"},
		"interrupted":                  {interrupted, []string{"--once"}, "interrupted before all mail was out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := run(tt.ctx, process{stdout: io.Discard, stderr: &stderr, now: time.Now}, append([]string{"demo"}, tt.args...))
			if code != exitFailed || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit code %d, want %d and %q\n%s", code, exitFailed, tt.want, &stderr)
			}
		})
	}
}

func TestUnfinishedNamesWhatIsMissing(t *testing.T) {
	lists := []newsletter.List{{ID: "weekly"}, {ID: "urgent"}}
	done := newsletter.Edition{ID: 1, List: "weekly", State: newsletter.Done, Counts: newsletter.Counts{Audience: 2, Sent: 2}}
	half := newsletter.Edition{ID: 2, List: "urgent", State: newsletter.Sending, Counts: newsletter.Counts{Audience: 25, Sent: 22, Pending: 3}}
	tests := map[string]struct {
		editions []newsletter.Edition
		want     []string
	}{
		"nothing yet":  {nil, []string{"the list weekly has no edition", "the list urgent has no edition"}},
		"one is half":  {[]newsletter.Edition{half, done}, []string{"edition 2 of urgent has 3 of 25 copies pending"}},
		"one is alone": {[]newsletter.Edition{done}, []string{"the list urgent has no edition"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, unfinished(lists, tt.editions)); diff != "" {
				t.Errorf("unfinished (-want +got):\n%s", diff)
			}
		})
	}
	half.State, half.Counts.Pending = newsletter.Done, 0
	if missing := unfinished(lists, []newsletter.Edition{half, done}); len(missing) > 0 {
		t.Errorf("all is done, yet missing: %q", missing)
	}
}

func TestDemoClockStandsStillUntilItIsStarted(t *testing.T) {
	outside := time.Date(2026, time.May, 5, 12, 0, 0, 0, time.UTC)
	slot := time.Date(2026, time.May, 11, 9, 0, 0, 0, time.UTC)
	c := demoClock{outside: func() time.Time { return outside }, begin: slot}
	outside = outside.Add(time.Hour)
	if got := c.now(); !got.Equal(slot) {
		t.Errorf("before the start it shows %s, want %s", got, slot)
	}
	c.start()
	outside = outside.Add(3 * time.Second)
	if got, want := c.now(), slot.Add(3*time.Second); !got.Equal(want) {
		t.Errorf("3 s after the start it shows %s, want %s", got, want)
	}
}

func TestEveryLinkOfTheSampleFeedLeadsSomewhere(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	n, err := newNewspaper(url, time.Date(2026, time.November, 30, 7, 59, 57, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = n.site()
	server.Start()
	defer server.Close()
	feed := demoGet(t, url+"/feed/")
	if err := xml.Unmarshal([]byte(feed), new(struct{})); err != nil {
		t.Errorf("the feed is no XML: %v", err)
	}
	links := regexp.MustCompile(regexp.QuoteMeta(url)+`/(stories|petitions)/[^"<]+`).FindAllString(feed, -1)
	if len(links) < 11+2 {
		t.Errorf("the feed has %d links of its own", len(links))
	}
	for _, link := range links {
		demoGet(t, link)
	}
	var shown []string
	for _, picture := range regexp.MustCompile(`/pictures/([^"]+)\.png"`).FindAllStringSubmatch(feed, -1) {
		shown = append(shown, picture[1])
	}
	slices.Sort(shown)
	if diff := cmp.Diff(pictures.Names(), shown); diff != "" {
		t.Errorf("the pictures that there are and those in the feed (-want +got):\n%s", diff)
	}
	if page := demoGet(t, url+"/stories/oak-street-bookshop/"); !strings.Contains(page, `<html lang="fa" dir="rtl">`) {
		t.Error("the Persian story's page is not in Persian")
	}
	for _, want := range []string{"Mon, 30 Nov 2026 05:59:57 +0000", "deadline-2026-12-09"} {
		if !strings.Contains(feed, want) {
			t.Errorf("the feed lacks %q", want)
		}
	}
}
