package render_test

import (
	"bytes"
	"html"
	"net/mail"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// hostileEndings are what editors paste, and what somebody who writes in their place might.
var hostileEndings = []string{
	"", "\n\n\n", "One line.", "One.\n\nTwo.\r\n\r\nThree.\r\rFour.", "one\nline\r\nafter another", "\x00\x07", "{{.Unsubscribe}} {{template \"top\"}}", "{moment} {title}",
	"<script>alert(1)</script><img src=https://tracker.example/pixel.gif>", "</p></td></table>&lt;", "=3D =\r\n=", "=?utf-8?q?x?=", ".\n.\n\n.", "From here\n\nFrom there", "--part",
	"\u202eevil\u2066 \u200f", "حکم لغو شد.\n\nCPJ نوشت: «آزاد شد».", "👩🏽‍🚀✊🏽\u2028🎉", "bad \xff\xfe utf8\n\n\xc3", strings.Repeat("x", 3000), strings.Repeat("long ", 4000), strings.Repeat("ن", 9000),
	strings.Repeat("a\n\n", 9000), strings.Repeat("&\n", 9000), strings.Repeat("<\"'&>\n\n", 9000),
}

// checkEnding renders an update about an action that ended so, and takes its message apart again.
func checkEnding(t *testing.T, r *render.Renderer, words string) (page, text string) {
	t.Helper()
	c := updateContent("en")
	c.Items[0].Ending, c.Items[1].Ending = words, words
	page, text, raw := rendered(t, r, c)
	if len(page) > 90_000+1_000 {
		t.Errorf("the HTML has %d bytes", len(page))
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{text, page}, decodeParts(t, m)); diff != "" {
		t.Errorf("parts of the message, as net/mail reads them (-Fill +message):\n%s", diff)
	}
	if diff := cmp.Diff([]string{text, page}, decodeWithGoMessage(t, raw)); diff != "" {
		t.Errorf("parts of the message, as go-message reads them (-Fill +message):\n%s", diff)
	}
	for _, bad := range []string{"<script", "tracker.example/pixel.gif\"", "ZgotmplZ", "\u202e", "\u2066"} {
		if strings.Contains(page, bad) {
			t.Errorf("HTML contains %q", bad)
		}
	}
	return page, text
}

// TestHostileEndings holds that an editor's words are text and nothing else, whatever they look like.
func TestHostileEndings(t *testing.T) {
	r := newRenderer(t, 1)
	for _, words := range hostileEndings {
		page, text := checkEnding(t, r, words)
		inOrder(t, text, "WON", "Ask Corvania’s", "Thank you to everyone who acted.", "You receive")
		if said := strings.Fields(newsletter.OneLine(words, 0)); len(said) > 0 && (!strings.Contains(text, start(said[0])) || !strings.Contains(html.UnescapeString(page), start(said[0]))) {
			t.Errorf("text or HTML lack %q", start(said[0]))
		}
		if t.Failed() {
			t.Fatalf("with the words %.100q", words)
		}
	}
}

// start is how a long word begins.
func start(word string) string { return word[:min(len(word), 40)] }

func FuzzEnding(f *testing.F) {
	for _, words := range hostileEndings {
		f.Add(words)
	}
	r, err := render.New(templateFiles(f, nil), publisher(), dice(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, words string) { checkEnding(t, r, words) })
}

// TestParagraphsOfAnEnding holds that empty lines separate paragraphs, that other line ends do not, and that what is cut off is seen to be.
func TestParagraphsOfAnEnding(t *testing.T) {
	tests := map[string]struct {
		words string
		want  []string
	}{
		"one":             {"He is free.", []string{"He is free."}},
		"two":             {"He is free.\n\nShe is not.", []string{"He is free.", "She is not."}},
		"line in line":    {"He is\nfree.", []string{"He is free."}},
		"as Windows does": {"He is\r\nfree.\r\n\r\nShe is not.\r\n", []string{"He is free.", "She is not."}},
		"as Macs did":     {"He is free.\r\rShe is not.", []string{"He is free.", "She is not."}},
		"blanks between":  {"\n He is free. \n \t\n\n\n She is not. ", []string{"He is free.", "She is not."}},
		"too long":        {strings.Repeat("free ", 1200) + "\n\nNot shown.", []string{strings.Repeat("free ", 998) + "free…"}},
		"too many":        {strings.Repeat("a\n\n", 100), strings.Split(strings.Repeat("a", 70), "")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := updateContent("en")
			c.Items = c.Items[:1]
			c.Items[0].Ending = tt.words
			page, _, _ := rendered(t, newRenderer(t, 1), c)
			_, page, _ = strings.Cut(page, `alt="A microphone`)
			page, _, _ = strings.Cut(page, "Thank you to everyone")
			var got []string
			for p := range strings.SplitSeq(page, "<p ") {
				if _, words, opened := strings.Cut(p, `px">`); opened {
					if words, _, closed := strings.Cut(words, "</p>"); closed {
						got = append(got, words)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("paragraphs (-want +got):\n%s", diff)
			}
		})
	}
}
