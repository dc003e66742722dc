package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// storedDatabases are those of each schema that was ever released, without the ends of their names.
func storedDatabases(t *testing.T) (names []string) {
	t.Helper()
	for _, file := range must[[]string](t)(filepath.Glob("testdata/schema*.json")) {
		names = append(names, strings.TrimSuffix(file, ".json"))
	}
	if len(names) == 0 {
		t.Fatal("there are no stored databases")
	}
	return names
}

// Whatever version wrote a database, today's finds all of it: readers, what they chose and what they have had, links in old mail, and what was
// on its way. Nothing is mailed twice, and nothing at all before somebody has looked, since it stands in another place.
func TestADatabaseOfEachSchemaGoesOn(t *testing.T) {
	for _, name := range storedDatabases(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir, saw := unpack(t, name)
			s := open(t, dir)
			now := look(t, s)
			for table, n := range saw.Rows {
				if now.Rows[table] != n {
					t.Errorf("%s has %d rows, of %d", table, now.Rows[table], n)
				}
			}
			now.Rows = saw.Rows // the others are new
			if diff := cmp.Diff(saw, now); diff != "" {
				t.Errorf("it is not what it was:\n%s", diff)
			}
			opensLinks(t, s, saw)
			goesOnSending(t, s, saw)
			makesNothingTwice(t, s)
		})
	}
}

func opensLinks(t *testing.T, s *store.Store, saw stored) {
	t.Helper()
	link, err := s.Keys().Open(saw.Token, newsletter.PurposeUnsubscribe)
	if err != nil || link.Subscriber != 5 || link.List != "weekly" {
		t.Errorf("a link in old mail opens as %+v: %v", link, err)
	}
	if copied, err := s.Keys().OpenBounce(saw.Bounce); err != nil || copied != (newsletter.DeliveryKey{Edition: 1, Subscriber: 1}) {
		t.Errorf("the sender of old mail names the copy %+v: %v", copied, err)
	}
}

// goesOnSending claims what was pending, once mail is released.
func goesOnSending(t *testing.T, s *store.Store, saw stored) {
	t.Helper()
	ctx := t.Context()
	run, _, err := s.BeginRun(ctx, nil, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	c := newsletter.Claim{Run: run, Lane: newsletter.AlertLane, Now: start.Add(time.Minute), N: 100}
	if held := must[string](t)(s.Beat(ctx, c.Now)); held == "" || len(must[[]newsletter.Delivery](t)(s.ClaimDeliveries(ctx, c))) > 0 {
		t.Errorf("mail goes from a copied database: %q", held)
	}
	if err := s.Release(ctx, c.Now); err != nil {
		t.Fatal(err)
	}
	var claimed []newsletter.DeliveryKey
	for _, d := range must[[]newsletter.Delivery](t)(s.ClaimDeliveries(ctx, c)) {
		claimed = append(claimed, d.DeliveryKey)
		record(t, s, sent(d))
	}
	slices.SortFunc(claimed, func(a, b newsletter.DeliveryKey) int { return int(a.Subscriber - b.Subscriber) })
	if diff := cmp.Diff(saw.Pending, claimed); diff != "" {
		t.Errorf("what is claimed is not what was pending:\n%s", diff)
	}
}

func makesNothingTwice(t *testing.T, s *store.Store) {
	t.Helper()
	d := draft(t, s, "weekly", start)
	if _, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrSlotTaken) {
		t.Errorf("a slot that has its edition: %v", err)
	}
	d.Slot.Due = start.Add(30 * day)
	d.Items = []newsletter.ItemID{1}
	if _, err := s.Freeze(t.Context(), d); !errors.Is(err, newsletter.ErrFrozen) {
		t.Errorf("an item that the list has used: %v", err)
	}
}

// A migration that fails leaves the database to the version that wrote it, and opening it again goes on when the cause is gone.
func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	dir, saw := unpack(t, "testdata/schema1")
	path := filepath.Join(dir, store.FileName)
	inFile(t, path, func(db *sql.DB) { must[sql.Result](t)(db.Exec(`CREATE TABLE edition_sums (in_the_way INTEGER)`)) })
	schema := func() (text string) {
		inFile(t, path, func(db *sql.DB) {
			if err := db.QueryRow(`SELECT string_agg(sql, char(10) ORDER BY name) FROM sqlite_schema`).Scan(&text); err != nil {
				t.Fatal(err)
			}
		})
		return text
	}
	before := schema()
	if _, err := store.Open(t.Context(), dir, start); err == nil || !strings.Contains(err.Error(), "bringing") {
		t.Fatalf("opening it gives %v", err)
	}
	if diff := cmp.Diff(before, schema()); diff != "" || schemaOf(t, path) != 1 {
		t.Errorf("it is of schema %d now:\n%s", schemaOf(t, path), diff)
	}
	after := rows(t, path)
	delete(after, "edition_sums")
	if diff := cmp.Diff(saw.Rows, after); diff != "" {
		t.Errorf("rows have changed:\n%s", diff)
	}
	inFile(t, path, func(db *sql.DB) { must[sql.Result](t)(db.Exec(`DROP TABLE edition_sums`)) })
	if e := must[newsletter.Edition](t)(open(t, dir).Edition(t.Context(), 1)); e.Counts.Audience != 7 {
		t.Errorf("after all, its first edition has %+v", e.Counts)
	}
}
