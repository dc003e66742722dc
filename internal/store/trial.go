package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dispatcher/internal/newsletter"
)

// slowest is how long the verdict on a first wave waits for its last copies, where the relay lets a few of them hang.
const slowest = 10 * time.Second

// firstWave is one that has not been judged yet.
type firstWave struct {
	newsletter.Trial
	made  time.Time
	below newsletter.SubscriberID
	wait  time.Duration
	over  time.Time
}

// JudgeTrials looks at the editions of which only the first wave is on its way. When all of it has been tried, the rest waits for
// reports where the list wants that. Then, when more of the first than newsletter.MostGone turned out to be gone, the edition is
// paused, and else the rest goes. It returns what has changed.
func (s *Store) JudgeTrials(ctx context.Context, now time.Time) ([]newsletter.Trial, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, list, made, first_n, first_end, first_wait, first_over FROM editions
		WHERE state = 'sending' AND first_end > 0`)
	waves, err := collect(rows, err, func(r *sql.Rows) (w firstWave, err error) {
		var made, wait, over int64
		err = r.Scan(&w.Edition, &w.List, &made, &w.Readers, &w.below, &wait, &over)
		w.made, w.wait, w.over = instant(made), time.Duration(wait)*time.Millisecond, instant(over)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking at first waves: %w", err)
	}
	var changed []newsletter.Trial
	for _, w := range waves {
		trial, err := s.judgeTrial(ctx, w, now)
		if err != nil {
			return nil, fmt.Errorf("judging the first wave of edition %d: %w", w.Edition, err)
		}
		if trial != nil {
			changed = append(changed, *trial)
		}
	}
	return changed, nil
}

// judgeTrial returns nil where everything stays as it is.
func (s *Store) judgeTrial(ctx context.Context, w firstWave, now time.Time) (*newsletter.Trial, error) {
	if now.Before(w.over) {
		return nil, nil
	}
	var waiting, putOff, flying int
	var last sql.NullInt64
	err := s.read.QueryRowContext(ctx, `
		SELECT COUNT(CASE WHEN d.state = 'pending' AND d.attempts = 0 AND d.due <= $1 THEN 1 END),
			COUNT(CASE WHEN d.state = 'pending' AND d.attempts = 0 AND d.due > $1 THEN 1 END), COUNT(CASE WHEN d.state = 'claimed' AND d.attempts = 0 THEN 1 END),
			MAX(CASE WHEN d.state NOT IN ('pending', 'claimed') THEN d.due
				ELSE (SELECT MAX(a.at) FROM attempts a WHERE a.edition = d.edition AND a.subscriber = d.subscriber) END),
			COUNT(CASE WHEN d.owner = $2 OR EXISTS (SELECT 1 FROM bounces b WHERE b.edition = d.edition AND b.subscriber = d.subscriber AND b.kind = 'hard') THEN 1 END)
		FROM deliveries d WHERE d.edition = $3 AND d.subscriber > 0 AND d.subscriber < $4 AND d.first_due <= $5`,
		millis(later(now, w.made)), newsletter.RecipientGone, w.Edition, w.below, millis(w.made)).Scan(&waiting, &putOff, &flying, &last, &w.Gone)
	if err != nil {
		return nil, err
	}
	quiet := last.Valid && now.Sub(instant(last.Int64)) >= slowest
	hanging := 10*flying <= w.Readers && quiet
	spared := 2*(putOff+flying) <= w.Readers || quiet // their class or relay takes them later: the others tell enough
	if w.over.IsZero() && (waiting > 0 || flying > 0 && !hanging || putOff > 0 && !spared) {
		return nil, nil
	}
	w.Paused = float64(w.Gone) > newsletter.MostGone*float64(w.Readers)
	switch {
	case w.Paused:
		reason := fmt.Sprintf("%d of the first %d addresses are gone", w.Gone, w.Readers)
		err := s.steer(ctx, w.Edition, `UPDATE editions SET state = 'paused', reason = $1, first_end = 0 WHERE id = $2 AND state = 'sending'`, reason, w.Edition)
		if err != nil && !errors.Is(err, newsletter.ErrNotFound) {
			return nil, err
		}
		return &w.Trial, nil
	case w.over.IsZero() && w.wait > 0:
		w.Waits = now.Add(w.wait)
		_, err = s.write.ExecContext(ctx, `UPDATE editions SET first_over = $1 WHERE id = $2`, millis(w.Waits), w.Edition)
	default:
		_, err = s.write.ExecContext(ctx, `UPDATE editions SET first_end = 0 WHERE id = $1`, w.Edition)
	}
	return &w.Trial, err
}
