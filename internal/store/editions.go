package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// Freeze makes an edition in one transaction: the slot, the content, the items that the list has used, and a delivery for
// each reader. Either all of it is there afterwards or nothing. It returns newsletter.ErrSlotTaken when the slot is
// decided already, newsletter.ErrFrozen when the list has used one of the items in the meantime, and newsletter.ErrReadersChanged when
// a reader is in none of the audience's groups any more: she has joined since, or what is known of her has changed.
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
		kind := cmp.Or(d.Kind, d.List.Kind)
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO editions (list, kind, lane, slot, follows, made, life, expires, state, subject, rehearsal, key, quiet_from, quiet_until, quiet_zone)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'sending', $9, $10, $11, $12, $13, $14) RETURNING id`,
			d.List.ID, kind, kind.Lane(), millis(d.Slot.Due), d.Slot.Follows, millis(d.Made), d.Life.Milliseconds(), millis(d.Expires), d.Subject, d.Rehearsal, s.key.ID,
			d.Quiet.From.Milliseconds(), d.Quiet.Until.Milliseconds(), zoneName(d.List.Zone)).Scan(&id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE slots SET edition = $1 WHERE list = $2 AND due = $3 AND follows = $4`,
			id, d.List.ID, millis(d.Slot.Due), d.Slot.Follows); err != nil {
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
			INSERT INTO variants (edition, variant, until, items, language, subject, html, text, message, nonce)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			id, v.ID, millis(v.Until), formatIDs(v.Items), v.Language, v.Subject, v.HTML, v.Text, v.Message, v.Nonce); err != nil {
			return err
		}
	}
	for _, item := range d.Items {
		n := 0
		if err := countRows(&n)(bear(ctx, tx, id, item, d, false)); err != nil {
			return err
		}
		if n == 0 {
			return newsletter.ErrFrozen
		}
	}
	for _, item := range d.Again {
		if _, err := bear(ctx, tx, id, item, d, true); err != nil {
			return err
		}
	}
	return nil
}

// bear writes down that an edition bears an item. Nothing is written where the list has used it before and is to use it as new.
func bear(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, item newsletter.ItemID, d newsletter.Draft, again bool) (sql.Result, error) {
	return tx.ExecContext(ctx, `INSERT INTO edition_items (edition, item, list, rehearsal, again) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		id, item, d.List.ID, d.Rehearsal, again)
}

// noGroup is the variant of readers who are in none of the audience's groups.
const noGroup newsletter.VariantID = -1

// freezeAudience writes a delivery for each reader who may be mailed at this moment, in one statement whatever their
// number. In a rehearsal the readers' copies are withdrawn from the start: nothing can send them later.
func freezeAudience(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, d newsletter.Draft) error {
	for _, a := range d.Audience {
		if _, err := tx.ExecContext(ctx, `INSERT INTO edition_audience (edition, topics, language, zone, history, variant, due, bar)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, formatWords(a.Topics), a.Language, a.Zone, formatHistory(a), a.Variant, millis(later(a.Due, d.Made)), a.Bar); err != nil {
			return err
		}
	}
	state, words := newsletter.Pending, ""
	if d.Rehearsal {
		state, words = newsletter.Withdrawn, "rehearsal: only the proof was sent"
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO deliveries (edition, subscriber, variant, state, attempts, first_due, due, words, owner)
		SELECT $1, c.subscriber, COALESCE(a.variant, $2), CASE WHEN a.bar <> '' THEN 'withdrawn' ELSE $3 END, 0, COALESCE(a.due, 0), COALESCE(a.due, 0),
			NULLIF(CASE WHEN a.bar <> '' THEN a.bar ELSE $4 END, ''), CASE WHEN a.bar <> '' THEN 'barred' END
		FROM subscriptions c
			JOIN subscribers r ON r.id = c.subscriber
			LEFT JOIN edition_audience a ON a.edition = $1 AND a.topics = c.topics AND a.language = r.language
				AND a.zone = `+zoneOf(d.Question)+` AND a.history = `+historyOf(d.Question)+`
		WHERE `+mayBeMailed(d.Question, 5)+` AND a.variant IS DISTINCT FROM 0`, id, noGroup, state, words, d.List.ID)
	if err != nil {
		return err
	}
	lost := false
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE edition = $1 AND variant = $2)`, id, noGroup).Scan(&lost); err != nil || lost {
		return cmp.Or(err, newsletter.ErrReadersChanged)
	}
	if slices.ContainsFunc(d.Audience, func(a newsletter.Audience) bool { return a.Bar != "" }) {
		if _, err := tx.ExecContext(ctx, `UPDATE editions SET barred = (SELECT COUNT(*) FROM deliveries WHERE edition = $1 AND owner = 'barred') WHERE id = $1`, id); err != nil {
			return err
		}
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

// zoneName is what time.LoadLocation finds a zone by.
func zoneName(z *time.Location) string {
	if z == nil {
		return ""
	}
	return z.String()
}

// markFirstWave says which readers get the edition first, where more than those get it at once.
func markFirstWave(ctx context.Context, tx *sql.Tx, id newsletter.EditionID, d newsletter.Draft) error {
	if d.Rehearsal {
		return nil
	}
	first := cmp.Or(d.List.FirstWave.N, newsletter.TrialCopies)
	_, err := tx.ExecContext(ctx, `UPDATE editions SET first_n = $1, first_wait = $2, first_end = COALESCE(
		(SELECT subscriber FROM deliveries WHERE edition = $3 AND subscriber > 0 AND first_due <= $4 AND state = 'pending'
			ORDER BY subscriber LIMIT 1 OFFSET $1), 0) WHERE id = $3`,
		first, d.List.FirstWave.Wait.Milliseconds(), id, millis(d.Made))
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
