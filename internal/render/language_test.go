package render_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"mime"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

var wordDecoder mime.WordDecoder

// TestLanguageOfTheWords holds that a variant speaks the nearest language there are words in, and says so.
func TestLanguageOfTheWords(t *testing.T) {
	tests := map[string]struct{ lang, list, wantAttr, wantText string }{
		"English":            {"en", "", `<html lang="en" dir="ltr"`, "Dear Noor,"},
		"British":            {"en-GB", "", `<html lang="en" dir="ltr"`, "Dear Noor,"},
		"Persian":            {"fa", "", `<html lang="fa" dir="rtl"`, "Noor گرامی،"},
		"Dari":               {"fa-AF", "", `<html lang="fa" dir="rtl"`, "Noor گرامی،"},
		"no words":           {"sw", "", `<html lang="en" dir="ltr"`, "Dear Noor,"},
		"list's":             {"", "fa", `<html lang="fa" dir="rtl"`, "Noor گرامی،"},
		"none":               {"", "", `<html lang="en" dir="ltr"`, "Dear Noor,"},
		"not a language tag": {"!", "", `<html lang="en" dir="ltr"`, "Dear Noor,"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := digestContent(tt.lang)
			c.List.Language = tt.list
			html, text, _ := rendered(t, newRenderer(t, 1), c)
			if !strings.Contains(html, tt.wantAttr) || !strings.Contains(text, tt.wantText) {
				t.Errorf("HTML begins %.80q, text lacks %q: %v", html, tt.wantText, !strings.Contains(text, tt.wantText))
			}
		})
	}
}

// TestAddedLanguage holds that a file in words/ is all that a new language needs, whatever its plurals.
func TestAddedLanguage(t *testing.T) {
	english, err := fs.ReadFile(templateFiles(t, nil), "words/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]any
	if err := json.Unmarshal(english, &words); err != nil {
		t.Fatal(err)
	}
	words["stories"] = map[string]string{"one": "{n} tekst", "few": "{n} teksty", "many": "{n} tekstów", "other": "{n} tekstu"}
	words["contents"] = "W tym numerze: {first}."
	polish, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	r, err := render.New(templateFiles(t, map[string]string{"words/pl.json": string(polish)}), publisher(), dice(1))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "1 tekst.", 2: "2 teksty.", 5: "5 tekstów."} {
		c := digestContent("pl")
		c.Items = nil
		for range n {
			c.Items = append(c.Items, lighthouse())
		}
		if _, text, _ := rendered(t, r, c); !strings.Contains(text, "W tym numerze: "+want) {
			t.Errorf("%d stories: text lacks %q", n, want)
		}
	}
}

// TestDirectionOfAnItem holds that an item runs in its own direction, whatever the mail around it or a feed's label say.
func TestDirectionOfAnItem(t *testing.T) {
	tests := map[string]struct{ title, lang, mail, want string }{
		"Persian in English":            {"نامه\u200cها", "fa", "en", `lang="fa" dir="rtl"`},
		"English in Persian":            {"Letters", "en", "fa", `lang="en" dir="ltr"`},
		"unknown, other direction":      {"مكتوب", "", "en", `lang="" dir="rtl"`},
		"unknown, same direction":       {"Letters", "", "en", `lang="en" dir="ltr"`},
		"feed says English, it is not":  {"نامه\u200cها", "en-US", "en", `lang="" dir="rtl"`},
		"feed says Persian, it is not":  {"Letters", "fa", "fa", `lang="" dir="ltr"`},
		"Latin first":                   {"CPJ: نامه\u200cها", "fa", "en", `lang="fa" dir="rtl"`},
		"a language without words here": {"Lettres", "fr", "en", `lang="fr" dir="ltr"`},
		"a label that is none":          {"Letters", `x" y="`, "fa", `lang="" dir="ltr"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := digestContent(tt.mail)
			item := lighthouse()
			item.Title, item.Language = tt.title, tt.lang
			c.Items = []newsletter.Item{courtroom(), item}
			html, _, _ := rendered(t, newRenderer(t, 1), c)
			got := regexp.MustCompile(`<h3 class="[^"]*" (lang="[^"]*" dir="[^"]*")`).FindStringSubmatch(html)
			if got == nil || got[1] != tt.want {
				t.Errorf("headline has %q, want %s", got, tt.want)
			}
		})
	}
}

// TestNoLetterSpacingInArabicScript holds that joined letters stay joined.
func TestNoLetterSpacingInArabicScript(t *testing.T) {
	for _, c := range []newsletter.Content{persianEdition(newsletter.Digest), persianFollowUp(newsletter.Reminder), persianFollowUp(newsletter.Update), updateContent("en")} {
		html, _, _ := rendered(t, newRenderer(t, 1), c)
		for _, element := range regexp.MustCompile(`<[^>]*dir="rtl"[^>]*>`).FindAllString(html, -1) {
			if spacing := regexp.MustCompile(`letter-spacing:([^;"]*)`).FindStringSubmatch(element); spacing != nil && spacing[1] != "normal" {
				t.Errorf("letter-spacing %s in %s", spacing[1], element)
			}
			if strings.Contains(element, "italic") || strings.Contains(element, "uppercase") {
				t.Errorf("slanted or uppercase: %s", element)
			}
		}
	}
}

// TestTextPart holds that its lines fit, that each link has a line of its own, and that each line runs the right way.
func TestTextPart(t *testing.T) {
	mixed := persianEdition(newsletter.Digest)
	mixed.Items[0].Title = "CPJ و ۱۲ سازمان دیگر خواستار آزادی او شدند"
	mixed.Items[2].Title = "نامه: " + "what the letter said"
	mixed.Items[2].Language = "en"
	for _, c := range []newsletter.Content{
		digestContent("en"), alertContent("en"), mixed, reminderContent("en"), updateContent("en"), persianFollowUp(newsletter.Reminder), persianFollowUp(newsletter.Update),
	} {
		_, text, _ := rendered(t, newRenderer(t, 1), c)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if strings.Contains(line, "https://") {
				if !strings.HasPrefix(line, "https://") || strings.Contains(line, " ") {
					t.Errorf("link in a line with something else: %q", line)
				}
				continue
			}
			if utf8.RuneCountInString(strings.Trim(line, "\u200e\u200f")) > 72 {
				t.Errorf("line of %d characters: %q", utf8.RuneCountInString(line), line)
			}
			if line != strings.TrimRight(line, " ") {
				t.Errorf("blank at the end of %q", line)
			}
		}
		if strings.Contains(text, "\n\n\n") {
			t.Error("two empty lines in a row")
		}
	}
	_, text, _ := rendered(t, newRenderer(t, 1), mixed)
	if !strings.Contains(text, "\n\u200fCPJ و") {
		t.Error("a Persian line that begins with Latin letters lacks its mark")
	}
}

// TestItemsInPlace holds that an edition shows everything of its items that a reader needs, in either part.
func TestItemsInPlace(t *testing.T) {
	html, text, _ := rendered(t, newRenderer(t, 1), digestContent("en"))
	for _, part := range []string{html, text} {
		last := -1
		for _, want := range []string{
			"In Courtroom Nine", "Maren Okoro-Lind", "29 November 2026", "Ask Corvania’s", "Closes Tuesday 1 December 2026, 18:59 EST",
			"Write to Ilse Tavesh", "The Printer Who Moved", "نامه\u200cهایی", "۲۷ نوامبر ۲۰۲۶", "Corrections and Clarifications", "Wren",
			"It held", "You receive", "14 Quay Street",
		} {
			at := strings.Index(part, want)
			if begins := strings.Index(part, "Dear"); begins > 0 && at < begins { // the preheader and title stand before
				at = begins + strings.Index(part[begins:], want)
			}
			if at <= last {
				t.Errorf("%q stands at %d, after %d", want, at, last)
			}
			last = at
		}
	}
	for _, link := range []string{
		"https://lantern.example/2026/11/tavesh-appeal", "https://petitions.example/daro-venn?lang=en&from=lantern",
		"https://petitions.example/letters/tavesh", "https://lantern.example/2026/11/errata", reader().Unsubscribe,
	} {
		if !strings.Contains(text, "\n"+link+"\n") {
			t.Errorf("text lacks %s", link)
		}
		if !strings.Contains(html, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`) {
			t.Errorf("HTML lacks %s", link)
		}
	}
	if strings.Count(html, reader().Unsubscribe) != 2 {
		t.Error("HTML must say twice how to leave, at the top and at the end")
	}
	if !strings.Contains(html, "In our story: <a") {
		t.Error("an action found in an article does not refer to it")
	}
}

// TestReadersPartsAreHoles holds that nothing of a reader is in the stored variant.
func TestReadersPartsAreHoles(t *testing.T) {
	v, err := newRenderer(t, 1).Render(digestContent("en"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := render.Compile(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split(m.Append(nil, reader()), []byte("\r\n")) {
		if bytes.Contains(line, []byte(v.Nonce)) && !bytes.Contains(line, []byte("part"+v.Nonce)) {
			t.Errorf("a marker was left: %s", line)
		}
	}
}
