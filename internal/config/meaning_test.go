package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

const (
	fullURL   = "write it in full, beginning with https://"
	schedules = `write "Mon 09:00", "Mon,Thu 09:00", "weekdays 08:00", "daily 07:30", or a cron line such as "0 9 * * MON"; the zone goes under timezone`
	zones     = "name one as the IANA database has it, such as America/New_York or UTC"
	ids       = "write up to 63 lower-case letters, digits and hyphens, such as iran-weekly"
	own       = "give each its own (upper and lower case count as the same)"
	noClear   = "use implicit or starttls; none is for a relay on this machine (127.0.0.1, ::1, localhost)"
	rates     = "write so many per second, minute, hour or day, such as 50/s, 300/m or 1000/h"
	limits    = "write how many alerts in how long, such as 1 per 24h: 1 or more, from 1h to 31d"
	quiet     = "write two times of day from 00:00 to 23:59, such as 22:00-07:00"
	plainOne  = "write one plain address, such as news@example.org, without a name"
)

func TestProblemsOfMeaning(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"what is required": {"feeds: [{name: x}]\n", []string{
			"config.yaml: public_url: is missing; give the address under which readers reach this server, such as https://news.example.org",
			"config.yaml: publisher.name: is missing; give the name that readers see as the sender",
			"config.yaml: publisher.from: is missing; give the address that mail comes from, such as news@example.org",
			"config.yaml: publisher.postal_address: is missing; give a postal address: the law of many countries wants it in every mail",
			"config.yaml: relays: is missing; give at least one SMTP server that takes your mail",
			"config.yaml: lists: is missing; give at least one list that readers can subscribe to",
			"config.yaml:1: feeds[0].url: is missing; give the address of the feed",
		}},
		"what an element requires": {edited(t, "host: smtp.example.org", "port: 25", "id: iran-weekly, ", "") + "topics: [{title: X}]\n", []string{
			"config.yaml:6: relays[0].host: is missing; give the name of the SMTP server, such as smtp.example.org",
			"config.yaml:9: lists[0].id: is missing; give it a short name for good, such as iran-weekly",
			"config.yaml:10: topics[0].id: is missing; give it a short name for good, such as iran-weekly",
		}},
		"public_url without TLS": {edited(t, "https://news", "http://news"), []string{
			`config.yaml:1: public_url: "http://news.example.org" is not https; readers' links carry personal tokens: use https (http is for trying on this machine only)`,
		}},
		"public_url with a query": {edited(t, "https://news.example.org", "https://news.example.org/?a"), []string{
			`config.yaml:1: public_url: "https://news.example.org/?a" has a query or a fragment; leave out what begins with ? or #`,
		}},
		"addresses": {edited(t, "from: news@example.org", "from: News <news@example.org>\n  reply_to: editors") + "bounce_address: a@b\n", []string{
			`config.yaml:4: publisher.from: "News <news@example.org>" cannot be used: not an e-mail address; ` + plainOne,
			`config.yaml:5: publisher.reply_to: "editors" cannot be used: not an e-mail address; ` + plainOne,
			`config.yaml:11: bounce_address: "a@b" cannot be used: the part after the @ is not a domain name; ` + plainOne,
		}},
		"proof addresses are not shown": {smallest + "proof_to: [\"\", desk, desk@example.org]\n", []string{
			"config.yaml:10: proof_to[0]: is empty; write an address, or take the element out",
			"config.yaml:10: proof_to[1]: cannot be used: not an e-mail address; " + plainOne,
		}},
		"several lines": {edited(t, "Example Magazine", `"Example\nMagazine"`, "{id:", `{description: "a\tb", subject: "a\nb", id:`), []string{
			`config.yaml:3: publisher.name: "Example\nMagazine" does not fit on one line; take out line ends, tabs and other control characters`,
			`config.yaml:9: lists[0].description: "a\tb" does not fit on one line; take out line ends, tabs and other control characters`,
			`config.yaml:9: lists[0].subject: "a\nb" does not fit on one line; take out line ends, tabs and other control characters`,
		}},
		"relay in the clear": {edited(t, "{host:", "{port: 25, tls: none, host:"), []string{
			`config.yaml:6: relays[0].tls: "none" would send mail and password in the clear; ` + noClear,
		}},
		"relay with a port in its host": {edited(t, "host: smtp.example.org", "host: smtp.example.org:587, port: 0, tls: ssl"), []string{
			`config.yaml:6: relays[0].host: "smtp.example.org:587" has a port in it; give the name alone and the port under port`,
			`config.yaml:6: relays[0].port: "0" is not a port; write a number from 1 to 65535`,
			`config.yaml:6: relays[0].tls: "ssl" is not a choice here; choose one of: implicit, starttls, none`,
		}},
		"relay with a URL for a host": {edited(t, "host: smtp.example.org", `host: "smtp://smtp.example.org"`), []string{
			`config.yaml:6: relays[0].host: "smtp://smtp.example.org" is not the name of a server; give the name or IP address alone, such as smtp.example.org`,
		}},
		"username alone, password alone": {edited(t, ", password_file: relay.password}", "}, {host: b.example.org, password_file: relay.password}"), []string{
			"config.yaml:6: relays[0].password_file: is missing; name the file with the password of the username",
			"config.yaml:6: relays[1].username: is missing; give the username that goes with the password",
		}},
		"relay limits": {edited(t, "{host:", "{connections: 0, messages_per_connection: 0, rate: fast, per_hour: 0, per_day: -1, provider: a/b, host:"), []string{
			`config.yaml:6: relays[0].connections: "0" is not a number of connections; write a number from 1 to 1000`,
			`config.yaml:6: relays[0].messages_per_connection: "0" is not a number of messages; write a number from 1 to 1000000`,
			`config.yaml:6: relays[0].rate: "fast" is not a rate; ` + rates,
			`config.yaml:6: relays[0].per_hour: "0" is too small; write 1 or more, or take the line out`,
			`config.yaml:6: relays[0].per_day: "-1" is too small; write 1 or more, or take the line out`,
			`config.yaml:6: relays[0].provider: "a/b" is not a name; write letters, digits, - and _`,
		}},
		"relay limits that are too high": {edited(t, "{host:", "{connections: 1001, messages_per_connection: 1000001, host:"), []string{
			`config.yaml:6: relays[0].connections: "1001" is not a number of connections; write a number from 1 to 1000`,
			`config.yaml:6: relays[0].messages_per_connection: "1000001" is not a number of messages; write a number from 1 to 1000000`,
		}},
		"relay timeouts": {edited(t, "{host:", "{timeouts: {connect: 999ms, command: 0s, end: 10}, host:"), []string{
			`config.yaml:6: relays[0].timeouts.connect: "999ms" is too short; write 1s or more`,
			`config.yaml:6: relays[0].timeouts.command: "0s" is too short; write 1s or more`,
			`config.yaml:6: relays[0].timeouts.end: "10" has no unit; write a number and a unit, such as 90s, 15m, 12h or 14d`,
		}},
		"relay zones": {edited(t, "relays: [", `relays: [{host: a.example.org, timezone: Local}, {host: b.example.org, timezone: subscriber}, {host: c.example.org, timezone: ""}, `), []string{
			`config.yaml:6: relays[0].timezone: "Local" is not the name of a zone; ` + zones,
			`config.yaml:6: relays[1].timezone: "subscriber" is not the name of a zone; ` + zones,
			`config.yaml:6: relays[2].timezone: is not the name of a zone; ` + zones,
		}},
		"class rates": {edited(t, "relays: [", "relays: [{host: a.example.org, class_rates: [{class: gmail, rate: 20/s}, {class: gmail, rate: 10/s}, {class: a.example, rate: 1/s}, {class: A.example, rate: 1/s}, {}, 5]}, "+
			"{host: b.example.org, class_rates: [{class: gmial, rate: 20/s}, {class: Hotmail.com, rate: 20/s}, {class: 163, rate: 20/s}, {class: desk@example.org, rate: 20/s}]}, "), []string{
			`config.yaml:6: relays[0].class_rates[1].class: "gmail" is taken by relays[0].class_rates[0].class; ` + own,
			`config.yaml:6: relays[0].class_rates[3].class: "a.example" is taken by relays[0].class_rates[2].class; ` + own,
			"config.yaml:6: relays[0].class_rates[4].class: is missing; name a class of receivers, such as gmail, or a domain",
			"config.yaml:6: relays[0].class_rates[4].rate: is missing; give the most that goes to this class, such as 20/s",
			"config.yaml:6: relays[0].class_rates[5]: is one value where keys with values belong; write its keys, one to a line: class, rate",
			`config.yaml:6: relays[1].class_rates[0].class: "gmial" is neither a class of receivers nor a domain; did you mean "gmail"?`,
			`config.yaml:6: relays[1].class_rates[1].class: "Hotmail.com" is one of several domains that are counted as one class; write "microsoft"`,
			`config.yaml:6: relays[1].class_rates[2].class: "163" is not text as it stands; put it in quotes`,
			`config.yaml:6: relays[1].class_rates[3].class: "desk@example.org" is neither a class of receivers nor a domain; choose one of: ` +
				strings.Join(newsletter.Classes(), ", ") + ", a domain such as example.org",
		}},
		"relays of one name": {edited(t, "relays: [", "relays: [{host: SMTP.example.org}, "), []string{
			`config.yaml:6: relays[1].name: "smtp.example.org" is taken by relays[0].name; ` + own,
		}},
		"feeds": {edited(t, "feeds: [", `feeds: [{name: A, url: "ftp://a.example"}, {name: a, url: "https://b.example", poll: 59s, max_new: 0, max_age: 0s}, `), []string{
			`config.yaml:7: feeds[0].url: "ftp://a.example" is not a web address; ` + fullURL,
			`config.yaml:7: feeds[1].name: "a" is taken by feeds[0].name; ` + own,
			`config.yaml:7: feeds[1].poll: "59s" is too short; write 1m or more`,
			`config.yaml:7: feeds[1].max_new: "0" is too small; write 1 or more`,
			`config.yaml:7: feeds[1].max_age: "0s" is too short; write 1m or more`,
		}},
		"feeds that would be called alike": {edited(t, "feeds: [", `feeds: [{url: "http://magazine.example/Feed"}, `), []string{
			`config.yaml:7: feeds[1].name: "magazine.example-feed" is taken by feeds[0].name; ` + own,
		}},
		"a rule that would match everything": {edited(t, "{url:", `{actions: {title_prefixes: ["Act:", " "]}, exclude: {categories: [""]}, url:`), []string{
			"config.yaml:7: feeds[0].actions.title_prefixes[1]: is empty; write something, or take the element out",
			"config.yaml:7: feeds[0].exclude.categories[0]: is empty; write something, or take the element out",
		}},
		"ids": {smallest + "  - {id: Iran-Weekly}\n  - {id: iran-weekly}\n  - {id: -a}\ntopics: [{id: iran}, {id: iran}, {id: a b}]\n", []string{
			`config.yaml:10: lists[1].id: "Iran-Weekly" is not an id; ` + ids,
			`config.yaml:11: lists[2].id: "iran-weekly" is taken by lists[0].id; ` + own,
			`config.yaml:12: lists[3].id: "-a" is not an id; ` + ids,
			`config.yaml:13: topics[1].id: "iran" is taken by topics[0].id; ` + own,
			`config.yaml:13: topics[2].id: "a b" is not an id; ` + ids,
		}},
		"kinds": {smallest + "  - {id: a, kind: digset}\n  - {id: b, kind: alert, schedule: Mon 09:00}\n", []string{
			`config.yaml:10: lists[1].kind: "digset" is not a choice here; did you mean "digest"?`,
			`config.yaml:11: lists[2].schedule: "Mon 09:00" is on an alert list, which is mailed whenever an action is urgent; take the schedule out, or make the kind digest`,
		}},
		"zones": {edited(t, "America/New_York", "subscribers") + "  - {id: b, timezone: Local}\n  - {id: c, timezone: Europe/Atlantis}\n  - {id: d, timezone: ../etc/passwd}\n" +
			"  - {id: e, timezone: subscriber, default_timezone: subscriber}\n  - {id: f, timezone: UTC, default_timezone: Local}\n  - {id: g, kind: alert, timezone: subscriber, default_timezone: UTC}\n  - {id: h, kind: alert, timezone: Subscriber}\n", []string{
			`config.yaml:9: lists[0].timezone: "subscribers" is not the name of a zone; did you mean "subscriber"?`,
			`config.yaml:10: lists[1].timezone: "Local" is not the name of a zone; ` + zones,
			`config.yaml:11: lists[2].timezone: "Europe/Atlantis" is not the name of a zone; ` + zones,
			`config.yaml:12: lists[3].timezone: "../etc/passwd" is not the name of a zone; ` + zones,
			`config.yaml:13: lists[4].default_timezone: "subscriber" is not the name of a zone; ` + zones,
			`config.yaml:14: lists[5].default_timezone: "Local" is not the name of a zone; ` + zones,
			`config.yaml:15: lists[6].timezone: "subscriber" is on an alert list, which has no schedule: alerts go at once, and quiet hours are on each reader's own clock anyway; ` +
				"name the zone that counts for readers whose own is not known, such as America/New_York",
			`config.yaml:16: lists[7].timezone: "Subscriber" is not the name of a zone; ` + zones,
		}},
		"slots": {edited(t, "{id:", "{on_missed: all, max_lateness: 299s, id:") + "  - {id: a, kind: alert, max_lateness: 0s, reminder: 59m}\n  - {id: b, kind: alert, reminder: 31d}\n  - {id: c, on_missed: Skip, reminder: 30d1m}\n", []string{
			`config.yaml:9: lists[0].on_missed: "all" is not a choice here; choose one of: latest, skip`,
			`config.yaml:9: lists[0].max_lateness: "4m59s" is too short; write 5m or more`,
			`config.yaml:10: lists[1].max_lateness: "0s" is too short; write 5m or more`,
			`config.yaml:10: lists[1].reminder: "59m" is too short; write 1h or more, or 0s for none`,
			`config.yaml:11: lists[2].reminder: "31d" is too long; write 30d or less`,
			`config.yaml:12: lists[3].on_missed: "Skip" is not a choice here; did you mean "skip"?`,
			`config.yaml:12: lists[3].reminder: "720h1m" is too long; write 30d or less`,
		}},
		"looks": {edited(t, "{id:", `{max_items: -1, max_age: 0s, topics: [""], subject: "{{.Lead", language: e, id:`), []string{
			`config.yaml:9: lists[0].max_items: "-1" is too small; write a number of items, or 0 for no limit`,
			`config.yaml:9: lists[0].max_age: "0s" is too short; write 1m or more`,
			`config.yaml:9: lists[0].topics[0]: is empty; write something, or take the element out`,
			`config.yaml:9: lists[0].subject: "{{.Lead" is not a template; close every {{ with }}`,
			`config.yaml:9: lists[0].language: "e" is not a language tag; write one such as en, fa or pt-BR (BCP 47)`,
		}},
		"the rest": {smallest + "rehearsal: true\nalerts: {at_most: often, quiet_hours: night}\nhttp: {listen: \":99999\", admin_listen: localhost}\nlog: {level: inf, format: xml}\ntemplates_dir: nowhere\n", []string{
			`config.yaml:10: rehearsal: "true" has nobody to mail to; give the addresses of those who look at it under proof_to`,
			`config.yaml:11: alerts.at_most: "often" is not a limit; ` + limits,
			`config.yaml:11: alerts.quiet_hours: "night" is not a span of the day; ` + quiet,
			`config.yaml:12: http.listen: ":99999" is no place to listen; write host:port, such as 127.0.0.1:8080`,
			`config.yaml:12: http.admin_listen: "localhost" is no place to listen; write host:port, such as 127.0.0.1:8080`,
			`config.yaml:13: log.level: "inf" is not a choice here; did you mean "info"?`,
			`config.yaml:13: log.format: "xml" is not a choice here; choose one of: text, json`,
			`config.yaml:14: templates_dir: "nowhere" is not a folder that can be read; name the folder with your templates, or take the line out`,
		}},
		"quiet hours of no length": {smallest + "alerts: {quiet_hours: 7:00-07:00}\n", []string{
			`config.yaml:10: alerts.quiet_hours: "7:00-07:00" begins and ends at the same time; ` + quiet + ", or take the line out: then no hour is quiet",
		}},
		"choices at the top": {smallest + "action_links: tracked\ndurability: safe\non_unknown: {alert: drop, digest: Hold}\n", []string{
			`config.yaml:10: action_links: "tracked" is not a choice here; choose one of: direct, stable`,
			`config.yaml:11: durability: "safe" is not a choice here; choose one of: full, normal`,
			`config.yaml:12: on_unknown.alert: "drop" is not a choice here; choose one of: retry, hold`,
			`config.yaml:12: on_unknown.digest: "Hold" is not a choice here; did you mean "hold"?`,
		}},
		"former ids": {edited(t, "{id:", "{was: iran-weekly, id:") + "  - {id: b, was: c}\n  - {id: c, was: A.b}\n  - {id: d, was: e}\n  - {id: f, was: e}\n  - {id: g, was: 5}\n", []string{
			`config.yaml:9: lists[0].was: "iran-weekly" is the id that the list has now; write the id that it had before, or take the line out`,
			`config.yaml:10: lists[1].was: "c" is the id of another list, lists[2].id; a list that was renamed leaves its old id to nobody: give the other list an id of its own`,
			`config.yaml:11: lists[2].was: "A.b" is not an id; ` + ids,
			`config.yaml:13: lists[4].was: "e" is taken by lists[3].was; ` + own,
			`config.yaml:14: lists[5].was: "5" is not text as it stands; put it in quotes`,
		}},
		"former addresses": {smallest + "former_urls: [\"\", old.example.org, http://old.example.org, \"https://old.example.org/?a\", https://News.example.org/, https://old.example.org/news, https://old.example.org/news/, https://news:pw@old.example.org]\n", []string{
			`config.yaml:10: former_urls[0]: is not a web address; ` + fullURL,
			`config.yaml:10: former_urls[1]: "old.example.org" is not a web address; ` + fullURL,
			`config.yaml:10: former_urls[2]: "http://old.example.org" is not https; readers' links carry personal tokens: use https (http is for trying on this machine only)`,
			`config.yaml:10: former_urls[3]: "https://old.example.org/?a" has a query or a fragment; leave out what begins with ? or #`,
			`config.yaml:10: former_urls[4]: "https://News.example.org" is taken by public_url; ` + own,
			`config.yaml:10: former_urls[6]: "https://old.example.org/news" is taken by former_urls[5]; ` + own,
			`config.yaml:10: former_urls[7]: has a user name or password in it; take it out, up to the @`,
		}},
		"copies that are kept for too short": {smallest + "keep_deliveries: 59d\n", []string{
			`config.yaml:10: keep_deliveries: "59d" is too short; write 60d or more, or 0s to keep them for good`,
		}},
		"two pages on one port": {smallest + "http: {listen: 127.0.0.1:8081}\n", []string{
			`config.yaml:10: http.admin_listen: "127.0.0.1:8081" is the same as http.listen; give the admin listener a port of its own`,
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

func TestProblemsOfSchedules(t *testing.T) {
	const five = `write minute, hour, day of month, month and day of week, such as "0 9 * * MON"`
	const written = `write the times out, such as "daily 07:30", or "0 */4 * * *" for every fourth hour`
	tests := map[string]string{
		" ":                                  "is not a schedule; " + schedules,
		"weekly":                             "is not a schedule; " + schedules,
		"daily":                              `has no time of day; write "daily 09:00", or another time`,
		"9:15":                               `does not say on which days; write "daily 9:15", or name the days, as in "Mon,Thu 9:15"`,
		"Mon 25:00":                          "has no time of day such as 09:00; " + schedules,
		"Mon 9am":                            "has no time of day such as 09:00; " + schedules,
		"Foo 09:00":                          "does not begin with days of the week; " + schedules,
		"09:00 Mon":                          "does not begin with days of the week; " + schedules,
		"Mon, Thu 09:00":                     "is not a schedule; " + schedules,
		"Mon 09:00 Europe/Berlin":            "is not a schedule; " + schedules,
		"CRON_TZ=UTC 0 9 * * 1":              "has a time zone in it; take it out: the zone goes under timezone",
		"TZ=":                                "has a time zone in it; take it out: the zone goes under timezone",
		"tz=Europe/Berlin @daily":            "has a time zone in it; take it out: the zone goes under timezone",
		"@hourly":                            `has an @ word, which is not read here; write "0 * * * *"`,
		"@daily":                             `has an @ word, which is not read here; write "daily 00:00", or another time`,
		" @Midnight ":                        `has an @ word, which is not read here; write "daily 00:00", or another time`,
		"@weekly":                            `has an @ word, which is not read here; write "Sun 00:00", or another day and time`,
		"@monthly":                           `has an @ word, which is not read here; write "0 0 1 * *"`,
		"@annually":                          `has an @ word, which is not read here; write "0 0 1 1 *"`,
		"@every 4h":                          "has an @ word, which is not read here; " + written,
		"@reboot":                            "has an @ word, which is not read here; " + written,
		"0 0 9 * * 1":                        `has six fields, as if it began with seconds; leave the seconds out, a minute is the smallest step: write "0 9 * * 1"`,
		"0 0 9 * * MON#1":                    "has 6 fields where a cron line has five; " + five,
		"0 9 *":                              "has 3 fields where a cron line has five; " + five,
		"0 0 9 * * MON 2026":                 "has 7 fields where a cron line has five; " + five,
		"0 9 * * MON#1":                      `has "MON#1" in it, which is no field of a cron line here; ` + schedules,
		"0 9 * * \u202e":                     `has "\u202e" in it, which is no field of a cron line here; ` + schedules,
		"0 9 * * " + strings.Repeat("é", 70): `has "` + strings.Repeat("é", 60) + `…" in it, which is no field of a cron line here; ` + schedules,
	}
	for schedule, want := range tests {
		got := problems(t, edited(t, "schedule: Mon 09:00", `schedule: "`+schedule+`"`))
		if len(got) != 1 || !strings.HasPrefix(got[0], "config.yaml:9: lists[0].schedule: ") || !strings.HasSuffix(got[0], ` `+want) {
			t.Errorf("schedule %q: problems are %q, want one that ends in %q", schedule, got, want)
		}
	}
}

// These come back as they are, for the scheduler to look at more closely.
func TestWhatHasTheShapeOfACronLineIsTaken(t *testing.T) {
	for _, schedule := range []string{"0 9 * * 7", "90 9 * * *", "0 0 30 2 *", "0 9 L * *", "? 9 * * *"} {
		cfg := mustLoad(t, edited(t, "schedule: Mon 09:00", `schedule: "`+schedule+`"`))
		if got := cfg.Lists[0].Schedule; got != schedule {
			t.Errorf("%q is %q", schedule, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing to warn of": {smallest, []string{""}},
		"schedule without a zone": {edited(t, ", timezone: America/New_York", ""), []string{
			"config.yaml:9: lists[0].timezone: is not given, so the schedule is read as UTC; name the zone of your readers, such as America/New_York",
		}},
		"readers' clocks without a default": {edited(t, "America/New_York", "subscriber") + "  - {id: a, timezone: subscriber}\n", []string{
			"config.yaml:9: lists[0].default_timezone: is not given, so the schedule is read as UTC for readers whose zone is not known; name the zone of most of your readers, such as America/New_York",
			`config.yaml:10: lists[1].kind: is a digest without a schedule, so it is sent by hand alone; give it a schedule such as "Mon 09:00"`,
		}},
		"a default that nobody needs": {edited(t, "{id:", "{default_timezone: UTC, id:") + "  - {id: a, kind: alert, default_timezone: Asia/Tehran}\n", []string{
			`config.yaml:9: lists[0].default_timezone: "UTC" has no effect without timezone: subscriber; write timezone: subscriber, or take it out`,
			`config.yaml:10: lists[1].default_timezone: "Asia/Tehran" has no effect without timezone: subscriber; write that zone under timezone`,
		}},
		"quiet hours without a zone": {smallest + "  - {id: a, kind: alert}\n  - {id: b}\nalerts: {quiet_hours: 22:00-07:00}\n", []string{
			"config.yaml:10: lists[1].timezone: is not given, so alerts.quiet_hours are read as UTC for readers whose zone is not known; name the zone of most of your readers, such as America/New_York",
			`config.yaml:11: lists[2].kind: is a digest without a schedule, so it is sent by hand alone; give it a schedule such as "Mon 09:00"`,
		}},
		"quiet hours the wrong way round": {smallest + "alerts: {quiet_hours: 7:00-22:00}\n", []string{
			`config.yaml:10: alerts.quiet_hours: "07:00-22:00" are more than half of the day; exchange the two times if those are the hours in which alerts may come`,
		}},
		"an alert list's keys on a digest, and the other way round": {edited(t, "{id:", "{reminder: 2d, id:") + "  - {id: a, kind: alert, on_missed: skip, max_lateness: 1h}\n  - {id: b, kind: alert, max_lateness: 1h, reminder: 0s}\n", []string{
			`config.yaml:9: lists[0].reminder: "2d" has no effect on a digest; take it out`,
			`config.yaml:10: lists[1].on_missed: "skip" has no effect on an alert list; take it out`,
			`config.yaml:10: lists[1].max_lateness: "1h" has no effect on an alert list, whose mail goes until its actions close; take it out`,
			`config.yaml:11: lists[2].max_lateness: "1h" has no effect on an alert list, whose mail goes until its actions close; take it out`,
		}},
		"digest without a schedule": {edited(t, ", schedule: Mon 09:00", ""), []string{
			`config.yaml:9: lists[0].kind: is a digest without a schedule, so it is sent by hand alone; give it a schedule such as "Mon 09:00"`,
		}},
		"a list that is retired": {smallest + "  - {id: a, retired: true}\n  - {id: b, retired: true, schedule: Mon 09:00}\n  - {id: c, retired: true, timezone: subscriber, schedule: Mon 09:00}\n", []string{""}},
		"topic that nobody declares": {edited(t, "{id:", "{topics: [Irann, IRAN, women, Labour], id:", "{url:", "{topics: [Women], url:") + "topics: [{id: iran, title: Iran}, {id: work, title: labour}]\n", []string{
			`config.yaml:9: lists[0].topics[0]: "Irann" is not among the topics, so readers cannot choose it and only a category of that very name matches it; did you mean "iran"?`,
		}},
		"wait on a digest": {edited(t, "{id:", "{wait: 5m, id:"), []string{
			`config.yaml:9: lists[0].wait: "5m" has no effect on a digest; take it out`,
		}},
		"what has no effect yet": {edited(t, "{host:", "{provider: ses, host:"), []string{
			`config.yaml:6: relays[0].provider: "ses" has no effect in this version: every relay is taken for a generic one`,
		}},
		"what has effect on alerts":   {smallest + "  - {id: a, kind: alert, timezone: UTC, wait: 5m, reminder: 1h}\nalerts: {at_most: 1 per 1d, quiet_hours: 19:00-07:00}\naction_links: stable\n", []string{""}},
		"what has effect on a digest": {edited(t, "America/New_York", "subscriber, default_timezone: UTC, on_missed: skip, max_lateness: 5m"), []string{""}},
		"what has effect on relays":   {edited(t, "relays: [{", "relays: [{host: a.example.org}, {rate: 50/s, per_hour: 1000, per_day: 1000, timeouts: {connect: 30s, command: 30s, end: 30s}, class_rates: [{class: gmail, rate: 20/s}], "), []string{""}},
		"an hour that takes more than the day": {edited(t, "{host:", "{per_hour: 1000, per_day: 999, host:"), []string{
			`config.yaml:6: relays[0].per_hour: "1000" is more than per_day allows in a whole day; mend one of them, or take this one out`,
		}},
		"short timeouts": {edited(t, "{host:", "{timeouts: {connect: 29s, command: 1s, end: 29s}, host:"), []string{
			`config.yaml:6: relays[0].timeouts.connect: "29s" is short: a slow relay would be taken for a dead one; write 30s or more`,
			`config.yaml:6: relays[0].timeouts.command: "1s" is short: a slow relay would be taken for a dead one; write 30s or more`,
			`config.yaml:6: relays[0].timeouts.end: "29s" is short: a slow relay would be taken for a dead one, and readers could get second copies; write 30s or more`,
		}},
		"TLS on the other's port": {edited(t, "relays: [{", "relays: [{name: a, host: a.example.org, port: 587, tls: implicit}, {port: 465, tls: starttls, "), []string{
			`config.yaml:6: relays[0].tls: "implicit" is unusual on port 587; most servers want starttls there`,
			`config.yaml:6: relays[1].tls: "starttls" is unusual on port 465; most servers want implicit there`,
		}},
		"open admin page": {smallest + "http: {listen: \":80\", admin_listen: \":8081\"}\n", []string{
			`config.yaml:10: http.admin_listen: ":8081" can be reached from other machines; listen on 127.0.0.1 unless something else keeps strangers out`,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := folder(t, tt.text)
			cfg, err := config.Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.ReplaceAll(cfg.Warnings().Error(), path, "config.yaml"), "\n")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretFileThatEveryoneCanRead(t *testing.T) {
	path := folder(t, smallest)
	if err := os.Chmod(filepath.Join(filepath.Dir(path), "relay.password"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "config.yaml:6: relays[0].password_file: names a file that everyone on this machine can read; take that right away with chmod o-r"
	if got := strings.ReplaceAll(cfg.Warnings().Error(), path, "config.yaml"); got != want {
		t.Errorf("warnings are %q, want %q", got, want)
	}
}

func TestWhatWasBeforeIsKnown(t *testing.T) {
	cfg := mustLoad(t, edited(t, "{id:", "{was: iran-news, id:")+"  - {id: monthly, retired: true}\nformer_urls: [https://old.example.org/news/]\nkeep_deliveries: 0s\n")
	if l := cfg.Lists[0]; l.Was != "iran-news" || l.Retired || !cfg.Lists[1].Retired {
		t.Errorf("lists are %+v", cfg.Lists)
	}
	if diff := cmp.Diff([]string{"https://old.example.org/news"}, cfg.FormerURLs); diff != "" || cfg.KeepDeliveries != 0 {
		t.Errorf("copies are kept for %v, former addresses (-want +got):\n%s", cfg.KeepDeliveries, diff)
	}
}
