package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/config"
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
