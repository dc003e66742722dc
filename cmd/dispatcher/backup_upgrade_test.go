package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The page about upgrades: its commands of dispatcher, in order, and what it says of the schema and of a newer one.
func TestTheCommandsAboutUpgrading(t *testing.T) {
	notUnderRace(t)
	e := newEra(t, 1, time.Now(), "")
	e.ok("editions", "list")
	a := administer(e)
	ran := 0
	for _, block := range codeBlocks(t, "../../docs/upgrade.md", "console") {
		for line := range strings.Lines(block) {
			a.does(line)
			ran++
		}
	}
	if ran != 3 {
		t.Errorf("%d commands were run", ran)
	}
	text, err := os.ReadFile("../../docs/upgrade.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(e.dir, "data", "dispatcher.db")
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	schema := 0
	if err := db.QueryRow(`SELECT MAX(version_id) FROM goose_db_version`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if table := regexp.MustCompile(`(?m)^\| [0-9.]+ \| ([0-9]+) \|$`).FindAllSubmatch(text, -1); len(table) == 0 || string(table[len(table)-1][1]) != fmt.Sprint(schema) {
		t.Errorf("the page's table of schemas does not end with %d: %q", schema, table)
	}
	r := e.run("editions", "list")
	if told := strings.Replace(r.stderr, path, "/var/lib/dispatcher/dispatcher.db", 1); r.code != exitFailed || !strings.Contains(string(text), "\n"+told) {
		t.Errorf("with a database of a newer schema it ends with %d and says\n%swhich the page does not", r.code, told)
	}
}
