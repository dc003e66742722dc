package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// Enrolment is what becomes of one reader whom an admin adds or imports.
type Enrolment struct {
	Subscriber newsletter.Subscriber // without ID and Created
	Lists      []string
	Topics     []string // slugs; empty: all
	Confirmed  bool     // the admin vouches for consent, with Consent.Source
	Ended      bool     // new subscriptions are ended ones: the reader had left where she comes from. Not with Confirmed
	Suppressed string   // why her address is never to be mailed; empty: no reason to
	Consent    newsletter.Consent
}

// Enrolled says what an enrolment did.
type Enrolled struct {
	ID         newsletter.SubscriberID
	New        bool // the reader was not known
	Began      int  // subscriptions that are new
	Confirmed  int  // subscriptions that were pending and are confirmed now
	Known      int  // subscriptions that were there already
	Left       int  // subscriptions that the reader has ended: an import never begins them again
	Suppressed bool // the address is suppressed: it is kept, and not mailed
}

// Enrol adds readers with their subscriptions in one transaction, in order. The same again changes nothing: a reader
// is known by her address in any case, and an import lifts no suppression, undoes no leaving and overwrites no choice of hers.
func (s *Store) Enrol(ctx context.Context, batch []Enrolment, now time.Time) ([]Enrolled, error) {
	done := make([]Enrolled, len(batch))
	err := s.transact(ctx, "adding subscribers", func(tx *sql.Tx) error {
		for i, e := range batch {
			var err error
			if done[i], err = s.enrol(ctx, tx, e, now); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

func (s *Store) enrol(ctx context.Context, tx *sql.Tx, e Enrolment, now time.Time) (done Enrolled, err error) {
	hash := s.addressKey().AddressHash(e.Subscriber.Address)
	err = tx.QueryRowContext(ctx, `INSERT INTO subscribers (address, address_hash, name, language, zone, created)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id`,
		e.Subscriber.Address, hash, e.Subscriber.Name, e.Subscriber.Language, e.Subscriber.Zone, millis(now)).Scan(&done.ID)
	done.New = err == nil
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, `SELECT id FROM subscribers WHERE address_hash = $1`, hash).Scan(&done.ID)
	}
	if err != nil {
		return done, err
	}
	if e.Suppressed != "" {
		if err := suppress(ctx, tx, done.ID, suppression{reason: e.Suppressed, evidence: endedByImport, at: millis(now)}); err != nil {
			return done, err
		}
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM suppressions WHERE address_hash = $1)`, hash).Scan(&done.Suppressed)
	if err != nil {
		return done, err
	}
	for _, list := range e.Lists {
		if err := enrolInList(ctx, tx, list, e, &done, now); err != nil {
			return done, err
		}
	}
	return done, nil
}

func enrolInList(ctx context.Context, tx *sql.Tx, list string, e Enrolment, done *Enrolled, now time.Time) error {
	state, endedBy, before := newsletter.PendingConsent, "", newsletter.SubscriptionState("")
	switch {
	case e.Confirmed:
		state = newsletter.Confirmed
	case e.Ended:
		state, endedBy, before = newsletter.Ended, endedByImport, newsletter.PendingConsent
	}
	var old newsletter.SubscriptionState
	err := tx.QueryRowContext(ctx, `SELECT state FROM subscriptions
		WHERE list = COALESCE((SELECT list FROM renames WHERE former = $1), $1) AND subscriber = $2`, list, done.ID).Scan(&old)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		done.Began++
		topics := slices.Clone(e.Topics)
		slices.Sort(topics)
		_, err = tx.ExecContext(ctx, `INSERT INTO subscriptions (list, subscriber, state, topics, consent_at, consent_source, ended_by, before_end, changed)
			VALUES (COALESCE((SELECT list FROM renames WHERE former = $1), $1), $2, $3, $4, $5, $6, $7, $8, $9)`,
			list, done.ID, state, formatWords(topics), millis(e.Consent.At), e.Consent.Source, endedBy, before, millis(now))
	case err != nil:
	case old == newsletter.Ended:
		done.Left++
	case old == newsletter.PendingConsent && e.Confirmed:
		done.Confirmed++
		_, err = tx.ExecContext(ctx, `UPDATE subscriptions SET state = 'confirmed', consent_at = $1, consent_source = $2, changed = $3
			WHERE list = COALESCE((SELECT list FROM renames WHERE former = $4), $4) AND subscriber = $5`, millis(e.Consent.At), e.Consent.Source, millis(now), list, done.ID)
	default:
		done.Known++
	}
	return err
}

const subscriberColumns = `id, address, name, language, zone, created`

func scanSubscriber(row interface{ Scan(...any) error }) (s newsletter.Subscriber, err error) {
	var created int64
	err = row.Scan(&s.ID, &s.Address, &s.Name, &s.Language, &s.Zone, &created)
	s.Created = instant(created)
	return s, err
}

// Subscriber finds a reader by her address, in whatever case it is written.
func (s *Store) Subscriber(ctx context.Context, address newsletter.Address) (newsletter.Subscriber, error) {
	sub, err := scanSubscriber(s.read.QueryRowContext(ctx, `SELECT `+subscriberColumns+` FROM subscribers WHERE address_hash = $1`,
		s.addressKey().AddressHash(address)))
	if err != nil {
		return sub, fmt.Errorf("looking the subscriber up: %w", found(err))
	}
	return sub, nil
}

// EachSubscriber calls back with each reader of a list (of any list when it is empty), in order of id, with her
// subscriptions. It holds one page at a time, so that a list of a million costs no more memory than one of a hundred.
func (s *Store) EachSubscriber(ctx context.Context, list string, do func(newsletter.Subscriber, []newsletter.Subscription) error) error {
	const page = 500
	for after := newsletter.SubscriberID(0); ; {
		rows, err := s.read.QueryContext(ctx, `SELECT `+subscriberColumns+` FROM subscribers
			WHERE id > $1 AND ($2 = '' OR EXISTS (SELECT 1 FROM subscriptions c WHERE c.list = $2 AND c.subscriber = subscribers.id))
			ORDER BY id LIMIT $3`, after, list, page)
		subs, err := collect(rows, err, func(r *sql.Rows) (newsletter.Subscriber, error) { return scanSubscriber(r) })
		if err != nil {
			return fmt.Errorf("listing subscribers: %w", err)
		}
		for _, sub := range subs {
			after = sub.ID
			subscriptions, err := s.Subscriptions(ctx, sub.ID)
			if err != nil {
				return err
			}
			if err := do(sub, subscriptions); err != nil {
				return err
			}
		}
		if len(subs) < page {
			return nil
		}
	}
}

// Subscriptions are all that a reader has or had, by list.
func (s *Store) Subscriptions(ctx context.Context, id newsletter.SubscriberID) ([]newsletter.Subscription, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT list, subscriber, state, topics, consent_at, consent_source
		FROM subscriptions WHERE subscriber = $1 ORDER BY list`, id)
	all, err := collect(rows, err, func(r *sql.Rows) (c newsletter.Subscription, err error) {
		var topics string
		var at int64
		if err := r.Scan(&c.List, &c.Subscriber, &c.State, &topics, &at, &c.Consent.Source); err != nil {
			return c, err
		}
		c.Consent.At = instant(at)
		c.Topics, err = parseWords(topics)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing subscriptions: %w", err)
	}
	return all, nil
}

// Suppression says why an address is never mailed, or newsletter.ErrNotFound.
func (s *Store) Suppression(ctx context.Context, address newsletter.Address) (newsletter.Suppression, error) {
	var x newsletter.Suppression
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT reason, at FROM suppressions WHERE address_hash = $1`, s.addressKey().AddressHash(address)).Scan(&x.Reason, &at)
	x.At = instant(at)
	if err != nil {
		return x, fmt.Errorf("looking a suppression up: %w", found(err))
	}
	return x, nil
}

// Subscription is the state of the subscription that a link stands for. Links bear the id that the list had when they were made: it may have
// another one now.
func (s *Store) Subscription(ctx context.Context, l newsletter.Link) (state newsletter.SubscriptionState, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT state FROM subscriptions WHERE list = COALESCE((SELECT list FROM renames WHERE former = $1), $1) AND subscriber = $2`, l.List, l.Subscriber).Scan(&state)
	if err != nil {
		return "", fmt.Errorf("reading a subscription: %w", found(err))
	}
	return state, nil
}

// endedByImport marks subscriptions that had ended where their reader was imported from.
const endedByImport = "import"

// endedByLink marks subscriptions that the reader ended by her link, and may begin again by it.
const endedByLink = "unsubscribe link"

// Unsubscribe ends the subscription that a link stands for. Doing it again changes nothing.
func (s *Store) Unsubscribe(ctx context.Context, l newsletter.Link, at time.Time) error {
	defer s.wishesChanged()
	return s.transact(ctx, "ending a subscription", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE subscriptions SET state = 'ended', ended_by = $1, before_end = state, changed = $2
			WHERE list = COALESCE((SELECT list FROM renames WHERE former = $3), $3) AND subscriber = $4 AND state <> 'ended'`, endedByLink, millis(at), l.List, l.Subscriber); err != nil {
			return err
		}
		return found(tx.QueryRowContext(ctx, `SELECT 1 FROM subscriptions WHERE list = COALESCE((SELECT list FROM renames WHERE former = $1), $1) AND subscriber = $2`, l.List, l.Subscriber).Scan(new(int)))
	})
}

// undoTime is how long a leaving can be undone by its link: whoever finds an old message must not undo it for ever.
const undoTime = 24 * time.Hour

// Resubscribe undoes an Unsubscribe of the last 24 hours: the subscription is again what it was before. It returns
// newsletter.ErrNotFound when there is none to undo.
func (s *Store) Resubscribe(ctx context.Context, l newsletter.Link, at time.Time) error {
	return s.transact(ctx, "beginning a subscription again", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE subscriptions SET state = before_end, ended_by = '', before_end = '', changed = $1
			WHERE list = COALESCE((SELECT list FROM renames WHERE former = $2), $2) AND subscriber = $3 AND state = 'ended' AND ended_by = $4 AND changed >= $5`,
			millis(at), l.List, l.Subscriber, endedByLink, millis(at.Add(-undoTime)))
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(newsletter.ErrNotFound, err)
		}
		return nil
	})
}
