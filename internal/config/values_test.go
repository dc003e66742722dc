package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

func TestRelayPortAndTLSSettleEachOther(t *testing.T) {
	tests := map[string]struct {
		keys string
		port int
		tls  string
	}{
		"neither":                    {"host: smtp.example.org", 465, "implicit"},
		"465":                        {"host: smtp.example.org, port: 465", 465, "implicit"},
		"587":                        {"host: smtp.example.org, port: 587", 587, "starttls"},
		"25":                         {"host: smtp.example.org, port: 25", 25, "starttls"},
		"starttls":                   {"host: smtp.example.org, tls: starttls", 587, "starttls"},
		"this machine":               {"host: 127.0.0.1, port: 25", 25, "none"},
		"this machine by name":       {"host: LocalHost, port: 1025", 1025, "none"},
		"this machine, IPv6":         {`host: "::1", port: 25`, 25, "none"},
		"this machine, 587":          {"host: 127.0.0.1, port: 587", 587, "starttls"},
		"this machine, 465":          {"host: 127.0.0.1, port: 465", 465, "implicit"},
		"this machine, without TLS":  {"host: localhost, tls: none", 25, "none"},
		"this machine, and starttls": {"host: localhost, port: 25, tls: starttls", 25, "starttls"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, edited(t, "host: smtp.example.org", tt.keys))
			if r := cfg.Relays[0]; r.Port != tt.port || r.TLS != tt.tls {
				t.Errorf("port %d with TLS %q, want %d with %q", r.Port, r.TLS, tt.port, tt.tls)
			}
		})
	}
}

func TestFirstPoll(t *testing.T) {
	for text, want := range map[string]config.FirstPoll{"none": 0, "newest 20": 20} {
		cfg := mustLoad(t, edited(t, "{url:", "{first_poll: "+text+", url:"))
		if got := cfg.Feeds[0].FirstPoll; got != want {
			t.Errorf("first_poll %s is %d, want %d", text, got, want)
		}
	}
}

func TestRates(t *testing.T) {
	tests := map[string]struct {
		want      config.Rate
		perSecond float64
	}{
		"50/s":   {config.Rate{N: 50, Per: time.Second}, 50},
		"30/m":   {config.Rate{N: 30, Per: time.Minute}, 0.5},
		"7200/h": {config.Rate{N: 7200, Per: time.Hour}, 2},
		"1/d":    {config.Rate{N: 1, Per: 24 * time.Hour}, 1.0 / 86400},
	}
	for text, tt := range tests {
		cfg := mustLoad(t, edited(t, "{host:", "{rate: "+text+", host:"))
		got := cfg.Relays[0].Rate
		if got != tt.want || got.PerSecond() != tt.perSecond {
			t.Errorf("rate %s is %v, %v a second, want %v, %v", text, got, got.PerSecond(), tt.want, tt.perSecond)
		}
	}
	if got := (config.Rate{}).PerSecond(); got != 0 {
		t.Errorf("no limit is %v a second, want 0", got)
	}
}

func TestClassRates(t *testing.T) {
	const keys = "{class_rates: [{class: gmail, rate: 20/s}, {rate: 300/m, class: Bücher.Example}], host:"
	got := mustLoad(t, edited(t, "{host:", keys)).Relays[0].ClassRates
	want := []config.ClassRate{
		{Class: "gmail", Rate: config.Rate{N: 20, Per: time.Second}},
		{Class: "xn--bcher-kva.example", Rate: config.Rate{N: 300, Per: time.Minute}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("class rates (-want +got):\n%s", diff)
	}
}

func TestFirstWave(t *testing.T) {
	tests := map[string]config.FirstWave{
		"500 then 15m":     {N: 500, Wait: 15 * time.Minute},
		"1 then 1m":        {N: 1, Wait: time.Minute},
		"1000000 then 1d":  {N: 1_000_000, Wait: 24 * time.Hour},
		"500  then  1h30m": {N: 500, Wait: 90 * time.Minute},
	}
	for text, want := range tests {
		cfg := mustLoad(t, edited(t, "{id:", "{first_wave: "+text+", id:"))
		if got := cfg.Lists[0].FirstWave; got != want {
			t.Errorf("first_wave %s is %v, want %v", text, got, want)
		}
	}
}

func TestAtMost(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]config.AtMost{
		"1 per 24h":      {N: 1, Per: day},
		"2 per 1d":       {N: 2, Per: day},
		" 3  per  1d12h": {N: 3, Per: 36 * time.Hour},
		"1 per 1h":       {N: 1, Per: time.Hour},
		"1000 per 31d":   {N: 1000, Per: 31 * day},
	}
	for text, want := range tests {
		cfg := mustLoad(t, smallest+`alerts: {at_most: "`+text+`"}`)
		if got := cfg.Alerts.AtMost; got != want {
			t.Errorf("at_most %s is %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "1", "1 per", "per 24h", "0 per 24h", "-1 per 24h", "1.5 per 24h", "one per 24h", "1 in 24h", "1/24h", "1 per 24", "1 per day", "1 per 59m", "1 per 0s", "1 per 31d1s", "1 per 24h 24h", "9999999999 per 24h"} {
		want := `is not a limit; ` + limits
		if got := problems(t, smallest+`alerts: {at_most: "`+text+`"}`); len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("at_most %s: problems are %q, want one that ends in %q", text, got, want)
		}
	}
}

func TestQuietHours(t *testing.T) {
	const minute = time.Minute
	tests := map[string]config.QuietHours{
		"22:00-07:00":   {From: 22 * time.Hour, Until: 7 * time.Hour},
		"1:05-06:30":    {From: 65 * minute, Until: 390 * minute},
		"00:00-06:00":   {From: 0, Until: 6 * time.Hour},
		"23:59 - 00:00": {From: 1439 * minute, Until: 0},
	}
	for text, want := range tests {
		cfg := mustLoad(t, smallest+`alerts: {quiet_hours: "`+text+`"}`)
		if got := cfg.Alerts.QuietHours; got != want {
			t.Errorf("quiet_hours %s are %v, want %v", text, got, want)
		}
		if w := cfg.Warnings(); len(w) > 0 {
			t.Errorf("quiet_hours %s: warnings %v", text, w)
		}
	}
	for _, text := range []string{"", "-", "22-7", "22:00", "22:00-", "-07:00", "22:00-24:00", "10pm-7am", "22:00–07:00", "22:00:00-07:00:00", "22:00-07:00-08:00", "22:60-07:00"} {
		want := `is not a span of the day; ` + quiet
		if got := problems(t, smallest+`alerts: {quiet_hours: "`+text+`"}`); len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("quiet_hours %s: problems are %q, want one that ends in %q", text, got, want)
		}
	}
}

// The rooms take these as the domain has them; the conversions are part of the claim.
func TestLimitsAreThoseOfTheDomain(t *testing.T) {
	alerts := mustLoad(t, smallest+"alerts: {at_most: 2 per 1d, quiet_hours: 22:00-07:00}\n").Alerts
	if got, want := newsletter.AtMost(alerts.AtMost), (newsletter.AtMost{N: 2, Per: 24 * time.Hour}); got != want {
		t.Errorf("at_most is %v, want %v", got, want)
	}
	night := time.Date(2026, time.March, 2, 23, 0, 0, 0, time.UTC)
	if end, quiet := newsletter.QuietHours(alerts.QuietHours).End(night, time.UTC); !quiet || !end.Equal(night.Add(8*time.Hour)) {
		t.Errorf("at 23:00 it is quiet: %v, until %v; want until 07:00", quiet, end)
	}
}

func TestWhoseClockAListIsOn(t *testing.T) {
	tests := map[string]struct {
		keys     string
		local    bool
		zone     string
		fallback string
	}{
		"a zone":                        {"timezone: Asia/Tehran, schedule: daily 09:00", false, "Asia/Tehran", ""},
		"no zone":                       {"schedule: daily 09:00", false, "UTC", ""},
		"the reader's":                  {"timezone: subscriber, default_timezone: Asia/Tehran, schedule: daily 09:00", true, "Asia/Tehran", "Asia/Tehran"},
		"the reader's, without default": {"timezone: subscriber, schedule: daily 09:00", true, "UTC", "UTC"},
		"the reader's, sent by hand":    {"timezone: subscriber", true, "UTC", "UTC"},
		"an alert list":                 {"kind: alert, timezone: Asia/Tehran", false, "Asia/Tehran", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := mustLoad(t, edited(t, "schedule: Mon 09:00, timezone: America/New_York", tt.keys)).Lists[0]
			if l.Local != tt.local || l.Zone.String() != tt.zone || l.DefaultTimezone != tt.fallback {
				t.Errorf("local %v in %v with default %q, want %v in %v with %q", l.Local, l.Zone, l.DefaultTimezone, tt.local, tt.zone, tt.fallback)
			}
		})
	}
}

func TestReminderMayBeNone(t *testing.T) {
	tests := map[string]time.Duration{"": 0, "reminder: 0s,": 0, "reminder: 1h,": time.Hour, "reminder: 30d,": 30 * 24 * time.Hour}
	for keys, want := range tests {
		cfg := mustLoad(t, smallest+"  - {"+keys+" id: urgent, kind: alert}\n")
		if got := cfg.Lists[1].Reminder; got != want {
			t.Errorf("{%s} reminds %v before, want %v", keys, got, want)
		}
	}
}

func TestTimeoutsThatAreNotGivenKeepTheirDefaults(t *testing.T) {
	got := mustLoad(t, edited(t, "{host:", "{timeouts: {end: 15m}, host:")).Relays[0].Timeouts
	want := config.Timeouts{Connect: time.Minute, Command: 5 * time.Minute, End: 15 * time.Minute}
	if got != want {
		t.Errorf("timeouts are %v, want %v", got, want)
	}
}

func TestRelaysKeepTheirOrderAndEachHasItsZone(t *testing.T) {
	cfg := mustLoad(t, edited(t, "relays: [", "relays: [{host: b.example.org, timezone: Asia/Tokyo}, {host: a.example.org}, "))
	var got []string
	for _, r := range cfg.Relays {
		got = append(got, r.Host+" "+r.Zone.String())
	}
	want := []string{"b.example.org Asia/Tokyo", "a.example.org UTC", "smtp.example.org UTC"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("relays (-want +got):\n%s", diff)
	}
}

func TestDurationsTakeDays(t *testing.T) {
	tests := map[string]time.Duration{
		"14d":    14 * 24 * time.Hour,
		"1d12h":  36 * time.Hour,
		"1d30m":  24*time.Hour + 30*time.Minute,
		"1h30m":  90 * time.Minute,
		"90m":    90 * time.Minute,
		"36500d": 36500 * 24 * time.Hour,
	}
	for text, want := range tests {
		cfg := mustLoad(t, edited(t, "{url:", "{max_age: "+text+", url:"))
		if got := cfg.Feeds[0].MaxAge; got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

func TestSchedulesBecomeCronLines(t *testing.T) {
	tests := map[string]string{
		"Mon 09:00":          "0 9 * * MON",
		"monday 9:05":        "5 9 * * MON",
		"Mon,Thu 09:00":      "0 9 * * MON,THU",
		"Mon-Wed,Sun 7:30":   "30 7 * * MON,TUE,WED,SUN",
		"Sat-Mon 00:00":      "0 0 * * SAT,SUN,MON",
		"daily 07:30":        "30 7 * * *",
		"weekdays 08:00":     "0 8 * * MON,TUE,WED,THU,FRI",
		"Weekends 23:59":     "59 23 * * SAT,SUN",
		"0 9 * * MON":        "0 9 * * MON",
		"*/5  8-18 1,15 * ?": "*/5 8-18 1,15 * ?",
	}
	for text, want := range tests {
		cfg := mustLoad(t, edited(t, "schedule: Mon 09:00", `schedule: "`+text+`"`))
		if got := cfg.Lists[0].Schedule; got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
