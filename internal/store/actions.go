package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dispatcher/internal/newsletter"
)

// Ending is how an action ended.
type Ending struct {
	At    time.Time
	Won   bool
	Words string // the editor's; may be empty
}

// EndAction closes an action. Copies that are still to be sent leave without it, or not at all where nothing else is in them: no form
// that bears it is good any more. One that has closed may be won later. It returns newsletter.ErrFrozen where the action has ended so
// already.
func (s *Store) EndAction(ctx context.Context, id newsletter.ItemID, e Ending) error {
	defer s.wishesChanged()
	return s.transact(ctx, fmt.Sprintf("closing item %d", id), func(tx *sql.Tx) error {
		item, _, err := itemForUpdate(ctx, tx, id)
		if err != nil {
			return err
		}
		if !item.Ended.IsZero() && (item.Won || !e.Won) {
			return newsletter.ErrFrozen
		}
		_, err = tx.ExecContext(ctx, `UPDATE items SET ended = $1, won = $2, ending = $3 WHERE id = $4`, millis(e.At), e.Won, e.Words, id)
		return err
	})
}

// RecordDone writes down that readers have taken an action. It returns how many it knew, and newsletter.ErrNotFound where there is no
// such item. Addresses of nobody change nothing. A reminder that has not left yet stays here, unless it also asks for what the reader
// has not done.
func (s *Store) RecordDone(ctx context.Context, id newsletter.ItemID, addresses []newsletter.Address, now time.Time) (known int, err error) {
	err = s.transact(ctx, fmt.Sprintf("recording who has taken action %d", id), func(tx *sql.Tx) error {
		known = 0
		if _, _, err := itemForUpdate(ctx, tx, id); err != nil {
			return err
		}
		for _, address := range addresses {
			var subscriber newsletter.SubscriberID
			err := tx.QueryRowContext(ctx, `SELECT id FROM subscribers WHERE address_hash = $1`, s.addressKey().AddressHash(address)).Scan(&subscriber)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			known++
			if _, err := tx.ExecContext(ctx, `INSERT INTO item_done (item, subscriber, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				id, subscriber, millis(now)); err != nil {
				return err
			}
			if err := withdrawReminders(ctx, tx, id, subscriber, now); err != nil {
				return err
			}
		}
		return nil
	})
	return known, err
}

// withdrawReminders takes back a reader's copies of reminders that bear an action, where she has taken all that is in them.
func withdrawReminders(ctx context.Context, tx *sql.Tx, id newsletter.ItemID, subscriber newsletter.SubscriberID, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'withdrawn', due = $1, words = 'the reader has taken the action'
		WHERE state = 'pending' AND subscriber = $2
			AND edition IN (SELECT e.id FROM edition_items b JOIN editions e ON e.id = b.edition WHERE b.item = $3 AND e.kind = 'reminder')
			AND NOT EXISTS (SELECT 1 FROM variants v JOIN edition_items b ON b.edition = v.edition
				WHERE v.edition = deliveries.edition AND v.variant = deliveries.variant AND v.items LIKE '% ' || CAST(b.item AS TEXT) || ' %'
					AND NOT EXISTS (SELECT 1 FROM item_done h WHERE h.item = b.item AND h.subscriber = $2))`, millis(now), subscriber, id)
	return err
}

// Taken are those of some actions that a reader is known to have taken.
func (s *Store) Taken(ctx context.Context, actions []newsletter.ItemID) ([]newsletter.ItemID, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT item FROM item_done WHERE item IN `+among(actions)+` ORDER BY item`)
	taken, err := collect(rows, err, func(r *sql.Rows) (id newsletter.ItemID, err error) { return id, r.Scan(&id) })
	if err != nil {
		return nil, fmt.Errorf("looking which actions readers have taken: %w", err)
	}
	return taken, nil
}

// formatIDs keeps ids so that one can be looked for.
func formatIDs(ids []newsletter.ItemID) string {
	text := " "
	for _, id := range ids {
		text += strconv.FormatInt(int64(id), 10) + " "
	}
	return text
}

// EditionsBearing are the editions that bear an item, without their counts, the newest first.
func (s *Store) EditionsBearing(ctx context.Context, id newsletter.ItemID) ([]newsletter.Edition, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+editionColumns+` FROM editions e JOIN edition_items b ON b.edition = e.id
		WHERE b.item = $1 ORDER BY e.id DESC`, id)
	editions, err := collect(rows, err, func(r *sql.Rows) (newsletter.Edition, error) { return scanEdition(r) })
	if err != nil {
		return nil, fmt.Errorf("listing the editions of item %d: %w", id, err)
	}
	return editions, nil
}

// Done is how many readers have taken an action, as far as we were told.
func (s *Store) Done(ctx context.Context, id newsletter.ItemID) (n int, err error) {
	if err := s.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM item_done WHERE item = $1`, id).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting who has taken action %d: %w", id, err)
	}
	return n, nil
}
