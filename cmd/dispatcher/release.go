package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
)

func newReleaseCommand(p process) *cobra.Command {
	var yes bool
	release := &cobra.Command{
		Use:   "release",
		Short: "Let mail go that was held back for a restored database or a wrong clock",
		Long: `Let mail go again that dispatcher holds back by itself. It does so where its database was restored from a backup or copied from
another machine, since readers would get again what they have had meanwhile, and where the clock is two months or more ahead of
when it last served. It says why, and asks on a terminal; elsewhere it needs --yes.

Look first: "dispatcher plan" shows what would be mailed next, "dispatcher editions list" what is still being sent, and
"dispatcher editions cancel" ends an edition that has gone out already.`,
		Args: cobra.NoArgs,
	}
	release.Flags().BoolVar(&yes, "yes", false, "do not ask")
	release.RunE = inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
		held, err := o.store.Held(cmd.Context(), o.now())
		if err != nil {
			return err
		}
		if held == "" {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "Nothing is held back.")
			return err
		}
		if !yes && !p.terminal {
			return usagef("mail is held back: %s: give --yes to let it go where nobody can be asked", held)
		}
		if !yes && !ask(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("All mail is held back: %s.\nLet it go? [y/N] ", held)) {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), "It stays as it is.")
			return err
		}
		if err := o.store.Release(cmd.Context(), o.now()); err != nil && !errors.Is(err, newsletter.ErrNotFound) {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "Mail goes again.")
		return err
	})
	return release
}
