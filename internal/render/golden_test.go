package render_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compares whole mails with what was last looked at and found good.
func TestGolden(t *testing.T) {
	for name, content := range map[string]newsletter.Content{
		"digest-en":   digestContent("en"),
		"digest-fa":   persianEdition(newsletter.Digest),
		"alert-en":    alertContent("en"),
		"alert-fa":    persianEdition(newsletter.Alert),
		"reminder-en": reminderContent("en"),
		"reminder-fa": persianFollowUp(newsletter.Reminder),
		"update-en":   updateContent("en"),
		"update-fa":   persianFollowUp(newsletter.Update),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRenderer(t, 7)
			v, err := r.Render(content)
			if err != nil {
				t.Fatal(err)
			}
			html, text, message, err := r.Fill(v, following())
			if err != nil {
				t.Fatal(err)
			}
			for extension, got := range map[string]string{".html": html, ".txt": text, ".eml": string(message)} {
				golden(t, name+extension, got)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestSameContentSameBytes holds that a variant hangs on its content and the random bytes alone.
func TestSameContentSameBytes(t *testing.T) {
	first, err := newRenderer(t, 3).Render(digestContent("en"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := newRenderer(t, 3).Render(digestContent("en"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	}
	other, err := newRenderer(t, 4).Render(digestContent("en"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Nonce == other.Nonce {
		t.Errorf("two variants have the nonce %s", first.Nonce)
	}
}
