package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// scale is how large the fault tests are.
type scale struct {
	kills, stops, restarts int // of the process, of the process in good order, and of the relay, all in one edition
	many                   int // readers of the edition that is killed and stopped in mid-send
	readers                int // of every other edition
}

// sizes are those of the short form, which is part of every run of the tests, or of the long one with SOAK=1.
func sizes() scale {
	if os.Getenv("SOAK") != "" {
		return scale{kills: 100, stops: 50, restarts: 20, many: 5000, readers: 2000}
	}
	return scale{kills: 12, stops: 5, restarts: 3, many: 1500, readers: 300}
}

// seeded gives a test its random numbers. With FAULT_SEED it makes the same choices again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("FAULT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FAULT_SEED: %v", err)
		}
	}
	t.Logf("FAULT_SEED=%d makes the same choices again", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// moments are n numbers below a limit, in order: after how many accepted messages something happens.
func moments(random *rand.Rand, n, limit int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = 1 + random.IntN(limit-1)
	}
	slices.Sort(all)
	return all
}

// addresses is a set of readers.
type addresses map[string]bool

func address(n int) string { return fmt.Sprintf("reader%d@example.net", n) }

// oneOfEach draws one reader out of each so many neighbours, twice, and never the same one: what befalls those of a set is
// spread over the edition, and never befalls many in a row.
func oneOfEach(random *rand.Rand, neighbours, readers int) (one, other addresses) {
	one, other = addresses{}, addresses{}
	for first := 1; first+neighbours <= readers+1; first += neighbours {
		drawn := random.Perm(neighbours)
		one[address(first+drawn[0])] = true
		other[address(first+drawn[1])] = true
	}
	return one, other
}

// atFirst gives an answer to the first try of each of some readers, at one stage.
func atFirst(readers addresses, stage smtptest.Stage, answer smtptest.Answer) smtptest.Script {
	tried := addresses{}
	return func(e smtptest.Event) smtptest.Answer {
		if e.Stage != stage || !readers[e.To] || tried[e.To] {
			return smtptest.Answer{}
		}
		tried[e.To] = true
		return answer
	}
}

// connections is how many a rig has to its relay.
const connections = 16

// rig is a site with readers of its digest, and the relay that misbehaves under it.
type rig struct {
	*site
	t       *testing.T
	data    string // the folder of the database
	relay   *smtptest.Server
	readers int
	admin   int
}

// setting is what a rig is made of.
type setting struct {
	readers     int // of its digest
	relay       smtptest.Config
	connections int    // 0: 16
	keys        string // more of the relay's in the config
	data        string // the folder of the database; empty: beside the config
}

// newRig makes a rig. Its digest has no slot for months, so that a clock that is moved by hours meets none.
func newRig(t *testing.T, with setting) *rig {
	t.Helper()
	listening, admin := serving(t)
	r := &rig{t: t, relay: newRelay(t, with.relay), readers: with.readers, admin: admin, data: with.data}
	r.site = newSite(t, r.relay.Port, listening)
	if r.data == "" {
		r.data = filepath.Join(r.dir, "data")
	}
	r.config += "\ndata_dir: " + r.data
	rare := fmt.Sprintf("\"0 9 1 %d *\"", time.Now().AddDate(0, 6, 0).Month())
	port := fmt.Sprintf("port: %d", r.relay.Port)
	keys := fmt.Sprintf("%s, connections: %d, %s", port, cmp.Or(with.connections, connections), with.keys)
	r.config = strings.NewReplacer("Mon 09:00", rare, port, keys).Replace(r.config)
	r.write("config.yaml", r.config)
	r.ok("fetch")
	var b strings.Builder
	b.WriteString("email,lists\n")
	for i := range r.readers {
		fmt.Fprintf(&b, "%s,weekly\n", address(i+1))
	}
	r.ok("subscribers", "import", r.write("readers.csv", b.String()), "--confirmed", "form")
	return r
}

// send makes the edition, which the running serve sends.
func (r *rig) send() { r.t.Helper(); r.ok("send", "weekly", "--yes") }

// accepted waits until the relay has taken n messages.
func (r *rig) accepted(n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if err := r.relay.Wait(ctx, n); err != nil {
		r.t.Fatal(err)
	}
}

// inStore does something with the database, which nobody else holds open for long: after a kill it is the next serve that
// finds the files as they were left.
func (r *rig) inStore(do func(*store.Store) error) {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), r.data, time.Now())
	if err == nil {
		err = errors.Join(do(db), db.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// ledger is the edition with its counts, which must add up at any moment.
func (r *rig) ledger() (e newsletter.Edition) {
	r.t.Helper()
	r.inStore(func(db *store.Store) (err error) {
		e, err = db.Edition(r.t.Context(), 1)
		return err
	})
	c := e.Counts
	if sum := c.Sent + c.Pending + c.Failed + c.Withdrawn + c.Unknown; c.Audience != r.readers || sum != c.Audience {
		r.t.Errorf("the counts of %d readers do not add up: %+v", r.readers, c)
	}
	return e
}

// until waits until the ledger is as it should be, while something happens at each look, and a daemon runs.
func (r *rig) until(what string, d *daemon, each func(), is func(newsletter.Edition) bool) (e newsletter.Edition) {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the ledger: %+v, the relay: %+v", e.Counts, r.relay.Counts())
		}
	}()
	eventually(r.t, what, func() bool {
		d.mustRun()
		if e = r.ledger(); is(e) {
			return true
		}
		each()
		return false
	})
	return e
}

// done waits until the edition is done, with no help but that of the real clock: nothing may wait for a retry.
func (r *rig) done(d *daemon) newsletter.Counts {
	r.t.Helper()
	return r.until("the edition is done at once", d, func() {}, isDone).Counts
}

// doneLater waits until the edition is done, and lets the hours pass.
func (r *rig) doneLater(d *daemon, c *movable) newsletter.Counts {
	r.t.Helper()
	return r.until("the edition is done in the course of the hours", d, func() { c.move(time.Minute) }, isDone).Counts
}

func isDone(e newsletter.Edition) bool { return e.State == newsletter.Done }

// copies are the messages that the relay has taken, by reader.
func (r *rig) copies() map[string][]smtptest.Message {
	got := map[string][]smtptest.Message{}
	for _, m := range r.relay.Messages() {
		got[m.To[0]] = append(got[m.To[0]], m)
	}
	return got
}

// eachOnce checks that everybody has one copy, but for some who may have another number of them.
func (r *rig) eachOnce(others ...addresses) {
	r.t.Helper()
	copies := r.copies()
	var lost, twice int
	for i := range r.readers {
		to := address(i + 1)
		if slices.ContainsFunc(others, func(a addresses) bool { return a[to] }) {
			continue
		}
		switch n := len(copies[to]); {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost > 0 || twice > 0 {
		r.t.Errorf("of %d readers %d have no copy and %d more than one", r.readers, lost, twice)
	}
}

// againInFlight checks that everybody has a copy, and that whoever has more has the same message again, and for a reason: all of
// them but one were the last on their connection, so that they were in flight when it ended. It returns the number of second copies.
func (r *rig) againInFlight() (again int) {
	r.t.Helper()
	last := map[int]int{}
	for _, m := range r.relay.Messages() {
		last[m.Session] = max(last[m.Session], m.Number)
	}
	copies := r.copies()
	if len(copies) != r.readers {
		r.t.Errorf("%d of %d readers are reached", len(copies), r.readers)
	}
	other, causeless := 0, 0
	for _, all := range copies {
		again += len(all) - 1
		settled := 0
		for _, m := range all {
			if m.MessageID != all[0].MessageID || dateOf(r.t, m) != dateOf(r.t, all[0]) {
				other++
			}
			if m.Number < last[m.Session] {
				settled++
			}
		}
		if settled > 1 {
			causeless++
		}
	}
	if other > 0 || causeless > 0 {
		r.t.Errorf("of %d second copies %d bear another Message-ID or Date than the first, and %d readers have one without a cause", again, other, causeless)
	}
	return again
}

func dateOf(t *testing.T, m smtptest.Message) string {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatalf("reading a message: %v", err)
	}
	return parsed.Header.Get("Date")
}

// fates are what the ledger and the suppressions say about each reader.
func (r *rig) fates() map[string]fate {
	r.t.Helper()
	all := map[string]fate{}
	r.inStore(func(db *store.Store) error {
		return db.EachSubscriber(r.t.Context(), "weekly", func(s newsletter.Subscriber, _ []newsletter.Subscription) error {
			copies, err := db.Copies(r.t.Context(), s.ID, 2)
			if err != nil || len(copies) != 1 {
				return errors.Join(err, fmt.Errorf("a reader has %d copies in the ledger", len(copies)))
			}
			_, err = db.Suppression(r.t.Context(), s.Address)
			if err != nil && !errors.Is(err, newsletter.ErrNotFound) {
				return err
			}
			all[string(s.Address)] = fate{copies[0], err == nil}
			return nil
		})
	})
	return all
}

// fate is what became of one reader's copy and of her address.
type fate struct {
	store.Copy
	suppressed bool
}

// sentAtFirst checks that everybody's copy was sent at the first try, as far as the ledger knows: no fault of a connection
// is a reader's.
func (r *rig) sentAtFirst(others ...addresses) {
	r.t.Helper()
	blamed := 0
	for to, f := range r.fates() {
		if slices.ContainsFunc(others, func(a addresses) bool { return a[to] }) {
			continue
		}
		if f.State != newsletter.Sent || f.Attempts != 1 || len(f.Tries) > 0 || f.suppressed {
			if blamed == 0 {
				r.t.Logf("such as %+v", f)
			}
			blamed++
		}
	}
	if blamed > 0 {
		r.t.Errorf("%d readers of %d are blamed", blamed, r.readers)
	}
}
