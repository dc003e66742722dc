package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dispatcher/internal/config"
)

// FuzzLoad claims that no file, however broken, brings Load down, and that every refusal is a list of
// problems of one line each, none of which shows the password.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		smallest, fuller, "", "\t", "a: [", "- {a: *b}", "--- \n---\n", "? [a]\n: b\n", "publisher: {name: !!binary aGk=}\n",
		"lists: [{schedule: \"0 9 * * MON\", timezone: UTC}, 5, ~]\n", "feeds: [{poll: 10, max_age: 9999999d}]\n",
		"relays: [{host: \"[::1]\", port: 99999999999999999999}]\n",
		"relays: [{rate: 9999999999/s, timeouts: [1s], class_rates: [{class: \"a@\", rate: /}, 5, ~]}]\nlists: [{first_wave: then then then}]\n", "log: {level: &a [*a]}\n", "\xef\xbb\xbfrehearsal: true\n", "\xff\xfea\x00",
		"lists: [{timezone: subscriber, default_timezone: ~, schedule: \"@every 1h\", on_missed: {}, max_lateness: -5m, reminder: 9999999d}, {kind: alert, timezone: subscriber, schedule: \"CRON_TZ= 0 0 9 * * 1\"}]\n",
		"alerts: {at_most: 1 per per, quiet_hours: 24:00-}\naction_links: [stable]\n", smallest + "  - {id: a, kind: alert, on_missed: skip, reminder: 1h, default_timezone: UTC}\nalerts: {quiet_hours: 7:00-22:00, at_most: 1 per 1h}\n",
		smallest + "  - {id: a, was: iran-weekly, retired: true}\nformer_urls: [https://a.example, 5]\nkeep_deliveries: 1d\n",
		"%YAML 1.1\n---\nhttp: {listen: \":\"}\n", "public_url: \"http://%\"\n", "a: |\n\t\n b\n", "{{{{{{{{", "# c\n\n  # d\nlists:\n  # e\n  - id: a # f\n",
	} {
		f.Add([]byte(seed))
	}
	path := folder(f, "")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, nil)
		if err == nil {
			if cfg.PublicURL == "" || len(cfg.Relays) == 0 || len(cfg.Lists) == 0 || cfg.ActionLinks == "" || !filepath.IsAbs(cfg.DataDir) {
				t.Errorf("an incomplete config was taken: %+v", cfg)
			}
			for _, l := range cfg.Lists {
				if l.Zone == nil || l.MaxLateness <= 0 || l.OnMissed == "" || l.Local != (l.DefaultTimezone != "" && l.Timezone == "subscriber") {
					t.Errorf("an incomplete list was taken: %+v", l)
				}
			}
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("Load gave %v, want Problems", err)
		}
		for _, p := range problems {
			line := p.String()
			if p.What == "" || p.Cure == "" || strings.ContainsAny(line, "\r\n") || strings.Contains(line, password) {
				t.Errorf("problem %q", line)
			}
			if p.Line < 0 || p.Line > strings.Count(string(text), "\n")+strings.Count(string(text), "\r")+1 {
				t.Errorf("problem %q is on no line of the file", line)
			}
		}
	})
}
