package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/config"
)

// problems loads a config that is wrong and gives the lines of its error, with the folder taken out.
func problems(t *testing.T, text string, environ ...string) []string {
	t.Helper()
	path := folder(t, text)
	cfg, err := config.Load(path, environ)
	if _, ok := errors.AsType[config.Problems](err); !ok {
		t.Fatalf("Load gave %v, want Problems", err)
	}
	if cfg.PublicURL != "" || cfg.Relays != nil {
		t.Error("a config with problems was handed out")
	}
	return strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""), "\n")
}

func TestProblemsOfTheFile(t *testing.T) {
	const look = "look at the indentation, quotes, brackets and colons of this line and the one above"
	const empty = "config.yaml: is empty; begin with a copy of config.example.yaml"
	const keys = "public_url, former_urls, publisher, relays, feeds, topics, lists, alerts, action_links, rehearsal, proof_to, unsubscribe_address, bounce_address, durability, on_unknown, http, log, data_dir, templates_dir, keep_deliveries"
	tests := map[string]struct{ text, want string }{
		"nothing":          {"", empty},
		"comments alone":   {"# to do\n\n", empty},
		"null":             {"~\n", empty},
		"a list":           {"- public_url\n", "config.yaml:1: is a list where keys with values belong; write its keys, one to a line: " + keys},
		"a word":           {"# x\nhello\n", "config.yaml:2: is one value where keys with values belong; write its keys, one to a line: " + keys},
		"two documents":    {smallest + "---\nrehearsal: true\n", "config.yaml:10: begins a second YAML document; keep one: take out the line with the three dashes"},
		"first key by tab": {edited(t, "  name: Ex", "\tname: Ex"), "config.yaml:3: is indented with a tab; indent with spaces"},
		"later key by tab": {edited(t, "  postal", "\tpostal"), "config.yaml:5: is indented with a tab; indent with spaces"},
		"indented too little": {
			edited(t, "  postal", " postal"),
			"config.yaml:5: is not valid YAML: did not find expected key; " + look,
		},
		"indented too much": {
			edited(t, "  postal", "    postal"),
			"config.yaml:5: is not valid YAML: mapping values are not allowed in this context; " + look,
		},
		"no colon": {
			edited(t, "  from: news@example.org", "  from"),
			"config.yaml:4: is not valid YAML: could not find expected ':'; " + look,
		},
		"open bracket": {
			edited(t, "password}]", "password}"),
			"config.yaml:6: is not valid YAML: did not find expected ',' or ']'; " + look,
		},
		"open quote": {
			smallest + "log:\n  level: \"info\n  format: text\n\n# end\n",
			"config.yaml:11: is not valid YAML: found unexpected end of stream; " + look,
		},
		"control character": {
			edited(t, "Example Magazine", "Example\x01Magazine"),
			"config.yaml:3: is not valid YAML: control characters are not allowed; " + look,
		},
		"second colon":   {edited(t, "Example Magazine", "Example: Magazine"), "config.yaml:3: has a second colon in its value; put the value in quotes"},
		"star":           {smallest + "  - id: daily\n    schedule: * 9 * * *\n", "config.yaml:11: has a value that begins with *; put the value in quotes"},
		"star in braces": {edited(t, "Mon 09:00", "* 9 * * *"), "config.yaml:9: has a value that begins with *; put the value in quotes"},
		"at":             {smallest + "  - id: daily\n    schedule: @daily\n", "config.yaml:11: has a value that begins with @; put the value in quotes"},
		"Latin-1":        {edited(t, "Example Magazine", "Ex\xe9mple"), "config.yaml:3: is not UTF-8 text; save the file as UTF-8"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, problems(t, tt.text)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	_, err := config.Load(filepath.Join("no", "config.yaml"), nil)
	const want = "no/config.yaml: cannot be read: no such file or directory; name the config file with --config or DISPATCHER_CONFIG"
	if err == nil || err.Error() != want {
		t.Errorf("Load gave %v, want %s", err, want)
	}
}

func TestProblemsOfShape(t *testing.T) {
	const durations = "write a number and a unit, such as 90s, 15m, 12h or 14d"
	const waves = "write how many readers and how long to wait, such as 500 then 15m: from 1 to 1000000 readers, from 1m to 24h"
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown key": {edited(t, "schedule:", "scheduel:"), []string{
			`config.yaml:9: lists[0].scheduel: unknown key; did you mean "schedule"?`,
		}},
		"unknown key, far from any": {smallest + "http: {prot: 80}\n", []string{
			"config.yaml:10: http.prot: unknown key; choose one of: listen, admin_listen",
		}},
		"other case": {edited(t, "publisher:", "Publisher:"), []string{
			`config.yaml:2: Publisher: unknown key; did you mean "publisher"?`,
		}},
		"misspelt required key is not missing too": {edited(t, "from:", "form:"), []string{
			`config.yaml:4: publisher.form: unknown key; did you mean "from"?`,
		}},
		"two at once": {edited(t, "{url:", "{poll: 10, url:", "schedule:", "scheduel:"), []string{
			`config.yaml:7: feeds[0].poll: "10" has no unit; ` + durations,
			`config.yaml:9: lists[0].scheduel: unknown key; did you mean "schedule"?`,
		}},
		"shape and meaning at once": {edited(t, "{url:", "{pol: 10m, url:", "Mon 09:00", "someday", "https://news", "ftp://news"), []string{
			`config.yaml:1: public_url: "ftp://news.example.org" is not a web address; write it in full, beginning with https://`,
			`config.yaml:7: feeds[0].pol: unknown key; did you mean "poll"?`,
			`config.yaml:9: lists[0].schedule: "someday" is not a schedule; write "Mon 09:00", "Mon,Thu 09:00", "weekdays 08:00", "daily 07:30", or a cron line such as "0 9 * * MON"; the zone goes under timezone`,
		}},
		"given twice": {edited(t, "  from:", "  name: Other\n  from:") + "feeds: []\n", []string{
			"config.yaml:4: publisher.name: is given a second time, first on line 3; keep one of them",
			"config.yaml:11: feeds: is given a second time, first on line 8; keep one of them",
		}},
		"no value": {smallest + "http:\nlog: {level: }\n", []string{
			"config.yaml:10: http: has no value; give it one, or take the line out",
			"config.yaml:11: log.level: has no value; give it one, or take the line out",
		}},
		"not text": {edited(t, "Example Magazine", "2026", "iran-weekly", "1.10") + "http: {listen: 8080}\n", []string{
			`config.yaml:3: publisher.name: "2026" is not text as it stands; put it in quotes`,
			`config.yaml:9: lists[0].id: "1.10" is not text as it stands; put it in quotes`,
			`config.yaml:10: http.listen: "8080" is not text as it stands; put it in quotes`,
		}},
		"not a number": {edited(t, "{host:", `{port: "465", connections: 0x10, per_hour: 1.5, host:`), []string{
			`config.yaml:6: relays[0].port: "465" is text; write it without quotes`,
			`config.yaml:6: relays[0].connections: "0x10" is not a number; write a whole number in plain digits`,
			`config.yaml:6: relays[0].per_hour: "1.5" is not a number; write a whole number in plain digits`,
		}},
		"neither true nor false": {smallest + "rehearsal: yes\n", []string{
			`config.yaml:10: rehearsal: "yes" is neither true nor false; write one of the two`,
		}},
		"durations": {edited(t, "{url:", `{poll: "900", max_age: 2 weeks, actions: {default_life: -1h}, url:`, "{id:", "{max_age: 12h1d, wait: 1.5d, id:"), []string{
			`config.yaml:7: feeds[0].poll: "900" has no unit; ` + durations,
			`config.yaml:7: feeds[0].max_age: "2 weeks" is not a duration; ` + durations,
			`config.yaml:7: feeds[0].actions.default_life: "-1h" is not a duration; ` + durations,
			`config.yaml:9: lists[0].max_age: "12h1d" is not a duration; ` + durations,
			`config.yaml:9: lists[0].wait: "1.5d" is not a duration; ` + durations,
		}},
		"first poll": {edited(t, "{url:", "{first_poll: newest 0, url:"), []string{
			`config.yaml:7: feeds[0].first_poll: "newest 0" is not a choice for the first poll; write none, or newest 20 with a number from 1 to 1000`,
		}},
		"first wave": {smallest + "  - {id: a, first_wave: 500}\n  - {id: b, first_wave: 0 then 15m}\n  - {id: c, first_wave: 1000001 then 15m}\n" +
			"  - {id: d, first_wave: 500 then 59s}\n  - {id: e, first_wave: 500 then 1d1m}\n  - {id: f, first_wave: 500 then 15}\n  - {id: g, first_wave: {n: 500}}\n", []string{
			`config.yaml:10: lists[1].first_wave: "500" is not a first wave; ` + waves,
			`config.yaml:11: lists[2].first_wave: "0 then 15m" is not a first wave; ` + waves,
			`config.yaml:12: lists[3].first_wave: "1000001 then 15m" is not a first wave; ` + waves,
			`config.yaml:13: lists[4].first_wave: "500 then 59s" is not a first wave; ` + waves,
			`config.yaml:14: lists[5].first_wave: "500 then 1d1m" is not a first wave; ` + waves,
			`config.yaml:15: lists[6].first_wave: "500 then 15" is not a first wave; ` + waves,
			"config.yaml:16: lists[7].first_wave: is a section where one value belongs; write key: value",
		}},
		"limits for alerts": {smallest + "alerts: {at_most: {n: 1}, quiet_hours: [\"22:00\", \"07:00\"]}\naction_links: {stable: true}\n", []string{
			"config.yaml:10: alerts.at_most: is a section where one value belongs; write key: value",
			"config.yaml:10: alerts.quiet_hours: is a list where one value belongs; write key: value",
			"config.yaml:11: action_links: is a section where one value belongs; write key: value",
		}},
		"limits without a value": {smallest + "alerts: {at_most: , quiet_hours: \"\"}\naction_links: \"\"\n", []string{
			"config.yaml:10: alerts.at_most: has no value; give it one, or take the line out",
			"config.yaml:10: alerts.quiet_hours: is not a span of the day; " + quiet,
			"config.yaml:11: action_links: is not a choice here; choose one of: direct, stable",
		}},
		"slots": {smallest + "  - {id: a, default_timezone: [UTC], on_missed: , max_lateness: 12, reminder: {before: 1d}}\n", []string{
			"config.yaml:10: lists[1].default_timezone: is a list where one value belongs; write key: value",
			"config.yaml:10: lists[1].on_missed: has no value; give it one, or take the line out",
			`config.yaml:10: lists[1].max_lateness: "12" has no unit; ` + durations,
			"config.yaml:10: lists[1].reminder: is a section where one value belongs; write key: value",
		}},
		"rates": {edited(t, "relays: [", `relays: [{host: a.example.org, rate: 50}, {host: b.example.org, rate: 0/s, class_rates: [{class: gmail, rate: -1/h}]}, {host: c.example.org, rate: 5/week}, `), []string{
			`config.yaml:6: relays[0].rate: "50" is not a rate; ` + rates,
			`config.yaml:6: relays[1].rate: "0/s" is not a rate; ` + rates,
			`config.yaml:6: relays[1].class_rates[0].rate: "-1/h" is not a rate; ` + rates,
			`config.yaml:6: relays[2].rate: "5/week" is not a rate; ` + rates,
		}},
		"containers mixed up": {smallest + "http: [a]\nlog: text\ntopics: {id: a}\nproof_to: a\ndata_dir: [a]\n", []string{
			"config.yaml:10: http: is a list where keys with values belong; write its keys, one to a line: listen, admin_listen",
			"config.yaml:11: log: is one value where keys with values belong; write its keys, one to a line: level, format",
			"config.yaml:12: topics: is a section where a list belongs; begin each element with a dash: - id: …",
			"config.yaml:13: proof_to: is one value where a list belongs; put it in brackets: [ ]",
			"config.yaml:14: data_dir: is a list where one value belongs; write key: value",
		}},
		"a bad element does not shift the others": {edited(t, "lists:\n", "lists:\n  - 5\n  - id: [x]\n  - {id: b, schedule: x}\n"), []string{
			"config.yaml:9: lists[0]: is one value where keys with values belong; write its keys, one to a line: id, was, retired, kind, title, description, schedule, timezone, default_timezone, on_missed, max_lateness, topics, max_items, max_age, wait, reminder, first_wave, subject, language",
			"config.yaml:10: lists[1].id: is a list where one value belongs; write key: value",
			`config.yaml:11: lists[2].schedule: "x" is not a schedule; write "Mon 09:00", "Mon,Thu 09:00", "weekdays 08:00", "daily 07:30", or a cron line such as "0 9 * * MON"; the zone goes under timezone`,
		}},
		"aliases and merge keys": {edited(t, "name: Example", "name: &n Example") + "log: &l {level: *n}\nhttp: {<<: *l}\n", []string{
			"config.yaml:10: log.level: is an alias; aliases are not read here: write the value out",
			"config.yaml:11: http.…: unknown key; merge keys are not read here: write the keys out",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problems(t, tt.text)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			refusedBySchema(t, name, tt.text)
		})
	}
}

func TestProblemsOfTheEnvironment(t *testing.T) {
	tests := map[string]string{
		"DISPATCHER_HTTP__LISTN=x":          "DISPATCHER_HTTP__LISTN: unknown variable; did you mean DISPATCHER_HTTP__LISTEN?",
		"DISPATCHER_HTTP_LISTEN=x":          "DISPATCHER_HTTP_LISTEN: unknown variable; did you mean DISPATCHER_HTTP__LISTEN?",
		"DISPATCHER_CONFIGURE=x":            "DISPATCHER_CONFIGURE: unknown variable; did you mean DISPATCHER_CONFIG?",
		"DISPATCHER_DATADIR=":               "DISPATCHER_DATADIR: unknown variable; did you mean DISPATCHER_DATA_DIR?",
		"DISPATCHER_data_dir=x":             "DISPATCHER_data_dir: unknown variable; did you mean DISPATCHER_DATA_DIR?",
		"DISPATCHER_PASSWORD=hunter2":       "DISPATCHER_PASSWORD: unknown variable; variables are named after keys, such as DISPATCHER_DATA_DIR and DISPATCHER_HTTP__LISTEN",
		"DISPATCHER_HTTP=boom":              "DISPATCHER_HTTP: is a section; set DISPATCHER_HTTP__ADMIN_LISTEN or DISPATCHER_HTTP__LISTEN",
		"DISPATCHER_PROOF_TO=a@example.org": "DISPATCHER_PROOF_TO: belongs to a list; write it under proof_to in the config file",
		"DISPATCHER_RELAYS__0__HOST=x":      "DISPATCHER_RELAYS__0__HOST: belongs to a list; write it under relays in the config file",
		"DISPATCHER_REHEARSAL=yes":          `DISPATCHER_REHEARSAL: rehearsal: "yes" is neither true nor false; write one of the two`,
		"DISPATCHER_HTTP__LISTEN=8080":      `DISPATCHER_HTTP__LISTEN: http.listen: "8080" is no place to listen; write host:port, such as 127.0.0.1:8080`,
		"DISPATCHER_REHEARSAL=true":         `DISPATCHER_REHEARSAL: rehearsal: "true" has nobody to mail to; give the addresses of those who look at it under proof_to`,
		"DISPATCHER_ON_UNKNOWN=hold":        "DISPATCHER_ON_UNKNOWN: is a section; set DISPATCHER_ON_UNKNOWN__ALERT or DISPATCHER_ON_UNKNOWN__DIGEST",
		"DISPATCHER_ALERTS__AT_MOST=2/d":    `DISPATCHER_ALERTS__AT_MOST: alerts.at_most: "2/d" is not a limit; ` + limits,
		"DISPATCHER_ACTION_LINKS=stabel":    `DISPATCHER_ACTION_LINKS: action_links: "stabel" is not a choice here; did you mean "stable"?`,
		"DISPATCHER_DURABILITY=ful":         `DISPATCHER_DURABILITY: durability: "ful" is not a choice here; did you mean "full"?`,
		"DISPATCHER_PUBLIC_URL=http://":     `DISPATCHER_PUBLIC_URL: public_url: "http://" is not a web address; write it in full, beginning with https://`,
	}
	for variable, want := range tests {
		if diff := cmp.Diff([]string{want}, problems(t, smallest, variable)); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", variable, diff)
		}
	}
}

func TestProblemsOfTheEnvironmentAreToldBesideABrokenFile(t *testing.T) {
	got := problems(t, "a: [", "DISPATCHER_REHEARSAL=maybe", "DISPATCHER_NO=x")
	if len(got) != 3 {
		t.Errorf("problems are %q, want both of the environment and the one of the file", got)
	}
}

func TestEnvironmentOutranksFileAndDefault(t *testing.T) {
	environ := []string{
		"DISPATCHER_PUBLISHER__NAME=From the: environment", "DISPATCHER_HTTP__LISTEN=127.0.0.1:9", "DISPATCHER_REHEARSAL=true",
		"DISPATCHER_BOUNCE_ADDRESS=bounces@example.org", "DISPATCHER_LOG__LEVEL=", "DISPATCHER_CONFIG=/elsewhere.yaml", "PATH=/bin",
		"DISPATCHER_ALERTS__AT_MOST=2 per 1d", "DISPATCHER_ALERTS__QUIET_HOURS=23:00-06:30",
	}
	cfg := mustLoad(t, smallest+"log: {level: warn}\nrehearsal: false\nproof_to: [desk@example.org]\nalerts: {at_most: 1 per 12h}\n", environ...)
	got := []any{cfg.Publisher.Name, string(cfg.Publisher.From), cfg.HTTP.Listen, cfg.HTTP.AdminListen, cfg.Rehearsal, string(cfg.BounceAddress), cfg.Log.Level, cfg.Alerts.AtMost, cfg.Alerts.QuietHours.String()}
	want := []any{"From the: environment", "news@example.org", "127.0.0.1:9", "127.0.0.1:8081", true, "bounces@example.org", "warn", config.AtMost{N: 2, Per: 24 * time.Hour}, "23:00-06:30"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestTheProcessEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("DISPATCHER_PUBLISHER__NAME", "another")
	t.Setenv("DISPATCHER_NONSENSE", "x")
	if cfg := mustLoad(t, smallest); cfg.Publisher.Name != "Example Magazine" {
		t.Errorf("publisher.name is %q", cfg.Publisher.Name)
	}
}

// Readers' mail systems answer the publisher's addresses, and not all of them know of RFC 6531.
func TestThePublishersAddressesArePlain(t *testing.T) {
	got := problems(t, edited(t, "from: news@example.org", "from: nö@example.org"))
	want := []string{`config.yaml:4: publisher.from: "nö@example.org" has letters beyond ASCII before the @, which many mail systems cannot answer; use a plain one, such as news@example.org`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
