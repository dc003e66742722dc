package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

// smallest is the least that dispatcher runs with.
const smallest = `public_url: https://news.example.org
publisher:
  name: Example Magazine
  from: news@example.org
  postal_address: 1 Example Street, Springfield
relays: [{host: smtp.example.org, username: news, password_file: relay.password}]
feeds: [{url: "https://magazine.example/feed/"}]
lists:
  - {id: iran-weekly, schedule: Mon 09:00, timezone: America/New_York}
`

// password is what relay.password holds in every test; no message may ever show it.
const password = "correct-horse-battery"

// folder makes a config folder with a password file in it and gives the path of its config.yaml.
func folder(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	write(t, path, text, 0o640)
	write(t, filepath.Join(dir, "relay.password"), password+"\n", 0o600)
	return path
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, text string, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(folder(t, text), environ)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// edited is smallest with pieces replaced: old, new, old, new.
func edited(t testing.TB, pairs ...string) string {
	t.Helper()
	text := smallest
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the smallest config has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// ignoring leaves out of a comparison what says where the config came from.
func ignoring() cmp.Option {
	return cmp.Options{
		cmpopts.IgnoreUnexported(config.Config{}),
		cmp.Comparer(func(a, b config.Secret) bool { return a.Reveal() == b.Reveal() }),
		cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }),
	}
}

func TestSmallestConfigGetsEveryDefault(t *testing.T) {
	path := folder(t, smallest)
	got, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := got.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	if p := got.Relays[0].Password.Reveal(); p != password {
		t.Errorf("the password is %q, want the file without its line end", p)
	}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	want := config.Config{
		PublicURL: "https://news.example.org",
		Publisher: config.Publisher{Name: "Example Magazine", From: "news@example.org", PostalAddress: "1 Example Street, Springfield"},
		Relays: []config.Relay{{
			Name: "smtp.example.org", Host: "smtp.example.org", Port: 465, TLS: "implicit",
			Username: "news", PasswordFile: "relay.password", Password: got.Relays[0].Password,
			Connections: 8, MessagesPerConnection: 500,
			Timeouts: config.Timeouts{Connect: time.Minute, Command: 5 * time.Minute, End: 10 * time.Minute},
			Timezone: "UTC", Zone: time.UTC,
		}},
		Feeds: []config.Feed{{
			Name: "magazine.example-feed", URL: "https://magazine.example/feed/",
			Poll: 15 * time.Minute, MaxNew: 20, MaxAge: 14 * day,
			Actions: config.Actions{
				Categories:        []string{"Take Action", "Petition"},
				TitlePrefixes:     []string{"Take Action:", "Petition:"},
				ParagraphPrefixes: []string{"Take action:"},
				UrgentCategories:  []string{"Urgent"},
				DeadlineCategory:  "deadline-",
				DefaultLife:       14 * day,
			},
		}},
		Lists: []config.List{{
			ID: "iran-weekly", Kind: newsletter.Digest, Title: "Iran Weekly",
			Schedule: "0 9 * * MON", Timezone: "America/New_York", Zone: zone,
			OnMissed: newsletter.MissedLatest, MaxLateness: 12 * time.Hour,
			MaxItems: 12, MaxAge: 30 * day, Wait: 10 * time.Minute, Language: "en",
		}},
		ActionLinks: "direct",
		Durability:  "full",
		OnUnknown:   config.OnUnknown{Alert: "retry", Digest: "retry"},
		HTTP:        config.HTTP{Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081"},
		Log:         config.Log{Level: "info", Format: "text"},
		DataDir:     filepath.Join(filepath.Dir(path), "data"),

		KeepDeliveries: 400 * day,
	}
	if diff := cmp.Diff(want, got, ignoring()); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// fuller is the config of the manual that uses nearly every key.
const fuller = `
data_dir: /var/lib/dispatcher
durability: normal
on_unknown: {alert: retry, digest: hold}
unsubscribe_address: leave@news.example.org
bounce_address: bounces@news.example.org
alerts:
  at_most: 1 per 24h
  quiet_hours: "22:00-07:00"
action_links: stable
public_url: https://news.example.org
publisher:
  name: Example Magazine
  from: news@news.example.org
  reply_to: editors@example.org
  postal_address: 1 Example Street, Springfield, VA 22150, USA
http:
  listen: 127.0.0.1:8080
  admin_listen: 127.0.0.1:8081
relays:
  - name: main
    host: smtp.example.org
    port: 465
    tls: implicit
    username: news
    password_file: relay.password
    connections: 8
    messages_per_connection: 100
    timeouts: {connect: 30s, end: 15m}
    rate: 50/s
    per_hour: 20000
    per_day: 100000
    timezone: Europe/Berlin
    class_rates: [{class: gmail, rate: 20/s}, {class: Magazine.example, rate: 300/m}]
    provider: generic
  - {host: 127.0.0.1, port: 25}
rehearsal: false
proof_to: [desk@example.org]
topics:
  - {id: iran, title: Iran, categories: [Iran, Iranian Women, Mahsa Amini]}
feeds:
  - name: magazine
    url: https://magazine.example/tag/nasrin-sotoudeh/feed/
    poll: 15m
    first_poll: none
    max_new: 20
    max_age: 14d
    topics: [iran]
    exclude: {categories: [Sponsored], title_prefixes: ["Podcast:"]}
    actions:
      categories: [Take Action, Petition]
      title_prefixes: ["Take Action:", "Petition:"]
      paragraph_prefixes: ["Take action:"]
      urgent_categories: [Urgent]
      deadline_category: deadline-
      default_life: 14d
lists:
  - id: iran-weekly
    kind: digest
    title: Iran Watch
    schedule: "0 9 * * MON"
    timezone: America/New_York
    topics: [iran, nasrin-sotoudeh]
    max_items: 12
    first_wave: 500 then 15m
  - id: urgent-actions
    kind: alert
    title: Take action now
    topics: []
    timezone: America/New_York
    wait: 10m
    reminder: 1d12h
  - id: morning
    schedule: daily 07:30
    timezone: subscriber
    default_timezone: Asia/Tehran
    on_missed: skip
    max_lateness: 5m
`

func TestFullerConfigLoadsWithItsWarningsAlone(t *testing.T) {
	cfg := mustLoad(t, fuller)
	var keys []string
	for _, w := range cfg.Warnings() {
		keys = append(keys, w.Key)
	}
	want := []string{"relays[0].provider", "lists[0].topics[1]"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys that are warned of (-want +got):\n%s", diff)
	}
	if got := cfg.Topics[0].Categories[1]; got != "Iranian Women" {
		t.Errorf("a category became %q", got)
	}
	if got := cfg.Feeds[0].Exclude.TitlePrefixes; !cmp.Equal(got, []string{"Podcast:"}) {
		t.Errorf("excluded title prefixes are %q", got)
	}
	if l := cfg.Lists[1]; l.Kind != newsletter.Alert || l.Zone.String() != "America/New_York" || l.Local || l.Reminder != 36*time.Hour {
		t.Errorf("the alert list is %+v", l)
	}
	if l := cfg.Lists[2]; !l.Local || l.Zone.String() != "Asia/Tehran" || l.OnMissed != newsletter.MissedSkip || l.MaxLateness != 5*time.Minute {
		t.Errorf("the list on the readers' clocks is %+v", l)
	}
	limits := config.Alerts{AtMost: config.AtMost{N: 1, Per: 24 * time.Hour}, QuietHours: config.QuietHours{From: 22 * time.Hour, Until: 7 * time.Hour}}
	if cfg.Alerts != limits || cfg.ActionLinks != "stable" {
		t.Errorf("alerts are limited to %v, and link %s; want %v, and stable", cfg.Alerts, cfg.ActionLinks, limits)
	}
}

func TestDefaultIsWhatAnEmptySectionGets(t *testing.T) {
	got := mustLoad(t, smallest)
	want := config.Default()
	if got.HTTP != want.HTTP || got.Log != want.Log || got.Durability != want.Durability || got.OnUnknown != want.OnUnknown ||
		got.Alerts != want.Alerts || got.ActionLinks != want.ActionLinks {
		t.Errorf("loaded %v %v %s %v %v %s, Default has %v %v %s %v %v %s",
			got.HTTP, got.Log, got.Durability, got.OnUnknown, got.Alerts, got.ActionLinks, want.HTTP, want.Log, want.Durability, want.OnUnknown, want.Alerts, want.ActionLinks)
	}
}

func TestNamesKeepTheirCase(t *testing.T) {
	cfg := mustLoad(t, edited(t,
		`{url: "https://magazine`, `{name: The.Magazine, topics: [Mahsa Amini], actions: {categories: [HANDELN]}, url: "https://Magazine`,
		"name: Example Magazine", "name: EXAMPLE Magazine",
		"{id:", "{title: iPhone & I, topics: [Mahsa Amini], id:"))
	f, l := cfg.Feeds[0], cfg.Lists[0]
	got := []string{f.Name, f.Topics[0], f.Actions.Categories[0], f.URL, cfg.Publisher.Name, l.Title, l.Topics[0]}
	want := []string{"The.Magazine", "Mahsa Amini", "HANDELN", "https://Magazine.example/feed/", "EXAMPLE Magazine", "iPhone & I", "Mahsa Amini"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestAnEmptyListOfRulesMeansNone(t *testing.T) {
	cfg := mustLoad(t, edited(t, `{url:`, `{actions: {categories: [], title_prefixes: ["Act:"], deadline_category: ""}, url:`))
	got := cfg.Feeds[0].Actions
	want := config.Actions{
		Categories:        []string{},
		TitlePrefixes:     []string{"Act:"},
		ParagraphPrefixes: []string{"Take action:"},
		UrgentCategories:  []string{"Urgent"},
		DefaultLife:       14 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestDirectories(t *testing.T) {
	path := folder(t, smallest)
	dir := filepath.Dir(path)
	if err := os.Mkdir(filepath.Join(dir, "looks"), 0o750); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		keys, state     string
		data, templates string
	}{
		"beside the config file":            {"", "", filepath.Join(dir, "data"), ""},
		"from the service manager":          {"", "/var/lib/dispatcher", "/var/lib/dispatcher", ""},
		"the first of several":              {"", "/var/lib/one:/var/lib/two", "/var/lib/one", ""},
		"given, before the service manager": {"data_dir: /srv/news/\n", "/var/lib/dispatcher", "/srv/news", ""},
		"given from the config file":        {"data_dir: ../news\n", "", filepath.Join(filepath.Dir(dir), "news"), ""},
		"templates":                         {"templates_dir: looks\n", "", filepath.Join(dir, "data"), filepath.Join(dir, "looks")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			write(t, path, smallest+tt.keys, 0o640)
			cfg, err := config.Load(path, []string{"STATE_DIRECTORY=" + tt.state})
			if err != nil {
				t.Fatal(err)
			}
			if cfg.DataDir != tt.data || cfg.TemplatesDir != tt.templates {
				t.Errorf("data in %q and templates in %q, want %q and %q", cfg.DataDir, cfg.TemplatesDir, tt.data, tt.templates)
			}
		})
	}
}

func TestTrailingSlashOfPublicURLGoes(t *testing.T) {
	cfg := mustLoad(t, edited(t, "https://news.example.org", "http://localhost:8080/news/"))
	if cfg.PublicURL != "http://localhost:8080/news" {
		t.Errorf("public_url is %q", cfg.PublicURL)
	}
}

func TestAnotherPartReportsWithTheLineOfTheKey(t *testing.T) {
	path := folder(t, smallest)
	cfg, err := config.Load(path, []string{"DISPATCHER_LOG__LEVEL=debug"})
	if err != nil {
		t.Fatal(err)
	}
	problems := config.Problems{
		cfg.Problem("lists[0].schedule", "0 0 30 2 *", "never comes due", "choose a day that there is"),
		cfg.Problem("lists[0].subject", "", "needs a field that no item has", ""),
		cfg.Problem("feeds", "", "all point to one host", "spread them"),
		cfg.Problem("log.level", "debug", "is too much", "use info"),
		cfg.Problem("templates_dir", "", "lacks digest.html", "add it"),
	}
	want := strings.Join([]string{
		`config.yaml:9: lists[0].schedule: "0 0 30 2 *" never comes due; choose a day that there is`,
		`config.yaml:9: lists[0].subject: needs a field that no item has`,
		`config.yaml:7: feeds: all point to one host; spread them`,
		`DISPATCHER_LOG__LEVEL: log.level: "debug" is too much; use info`,
		`config.yaml: templates_dir: lacks digest.html; add it`,
	}, "\n")
	if diff := cmp.Diff(want, strings.ReplaceAll(problems.Error(), path, "config.yaml")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestProblemsAreDataToo(t *testing.T) {
	path := folder(t, edited(t, "Mon 09:00", "someday"))
	_, err := config.Load(path, nil)
	problems, ok := errors.AsType[config.Problems](err)
	if !ok || len(problems) != 1 {
		t.Fatalf("Load: %v, want one problem", err)
	}
	p := problems[0]
	if p.File != path || p.Line != 9 || p.Column != 23 || p.Key != "lists[0].schedule" || p.Value != "someday" {
		t.Errorf("problem is %+v", p)
	}
}
