package render_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// rendered renders content and fills it for the reader.
func rendered(t *testing.T, r *render.Renderer, c newsletter.Content) (html, text string, raw []byte) {
	t.Helper()
	v, err := r.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	if html, text, raw, err = r.Fill(v, reader()); err != nil {
		t.Fatal(err)
	}
	checkLines(t, raw)
	return html, text, raw
}

func header(t *testing.T, raw []byte) mail.Header {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

// TestHeader holds the fields of a mail to the letter, each of them once and no other.
func TestHeader(t *testing.T) {
	_, _, raw := rendered(t, newRenderer(t, 1), digestContent("en"))
	want := map[string]string{
		"From":                     `"The Lantern Review" <news@news.lantern.example>`,
		"Reply-To":                 "<editors@lantern.example>",
		"To":                       `"Noor" <noor@reader.example>`,
		"Subject":                  "In Courtroom Nine, a Poet Was Asked to Explain Her Metaphors",
		"Date":                     "Mon, 30 Nov 2026 09:00:05 -0500",
		"Message-Id":               "<k3v7q2m4x5w6z7a2b3c4d5e6@news.lantern.example>",
		"List-Id":                  `"Free Pages" <free-pages.news.lantern.example>`,
		"List-Unsubscribe":         "<https://news.lantern.example/u/ovaqcz3imrsw45dfnz2a2b3c4d5e6f7g>, <mailto:leave@news.lantern.example?subject=ovaqcz3imrsw45dfnz2a>",
		"List-Unsubscribe-Post":    "List-Unsubscribe=One-Click",
		"List-Post":                "NO",
		"List-Help":                "<mailto:editors@lantern.example?subject=help>",
		"Feedback-Id":              "20261130:free-pages:digest:newslanternexam",
		"Precedence":               "bulk",
		"Auto-Submitted":           "auto-generated",
		"X-Auto-Response-Suppress": "OOF, AutoReply",
		"Mime-Version":             "1.0",
	}
	got := header(t, raw)
	for field, value := range want {
		if len(got[field]) != 1 || got[field][0] != value {
			t.Errorf("%s: %q, want %q", field, got[field], value)
		}
		delete(got, field)
	}
	delete(got, "Content-Type")
	if len(got) > 0 {
		t.Errorf("more fields: %v", got)
	}
	if !bytes.Contains(raw, []byte("\r\nList-Unsubscribe: <https://news.lantern.example/u/ovaqcz3imrsw45dfnz2a2b3c4d5e6f7g>, <mailto:leave@news.lantern.example?subject=ovaqcz3imrsw45dfnz2a>\r\n")) {
		t.Error("List-Unsubscribe is folded")
	}
}

// TestHeaderWithoutWhatIsOptional holds that a publisher without a Reply-To and a mailbox for leaving sends neither.
func TestHeaderWithoutWhatIsOptional(t *testing.T) {
	p := publisher()
	p.ReplyTo = ""
	r, err := render.New(templateFiles(t, nil), p, dice(1))
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Render(digestContent("en"))
	if err != nil {
		t.Fatal(err)
	}
	personal := reader()
	personal.Mailto = ""
	_, _, raw, err := r.Fill(v, personal)
	if err != nil {
		t.Fatal(err)
	}
	got := header(t, raw)
	if _, there := got["Reply-To"]; there {
		t.Error("there is a Reply-To")
	}
	if got, want := got.Get("List-Unsubscribe"), "<https://news.lantern.example/u/ovaqcz3imrsw45dfnz2a2b3c4d5e6f7g>"; got != want {
		t.Errorf("List-Unsubscribe = %s, want %s", got, want)
	}
	if got, want := got.Get("List-Help"), "<mailto:news@news.lantern.example?subject=help>"; got != want {
		t.Errorf("List-Help = %s, want %s", got, want)
	}
}

// TestHeaderTexts holds that a header says in every script what it was given, in lines of lawful length, and nothing more.
func TestHeaderTexts(t *testing.T) {
	tests := map[string]string{
		"Persian":    strings.Repeat("نامه\u200cهایی از بند هفت ", 7),
		"accents":    "Élections : « tout va bien », dit le ministre qui a fermé six journaux en une année électorale",
		"emoji":      strings.Repeat("✊🏽", 40),
		"injection":  "Hello\r\nBcc: all@reader.example\r\n\r\nbody",
		"long ASCII": strings.Repeat("Word by word the sentence grew ", 5),
		"one word":   strings.Repeat("a", 150),
		"encoded":    "=?utf-8?q?not_ours?=",
		"quotes":     `He said "no" \ left`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			c := digestContent("en")
			c.Items[0].Title, c.List.Title = text, text
			p := publisher()
			p.Name = text
			r, err := render.New(templateFiles(t, nil), p, dice(1))
			if err != nil {
				t.Fatal(err)
			}
			_, _, raw := rendered(t, r, c)
			checkTexts(t, header(t, raw), text)
		})
	}
}

// checkTexts holds that a subject, a publisher and a list which are all called text are shown as that.
func checkTexts(t *testing.T, h mail.Header, text string) {
	t.Helper()
	if len(h) != 17 || h.Get("Bcc") != "" {
		t.Errorf("%d fields: %v", len(h), h)
	}
	if got, want := decodeWords(t, h.Get("Subject")), newsletter.OneLine(text, 150); got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
	short := newsletter.OneLine(text, 80)
	if from, err := mail.ParseAddress(h.Get("From")); err != nil || from.Name != short || from.Address != "news@news.lantern.example" {
		t.Errorf("From = %v, %v, want the name %q", from, err, short)
	}
	asAddress := strings.Replace(h.Get("List-Id"), "<free-pages.", "<free-pages@", 1)
	if list, err := mail.ParseAddress(asAddress); err != nil || list.Name != short || list.Address != "free-pages@news.lantern.example" {
		t.Errorf("List-Id = %v, %v, want the phrase %q", list, err, short)
	}
}

func decodeWords(t *testing.T, s string) string {
	t.Helper()
	decoded, err := wordDecoder.DecodeHeader(s)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestSubject(t *testing.T) {
	tests := map[string]struct{ template, want string }{
		"lead's title": {"", "In Courtroom Nine, a Poet Was Asked to Explain Her Metaphors"},
		"own words":    {"{{.List}}: {{.Count}} pieces, {{.Actions}} to act on, {{.Date}}", "Free Pages: 7 pieces, 2 to act on, Monday 30 November 2026"},
		"too long":     {strings.Repeat("{{.Title}} ", 9), strings.Repeat("In Courtroom Nine, a Poet Was Asked to Explain Her Metaphors ", 2) + "In Courtroom Nine, a Poet…"},
		"line ends":    {"one\r\ntwo", "one two"},
		"empty":        {"{{if false}}never{{end}}", "Free Pages"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := digestContent("en")
			c.List.Subject = tt.template
			v, err := newRenderer(t, 1).Render(c)
			if err != nil || v.Subject != tt.want {
				t.Errorf("Subject = %q, %v, want %q", v.Subject, err, tt.want)
			}
		})
	}
}

func TestCheckSubject(t *testing.T) {
	r := newRenderer(t, 1)
	for template, good := range map[string]bool{
		"": true, "{{.Title}}": true, "{{.Publisher}} {{.Stories}}": true,
		"{{.Titel}}": false, "{{.Title": false, "{{if false}}x{{end}}": false,
	} {
		err := r.CheckSubject(template)
		if (err == nil) != good {
			t.Errorf("CheckSubject(%q) = %v", template, err)
		}
		if err != nil && !strings.Contains(err.Error(), "{{.Title}}") {
			t.Errorf("CheckSubject(%q) does not say what a subject may use: %v", template, err)
		}
	}
}

// TestNewNamesFileAndLine holds that a mistake in a template shows at once, with its place and the cure.
func TestNewNamesFileAndLine(t *testing.T) {
	tests := map[string]struct{ file, source, want string }{
		"syntax":            {"mail/digest.html", "<p>\n{{if}}", "mail/digest.html:2"},
		"unknown function":  {"mail/alert.txt", "{{shout .List}}", "mail/alert.txt:1"},
		"unknown field":     {"mail/digest.txt", "\n\n{{.Titel}}", "mail/digest.txt:3"},
		"broken HTML":       {"mail/alert.html", `<a href="{{if .List}}">{{end}}`, "mail/alert.html:1"},
		"no way out":        {"mail/digest.txt", "{{.PostalAddress}}", "mail/digest.txt: the template must print {{.Unsubscribe}}"},
		"no postal address": {"mail/alert.html", `<a href="{{.Unsubscribe}}">x</a>`, "mail/alert.html: the template must print {{.PostalAddress}}"},
		"two styles":        {"mail/alert.html", `<style>p{color:red}</style><style>p{color:blue}</style>`, `data-premailer="ignore"`},
		"words not JSON":    {"words/fa.json", "{\n\n\"direction\": rtl}", "words/fa.json:3"},
		"words unknown key": {"words/fa.json", `{"colour": "red"}`, `"colour"`},
		"words of a kind":   {"words/fa.json", "{\n\"direction\": 1}", "words/fa.json:2"},
		"words missing":     {"words/fa.json", `{"direction": "rtl"}`, `words/fa.json: "digits" is missing`},
		"words of what":     {"words/fa_farsi_x.json", `{}`, "named for its language"},
		"part missing":      {"mail/parts.txt", `{{define "top"}}{{end}}`, `mail/digest.txt:9`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render.New(templateFiles(t, map[string]string{tt.file: tt.source}), publisher(), dice(1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

// TestStyleForOutlook holds that a conditional comment may hold a style sheet of its own.
func TestStyleForOutlook(t *testing.T) {
	style := `<style>p{margin:0}</style>{{mso "<style>p{margin:1px}</style>"}}`
	files := templateFiles(t, map[string]string{"mail/style.html": `{{define "style"}}` + style + `{{end}}`})
	r, err := render.New(files, publisher(), dice(1))
	if err != nil {
		t.Fatal(err)
	}
	html, _, _ := rendered(t, r, alertContent("en"))
	if !strings.Contains(html, "<!--[if mso]><style>p{margin:1px}</style><![endif]-->") || !strings.Contains(html, `style="margin:0"`) {
		t.Errorf("HTML begins %.1500s", html)
	}
}

// TestLargeEditionsAreCut holds that Gmail never clips a mail, that what gives way gives way from the end, and that nothing
// vanishes without a word.
func TestLargeEditionsAreCut(t *testing.T) {
	r := newRenderer(t, 1)
	for _, n := range []int{1, 12, 40, 100, 600} {
		c := digestContent("en")
		c.Items = []newsletter.Item{courtroom(), petition()}
		for i := range n {
			item := lighthouse()
			item.ID, item.Title = newsletter.ItemID(100+i), fmt.Sprintf("Story number %d of the lighthouse", i)
			c.Items = append(c.Items, item)
		}
		html, text, _ := rendered(t, r, c)
		if len(html) > 90_000+1_000 {
			t.Errorf("with %d stories the HTML has %d bytes", n, len(html))
		}
		if !strings.Contains(html, "https://petitions.example/daro-venn") || !strings.Contains(html, "Story number 0") {
			t.Errorf("with %d stories the first are gone", n)
		}
		shown := strings.Count(text, "Story number")
		if strings.Count(html, "of the lighthouse</a>") != shown {
			t.Errorf("with %d stories HTML and text show different ones", n)
		}
		more := fmt.Sprintf("And %d more from The Lantern Review", n-shown)
		if (shown < n) != strings.Contains(text, more) {
			t.Errorf("%d of %d stories are shown; text says %q: %v", shown, n, more, shown == n)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	r := newRenderer(t, 1)
	nothing, strange, onlyOpen, article, own := digestContent("en"), digestContent("en"), digestContent("en"), digestContent("en"), digestContent("en")
	nothing.Items = nil
	strange.List.Kind = "letter"
	onlyOpen.Items, onlyOpen.Reminders = nil, []newsletter.Item{petition()}
	article.Kind = newsletter.Reminder
	own.Kind = "letter"
	for name, c := range map[string]newsletter.Content{
		"no items": nothing, "unknown kind": strange, "only reminders": onlyOpen, "reminder of an article": article, "unknown kind of its own": own,
	} {
		if _, err := r.Render(c); err == nil || !strings.Contains(err.Error(), "free-pages") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoRandomnessNoVariant(t *testing.T) {
	empty := errors.New("no entropy")
	if _, err := render.New(templateFiles(t, nil), publisher(), iotest.ErrReader(empty)); !errors.Is(err, empty) {
		t.Errorf("New = %v", err)
	}
}

// TestNothingHostileGetsThrough holds that an item cannot bring along scripts, other schemes or files from anywhere but its own picture.
func TestNothingHostileGetsThrough(t *testing.T) {
	c := alertContent("en")
	for i := range c.Items {
		item := &c.Items[i]
		item.Title, item.Author, item.Language = "<script>alert(1)</script>", `"><img src=x>`, `en" onload="x`
		item.URL, item.Petition, item.Image = "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"
		item.Body = `<p>Text <script>harm()</script><img src="https://tracker.example/pixel.gif"></p>`
		item.Topics = []string{"</style>"}
	}
	r := newRenderer(t, 1)
	html, text, _ := rendered(t, r, c)
	for _, bad := range []string{"<script", "harm()", "javascript:", "data:text", "file:", "<img", "tracker", "onload=\"x", "ZgotmplZ"} {
		if strings.Contains(html, bad) {
			t.Errorf("HTML contains %s", bad)
		}
	}
	if strings.Contains(text, "javascript:") || strings.Contains(text, "data:text") {
		t.Error("text contains a link that is none")
	}
}

// TestOnlyTheItemsPicturesAreRemote holds that opening a mail asks no server for anything but the pictures of its items.
func TestOnlyTheItemsPicturesAreRemote(t *testing.T) {
	for _, c := range []newsletter.Content{
		digestContent("en"), alertContent("en"), persianEdition(newsletter.Digest), reminderContent("en"), updateContent("en"),
	} {
		html, _, _ := rendered(t, newRenderer(t, 1), c)
		for _, found := range regexp.MustCompile(`(?:src|background|srcset)="([^"]*)"|url\(([^)]*)\)|@import|<link`).FindAllStringSubmatch(html, -1) {
			if !strings.HasPrefix(found[1], "https://pictures.lantern.example/") {
				t.Errorf("remote asset %q", found[0])
			}
		}
	}
}

// TestDeadlineInWords holds that a deadline is written with its day and in the list's zone, and that an action without one does not
// invent it from its expiry.
func TestDeadlineInWords(t *testing.T) {
	tests := map[string]struct {
		deadline time.Time
		zone     *time.Location
		want     string
	}{
		"UTC":            {time.Date(2026, 12, 1, 23, 59, 0, 0, time.UTC), nil, "Closes Tuesday 1 December 2026, 23:59 UTC"},
		"list's zone":    {time.Date(2026, 12, 1, 23, 59, 0, 0, time.UTC), newYork, "Closes Tuesday 1 December 2026, 18:59 EST"},
		"zone of digits": {time.Date(2026, 12, 1, 23, 59, 0, 0, time.UTC), time.FixedZone("+0330", 12600), "Closes Wednesday 2 December 2026, 03:29 UTC+03:30"},
		"none":           {time.Time{}, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := alertContent("en")
			c.Items = c.Items[:1]
			c.Items[0].Deadline, c.Items[0].Expires, c.List.Zone = tt.deadline, monday.Add(time.Hour), tt.zone
			html, text, _ := rendered(t, newRenderer(t, 1), c)
			if tt.want == "" {
				if strings.Contains(text, "Closes") {
					t.Error("text tells a deadline")
				}
				return
			}
			if !strings.Contains(text, tt.want) || !strings.Contains(html, tt.want) {
				t.Errorf("text or HTML lack %q", tt.want)
			}
		})
	}
}
