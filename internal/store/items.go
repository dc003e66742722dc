package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

const itemColumns = `id, kind, feed, guid, url, title, summary, body, image, image_alt, author, language, topics,
	published, first_seen, waiting, petition, deadline, expires, urgent, ended, won, ending, COALESCE(code, ''), state, reason, COALESCE(parent, 0)`

func scanItem(row interface{ Scan(...any) error }, more ...any) (i newsletter.Item, err error) {
	var topics string
	var published, seen, waiting, deadline, expires, ended int64
	err = row.Scan(append([]any{
		&i.ID, &i.Kind, &i.Feed, &i.GUID, &i.URL, &i.Title, &i.Summary, &i.Body, &i.Image, &i.ImageAlt, &i.Author, &i.Language, &topics,
		&published, &seen, &waiting, &i.Petition, &deadline, &expires, &i.Urgent, &ended, &i.Won, &i.Ending, &i.Code, &i.State, &i.Reason, &i.Parent,
	}, more...)...)
	if err != nil {
		return i, err
	}
	i.Published, i.FirstSeen, i.Waiting = instant(published), instant(seen), instant(waiting)
	i.Deadline, i.Expires, i.Ended = instant(deadline), instant(expires), instant(ended)
	i.Topics, err = parseWords(topics)
	return i, err
}

func insertItem(ctx context.Context, tx *sql.Tx, i newsletter.Item) (id newsletter.ItemID, err error) {
	err = tx.QueryRowContext(ctx, `
		INSERT INTO items (kind, feed, guid, url, title, summary, body, image, image_alt, author, language, topics,
			published, first_seen, waiting, petition, deadline, expires, urgent, state, reason, parent, code, edited)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, '')
		RETURNING id`,
		i.Kind, i.Feed, i.GUID, i.URL, i.Title, i.Summary, i.Body, i.Image, i.ImageAlt, i.Author, i.Language, formatWords(i.Topics),
		millis(i.Published), millis(i.FirstSeen), millis(i.Waiting), i.Petition, millis(i.Deadline), millis(i.Expires), i.Urgent,
		i.State, i.Reason, sql.NullInt64{Int64: int64(i.Parent), Valid: i.Parent != 0}, codeOf(i)).Scan(&id)
	return id, err
}

func updateItem(ctx context.Context, tx *sql.Tx, i newsletter.Item, edited []string) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE items SET kind = $1, feed = $2, guid = $3, url = $4, title = $5, summary = $6, body = $7, image = $8, image_alt = $9,
			author = $10, language = $11, topics = $12, waiting = $13, petition = $14, deadline = $15, expires = $16, urgent = $17,
			state = $18, reason = $19, parent = $20, edited = $21, code = $22
		WHERE id = $23`,
		i.Kind, i.Feed, i.GUID, i.URL, i.Title, i.Summary, i.Body, i.Image, i.ImageAlt,
		i.Author, i.Language, formatWords(i.Topics), millis(i.Waiting), i.Petition, millis(i.Deadline), millis(i.Expires), i.Urgent,
		i.State, i.Reason, sql.NullInt64{Int64: int64(i.Parent), Valid: i.Parent != 0}, formatWords(edited), codeOf(i), i.ID)
	return err
}

// itemForUpdate reads an item inside the transaction that is going to change it, with the fields that an editor has set.
func itemForUpdate(ctx context.Context, tx *sql.Tx, id newsletter.ItemID) (newsletter.Item, []string, error) {
	var edited string
	item, err := scanItem(tx.QueryRowContext(ctx, `SELECT `+itemColumns+`, edited FROM items WHERE id = $1`, id), &edited)
	if err != nil {
		return item, nil, found(err)
	}
	fields, err := parseWords(edited)
	return item, fields, err
}

// isFrozen reports whether an edition bears the item. Rehearsals freeze nothing.
func isFrozen(ctx context.Context, tx *sql.Tx, id newsletter.ItemID) (frozen bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM edition_items WHERE item = $1 AND NOT rehearsal)`, id).Scan(&frozen)
	return frozen, err
}

// Item is one item.
func (s *Store) Item(ctx context.Context, id newsletter.ItemID) (newsletter.Item, error) {
	item, err := scanItem(s.read.QueryRowContext(ctx, `SELECT `+itemColumns+` FROM items WHERE id = $1`, id))
	if err != nil {
		return item, fmt.Errorf("reading item %d: %w", id, found(err))
	}
	return item, nil
}

// Items are the newest items in a state, or in any state when it is empty; limit 0 means all.
func (s *Store) Items(ctx context.Context, state newsletter.ItemState, limit int) ([]newsletter.Item, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+itemColumns+` FROM items
		WHERE $1 = '' OR state = $1 ORDER BY published DESC, id DESC LIMIT $2`, state, limit)
	items, err := collect(rows, err, func(r *sql.Rows) (newsletter.Item, error) { return scanItem(r) })
	if err != nil {
		return nil, fmt.Errorf("listing items: %w", err)
	}
	return items, nil
}

// Unused are the queued items that a list has not used and that wait since an instant or later. Rehearsals have a
// memory of their own, so that the first real edition is not empty after them.
func (s *Store) Unused(ctx context.Context, list string, rehearsal bool, since time.Time) ([]newsletter.Item, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+itemColumns+` FROM items
		WHERE state = 'queued' AND waiting >= $1
			AND NOT EXISTS (SELECT 1 FROM edition_items e WHERE e.list = $2 AND e.item = items.id AND e.rehearsal = $3 AND NOT e.again)
		ORDER BY published DESC, id DESC`, millis(since), list, rehearsal)
	items, err := collect(rows, err, func(r *sql.Rows) (newsletter.Item, error) { return scanItem(r) })
	if err != nil {
		return nil, fmt.Errorf("reading the queue of %s: %w", list, err)
	}
	return items, nil
}

// ItemChange is what an editor sets in an item; nil leaves a field as it is.
type ItemChange struct {
	Title, Summary, Petition *string
	Deadline                 *time.Time
	Urgent                   *bool
	Topics                   *[]string
	State                    *newsletter.ItemState
	Reason                   string // with State
	Repoint                  bool   // mail bears a stable link, so that Petition may change although it is frozen
}

// ChangeItem does what an editor asks, in one transaction. It returns newsletter.ErrFrozen when an edition bears the item and the
// change is to its words or link. Deadline and urgency can always change, for the lists that have not used the item yet.
func (s *Store) ChangeItem(ctx context.Context, id newsletter.ItemID, c ItemChange, now time.Time) error {
	defer s.wishesChanged()
	return s.transact(ctx, fmt.Sprintf("changing item %d", id), func(tx *sql.Tx) error {
		item, edited, err := itemForUpdate(ctx, tx, id)
		if err != nil {
			return err
		}
		frozen, err := isFrozen(ctx, tx, id)
		if err != nil {
			return err
		}
		fields := c.apply(&item, now)
		frozenField := func(f string) bool { return f != "deadline" && f != "urgent" && !(f == "petition" && c.Repoint) }
		if frozen && slices.ContainsFunc(fields, frozenField) {
			return newsletter.ErrFrozen
		}
		for _, f := range fields {
			if !slices.Contains(edited, f) {
				edited = append(edited, f)
			}
		}
		if c.Petition != nil {
			if err := addIdentities(ctx, tx, item); err != nil {
				return err
			}
		}
		return updateItem(ctx, tx, item, edited)
	})
}

// apply sets the fields and returns the names of those that readers see.
func (c ItemChange) apply(item *newsletter.Item, now time.Time) (fields []string) {
	set := func(field string) { fields = append(fields, field) }
	if c.Title != nil {
		item.Title = *c.Title
		set("title")
	}
	if c.Summary != nil {
		item.Summary = *c.Summary
		set("summary")
	}
	if c.Petition != nil {
		item.Petition = *c.Petition
		set("petition")
	}
	if c.Deadline != nil {
		item.Deadline = *c.Deadline
		set("deadline")
	}
	if c.Topics != nil {
		item.Topics = *c.Topics
		set("topics")
	}
	if c.Urgent != nil {
		if *c.Urgent && !item.Urgent {
			item.Waiting = now
		}
		item.Urgent = *c.Urgent
		set("urgent")
	}
	if c.State != nil && *c.State != item.State {
		item.State, item.Reason, item.Waiting = *c.State, c.Reason, now
	}
	return fields
}

// addIdentities makes an item known under the names that it has now, unless another has them.
func addIdentities(ctx context.Context, tx *sql.Tx, item newsletter.Item) error {
	for _, name := range item.Identities() {
		var owner newsletter.ItemID
		err := tx.QueryRowContext(ctx, `INSERT INTO item_identities (identity, item) VALUES ($1, $2)
			ON CONFLICT (identity) DO UPDATE SET item = item_identities.item RETURNING item`, name, item.ID).Scan(&owner)
		if err != nil {
			return err
		}
		if owner != item.ID && strings.HasPrefix(name, "petition:") {
			return fmt.Errorf("item %d has the same petition: drop one of the two", owner)
		}
	}
	return nil
}

// formatWords keeps a list of words as JSON; none is the empty text, so that it compares and groups.
func formatWords(words []string) string {
	if len(words) == 0 {
		return ""
	}
	b, _ := json.Marshal(words) // strings always marshal
	return string(b)
}

func parseWords(text string) (words []string, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		return nil, fmt.Errorf("reading a list of words: %w", err)
	}
	return words, nil
}
