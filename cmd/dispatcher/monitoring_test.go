package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/smtptest"
)

// get asks the admin listener of a rig's serve.
func (r *rig) get(path string) (status int, body string) {
	r.t.Helper()
	got, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", r.admin, path))
	if err != nil {
		r.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// scraped is what /metrics shows where all that it can show is there: a reader is gone, others have their copies, one is put off.
func scraped(t *testing.T) string {
	t.Helper()
	first, second := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "no such user"}, smtptest.Answer{Code: 451, Text: "later"}
	r := newRig(t, setting{readers: 5, keys: "rate: 1000/s", relay: smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		switch {
		case e.Stage == smtptest.Rcpt && e.To == address(1):
			return first
		case e.Stage == smtptest.Rcpt && e.To == address(2):
			return second
		}
		return smtptest.Answer{}
	}}})
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.accepted(3)
	var text string
	eventually(t, "all outcomes are written", func() bool {
		serve.mustRun()
		_, text = r.get("/metrics")
		return strings.Contains(text, `dispatcher_deliveries{list="weekly",state="sent"} 3`) && strings.Contains(text, `dispatcher_deliveries{list="weekly",state="failed"} 1`) &&
			strings.Contains(text, `dispatcher_relay_refusals_total{owner="theirs",relay="127.0.0.1",reply="4xx"} 1`) && strings.Contains(text, "last_look")
	})
	if status, body := r.get("/readyz"); status != http.StatusOK || body != "ready\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if strings.Contains(text, "@") {
		t.Error("the metrics hold an address")
	}
	return text
}

// The page about monitoring has each metric that a scrape shows, with its type and labels, and no other.
func TestTheMetricsAreInTheirTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(dispatcher_\\w+)` \\| (\\w+) \\| ([\\w, ]*?) ?\\|").FindAllStringSubmatch(string(page), -1) {
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		documented[m[1]] = fmt.Sprint(m[2], " ", labels)
	}
	text := scraped(t)
	shown := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (dispatcher_\w+) (\w+)\n\w+(?:\{([^\n]*)\})? `).FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`).FindAllStringSubmatch(m[3], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		slices.Sort(labels)
		shown[m[1]] = fmt.Sprint(m[2], " ", labels)
	}
	if diff := cmp.Diff(documented, shown); diff != "" {
		t.Errorf("what the page has (-) is not what a scrape shows (+):\n%s", diff)
	}
	t.Run("promtool", func(t *testing.T) {
		require(t, "promtool")
		check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool says %s, %v", out, err)
		}
	})
}

// What is counted since the start is counted on when a reload has replaced the mailer.
func TestTheCountsOutliveAReload(t *testing.T) {
	r := newRig(t, setting{readers: 3})
	serve := r.serve()
	r.answers(serve)
	r.send()
	r.done(serve)
	const taken = `dispatcher_relay_messages_taken_total{relay="127.0.0.1"} 3`
	if _, text := r.get("/metrics"); !strings.Contains(text, taken) {
		t.Fatalf("three messages are out, and the metrics are\n%s", text)
	}
	r.write("config.yaml", strings.Replace(r.config, "connections: 16", "connections: 5", 1))
	serve.reload(reloaded, 1)
	eventually(t, "the new mailer is seen", func() bool {
		_, text := r.get("/metrics")
		return strings.Contains(text, `dispatcher_relay_connections_limit{relay="127.0.0.1"} 5`) && strings.Contains(text, taken)
	})
}

func TestTheAlertRules(t *testing.T) {
	notUnderRace(t)
	rules, err := os.ReadFile("../../packaging/alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../../packaging/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1)
	for _, m := range alerts {
		if n := strings.Count(string(tests), "alertname: "+m[1]+"\n") + strings.Count(string(tests), "alertname: "+m[1]+","); n < 2 {
			t.Errorf("%s has %d tests, want one that is quiet and one that fires", m[1], n)
		}
	}
	if n := strings.Count(string(rules), " description: "); len(alerts) < 15 || n != len(alerts) {
		t.Errorf("%d alerts have %d descriptions", len(alerts), n)
	}
	for _, m := range regexp.MustCompile(`dispatcher_\w+`).FindAllString(string(rules), -1) {
		if !strings.Contains(string(page), "`"+strings.TrimSuffix(m, "_bucket")+"`") {
			t.Errorf("there is no metric %s", m)
		}
	}
	for _, m := range regexp.MustCompile("`dispatcher ([^`{]+)").FindAllStringSubmatch(string(rules), -1) {
		root := newRootCommand(process{})
		if cmd, rest, err := root.Find(split(m[1])); err != nil || cmd == root || cmd.ParseFlags(rest) != nil {
			t.Errorf("there is no command %q", m[1])
		}
	}
	require(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.rules.yml"}, {"test", "rules", "alerts_test.yml"}} {
		promtool := exec.CommandContext(t.Context(), "promtool", args...)
		promtool.Dir = "../../packaging"
		if out, err := promtool.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// Every line of the log from the level info on is told in the pages about delivery and monitoring, in its own words, and they tell of no other.
func TestEveryLineOfTheLogIsInATable(t *testing.T) {
	var files []string
	for _, glob := range []string{"../../internal/*/*.go", "*.go"} {
		found, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var source strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(filepath.Base(file), "demo") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	tables := ""
	for page, heading := range map[string]string{"delivery.md": "## What the log says\n", "monitoring.md": "## Reading the log\n"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(text), heading)
		table, _, _ = strings.Cut(table, "\n## ")
		tables += table
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `+(.+?) ?`+ \\| (?:error|warning|info) \\|").FindAllStringSubmatch(tables, -1) {
		told[m[1]] = true
		if !strings.Contains(source.String(), `"`+m[1]+`"`) {
			t.Errorf("nothing logs %q", m[1])
		}
	}
	logged := regexp.MustCompile(`\b[lL]og(?:\(\))?\.(?:Error|Warn|Info)(?:Context)?\((?:ctx, )?"([^"]+)"`).FindAllStringSubmatch(source.String(), -1)
	for _, m := range logged {
		if !told[m[1]] {
			t.Errorf("no page tells what to do about %q", m[1])
		}
	}
	if len(logged) < 45 {
		t.Errorf("only %d lines of the log are found", len(logged))
	}
}
