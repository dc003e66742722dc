package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// AlertsSince are the alerts and reminders of all lists that were made at an instant or later, or that bear one of some items. One
// list's alerts that were kept from some readers are among them while an action of theirs is open, and so is every edition, digests
// too, in which those readers may have had it. Rehearsals are left out.
func (s *Store) AlertsSince(ctx context.Context, since time.Time, items []newsletter.ItemID, list string, now time.Time) ([]newsletter.AlertEdition, error) {
	rows, err := s.read.QueryContext(ctx, fmt.Sprintf(`
		WITH owed (item) AS (SELECT b.item FROM editions e JOIN edition_items b ON b.edition = e.id JOIN items i ON i.id = b.item
			WHERE e.list = $1 AND e.kind = 'alert' AND e.barred > 0 AND NOT e.rehearsal AND e.state <> 'cancelled'
				AND i.state = 'queued' AND i.ended = 0 AND CASE WHEN i.deadline > 0 THEN i.deadline ELSE i.expires END NOT BETWEEN 1 AND $2)
		SELECT e.id, e.list, e.kind, e.made, e.state = 'cancelled' FROM editions e
		WHERE NOT e.rehearsal AND (
			e.kind IN ('alert', 'reminder') AND (e.made >= $3 OR EXISTS (SELECT 1 FROM edition_items b WHERE b.edition = e.id AND b.item IN %s))
			OR e.kind IN ('alert', 'digest') AND EXISTS (SELECT 1 FROM edition_items b WHERE b.edition = e.id AND b.item IN (SELECT item FROM owed)))
		ORDER BY e.id`, among(items)), list, millis(now), millis(since))
	return s.alertEditions(ctx, rows, err)
}

// Announced are the alerts of a list that bear an action with a deadline that has not passed, with what was done to remind their readers.
func (s *Store) Announced(ctx context.Context, list string, now time.Time) ([]newsletter.AlertEdition, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT e.id, e.list, e.kind, e.made, FALSE FROM editions e
		WHERE e.list = $1 AND e.kind = 'alert' AND NOT e.rehearsal AND e.state <> 'cancelled'
			AND EXISTS (SELECT 1 FROM edition_items b JOIN items i ON i.id = b.item
				WHERE b.edition = e.id AND i.deadline > $2 AND i.ended = 0 AND i.state = 'queued')
		ORDER BY e.id`, list, millis(now))
	alerts, err := s.alertEditions(ctx, rows, err)
	for i := range alerts {
		if err == nil {
			err = s.reminders(ctx, &alerts[i])
		}
	}
	return alerts, err
}

func (s *Store) reminders(ctx context.Context, a *newsletter.AlertEdition) (err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT b.item FROM edition_items b JOIN editions e ON e.id = b.edition
		WHERE e.follows = $1 AND e.kind = 'reminder'`, a.ID)
	a.Reminded, err = collect(rows, err, func(r *sql.Rows) (id newsletter.ItemID, err error) { return id, r.Scan(&id) })
	if err != nil {
		return fmt.Errorf("listing the reminders of edition %d: %w", a.ID, err)
	}
	rows, err = s.read.QueryContext(ctx, `SELECT due FROM slots WHERE list = $1 AND follows = $2`, a.List, a.ID)
	a.Decided, err = collect(rows, err, func(r *sql.Rows) (time.Time, error) {
		var due int64
		err := r.Scan(&due)
		return instant(due), err
	})
	if err != nil {
		return fmt.Errorf("listing the reminders of edition %d: %w", a.ID, err)
	}
	return nil
}

func (s *Store) alertEditions(ctx context.Context, rows *sql.Rows, err error) ([]newsletter.AlertEdition, error) {
	alerts, err := collect(rows, err, func(r *sql.Rows) (a newsletter.AlertEdition, err error) {
		var made int64
		err = r.Scan(&a.ID, &a.List, &a.Kind, &made, &a.Cancelled)
		a.Made = instant(made)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing alerts: %w", err)
	}
	for i := range alerts {
		if alerts[i].Items, err = s.EditionItems(ctx, alerts[i].ID); err != nil {
			return nil, err
		}
		if err := s.bears(ctx, &alerts[i]); err != nil {
			return nil, err
		}
	}
	return alerts, nil
}

// bears finds what the variants of an edition bring: all that any of their forms does.
func (s *Store) bears(ctx context.Context, a *newsletter.AlertEdition) error {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT v.variant, b.item FROM variants v JOIN edition_items b ON b.edition = v.edition
		WHERE v.edition = $1 AND v.items LIKE '% ' || CAST(b.item AS TEXT) || ' %' ORDER BY 1, 2`, a.ID)
	a.Bears = map[newsletter.VariantID][]newsletter.ItemID{}
	_, err = collect(rows, err, func(r *sql.Rows) (struct{}, error) {
		var variant newsletter.VariantID
		var item newsletter.ItemID
		err := r.Scan(&variant, &item)
		a.Bears[variant] = append(a.Bears[variant], item)
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("reading what edition %d brings: %w", a.ID, err)
	}
	return nil
}
