package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// withOffset builds a dispatcher whose clock begins where its environment says.
func withOffset(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "dispatcher")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "clockoffset", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building dispatcher: %v\n%s", err, out)
	}
	return binary
}

// serveFrom runs a serve as a process whose clock begins at an instant.
func (e *era) serveFrom(binary, begin string) *daemon {
	e.t.Helper()
	cmd := exec.Command(binary, "--config", filepath.Join(e.dir, "config.yaml"), "serve")
	cmd.Env = append(os.Environ(), "CLOCK_BEGINS="+begin)
	d := startDaemon(e.t, cmd, "serve from "+begin)
	d.says("msg=serving")
	return d
}

// A change of clocks and a restart right after it: one edition, however often the clock shows its time. A second list, whose slot is
// at an instant of the second life, shows that its clock has gone past the time in question.
func TestAChangeOfClocksAndARestartMakeOneEdition(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	binary := withOffset(t)
	for name, tt := range map[string]struct {
		nightly       string // its schedule in New York
		first, second string // when the two lives begin
		slot          string
		witness       string // a schedule in UTC: just after the second life begins
	}{
		"an hour comes twice": {
			"30 1 * * *", "2026-11-01T01:29:55-04:00", "2026-11-01T01:29:55-05:00", "2026-11-01T01:30:00-04:00", "30 6 * * *",
		},
		"an hour is skipped": {
			"30 2 * * *", "2026-03-08T01:59:55-05:00", "2026-03-08T03:29:55-04:00", "2026-03-08T03:00:00-04:00", "30 7 * * *",
		},
		"an hour is skipped, and the restart is a moment later": {
			"30 2 * * *", "2026-03-08T01:59:55-05:00", "2026-03-08T03:00:55-04:00", "2026-03-08T03:00:00-04:00", "1 7 * * *",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := newRelay(t, smtptest.Config{})
			begin := instantOf(t, tt.first)
			e := newEra(t, relay.Port, begin, fmt.Sprintf("  - {id: nightly, schedule: %q, timezone: America/New_York}\n  - {id: witness, schedule: %q, timezone: UTC}\n", tt.nightly, tt.witness))
			e.ok("subscribers", "import", e.write("readers.csv", "email,lists\nreader1@example.net,nightly;witness\n"), "--confirmed", "form")
			e.bring(anArticle("pier", begin.Add(-time.Hour)))

			serve := e.serveFrom(binary, tt.first)
			made := e.sent(serve, "nightly", 1)
			if !made.Slot.Equal(instantOf(t, tt.slot)) || made.Sent != 1 {
				t.Errorf("the edition: %+v, want it at %s", made, tt.slot)
			}
			if code := serve.terminate(); code != exitDone {
				t.Fatalf("serve ended with code %d", code)
			}

			e.bring(anArticle("quay", begin)) // there would be something to say
			serve = e.serveFrom(binary, tt.second)
			if v := e.sent(serve, "witness", 1); v.State != newsletter.Done {
				t.Errorf("the witness: %+v", v)
			}
			serve.terminate()
			if all := e.editions("nightly"); len(all) != 1 || strings.Contains(serve.log.String(), "list=nightly") {
				t.Errorf("after the restart there are %d editions; serve said\n%s", len(all), serve.log)
			}
			if n := relay.Counts().Accepted; n != 2 {
				t.Errorf("%d messages, want one of each list", n)
			}
		})
	}
}

// instantOf reads an instant.
func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
