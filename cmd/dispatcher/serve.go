package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
)

func newServeCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: watch feeds, make editions on schedule, send, answer readers",
		Long: `Run the daemon in the foreground until it gets SIGINT or SIGTERM: watch the feeds, make each list's editions on its
schedule, send them, and answer the readers' pages. It finishes the messages that are on the line before it ends.
Only one serve may run on a database; the other commands work beside it.

SIGHUP has it read the config again. A file that "dispatcher check" would refuse changes nothing; with a good one all is
made anew within the process, and nothing that is on its way is lost.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP) // before the database is opened, which may take long: one that comes early must not end it
			defer signal.Stop(hangups)
			return inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
				path, err := cmd.Flags().GetString("config")
				if err != nil {
					return err
				}
				return o.serve(cmd.Context(), path, hangups)
			})(cmd, args)
		},
	}
}

// serveLevel is the least level that serve logs: a command, which says itself what it does, logs less.
const serveLevel = slog.LevelDebug

// serve runs all rooms until the context is cancelled. The first that fails ends the others. Each hangup has the config read again.
func (given *office) serve(ctx context.Context, path string, hangups <-chan os.Signal) (err error) {
	own := *given // who gave it may be using it
	o := &own
	o.lists = slices.Clone(o.lists)
	o.log = newLogger(o.process, o.config.Log, serveLevel)
	release, err := o.store.LockMailer("serve")
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
	if err := o.moveIn(ctx); err != nil {
		o.log.Error("a list keeps the id that it had", "error", err)
	}
	s, err := newService(ctx, o, path)
	if err != nil {
		return err
	}
	o.tellWarnings(ctx)
	o.log.Info("serving", "version", version(), "lists", len(o.lists), "feeds", len(o.feeds), "rehearsal", o.config.Rehearsal,
		"pages", s.pages.address(), "admin", s.admin.address())
	err = s.run(ctx, hangups)
	s.shift.office.lastBeat(ctx)
	s.log().Info("stopped")
	return err
}

// tellWarnings says at each start what in the config is legal and yet surely not meant, and which readers it forgets: the others get their
// mail meanwhile.
func (o *office) tellWarnings(ctx context.Context) {
	for _, w := range o.config.Warnings() {
		o.log.Warn("config", "warning", w.String())
	}
	gone, err := o.vanished(ctx)
	if err != nil {
		o.log.Warn("looking for the config's lists failed", "error", err)
	}
	for _, p := range gone {
		o.log.Error("config", "problem", p.String())
	}
}
