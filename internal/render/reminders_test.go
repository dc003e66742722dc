package render_test

import (
	"fmt"
	"strings"
	"testing"

	"dispatcher/internal/newsletter"
)

// TestRemindersOfADigest holds that a digest names what its readers know already after its news and before its end, in a line each,
// and counts it nowhere as news.
func TestRemindersOfADigest(t *testing.T) {
	c := digestContent("en")
	c.List.Subject = "{{.Count}} items, {{.Actions}} to act on"
	c.Items = []newsletter.Item{courtroom(), lighthouse()}
	c.Reminders = []newsletter.Item{petition(), persianAction(), found()}
	v, err := newRenderer(t, 1).Render(c)
	if err != nil {
		t.Fatal(err)
	}
	if v.Subject != "2 items, 0 to act on" {
		t.Errorf("Subject = %q", v.Subject)
	}
	for part, want := range map[string][]string{
		v.Text: {
			"In this edition: 2 stories.", "The Printer Who", "STILL OPEN", "Ask Corvania’s", "Closes Tuesday 1 December 2026, 18:59 EST", "\nhttps://petitions.example/daro-venn",
			"برای آزادی", "مهلت: پنجشنبه", "\nhttps://petitions.example/delshad\n", "Write to Ilse", "\nhttps://petitions.example/letters/tavesh\n", "You receive",
		},
		v.HTML[strings.Index(v.HTML, "Dear"):]: {
			"In this edition: 2 stories.", "The Printer Who", "Still open</h2>", `href="https://petitions.example/daro-venn?lang=en&amp;from=lantern"`, "Ask Corvania’s", "</a> ·", `lang="en" dir="ltr"`, "Closes Tuesday 1 December 2026, 18:59 EST",
			`href="https://petitions.example/delshad"`, "برای آزادی", `lang="fa" dir="rtl"`, "مهلت: پنجشنبه", `href="https://petitions.example/letters/tavesh"`, "Write to Ilse", "You receive",
		},
	} {
		inOrder(t, part, want...)
		for _, not := range []string{"a signature is missing", "Act now", "Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor ·"} {
			if strings.Contains(part, not) {
				t.Errorf("a line about an open action says %q", not)
			}
		}
	}
}

// TestRemindersGiveWay holds that however much is open, the mail keeps its size, the news stays and the most pressing comes first.
func TestRemindersGiveWay(t *testing.T) {
	for name, query := range map[string]string{"short": "", "long": strings.Repeat("&x=1", 450)} {
		t.Run(name, func(t *testing.T) {
			c := digestContent("en")
			for i := range 200 {
				action := petition()
				action.Title = fmt.Sprintf("Open action %d %s", i, strings.Repeat("<&>\"' ", 40))
				action.Petition = "https://petitions.example/open?" + query
				c.Reminders = append(c.Reminders, action)
			}
			html, text, _ := rendered(t, newRenderer(t, 1), c)
			if len(html) > 90_000+1_000 {
				t.Errorf("the HTML has %d bytes", len(html))
			}
			shown := strings.Count(text, "Open action")
			if shown == 0 || shown > 12 || strings.Count(html, "Open action") != shown || !strings.Contains(text, "Open action 0 ") {
				t.Errorf("%d open actions are shown in the text and %d in the HTML", shown, strings.Count(html, "Open action"))
			}
			inOrder(t, text, "In this edition: 5 stories and 2 ways to act.", "Nobody at the border", "STILL OPEN")
		})
	}
}

// TestRemindersBeforeNews holds that when a digest is too large its reminders go before the news does.
func TestRemindersBeforeNews(t *testing.T) {
	c := digestContent("en")
	c.Reminders = []newsletter.Item{petition()}
	for i := range 600 {
		item := lighthouse()
		item.ID = newsletter.ItemID(100 + i)
		c.Items = append(c.Items, item)
	}
	html, text, _ := rendered(t, newRenderer(t, 1), c)
	if len(html) > 90_000+1_000 || strings.Contains(text, "STILL OPEN") || strings.Contains(html, "Still open") {
		t.Errorf("%d bytes of HTML; reminders are shown: %v", len(html), strings.Contains(text, "STILL OPEN"))
	}
}
