package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/edition"
	"dispatcher/internal/ingest"
	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/store"
	"dispatcher/templates"
)

// office is a checked config with its database open: what most commands work in.
type office struct {
	process
	config    config.Config
	store     *store.Store
	log       *slog.Logger
	publisher newsletter.Publisher
	lists     []newsletter.List
	topics    newsletter.Topics
	feeds     []ingest.Feed
	renderer  *render.Renderer
}

// inOffice makes a command out of one that needs the office. The database is closed when it returns.
func inOffice(p process, do func(cmd *cobra.Command, o *office, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		cfg, err := config.Load(path, p.environ)
		if err != nil {
			return err
		}
		o, err := openOffice(cmd.Context(), p, cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.store.Close()) }()
		return do(cmd, o, args)
	}
}

// openOffice checks what only the rooms can check, and opens the database.
func openOffice(ctx context.Context, p process, cfg config.Config) (*office, error) {
	o, err := furnish(p, cfg)
	if err != nil {
		return nil, err
	}
	if o.store, err = store.Open(ctx, cfg.DataDir, p.now()); err != nil {
		return nil, withRights(err)
	}
	if err := o.store.Relax(ctx, cfg.Durability == "normal"); err != nil {
		return nil, errors.Join(err, o.store.Close())
	}
	if err := o.goByNames(ctx); err != nil {
		return nil, errors.Join(err, o.store.Close())
	}
	return o, nil
}

// furnish turns the config into what the rooms take, without touching the database. Templates and schedules are tried here, so
// that every command refuses what could not be sent.
func furnish(p process, cfg config.Config) (*office, error) {
	o := &office{
		process: p, config: cfg, log: newLogger(p, cfg.Log, slog.LevelWarn), // a command says itself what it does
		publisher: publisherOf(cfg), lists: listsOf(cfg), topics: topicsOf(cfg), feeds: feedsOf(cfg),
	}
	var err error
	if o.renderer, err = render.New(templates.With(cfg.TemplatesDir), o.publisher, rand.Reader); err != nil {
		return nil, fmt.Errorf("checking templates: %w", err)
	}
	var problems config.Problems
	for i, l := range cfg.Lists {
		if l.Schedule != "" {
			if _, err := scheduler.Parse(l.Schedule, l.Zone); err != nil {
				what, cure, told := strings.Cut(err.Error(), ": ")
				if !told {
					cure = "write a five-field cron line, or one such as Mon 09:00"
				}
				problems = append(problems, cfg.Problem(fmt.Sprintf("lists[%d].schedule", i), l.Schedule, what, cure))
			}
		}
		if err := o.renderer.CheckSubject(l.Subject); l.Subject != "" && err != nil {
			problems = append(problems, cfg.Problem(fmt.Sprintf("lists[%d].subject", i), l.Subject, err.Error(), "see config.example.yaml for what a subject may use"))
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return o, nil
}

func publisherOf(cfg config.Config) newsletter.Publisher {
	return newsletter.Publisher{
		Name: cfg.Publisher.Name, From: cfg.Publisher.From, ReplyTo: cfg.Publisher.ReplyTo,
		PostalAddress: cfg.Publisher.PostalAddress, PublicURL: cfg.PublicURL, Unsubscribe: cfg.UnsubscribeAddress, Bounces: cfg.BounceAddress,
	}
}

func listsOf(cfg config.Config) (lists []newsletter.List) {
	for _, l := range cfg.Lists {
		lists = append(lists, newsletter.List{
			ID: l.ID, Retired: l.Retired, Kind: l.Kind, Title: l.Title, Description: l.Description, Schedule: l.Schedule, Zone: l.Zone, Topics: l.Topics,
			MaxItems: l.MaxItems, MaxAge: l.MaxAge, Wait: l.Wait, Subject: l.Subject, Language: l.Language,
			FirstWave: newsletter.FirstWave(l.FirstWave), Local: l.Local, OnMissed: l.OnMissed, MaxLateness: l.MaxLateness, Reminder: l.Reminder,
		})
	}
	return lists
}

func topicsOf(cfg config.Config) (topics newsletter.Topics) {
	for _, t := range cfg.Topics {
		topics = append(topics, newsletter.Topic(t))
	}
	return topics
}

func feedsOf(cfg config.Config) (feeds []ingest.Feed) {
	for _, f := range cfg.Feeds {
		feeds = append(feeds, ingest.Feed{
			Name: f.Name, URL: f.URL, Poll: f.Poll, FirstPoll: int(f.FirstPoll), MaxNew: f.MaxNew, MaxAge: f.MaxAge, Topics: f.Topics,
			Exclude: ingest.Exclude(f.Exclude), Actions: ingest.ActionRules(f.Actions),
		})
	}
	return feeds
}

// relaysOf are the relays in the order in which they are preferred.
func relaysOf(cfg config.Config) (relays []mailer.Relay) {
	for _, r := range cfg.Relays {
		relay := mailer.Relay{
			Name: r.Name, Host: r.Host, Port: r.Port, TLS: mailer.TLSMode(r.TLS), Username: r.Username, Password: r.Password.Reveal(),
			Connections: r.Connections, Messages: r.MessagesPerConnection, Timeouts: mailer.Timeouts(r.Timeouts),
			Rate: r.Rate.PerSecond(), PerHour: r.PerHour, PerDay: r.PerDay, Zone: r.Zone,
		}
		for _, c := range r.ClassRates {
			relay.ClassRates = append(relay.ClassRates, mailer.ClassRate{Class: c.Class, Rate: c.Rate.PerSecond()})
		}
		relays = append(relays, relay)
	}
	return relays
}

// heldLanes are where a copy that a relay may have waits for the admin.
func heldLanes(cfg config.Config) (lanes []newsletter.Lane) {
	if cfg.OnUnknown.Alert == "hold" {
		lanes = append(lanes, newsletter.AlertLane)
	}
	if cfg.OnUnknown.Digest == "hold" {
		lanes = append(lanes, newsletter.DigestLane)
	}
	return lanes
}

// desk is where editions are made.
func (o *office) desk() *edition.Desk {
	d := &edition.Desk{
		Queue: o.store, Renderer: o.renderer, Topics: o.topics, Proofs: o.config.ProofTo, Rehearsal: o.config.Rehearsal, Now: o.now,
		AtMost: newsletter.AtMost(o.config.Alerts.AtMost), Quiet: newsletter.QuietHours(o.config.Alerts.QuietHours),
	}
	if o.config.ActionLinks == "stable" {
		d.Links = o.publisher.PublicURL + "/a/"
	}
	return d
}

func (o *office) ingester() *ingest.Ingester {
	return ingest.New(o.store, ingest.Settings{Feeds: o.feeds, UserAgent: "dispatcher/" + version() + " (+" + o.publisher.PublicURL + ")", Now: o.now, Log: o.log})
}

func (o *office) composer() *render.Composer {
	return &render.Composer{Variants: o.store, Keys: o.store.Keys(), Publisher: o.publisher}
}

func (o *office) mailer() *mailer.Mailer {
	return &mailer.Mailer{
		Outbox: o.store, Composer: o.composer(), Relays: relaysOf(o.config), Rehearsal: o.config.Rehearsal, Hold: heldLanes(o.config), Now: o.now, Log: o.log,
	}
}

// nextSlot is when a list's next slot on the schedule comes, on the readers' own clocks in the first of their zones; zero: there is none.
func (o *office) nextSlot(ctx context.Context, l newsletter.List, after time.Time) (time.Time, error) {
	if l.Retired {
		return time.Time{}, nil
	}
	s, err := scheduler.New(o.store, o.desk(), []newsletter.List{l}, o.now, o.log)
	if err != nil {
		return time.Time{}, err
	}
	next, err := s.Upcoming(ctx, l, after, 1)
	if err != nil || len(next) == 0 {
		return time.Time{}, err
	}
	return next[0].Opens, nil
}

// lastBeat notes, when sending ends, how far this database has got: a copy that was made of it since the last minute is told from it.
func (o *office) lastBeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := o.store.Beat(ctx, o.now()); err != nil {
		o.log.Warn("noting the end failed", "error", err)
	}
}
