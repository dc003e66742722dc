package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

// The flood gate for imports: that of a feed by default.
const (
	importMaxNew = 20
	importMaxAge = 14 * 24 * time.Hour
	maxImport    = 64 << 20 // bytes of one file
)

// ImportOptions say how a file is taken in.
type ImportOptions struct {
	Actions ActionRules
	Release bool // an editor vouches for the file: the flood gate stays open
}

// ImportError lists what of a file could not be imported. The rest was.
type ImportError struct {
	File     string // as it was given to Import
	Problems []Problem
}

// Problem is one thing wrong in a file, and its cure.
type Problem struct {
	Line int // from 1; 0: the file as a whole
	Text string
}

func (e *ImportError) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		if p.Line == 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", e.File, p.Text))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s:%d: %s", e.File, p.Line, p.Text))
	}
	return strings.Join(lines, "\n")
}

// Import takes in a file: RSS, Atom, JSON Feed, JSON Lines, or Markdown with front matter. Its content tells which.
// The file's base name stands for the feed in the identity of what it brings. What is good is imported even where
// something is not; the error is then an *ImportError.
func (i *Ingester) Import(ctx context.Context, file string, r io.Reader, o ImportOptions) (newsletter.Intake, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err != nil {
		return newsletter.Intake{}, fmt.Errorf("reading %s: %w", file, err)
	}
	now := i.set.Now()
	source := Feed{Name: filepath.Base(file), Actions: o.Actions}
	found, problems := i.readFile(source, data, now)
	got := &take{}
	if _, _, err := got.add(ctx, i.queue, found); err != nil {
		return newsletter.Intake{}, fmt.Errorf("importing %s: %w", file, err)
	}
	got.joinMentions()
	g := gate{source: source.Name, maxNew: importMaxNew, maxAge: importMaxAge, open: o.Release, now: now}
	if err := g.judge(ctx, i.queue, i.set.Log, got); err != nil {
		return newsletter.Intake{}, fmt.Errorf("importing %s: %w", file, err)
	}
	intake, err := i.queue.TakeIn(ctx, nil, got.found, now)
	if err != nil {
		return newsletter.Intake{}, fmt.Errorf("importing %s: %w", file, err)
	}
	if len(problems) > 0 {
		return intake, &ImportError{file, problems}
	}
	return intake, nil
}

// readFile reads a file of any of the formats.
func (i *Ingester) readFile(source Feed, data []byte, now time.Time) ([]newsletter.Found, []Problem) {
	if len(data) > maxImport {
		return nil, []Problem{{0, fmt.Sprintf("the file is larger than %d MiB: split it", maxImport>>20)}}
	}
	maker := recordMaker{source: source, policy: i.policy, now: now}
	text := bytes.TrimPrefix(data, []byte("\ufeff"))
	start := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(start) == 0:
		return nil, []Problem{{0, "the file is empty"}}
	case bytes.HasPrefix(text, []byte("---")):
		return maker.markdown(text)
	case start[0] == '{' && !isJSONFeed(text):
		return maker.jsonLines(text)
	case start[0] == '{', start[0] == '<', start[0] == 0xFE, start[0] == 0xFF: // a feed, maybe in UTF-16
		return i.readFeedFile(source, data, now)
	}
	return nil, []Problem{{0, "the file is neither RSS, Atom, JSON Feed, JSON Lines (one {…} on each line) nor Markdown that begins with front matter (---)"}}
}

func isJSONFeed(text []byte) bool {
	var document struct {
		Items *[]json.RawMessage `json:"items"`
	}
	return json.Unmarshal(text, &document) == nil && document.Items != nil
}

func (i *Ingester) readFeedFile(source Feed, data []byte, now time.Time) ([]newsletter.Found, []Problem) {
	doc, err := parseDocument(data, "")
	if err != nil {
		return nil, []Problem{{0, err.Error()}}
	}
	found, unusable := reader{feed: source, policy: i.policy, now: now, doc: doc}.found()
	if unusable > 0 {
		return found, []Problem{{0, fmt.Sprintf("%d entries have no link or no title, and were left out", unusable)}}
	}
	return found, nil
}
