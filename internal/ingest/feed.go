package ingest

import "time"

// Feed is one feed to watch, and what its admin says about it.
type Feed struct {
	Name      string
	URL       string        // http or https
	Poll      time.Duration // between two polls; 0: 15 minutes
	FirstPoll int           // how many of the newest entries the first poll lets through; 0: none
	MaxNew    int           // the flood gate: more new entries in one poll are held; 0: no limit
	MaxAge    time.Duration // the flood gate: an older entry is held; 0: no limit
	Topics    []string      // added to what the entry's categories say
	Exclude   Exclude
	Actions   ActionRules
}

// Exclude says which entries of a feed are left out. They leave no trace in the queue.
type Exclude struct {
	Categories    []string // compared as newsletter.Slug does
	TitlePrefixes []string // in any case
}

// ActionRules say what makes an entry a take-action item. Categories are compared as newsletter.Slug does,
// prefixes in any case.
type ActionRules struct {
	Categories        []string
	TitlePrefixes     []string // such as "Take Action:"; an action's title goes without it
	ParagraphPrefixes []string // such as "Take action:"; the paragraph's first link is the petition
	UrgentCategories  []string
	DeadlineCategory  string        // such as "deadline-", which a date follows: deadline-2026-12-01
	DefaultLife       time.Duration // of an action without a deadline, from when it is first seen; 0: 14 days
}
