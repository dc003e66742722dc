package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func newReloadCommand(p process) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the running serve read the config again, and say whether it took it over",
		Long: `Send the running serve the signal to read the config again, and wait until it has. It ends with exit code 1 where serve goes on by
the old config, and says why. "systemctl reload dispatcher" does this after "dispatcher check".`,
		Args: cobra.NoArgs,
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
			m, err := o.store.Mailer()
			if errors.Is(err, newsletter.ErrNotFound) || err == nil && m.As != "serve" {
				return fmt.Errorf("nobody serves from %s; where serve has another data_dir, restart it", o.store.Path())
			}
			if err != nil {
				return withRights(err)
			}
			if err := haveReloaded(cmd.Context(), o.store, m); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "serve, process %d, works by the new config.\n", m.PID)
			return err
		}),
	}
}

// takeOver is how long a serve may take to read its config again: longer than it gives itself, and shorter than the unit gives the command.
const takeOver = reloadPatience + time.Minute

// haveReloaded has a serve read the config again, and waits for its answer. A reload that it has begun already may have read the file before it was
// changed: the answer is that of the next. The error says why serve did not take the config over.
func haveReloaded(ctx context.Context, s *store.Store, m store.Mailer) error {
	if m.PID == 0 {
		return errors.New("serve runs in a container or under a user of its own, and cannot be told from here: send it SIGHUP there")
	}
	if err := syscall.Kill(m.PID, syscall.SIGHUP); err != nil {
		return withRights(fmt.Errorf("telling serve, process %d: %w", m.PID, err))
	}
	over := time.NewTimer(takeOver)
	defer over.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		now, err := s.Mailer()
		switch {
		case errors.Is(err, newsletter.ErrNotFound) || err == nil && now.PID != m.PID:
			return errors.New("serve ended meanwhile: its log tells why")
		case err != nil:
			return err
		case now.Reloads.Ended > m.Reloads.Begun && now.Reloads.Refused != "":
			return fmt.Errorf("serve refuses the new config and goes on by the old one: %s", now.Reloads.Refused)
		case now.Reloads.Ended > m.Reloads.Begun:
			return nil
		}
		select {
		case <-look.C:
		case <-over.C:
			return fmt.Errorf("serve, process %d, has not answered for %s: its log tells more", m.PID, takeOver)
		case <-ctx.Done():
			return errors.New("interrupted: serve goes on with it, and its log tells how that went")
		}
	}
}
