package newsletter

import (
	"strings"
	"unicode"
)

// Topic is a subject that lists and readers may choose, and what publishers call it.
type Topic struct {
	ID         string
	Title      string
	Categories []string // names that feeds use for it, beside ID and Title
}

// Topics is the fixed table of topics from the config.
type Topics []Topic

// Slug folds a name to the form in which topics are compared: lower case, every run of
// anything but letters and digits one hyphen. "Mahsa Amini" and "mahsa-amini" are the same.
func Slug(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Match reports whether something that bears these categories belongs to any of the wanted
// topics. No wanted topics means everything does.
func (ts Topics) Match(categories, wanted []string) bool {
	if len(wanted) == 0 {
		return true
	}
	names := map[string]bool{}
	for _, w := range wanted {
		for _, slug := range ts.slugs(w) {
			names[slug] = true
		}
	}
	for _, c := range categories {
		if names[Slug(c)] {
			return true
		}
	}
	return false
}

// slugs are the slugs that stand for one topic: its own and those of its categories.
func (ts Topics) slugs(topic string) []string {
	own := Slug(topic)
	slugs := []string{own}
	for _, t := range ts {
		if Slug(t.ID) != own && Slug(t.Title) != own {
			continue
		}
		slugs = append(slugs, Slug(t.ID), Slug(t.Title))
		for _, c := range t.Categories {
			slugs = append(slugs, Slug(c))
		}
	}
	return slugs
}

// AddTopics returns topics with more added, each once as Slug compares them, the first spelling kept.
func AddTopics(topics []string, more ...string) []string {
	seen := map[string]bool{}
	out := make([]string, 0, len(topics)+len(more))
	for _, group := range [][]string{topics, more} {
		for _, t := range group {
			slug := Slug(t)
			if slug == "" || seen[slug] {
				continue
			}
			seen[slug] = true
			out = append(out, strings.TrimSpace(t))
		}
	}
	return out
}
