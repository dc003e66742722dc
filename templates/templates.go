// Package templates holds the files that decide how mail and web pages look and read: mail/ and web/ are
// html/template and text/template sources, words/ has one catalogue of fixed words for each language.
package templates

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

//go:embed mail web words
var embedded embed.FS

// Embedded is what this binary brings along.
func Embedded() fs.FS { return embedded }

// With is the embedded files under those of a folder: a file there wins over the embedded one of the same
// path, and a new one (words/de.json) is added. An empty name means no folder. What the folder holds is read when it is asked for.
func With(dir string) fs.FS {
	if dir == "" {
		return embedded
	}
	return overlay{os.DirFS(dir), embedded}
}

// overlay shows two file systems as one.
type overlay struct {
	over, under fs.FS
}

// Open opens the upper file, or the lower one where there is none above.
func (o overlay) Open(name string) (fs.File, error) {
	file, err := o.over.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.under.Open(name)
	}
	return file, err
}

// ReadDir lists what both have, each name once, sorted; fs.Glob and fs.WalkDir rely on it.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	upper, err := fs.ReadDir(o.over, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lower, lowerErr := fs.ReadDir(o.under, name)
	if lowerErr != nil && (err != nil || !errors.Is(lowerErr, fs.ErrNotExist)) {
		return nil, lowerErr
	}
	for _, entry := range lower {
		if !slices.ContainsFunc(upper, func(e fs.DirEntry) bool { return e.Name() == entry.Name() }) {
			upper = append(upper, entry)
		}
	}
	slices.SortFunc(upper, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return upper, nil
}
