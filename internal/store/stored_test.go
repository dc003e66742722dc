package store_test

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

var update = flag.Bool("update", false, "store a database of the newest schema, unless there is one")

// stored is what the version that made a stored database saw in it.
type stored struct {
	Token         string // lets subscriber 5 leave the list weekly
	Bounce        string // names the copy of edition 1 for subscriber 1
	Message       string // Message-ID of that copy
	Rows          map[string]int
	Editions      []storedEdition
	Subscriptions map[newsletter.Address][]string // list and state
	Suppressed    []newsletter.Address
	Pending       []newsletter.DeliveryKey // that the next mailer claims, those that a killed one had claimed among them
}

type storedEdition struct {
	ID     newsletter.EditionID
	List   string
	Kind   newsletter.Kind
	State  newsletter.EditionState
	Slot   time.Time
	Counts newsletter.Counts
}

// storedReader is the address of one of the readers of a stored database.
func storedReader(n int) newsletter.Address {
	return newsletter.Address(fmt.Sprintf("reader%d@example.org", n))
}

// There is a stored database of the newest schema. With -update it is made, once: what was released is frozen.
func TestThereIsAStoredDatabaseOfTheNewestSchema(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	name := filepath.Join("testdata", fmt.Sprintf("schema%d", schemaOf(t, s.Path())))
	switch _, err := os.Stat(name + ".json"); {
	case err == nil:
		return
	case !*update:
		t.Fatalf("there is no %s: make it with -update, and keep it as it is from its release on", name)
	}
	furnish(t, s)
	prune(t, s, 2, 100)
	must[[]store.Enrolled](t)(s.Enrol(t.Context(), []store.Enrolment{{Subscriber: newsletter.Subscriber{Address: storedReader(1)}, Lists: []string{"monthly"}}}, start))
	must[bool](t)(s.RenameList(t.Context(), "monthly", "quarterly", start))
	saw := look(t, s)
	for table, n := range saw.Rows {
		if n == 0 {
			t.Errorf("%s is empty: what it is for would not be tried", table)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := must[[]byte](t)(json.MarshalIndent(saw, "", "  "))
	var packed bytes.Buffer
	w := must[*gzip.Writer](t)(gzip.NewWriterLevel(&packed, gzip.BestCompression))
	must[int](t)(w.Write(must[[]byte](t)(os.ReadFile(s.Path()))))
	for _, err := range []error{w.Close(), os.WriteFile(name+".db.gz", packed.Bytes(), 0o644), os.WriteFile(name+".json", append(text, '\n'), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// furnish puts something into every table, and a delivery into every state.
func furnish(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	must[string](t)(s.Beat(ctx, start))
	a := action("Open the archive")
	a.Deadline = start.Add(72 * time.Hour)
	held := article("Held back")
	held.State, held.Reason = newsletter.Held, "too many at once"
	feed := newsletter.FeedState{Name: "magazine", URL: "https://magazine.example/feed/", ETag: `"1"`, LastPoll: start, BaselineDone: true}
	entries := []newsletter.Found{{Item: article("A letter from the north wing")}, {Item: a}, {Item: held}}
	must[newsletter.Intake](t)(s.TakeIn(ctx, &feed, entries, start))
	var batch []store.Enrolment
	for n := range 8 {
		batch = append(batch, store.Enrolment{
			Subscriber: newsletter.Subscriber{Address: storedReader(n + 1), Name: "Reader " + strconv.Itoa(n+1), Language: "en", Zone: "Europe/Berlin"},
			Lists:      []string{"weekly", "urgent"}, Confirmed: n < 7, Consent: newsletter.Consent{At: start, Source: "spring fair"},
		})
	}
	must[[]store.Enrolled](t)(s.Enrol(ctx, batch, start))
	must[newsletter.Mark](t)(s.Mark(ctx, "weekly", newsletter.Mark{Considered: start.Add(-time.Hour), Schedule: "0 9 * * MON", Zone: "UTC"}))
	if err := s.Skip(ctx, []newsletter.Decided{{Slot: newsletter.Slot{List: "weekly", Due: start.Add(-7 * 24 * time.Hour)}, Fate: newsletter.SkippedNoItems}}, start); err != nil {
		t.Fatal(err)
	}
	furnishWeekly(t, s)
	furnishUrgent(t, s)
}

// furnishWeekly makes an edition that is done, with a copy in each state in which copies end, one that is cancelled and a rehearsal.
func furnishWeekly(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	run, _, err := s.BeginRun(ctx, nil, start)
	if err != nil {
		t.Fatal(err)
	}
	d := draft(t, s, "weekly", start)
	d.Proofs = []newsletter.Address{"desk@example.org"}
	freeze(t, s, d)
	if err := s.Unsubscribe(ctx, newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 2, List: "weekly"}, start); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the proof, then the readers
		for _, d := range must[[]newsletter.Delivery](t)(s.ClaimDeliveries(ctx, newsletter.Claim{Run: run, Lane: newsletter.DigestLane, Now: start, N: 10})) {
			o := sent(d)
			o.Relay = "main"
			switch d.Subscriber {
			case 3:
				o = refused(d, newsletter.RecipientGone)
			case 4:
				o = refused(d, newsletter.OurContent)
			case 5:
				o = newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Unknown, At: start, Attempts: 1, Words: "the line was cut"}
			}
			record(t, s, o)
		}
	}
	for _, b := range []newsletter.Bounce{
		{DeliveryKey: newsletter.DeliveryKey{Edition: 1, Subscriber: 6}, Kind: newsletter.SoftBounce, Status: "4.2.2", Words: "full", At: start.Add(time.Hour)},
		{DeliveryKey: newsletter.DeliveryKey{Edition: 1, Subscriber: 7}, Kind: newsletter.HardBounce, Status: "5.1.1", Words: "no such mailbox", At: start.Add(time.Hour)},
	} {
		must[bool](t)(s.RecordBounce(ctx, b))
	}
	if done := finished(t, s); len(done) != 1 {
		t.Fatalf("%d editions are done", len(done))
	}
	if err := s.EndRun(ctx, run, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	takeIn(t, s, article("The ferry comes back"))
	cancelled := freeze(t, s, draft(t, s, "weekly", start.Add(7*24*time.Hour)))
	must[int](t)(s.CancelEdition(ctx, cancelled, "wrong picture", start.Add(time.Hour)))
	takeIn(t, s, article("Lights on the pier"))
	d = draft(t, s, "weekly", start.Add(14*24*time.Hour))
	d.Rehearsal = true
	freeze(t, s, d)
	finished(t, s)
}

// furnishUrgent makes an alert that is being sent: the mailer that had claimed some of it was killed.
func furnishUrgent(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	run, _, err := s.BeginRun(ctx, nil, start)
	if err != nil {
		t.Fatal(err)
	}
	d := draft(t, s, "urgent", start.Add(time.Minute))
	d.List.Kind = newsletter.Alert
	d.Items = []newsletter.ItemID{2}
	d.Variants[0].Items = d.Items
	id := freeze(t, s, d)
	claimed := must[[]newsletter.Delivery](t)(s.ClaimDeliveries(ctx, newsletter.Claim{Run: run, Lane: newsletter.AlertLane, Now: start.Add(time.Minute), N: 3}))
	record(t, s, sent(claimed[0]))
	must[int](t)(s.RecordDone(ctx, 2, []newsletter.Address{storedReader(1)}, start))
	paused := d
	paused.Slot.Due, paused.Items, paused.Again = start.Add(2*time.Minute), nil, []newsletter.ItemID{2}
	if err := s.PauseEdition(ctx, freeze(t, s, paused), "by hand"); err != nil {
		t.Fatal(err)
	}
	if c := counts(t, s, id); c.Sent != 1 || c.Pending != c.Audience-1 {
		t.Fatalf("the alert has %+v", c)
	}
}

// look sees what matters in a database.
func look(t *testing.T, s *store.Store) (saw stored) {
	t.Helper()
	ctx := t.Context()
	key := s.Keys()[1]
	copied := newsletter.DeliveryKey{Edition: 1, Subscriber: 1}
	saw = stored{
		Token:  key.Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 5, List: "weekly"}),
		Bounce: key.BounceToken(copied), Message: key.MessageID(copied, "news.example.org"),
		Rows: rows(t, s.Path()), Subscriptions: map[newsletter.Address][]string{},
	}
	for _, e := range must[[]newsletter.Edition](t)(s.Editions(ctx, "", 0)) {
		saw.Editions = append(saw.Editions, storedEdition{e.ID, e.List, e.Kind, e.State, e.Slot, e.Counts})
	}
	err := s.EachSubscriber(ctx, "", func(r newsletter.Subscriber, all []newsletter.Subscription) error {
		for _, c := range all {
			saw.Subscriptions[r.Address] = append(saw.Subscriptions[r.Address], c.List+" "+string(c.State))
		}
		_, err := s.Suppression(ctx, r.Address)
		if err == nil {
			saw.Suppressed = append(saw.Suppressed, r.Address)
		} else if !errors.Is(err, newsletter.ErrNotFound) {
			return err
		}
		for _, c := range must[[]store.Copy](t)(s.Copies(ctx, r.ID, 100)) {
			if c.State == newsletter.Pending && c.Edition.State == newsletter.Sending {
				saw.Pending = append(saw.Pending, newsletter.DeliveryKey{Edition: c.Edition.ID, Subscriber: r.ID})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return saw
}

// inFile looks into a database file without the store.
func inFile(t *testing.T, path string, do func(db *sql.DB)) {
	t.Helper()
	db := must[*sql.DB](t)(sql.Open("sqlite3", "file:"+path))
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func schemaOf(t *testing.T, path string) (version int) {
	t.Helper()
	inFile(t, path, func(db *sql.DB) {
		if err := db.QueryRow(`SELECT MAX(version_id) FROM goose_db_version`).Scan(&version); err != nil {
			t.Fatal(err)
		}
	})
	return version
}

// rows counts the rows of each table.
func rows(t *testing.T, path string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	inFile(t, path, func(db *sql.DB) {
		var tables string
		if err := db.QueryRow(`SELECT string_agg(name, ' ') FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`).Scan(&tables); err != nil {
			t.Fatal(err)
		}
		for _, table := range strings.Fields(tables) {
			n := 0
			if err := db.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			counts[table] = n
		}
	})
	return counts
}

// unpack puts a stored database into a data folder, and says what was in it.
func unpack(t *testing.T, name string) (dir string, saw stored) {
	t.Helper()
	dir = t.TempDir()
	packed := must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(must[[]byte](t)(os.ReadFile(name + ".db.gz")))))
	if err := os.WriteFile(filepath.Join(dir, store.FileName), must[[]byte](t)(io.ReadAll(packed)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile(name+".json")), &saw); err != nil {
		t.Fatal(err)
	}
	return dir, saw
}
