package render_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// publisher is whose mail the tests render.
func publisher() newsletter.Publisher {
	return newsletter.Publisher{
		Name: "The Lantern Review", From: "news@news.lantern.example", ReplyTo: "editors@lantern.example",
		PostalAddress: "14 Quay Street, Harrowgate Bay, HB2 7LR", PublicURL: "https://news.lantern.example",
	}
}

// reader is who the tests render for.
func reader() newsletter.Personal {
	return newsletter.Personal{
		Address: "noor@reader.example", Name: "Noor",
		MessageID: "k3v7q2m4x5w6z7a2b3c4d5e6@news.lantern.example", Date: time.Date(2026, 11, 30, 9, 0, 5, 0, time.FixedZone("", -5*3600)),
		Unsubscribe: "https://news.lantern.example/u/ovaqcz3imrsw45dfnz2a2b3c4d5e6f7g", Mailto: "mailto:leave@news.lantern.example?subject=ovaqcz3imrsw45dfnz2a",
	}
}

// templateFiles are the real templates with some of them replaced.
func templateFiles(t testing.TB, replaced map[string]string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	for _, pattern := range []string{"mail/*", "words/*"} {
		names, err := fs.Glob(os.DirFS("../../templates"), pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(os.DirFS("../../templates"), name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = &fstest.MapFile{Data: data}
		}
	}
	for name, source := range replaced {
		files[name] = &fstest.MapFile{Data: []byte(source)}
	}
	return files
}

// newRenderer makes a renderer of the real templates. The same seed draws the same nonces.
func newRenderer(t testing.TB, seed byte) *render.Renderer {
	t.Helper()
	r, err := render.New(os.DirFS("../../templates"), publisher(), dice(seed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func dice(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte(bytes.Repeat([]byte{seed}, 32))) }

var (
	monday  = time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC)
	newYork = time.FixedZone("EST", -5*3600)
)

func digestContent(lang string) newsletter.Content {
	return newsletter.Content{
		List: newsletter.List{
			ID: "free-pages", Kind: newsletter.Digest, Title: "Free Pages", Description: "Writers in prison, and the people who will not let it rest.",
			Zone: newYork, Language: "en",
		},
		Language: lang,
		Items:    []newsletter.Item{courtroom(), petition(), found(), lighthouse(), persian(), bare(), ink()},
		Moment:   monday,
	}
}

func alertContent(lang string) newsletter.Content {
	lead := petition()
	lead.Urgent = true
	return newsletter.Content{
		List: newsletter.List{
			ID: "act", Kind: newsletter.Alert, Title: "Act With Us", Zone: newYork, Language: "en",
		},
		Language: lang,
		Items:    []newsletter.Item{lead, found(), persianAction()},
		Moment:   monday,
	}
}

// persianEdition is an edition in Persian, with one item in English and, of a digest, two reminders in English.
func persianEdition(kind newsletter.Kind) newsletter.Content {
	c := newsletter.Content{
		List: newsletter.List{
			ID: "safheh", Kind: kind, Title: "صفحه\u200cهای آزاد", Description: "نویسندگان در بند، و آنان که خاموش نمی\u200cمانند.",
			Zone: time.FixedZone("+0330", 3*3600+1800), Language: "fa",
		},
		Language: "fa",
		Items:    []newsletter.Item{persian(), persianAction(), courtroom(), bare()},
		Moment:   monday,
	}
	if kind == newsletter.Digest {
		c.Reminders = []newsletter.Item{petition(), found()}
	}
	if kind == newsletter.Alert {
		c.Items = []newsletter.Item{persianAction(), petition()}
	}
	return c
}

func courtroom() newsletter.Item {
	return newsletter.Item{
		ID: 1, Kind: newsletter.Article, URL: "https://lantern.example/2026/11/tavesh-appeal", Language: "en",
		Title:    "In Courtroom Nine, a Poet Was Asked to Explain Her Metaphors",
		Summary:  "For six hours the prosecutor read Ilse Tavesh’s poems aloud, one line at a time, and after each he asked what the river stood for. She answered every question the same way. Our correspondent was one of four people allowed to watch.",
		Author:   "Maren Okoro-Lind",
		Image:    "https://pictures.lantern.example/courtroom.jpg",
		ImageAlt: "An empty wooden bench outside a courtroom, winter light falling across it", Topics: []string{"Freedom of expression"},
		Published: monday.Add(-26 * time.Hour),
	}
}

func petition() newsletter.Item {
	return newsletter.Item{
		ID: 2, Kind: newsletter.Action, URL: "https://lantern.example/2026/11/who-is-daro-venn", Language: "en",
		Title:    "Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor",
		Summary:  "The radio editor has been on hunger strike for 31 days. A hospital bed is ready; a signature is missing. Ministers there do read their mail, and this one has answered twice before.",
		Body:     "<p>Daro Venn edited the evening news on a station that could be heard in three valleys. On 4 June he read out the names of the people arrested that week, as he did every Thursday, and was arrested before the weather report.</p><p>He has now refused food for 31 days. The prison doctor asked for his transfer on 19 November. <b>The ministry has not answered.</b></p><ul><li>Say that you write about prisoner 4417, Karst Road.</li><li>Ask for his transfer to the Sorrel Hospital, as the prison’s own doctor did.</li></ul>",
		Author:   "The editors",
		Image:    "https://pictures.lantern.example/radio.jpg",
		ImageAlt: "A microphone on a desk in a small radio studio", Topics: []string{"Prisoners of conscience"},
		Published: monday.Add(-3 * time.Hour), Petition: "https://petitions.example/daro-venn?lang=en&from=lantern",
		Deadline: time.Date(2026, 12, 1, 23, 59, 0, 0, time.UTC), Urgent: true,
	}
}

func found() newsletter.Item {
	return newsletter.Item{
		ID: 3, Kind: newsletter.Action, URL: "https://lantern.example/2026/11/tavesh-appeal", Parent: 1, Language: "en",
		Title:    "Write to Ilse Tavesh at Her New Address",
		Summary:  "Letters reach her now. Keep to one page, and leave the politics out: they are read before she reads them.",
		Petition: "https://petitions.example/letters/tavesh", Published: monday.Add(-26 * time.Hour),
	}
}

func lighthouse() newsletter.Item {
	return newsletter.Item{
		ID: 4, Kind: newsletter.Article, URL: "https://lantern.example/2026/11/lighthouse-press", Language: "en",
		Title:   "The Printer Who Moved His Press Into a Lighthouse",
		Summary: "When the last newspaper on the island of Sund was shut, its printer carried the press up 114 steps. Eleven months on, the weekly comes out every Friday, tide permitting.",
		Author:  "Jonah Abara", Image: "https://pictures.lantern.example/lighthouse.jpg", ImageAlt: "A white lighthouse under heavy cloud", Topics: []string{"Press freedom"},
		Published: monday.Add(-50 * time.Hour),
	}
}

func persian() newsletter.Item {
	return newsletter.Item{
		ID: 5, Kind: newsletter.Article, URL: "https://lantern.example/fa/2026/11/nameh", Language: "fa",
		Title:    "نامه\u200cهایی که از پنجرهٔ بند هفت بیرون آمد",
		Summary:  "مهرناز دلشاد هر شب روی کاغذ سیگار چند خط نوشت. خواهرش یازده سال بعد همه را کنار هم گذاشت و از آن کتابی ساخت که اکنون در سه شهر دست به دست می\u200cگردد.",
		Author:   "آرمان نیک\u200cپی",
		Image:    "https://pictures.lantern.example/letters.jpg",
		ImageAlt: "دسته\u200cای نامهٔ تاخورده روی میز", Topics: []string{"زندانیان عقیدتی"},
		Published: monday.Add(-70 * time.Hour),
	}
}

func persianAction() newsletter.Item {
	return newsletter.Item{
		ID: 8, Kind: newsletter.Action, URL: "https://lantern.example/fa/2026/11/delshad", Language: "fa",
		Title:    "برای آزادی مهرناز دلشاد امضا کنید",
		Summary:  "دادگاه تجدیدنظر روز جمعه تشکیل می\u200cشود. هر امضا پیش از آن به دست وکیلش می\u200cرسد.",
		Petition: "https://petitions.example/delshad", Deadline: time.Date(2026, 12, 3, 20, 30, 0, 0, time.UTC),
	}
}

func bare() newsletter.Item {
	return newsletter.Item{ID: 6, Kind: newsletter.Article, URL: "https://lantern.example/2026/11/errata", Title: "Corrections and Clarifications"}
}

func ink() newsletter.Item {
	return newsletter.Item{
		ID: 7, Kind: newsletter.Article, URL: "https://lantern.example/2026/11/ink", Language: "en",
		Title: "“Ink Is Cheaper Than Silence”: A Conversation With the Cartoonist Who Signs as Wren, on Twenty Years of Drawing the Same President and Never Once Getting the Ears Right",
		Body:  "<p>Nobody at the border asked what was in the tube. It held ninety drawings.</p><p>More.</p>", Author: "Tomasin Reyes & Ivo Brandt", Topics: []string{"Interview"},
		Published: monday.Add(-90 * time.Hour),
	}
}
