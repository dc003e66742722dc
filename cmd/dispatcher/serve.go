package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/web"
	"dispatcher/templates"
)

func newServeCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: watch feeds, make editions on schedule, send, answer readers",
		Long: `Run the daemon in the foreground until it gets SIGINT or SIGTERM: watch the feeds, make each list's editions on its
schedule, send them, and answer the readers' pages. It finishes the messages that are on the line before it ends.
Only one serve may run on a database; the other commands work beside it.`,
		Args: cobra.NoArgs,
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
			o.log = newLogger(o.process, o.config.Log, slog.LevelDebug)
			return o.serve(cmd.Context())
		}),
	}
}

// serve runs all rooms until the context is cancelled. The first that fails ends the others.
func (o *office) serve(ctx context.Context) (err error) {
	release, err := o.store.LockMailer()
	if errors.Is(err, newsletter.ErrLocked) {
		return fmt.Errorf("another dispatcher sends from %s, a serve or a send --wait: only one serve may run on a database; end it first, or give this one its own data_dir", o.store.Path())
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := o.store.Beat(ctx, o.now()); err != nil { // before the mailer looks: it may have to hold back; the scheduler tells why
		return err
	}
	run, err := o.rooms(ctx)
	if err != nil {
		return err
	}
	o.tellWarnings()
	o.log.Info("serving", "version", version(), "lists", len(o.lists), "feeds", len(o.feeds), "rehearsal", o.config.Rehearsal,
		"pages", o.config.HTTP.Listen, "admin", o.config.HTTP.AdminListen)
	g, ctx := errgroup.WithContext(ctx)
	for _, room := range run {
		g.Go(func() error { return room(ctx) })
	}
	err = g.Wait()
	o.lastBeat(ctx)
	o.log.Info("stopped")
	return err
}

// rooms are what serve runs. What can fail at the start, such as a port that is taken, fails here.
func (o *office) rooms(ctx context.Context) ([]func(context.Context) error, error) {
	clock, err := scheduler.New(o.store, o.desk(), o.lists, o.now, o.log)
	if err != nil {
		return nil, err
	}
	pages, err := web.New(web.Config{
		Files: templates.With(o.config.TemplatesDir), Keys: o.store.Keys(), Ledger: o.store, Publisher: o.publisher, Lists: o.lists, Now: o.now, Log: o.log,
	})
	if err != nil {
		return nil, err
	}
	readers, err := listen(ctx, "http.listen", o.config.HTTP.Listen)
	if err != nil {
		return nil, err
	}
	admins, err := listen(ctx, "http.admin_listen", o.config.HTTP.AdminListen)
	if err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	return []func(context.Context) error{
		o.ingester().Run, clock.Run, o.mailer().Run,
		func(ctx context.Context) error { return web.Serve(ctx, readers, pages.Reader(), o.log) },
		func(ctx context.Context) error { return web.Serve(ctx, admins, pages.Admin(), o.log) },
	}, nil
}

func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for pages: %w; give %s another address", err, key)
	}
	return l, nil
}

// tellWarnings says at each start what in the config is legal and yet surely not meant.
func (o *office) tellWarnings() {
	for _, w := range o.config.Warnings() {
		o.log.Warn("config", "warning", w.String())
	}
}
