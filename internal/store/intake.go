package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

// FeedState is what is remembered of a feed; the zero state with its name for one never polled.
func (s *Store) FeedState(ctx context.Context, name string) (newsletter.FeedState, error) {
	f, err := scanFeed(s.read.QueryRowContext(ctx, `SELECT `+feedColumns+` FROM feeds WHERE name = $1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return newsletter.FeedState{Name: name}, nil
	}
	if err != nil {
		return f, fmt.Errorf("reading feed state: %w", err)
	}
	return f, nil
}

const feedColumns = `name, url, etag, last_modified, last_poll, last_error, failures, gone, baseline_done`

func scanFeed(row interface{ Scan(...any) error }) (f newsletter.FeedState, err error) {
	var poll int64
	err = row.Scan(&f.Name, &f.URL, &f.ETag, &f.LastModified, &poll, &f.LastError, &f.Failures, &f.Gone, &f.BaselineDone)
	f.LastPoll = instant(poll)
	return f, err
}

// Known tells for each item whether it is known under any of its identities.
func (s *Store) Known(ctx context.Context, items []newsletter.Item) ([]bool, error) {
	known := make([]bool, len(items))
	for i, item := range items {
		for _, identity := range item.Identities() {
			err := s.read.QueryRowContext(ctx, `SELECT 1 FROM item_identities WHERE identity = $1`, identity).Scan(new(int))
			if err == nil {
				known[i] = true
				break
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return nil, fmt.Errorf("looking items up: %w", err)
			}
		}
	}
	return known, nil
}

// TakeIn takes what one poll or import found into the queue, in one transaction, with the state of the feed where it came
// from one. What is new gets the State and Reason it carries; what is known and not yet frozen is brought up to date, save
// the fields that an editor has set. Taking the same in again changes nothing.
func (s *Store) TakeIn(ctx context.Context, state *newsletter.FeedState, entries []newsletter.Found, now time.Time) (newsletter.Intake, error) {
	var took newsletter.Intake
	err := s.transact(ctx, "taking items in", func(tx *sql.Tx) error {
		in := intake{tx: tx, now: now}
		ids := make([]newsletter.ItemID, len(entries))
		for i, f := range entries { // posts first: an action's own post says more than the article that mentions it
			id, err := in.take(ctx, f.Item)
			if err != nil {
				return err
			}
			ids[i] = id
		}
		for i, f := range entries {
			for _, action := range f.Inside {
				action.Parent = ids[i]
				if _, err := in.take(ctx, action); err != nil {
					return err
				}
			}
		}
		took = in.took
		if state == nil {
			return nil
		}
		return saveFeed(ctx, tx, *state)
	})
	return took, err
}

func saveFeed(ctx context.Context, tx *sql.Tx, f newsletter.FeedState) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO feeds (`+feedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (name) DO UPDATE SET url = $2, etag = $3, last_modified = $4, last_poll = $5, last_error = $6,
			failures = $7, gone = $8, baseline_done = $9`,
		f.Name, f.URL, f.ETag, f.LastModified, millis(f.LastPoll), f.LastError, f.Failures, f.Gone, f.BaselineDone)
	return err
}

// intake is one run of TakeIn.
type intake struct {
	tx    *sql.Tx
	now   time.Time
	took  newsletter.Intake
	added []newsletter.ItemID
}

// take adds one item or brings the known one up to date, and returns its id.
func (in *intake) take(ctx context.Context, item newsletter.Item) (newsletter.ItemID, error) {
	names := item.Identities()
	id, err := in.lookUp(ctx, names)
	if errors.Is(err, newsletter.ErrNotFound) {
		id, err = in.add(ctx, item)
	} else if err == nil {
		// An entry without a date is published anew at every poll: its title names it on its first day alone.
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "title:") })
		err = in.refresh(ctx, id, item)
	}
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if _, err := in.tx.ExecContext(ctx, `INSERT INTO item_identities (identity, item) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, id); err != nil {
			return 0, err
		}
	}
	return id, nil
}

func (in *intake) lookUp(ctx context.Context, names []string) (id newsletter.ItemID, err error) {
	for _, name := range names {
		err = in.tx.QueryRowContext(ctx, `SELECT item FROM item_identities WHERE identity = $1`, name).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return id, err
		}
	}
	return 0, newsletter.ErrNotFound
}

func (in *intake) add(ctx context.Context, item newsletter.Item) (newsletter.ItemID, error) {
	item.FirstSeen, item.Waiting = in.now, in.now
	if item.Published.IsZero() {
		item.Published = in.now
	}
	id, err := insertItem(ctx, in.tx, item)
	if err != nil {
		return 0, err
	}
	in.added = append(in.added, id)
	in.took.New++
	switch item.State {
	case newsletter.Held:
		in.took.Held++
	case newsletter.Dropped:
		in.took.Dropped++
	}
	return id, nil
}

// refresh brings a known item up to date with what its feed says now.
func (in *intake) refresh(ctx context.Context, id newsletter.ItemID, now newsletter.Item) error {
	old, edited, err := itemForUpdate(ctx, in.tx, id)
	if err != nil {
		return err
	}
	item := old
	item.Topics = newsletter.AddTopics(old.Topics, now.Topics...) // two tag feeds, one item with both topics
	frozen, err := isFrozen(ctx, in.tx, id)
	if err != nil {
		return err
	}
	switch {
	case frozen: // for the lists that have not used it yet, it may become urgent or close
		if now.Urgent && !slices.Contains(edited, "urgent") {
			item.Urgent = true
		}
		if !now.Deadline.IsZero() && !slices.Contains(edited, "deadline") {
			item.Deadline = now.Deadline
		}
	case now.Parent != 0: // found inside an article: it only says so of an action that has a post of its own
		if item.Parent == 0 && item.ID != now.Parent {
			item.Parent = now.Parent
		}
		if old.GUID == "" && old.Parent == now.Parent {
			item = edit(item, now, edited)
		}
	case old.Feed == now.Feed || old.GUID == "" && now.GUID != "":
		item = edit(item, now, edited)
	}
	if item.Urgent && !old.Urgent {
		item.Waiting = in.now
	}
	if !itemChanged(old, item) {
		in.took.Known++
		return nil
	}
	if !slices.Contains(in.added, id) {
		in.took.Changed++
	}
	return updateItem(ctx, in.tx, item, edited)
}

// edit copies what a feed may change in an item, but for the fields that an editor has set.
func edit(item, now newsletter.Item, edited []string) newsletter.Item {
	free := func(field string) bool { return !slices.Contains(edited, field) }
	if free("title") {
		item.Title = now.Title
	}
	if free("summary") {
		item.Summary = now.Summary
	}
	if free("petition") && now.Petition != "" {
		item.Petition = now.Petition
	}
	if free("deadline") && !now.Deadline.IsZero() {
		item.Deadline = now.Deadline
	}
	if free("urgent") {
		item.Urgent = now.Urgent
	}
	item.Kind, item.GUID, item.URL, item.Feed = now.Kind, now.GUID, now.URL, now.Feed
	item.Body, item.Image, item.ImageAlt, item.Author, item.Language = now.Body, now.Image, now.ImageAlt, now.Author, now.Language
	if item.Kind == newsletter.Action && item.Expires.IsZero() {
		item.Expires = now.Expires
	}
	return item
}

// itemChanged compares what readers would see.
func itemChanged(a, b newsletter.Item) bool {
	if !slices.Equal(a.Topics, b.Topics) || !a.Deadline.Equal(b.Deadline) || !a.Expires.Equal(b.Expires) {
		return true
	}
	for _, i := range []*newsletter.Item{&a, &b} {
		i.Topics, i.Deadline, i.Expires, i.Waiting, i.Published, i.FirstSeen = nil, time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	one, _ := json.Marshal(a)
	other, _ := json.Marshal(b)
	return string(one) != string(other)
}
