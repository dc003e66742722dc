package main

import (
	"context"
	"time"

	"dispatcher/internal/newsletter"
)

// How old copies go: in steps so small that an alert's outcomes wait for none, with rests in which other processes write.
const (
	tidyEvery   = time.Hour
	tidyReaders = 500 // a step
	tidyRest    = 50 * time.Millisecond
)

// keepTidy forgets what need not be kept any more, at the start and about each hour, until it is cancelled. What it fails with is logged: mail
// does not depend on it, and the next time it goes on where it was.
func (o *office) keepTidy(ctx context.Context) error {
	hour := time.NewTicker(tidyEvery)
	defer hour.Stop()
	for {
		if err := o.tidy(ctx); err != nil && ctx.Err() == nil {
			o.log.Error("forgetting old copies failed", "error", newsletter.Redact(err.Error()))
		}
		select {
		case <-hour.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tidy forgets the copies of editions that were over before `keep_deliveries`; their sums stay. While mail is held back, because the clock may be
// wrong or the database be an old one, nothing is forgotten.
func (o *office) tidy(ctx context.Context) error {
	if o.config.KeepDeliveries == 0 {
		return nil
	}
	now := o.now()
	if held, err := o.store.Held(ctx, now); err != nil || held != "" {
		return err
	}
	old, err := o.store.Prunable(ctx, now.Add(-o.config.KeepDeliveries), now)
	if err != nil {
		return err
	}
	for _, id := range old {
		rows, err := o.forget(ctx, id)
		if err != nil {
			return err
		}
		o.log.Info("old copies forgotten, their sums stay", "edition", id, "rows", rows)
	}
	return nil
}

// forget takes an edition's copies away, and returns how many rows that were.
func (o *office) forget(ctx context.Context, id newsletter.EditionID) (rows int, err error) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return rows, ctx.Err()
		}
		gone, err := o.store.Prune(ctx, id, tidyReaders)
		if rows += gone; err != nil || gone == 0 {
			return rows, err
		}
		rest.Reset(tidyRest)
	}
}
