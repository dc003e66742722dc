package templates_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dispatcher/templates"
)

// folder makes a folder of files, by path, as an admin would.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolderWinsOverEmbedded(t *testing.T) {
	files := templates.With(folder(t, map[string]string{"mail/digest.txt": "ours", "words/xx.json": "new"}))
	tests := map[string]struct{ name, want string }{
		"replaced": {"mail/digest.txt", "ours"},
		"added":    {"words/xx.json", "new"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fs.ReadFile(files, tt.name)
			if err != nil || string(got) != tt.want {
				t.Errorf("ReadFile(%s) = %q, %v; want %q", tt.name, got, err, tt.want)
			}
		})
	}
	kept, err := fs.ReadFile(files, "mail/digest.html")
	want, wantErr := fs.ReadFile(templates.Embedded(), "mail/digest.html")
	if err != nil || wantErr != nil || string(kept) != string(want) {
		t.Errorf("mail/digest.html is not the embedded one: %v, %v", err, wantErr)
	}
}

func TestUnionIsListed(t *testing.T) {
	files := templates.With(folder(t, map[string]string{"words/xx.json": "{}", "words/en.json": "{}", "only/here.txt": "x"}))
	for pattern, want := range map[string][]string{
		"words/*.json": {"words/en.json", "words/fa.json", "words/xx.json"},
		"only/*":       {"only/here.txt"},
	} {
		got, err := fs.Glob(files, pattern)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Glob(%s) = %v, %v; want %v", pattern, got, err, want)
		}
	}
	if _, err := fs.ReadDir(files, "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadDir(nowhere) = %v, want not exist", err)
	}
}

func TestNoFolderMeansEmbedded(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "missing")} {
		if _, err := fs.ReadFile(templates.With(dir), "mail/alert.html"); err != nil {
			t.Errorf("With(%q): %v", dir, err)
		}
	}
}
