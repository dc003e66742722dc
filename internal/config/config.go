// Package config reads the one YAML file that an admin writes, checks it strictly and completely,
// and hands it over as a Config with every default filled in and every secret loaded.
//
// It reads twice. The first pass walks the YAML tree against the Config type: an unknown key, a
// value of the wrong type, a duration without a unit is a problem with its line. The second pass
// lays the checked values over the defaults and the environment over both, which is viper's part.
// All problems are told at once; an error never shows a secret.
package config

import (
	"time"

	"dispatcher/internal/newsletter"
)

// Config is a checked config file. Nothing changes it after Load, so any goroutine may read it.
// The yaml tags are the one place that names the keys.
type Config struct {
	PublicURL  string    `yaml:"public_url"`  // base of every link, no trailing slash
	FormerURLs []string  `yaml:"former_urls"` // that PublicURL was before, written as it: links in old mail begin with them
	Publisher  Publisher `yaml:"publisher"`

	Relays []Relay `yaml:"relays"` // at least one; the later ones stand by, in this order
	Feeds  []Feed  `yaml:"feeds"`
	Topics []Topic `yaml:"topics"`
	Lists  []List  `yaml:"lists"` // at least one
	Alerts Alerts  `yaml:"alerts"`

	ActionLinks string `yaml:"action_links"` // direct, to the petition, or stable: PublicURL/a/CODE, the same for every reader

	Rehearsal bool                 `yaml:"rehearsal"` // mail goes to ProofTo alone
	ProofTo   []newsletter.Address `yaml:"proof_to"`

	UnsubscribeAddress newsletter.Address `yaml:"unsubscribe_address"` // empty: mail that asks to leave is not read
	BounceAddress      newsletter.Address `yaml:"bounce_address"`      // empty: Publisher.From

	Durability string    `yaml:"durability"` // full or normal: what a power cut may take
	OnUnknown  OnUnknown `yaml:"on_unknown"`

	HTTP         HTTP   `yaml:"http"`
	Log          Log    `yaml:"log"`
	DataDir      string `yaml:"data_dir"`      // absolute
	TemplatesDir string `yaml:"templates_dir"` // absolute, or empty: the built-in templates

	KeepDeliveries time.Duration `yaml:"keep_deliveries"` // how long what became of each copy is kept, 60 days or more; 0: for good

	source   source
	warnings Problems
}

// Publisher is whose mail it is.
type Publisher struct {
	Name          string             `yaml:"name"`
	From          newsletter.Address `yaml:"from"`
	ReplyTo       newsletter.Address `yaml:"reply_to"` // empty: none
	PostalAddress string             `yaml:"postal_address"`
}

// Relay is an SMTP server that takes our mail.
type Relay struct {
	Name         string `yaml:"name"`
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"`
	TLS          string `yaml:"tls"` // implicit, starttls or none
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
	Password     Secret `yaml:"-"` // what PasswordFile holds

	Connections           int      `yaml:"connections"`
	MessagesPerConnection int      `yaml:"messages_per_connection"` // then it is replaced by a new one
	Timeouts              Timeouts `yaml:"timeouts"`

	Rate       Rate           `yaml:"rate"`
	PerHour    int            `yaml:"per_hour"` // in any 60 minutes; 0: no limit
	PerDay     int            `yaml:"per_day"`  // from midnight to midnight in Zone; 0: no limit
	Timezone   string         `yaml:"timezone"`
	Zone       *time.Location `yaml:"-"` // what Timezone names: at its midnight the relay's day ends
	ClassRates []ClassRate    `yaml:"class_rates"`

	// Without effect in this version; Config.Warnings says so where it is given.
	Provider string `yaml:"provider"`
}

// Timeouts are how long a relay may take. Those of commands default to what RFC 5321 section 4.5.3.2 asks for.
type Timeouts struct {
	Connect time.Duration `yaml:"connect"` // from the dial to the end of the login
	Command time.Duration `yaml:"command"` // each answer but the last
	End     time.Duration `yaml:"end"`     // the answer to the end of a message
}

// ClassRate is a limit of its own for the mail that goes through a relay to one class of receivers.
type ClassRate struct {
	Class string `yaml:"class"` // one of newsletter.Classes, or a domain as newsletter.Address has it
	Rate  Rate   `yaml:"rate"`  // never zero
}

// OnUnknown says, for each kind of list, what becomes of a copy of which it is not known whether the
// relay has it: retry sends it again, hold leaves it to the admin.
type OnUnknown struct {
	Alert  string `yaml:"alert"`
	Digest string `yaml:"digest"`
}

// Feed is a place where items come from.
type Feed struct {
	Name      string        `yaml:"name"`
	URL       string        `yaml:"url"`
	Poll      time.Duration `yaml:"poll"`
	FirstPoll FirstPoll     `yaml:"first_poll"`
	MaxNew    int           `yaml:"max_new"` // the flood gate: more at once are held
	MaxAge    time.Duration `yaml:"max_age"` // the flood gate: older items are held
	Topics    []string      `yaml:"topics"`  // added to what an item's categories say
	Exclude   Exclude       `yaml:"exclude"`
	Actions   Actions       `yaml:"actions"`
}

// Exclude says which items of a feed are left out.
type Exclude struct {
	Categories    []string `yaml:"categories"`
	TitlePrefixes []string `yaml:"title_prefixes"`
}

// Actions says which items of a feed are take-action items.
type Actions struct {
	Categories        []string      `yaml:"categories"`
	TitlePrefixes     []string      `yaml:"title_prefixes"`
	ParagraphPrefixes []string      `yaml:"paragraph_prefixes"` // an action inside an article
	UrgentCategories  []string      `yaml:"urgent_categories"`
	DeadlineCategory  string        `yaml:"deadline_category"` // what stands before the date; empty: no category tells a deadline
	DefaultLife       time.Duration `yaml:"default_life"`      // of an action without a deadline
}

// Topic is a subject that readers may choose.
type Topic struct {
	ID         string   `yaml:"id"`
	Title      string   `yaml:"title"`
	Categories []string `yaml:"categories"` // what publishers call it
}

// List is what people subscribe to.
type List struct {
	ID          string          `yaml:"id"`
	Was         string          `yaml:"was"`     // the id that it had before; empty: none
	Retired     bool            `yaml:"retired"` // nothing is made or sent for it; its readers and the links in its mail stay known
	Kind        newsletter.Kind `yaml:"kind"`
	Title       string          `yaml:"title"`
	Description string          `yaml:"description"` // one line, may be empty
	Schedule    string          `yaml:"schedule"`    // five-field cron line; empty: an alert list, or sent by hand

	Timezone        string         `yaml:"timezone"`         // an IANA zone, or subscriber: each reader's own; never empty
	DefaultTimezone string         `yaml:"default_timezone"` // with subscriber, never empty: the clock of readers whose zone is not known
	Local           bool           `yaml:"-"`                // Timezone is subscriber
	Zone            *time.Location `yaml:"-"`                // what Timezone names, or DefaultTimezone where Local

	OnMissed    newsletter.OnMissed `yaml:"on_missed"`    // what becomes of slots that came while nothing ran
	MaxLateness time.Duration       `yaml:"max_lateness"` // a slot that is later is skipped

	Topics    []string      `yaml:"topics"`     // empty: every item
	MaxItems  int           `yaml:"max_items"`  // 0: no limit
	MaxAge    time.Duration `yaml:"max_age"`    // an item that has waited longer is not chosen
	Wait      time.Duration `yaml:"wait"`       // alerts: how long actions that come together are gathered
	Reminder  time.Duration `yaml:"reminder"`   // alerts: how long before an action's deadline those who got it are reminded; 0: never
	FirstWave FirstWave     `yaml:"first_wave"` // zero: no wait for reports
	Subject   string        `yaml:"subject"`    // text/template; empty: the title of the first item
	Language  string        `yaml:"language"`   // BCP 47
}

// Alerts are limits for one reader over all alert lists.
type Alerts struct {
	AtMost     AtMost     `yaml:"at_most"`
	QuietHours QuietHours `yaml:"quiet_hours"`
}

// HTTP is where the web pages listen, as host:port.
type HTTP struct {
	Listen      string `yaml:"listen"`
	AdminListen string `yaml:"admin_listen"`
}

// Log says how much is logged and in what form.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Default is the config before a file is read. It is not complete: some keys must be given, and
// relays, feeds and lists bring defaults of their own.
func Default() Config {
	return Config{
		ActionLinks: "direct",
		Durability:  "full",
		OnUnknown:   OnUnknown{Alert: "retry", Digest: "retry"},
		HTTP:        HTTP{Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081"},
		Log:         Log{Level: "info", Format: "text"},

		KeepDeliveries: 400 * day,
	}
}

func defaultRelay() Relay {
	return Relay{
		Connections:           8,
		MessagesPerConnection: 500,
		Timeouts:              Timeouts{Connect: time.Minute, Command: 5 * time.Minute, End: 10 * time.Minute},
		Timezone:              "UTC",
	}
}

func defaultFeed() Feed {
	return Feed{
		Poll:    15 * time.Minute,
		MaxNew:  20,
		MaxAge:  14 * day,
		Actions: DefaultActions(),
	}
}

// DefaultActions are the rules that newsrooms on WordPress commonly follow.
func DefaultActions() Actions {
	return Actions{
		Categories:        []string{"Take Action", "Petition"},
		TitlePrefixes:     []string{"Take Action:", "Petition:"},
		ParagraphPrefixes: []string{"Take action:"},
		UrgentCategories:  []string{"Urgent"},
		DeadlineCategory:  "deadline-",
		DefaultLife:       14 * day,
	}
}

func defaultList() List {
	return List{
		OnMissed:    newsletter.MissedLatest,
		MaxLateness: 12 * time.Hour,
		MaxItems:    12,
		MaxAge:      30 * day,
		Wait:        10 * time.Minute,
		Language:    "en",
	}
}
