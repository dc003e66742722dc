package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// site is one dispatcher with a database and a config of its own.
type site struct {
	lab    *lab
	dir    string
	config string
}

// plan is how a site sends.
type plan struct {
	readers     int
	lists       []string // that each of them reads
	connections int
	durability  string // empty: as it comes
	port        int    // the sink's
}

// newSite copies a database with readers and writes a config beside it.
func (l *lab) newSite(ctx context.Context, p plan) (*site, error) {
	base, err := l.base(ctx, p.readers, p.lists)
	if err != nil {
		return nil, err
	}
	l.sites++
	s := &site{lab: l, dir: filepath.Join(l.dir, fmt.Sprint("site-", l.sites))}
	s.config = filepath.Join(s.dir, "config.yaml")
	if err := os.MkdirAll(s.data(), 0o700); err != nil {
		return nil, fmt.Errorf("making a site: %w", err)
	}
	if err := copyFile(filepath.Join(s.data(), store.FileName), filepath.Join(base, store.FileName)); err != nil {
		return nil, fmt.Errorf("copying a database: %w; give -dir a folder with more room", err)
	}
	config := fmt.Sprintf(`data_dir: data
public_url: https://news.example.org
publisher: {name: Example Magazine, from: news@example.org, postal_address: "1 Example Street, Springfield"}
relays: [{host: 127.0.0.1, port: %d, connections: %d}]
http: {listen: "127.0.0.1:0", admin_listen: "127.0.0.1:0"}
lists: [{id: weekly}, {id: urgent, kind: alert}]
`, p.port, p.connections)
	if p.durability != "" {
		config += "durability: " + p.durability + "\n"
	}
	return s, os.WriteFile(s.config, []byte(config), 0o600)
}

// remove makes room for the next.
func (s *site) remove() error { return os.RemoveAll(s.dir) }

func (s *site) data() string { return filepath.Join(s.dir, "data") }

// do runs a command of dispatcher.
func (s *site) do(ctx context.Context, args ...string) (*program, error) {
	return runToEnd(ctx, s.lab.binary, append([]string{"--config", s.config}, args...)...)
}

// serve starts the daemon. Its word is that an edition is done.
func (s *site) serve(ctx context.Context) (*program, error) {
	return start(ctx, "edition done", s.lab.binary, "--config", s.config, "serve")
}

// audit asks the ledger whether every reader of the one edition has it.
func (s *site) audit(ctx context.Context, readers int) error {
	out, err := exec.CommandContext(ctx, s.lab.binary, "--config", s.config, "editions", "list", "--json").Output()
	if err != nil {
		return fmt.Errorf("asking the ledger: %w", err)
	}
	var editions []struct{ Sent int }
	if err := json.Unmarshal(out, &editions); err != nil {
		return fmt.Errorf("asking the ledger: %w", err)
	}
	if len(editions) != 1 || editions[0].Sent != readers {
		return fmt.Errorf("the ledger does not say that one edition was sent to %d readers: %s", readers, out)
	}
	return nil
}

// base makes a database with readers of lists, and with articles for one digest, the first time that it is asked for.
func (l *lab) base(ctx context.Context, readers int, lists []string) (dir string, err error) {
	name := fmt.Sprint(readers, "-", strings.Join(lists, "-"))
	if dir, ok := l.bases[name]; ok {
		return dir, nil
	}
	tell("preparing %s readers of %s", thousands(readers), strings.Join(lists, " and "))
	dir = filepath.Join(l.dir, "readers-"+name)
	if err := fill(ctx, dir, readers, lists); err != nil {
		return "", fmt.Errorf("preparing readers: %w", err)
	}
	l.bases[name] = dir
	return dir, nil
}

func fill(ctx context.Context, dir string, readers int, lists []string) (err error) {
	db, err := store.Open(ctx, dir, time.Now())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.TakeIn(ctx, nil, articles(time.Now()), time.Now()); err != nil {
		return err
	}
	lasting := context.WithoutCancel(ctx) // a context that can be cancelled costs each statement a goroutine
	const group = 10_000                  // in one transaction
	batch := make([]store.Enrolment, 0, group)
	for n := range readers {
		batch = append(batch, store.Enrolment{
			Subscriber: newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", n)), Name: fmt.Sprintf("Reader Number %d", n), Language: "en"},
			Lists:      lists, Confirmed: true, Consent: newsletter.Consent{At: time.Now(), Source: "bench"},
		})
		if len(batch) == group || n == readers-1 {
			if _, err := db.Enrol(lasting, batch, time.Now()); err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			batch = batch[:0]
		}
	}
	return nil
}

// articles make a digest whose messages are of 12 kB.
func articles(now time.Time) (entries []newsletter.Found) {
	for i := range 2 {
		entries = append(entries, newsletter.Found{Item: newsletter.Item{
			Kind: newsletter.Article, State: newsletter.Queued, Feed: "bench", GUID: fmt.Sprint(i), URL: fmt.Sprintf("https://magazine.example/long-read-%d/", i),
			Title: fmt.Sprintf("The long read, part %d", i+1), Published: now,
			Summary: "A sentence that is as long as sentences are in a magazine.",
		}})
	}
	return entries
}

// urge puts an action for an alert into the queue. It is not urgent by itself: the moment of the alert is the command's.
func (s *site) urge(ctx context.Context) (err error) {
	now := time.Now()
	db, err := store.Open(ctx, s.data(), now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.TakeIn(ctx, nil, []newsletter.Found{{Item: newsletter.Item{
		Kind: newsletter.Action, State: newsletter.Queued, Feed: "bench", GUID: "action", URL: "https://magazine.example/action/",
		Petition: "https://magazine.example/petition/", Title: "Ask for the reporter's release", Published: now, Expires: now.AddDate(0, 0, 14),
		Summary: "She has been held for two weeks and no charge has been named.",
	}}}, now)
	return err
}

// copyFile copies a file onto the disk, not only into its cache: what is measured next must not pay for it.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}
