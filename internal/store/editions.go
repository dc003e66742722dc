package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// Considered is the instant up to which every slot of a list is decided. For a list that is new, that is begin, and is kept.
func (s *Store) Considered(ctx context.Context, list string, begin time.Time) (time.Time, error) {
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT considered FROM lists WHERE id = $1`, list).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.write.QueryRowContext(ctx, `INSERT INTO lists (id, considered) VALUES ($1, $2)
			ON CONFLICT (id) DO UPDATE SET considered = lists.considered RETURNING considered`, list, millis(begin)).Scan(&at)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading how far the slots of %s are decided: %w", list, err)
	}
	return instant(at), nil
}

// Rewind sets Considered back. Slots that are decided stay so.
func (s *Store) Rewind(ctx context.Context, list string, to time.Time) error {
	if _, err := s.write.ExecContext(ctx, `UPDATE lists SET considered = $1 WHERE id = $2`, millis(to), list); err != nil {
		return fmt.Errorf("setting back how far the slots of %s are decided: %w", list, err)
	}
	return nil
}

// Skip decides that a slot gets no edition. It returns newsletter.ErrSlotTaken when the slot is decided already.
func (s *Store) Skip(ctx context.Context, slot newsletter.Slot, fate newsletter.SlotFate, now time.Time) error {
	return s.transact(ctx, "skipping a slot of "+slot.List, func(tx *sql.Tx) error {
		if err := decide(ctx, tx, slot, fate, now); err != nil {
			return err
		}
		return consider(ctx, tx, slot)
	})
}

func decide(ctx context.Context, tx *sql.Tx, slot newsletter.Slot, fate newsletter.SlotFate, now time.Time) error {
	done, err := tx.ExecContext(ctx, `INSERT INTO slots (list, due, fate, decided) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		slot.List, millis(slot.Due), fate, millis(now))
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(newsletter.ErrSlotTaken, err)
	}
	return nil
}

// consider moves the list's mark; it never moves back.
func consider(ctx context.Context, tx *sql.Tx, slot newsletter.Slot) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO lists (id, considered) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET considered = CASE WHEN lists.considered < $2 THEN $2 ELSE lists.considered END`, slot.List, millis(slot.Due))
	return err
}

// Audience groups the readers who may be mailed by what they chose, with how many there are of each group.
func (s *Store) Audience(ctx context.Context, list string) ([]newsletter.Audience, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT c.topics, r.language, COUNT(*) FROM subscriptions c JOIN subscribers r ON r.id = c.subscriber
		WHERE c.list = $1 AND c.state = 'confirmed'
			AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash)
		GROUP BY c.topics, r.language ORDER BY c.topics, r.language`, list)
	groups, err := collect(rows, err, func(r *sql.Rows) (a newsletter.Audience, err error) {
		var topics string
		if err := r.Scan(&topics, &a.Language, &a.Readers); err != nil {
			return a, err
		}
		a.Topics, err = parseWords(topics)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("counting the readers of %s: %w", list, err)
	}
	return groups, nil
}

// Freeze makes an edition in one transaction: the slot, the content, the items that the list has used, and a delivery for
// each reader. Either all of it is there afterwards or nothing. It returns newsletter.ErrSlotTaken when the slot is
// decided already, and newsletter.ErrFrozen when the list has used one of the items in the meantime.
func (s *Store) Freeze(ctx context.Context, d newsletter.Draft) (id newsletter.EditionID, err error) {
	err = s.transact(ctx, "freezing an edition of "+d.List.ID, func(tx *sql.Tx) error {
		if err := decide(ctx, tx, d.Slot, newsletter.MadeEdition, d.Made); err != nil {
			return err
		}
		if !d.ByHand {
			if err := consider(ctx, tx, d.Slot); err != nil {
				return err
			}
		}
		lane := d.List.Kind.Lane()
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO editions (list, kind, lane, slot, made, expires, state, subject, rehearsal, key)
			VALUES ($1, $2, $3, $4, $5, $6, 'sending', $7, $8, $9) RETURNING id`,
			d.List.ID, d.List.Kind, lane, millis(d.Slot.Due), millis(d.Made), millis(d.Expires), d.Subject, d.Rehearsal, s.key.ID).Scan(&id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE slots SET edition = $1 WHERE list = $2 AND due = $3`, id, d.List.ID, millis(d.Slot.Due)); err != nil {
			return err
		}
		if err := freezeContent(ctx, tx, id, d); err != nil {
			return err
		}
		return freezeAudience(ctx, tx, id, d)
	})
	return id, err
}

func freezeContent(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, d newsletter.Draft) error {
	for _, v := range d.Variants {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO variants (edition, variant, until, language, subject, html, text, message, nonce)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, v.ID, millis(v.Until), v.Language, v.Subject, v.HTML, v.Text, v.Message, v.Nonce); err != nil {
			return err
		}
	}
	for _, item := range d.Items {
		done, err := tx.ExecContext(ctx, `INSERT INTO edition_items (list, item, rehearsal, edition) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			d.List.ID, item, d.Rehearsal, id)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(newsletter.ErrFrozen, err)
		}
	}
	return nil
}

// freezeAudience writes a delivery for each reader who may be mailed at this moment, in one statement whatever their
// number. In a rehearsal the readers' copies are withdrawn from the start: nothing can send them later.
func freezeAudience(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, d newsletter.Draft) error {
	for _, a := range d.Audience {
		if _, err := tx.ExecContext(ctx, `INSERT INTO edition_audience (edition, topics, language, variant) VALUES ($1, $2, $3, $4)`,
			id, formatWords(a.Topics), a.Language, a.Variant); err != nil {
			return err
		}
	}
	state, words := newsletter.Pending, ""
	if d.Rehearsal {
		state, words = newsletter.Withdrawn, "rehearsal: only the proof was sent"
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO deliveries (edition, subscriber, variant, state, attempts, first_due, due, words)
		SELECT $1, c.subscriber, a.variant, $2, 0, $3, $3, NULLIF($4, '')
		FROM subscriptions c
			JOIN subscribers r ON r.id = c.subscriber
			JOIN edition_audience a ON a.edition = $1 AND a.topics = c.topics AND a.language = r.language AND a.variant > 0
		WHERE c.list = $5 AND c.state = 'confirmed'
			AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash)`,
		id, state, millis(d.Made), words, d.List.ID); err != nil {
		return err
	}
	if err := markFirstWave(ctx, tx, id, d); err != nil {
		return err
	}
	for _, address := range d.Proofs {
		var n int64
		if err := tx.QueryRowContext(ctx, `INSERT INTO proof_addresses (address) VALUES ($1)
			ON CONFLICT (address) DO UPDATE SET address = $1 RETURNING id`, address).Scan(&n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO deliveries (edition, subscriber, variant, state, attempts, first_due, due)
			VALUES ($1, $2, 1, 'pending', 0, $3, $3)`, id, -n, millis(d.Made)); err != nil {
			return err
		}
	}
	return nil
}

// markFirstWave says which readers get the edition first, where it has more readers than those.
func markFirstWave(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, d newsletter.Draft) error {
	if d.Rehearsal {
		return nil
	}
	first := cmp.Or(d.List.FirstWave.N, newsletter.TrialCopies)
	_, err := tx.ExecContext(ctx, `UPDATE editions SET first_n = $1, first_wait = $2, first_end = COALESCE(
		(SELECT subscriber FROM deliveries WHERE edition = $3 AND subscriber > 0 ORDER BY subscriber LIMIT 1 OFFSET $1), 0) WHERE id = $3`,
		first, d.List.FirstWave.Wait.Milliseconds(), id)
	return err
}

// Variant is one form of one variant of an edition.
func (s *Store) Variant(ctx context.Context, edition newsletter.EditionID, variant newsletter.VariantID, until time.Time) (newsletter.Variant, error) {
	v, err := scanVariant(s.read.QueryRowContext(ctx, `SELECT `+variantColumns+` FROM variants WHERE edition = $1 AND variant = $2 AND until = $3`,
		edition, variant, millis(until)))
	if err != nil {
		return v, fmt.Errorf("reading variant %d of edition %d: %w", variant, edition, found(err))
	}
	return v, nil
}

const variantColumns = `variant, until, language, subject, html, text, message, nonce`

func scanVariant(row interface{ Scan(...any) error }) (v newsletter.Variant, err error) {
	var until int64
	err = row.Scan(&v.ID, &until, &v.Language, &v.Subject, &v.HTML, &v.Text, &v.Message, &v.Nonce)
	v.Until = instant(until)
	return v, err
}
