package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// newSteeringCommands are the commands that change what becomes of an edition.
func newSteeringCommands(p process) []*cobra.Command {
	return []*cobra.Command{newPauseCommand(p), newResumeCommand(p), newCancelCommand(p), newRetryCommand(p)}
}

func newPauseCommand(p process) *cobra.Command {
	reason := ""
	cmd := &cobra.Command{
		Use:   "pause ID",
		Short: "Stop sending an edition until it is resumed",
		Long: `Stop sending an edition until "editions resume". What is on the line at this moment is finished; all other copies wait.
While it waits its patience goes on: copies that are too late then are not sent.`,
		Args: cobra.ExactArgs(1),
		RunE: steer(p, func(cmd *cobra.Command, o *office, id newsletter.EditionID) (string, error) {
			err := o.store.PauseEdition(cmd.Context(), id, reason)
			return fmt.Sprintf("Edition %d is paused; `dispatcher editions resume %d` goes on.", id, id), notNow(err, id, "being sent")
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "paused by hand", "what `editions show` says about it")
	return addJSONFlag(cmd)
}

func newResumeCommand(p process) *cobra.Command {
	return addJSONFlag(&cobra.Command{
		Use:   "resume ID",
		Short: "Go on with a paused edition",
		Long: `Go on with a paused edition. One that paused itself because too many of the first addresses were gone is not judged again:
see "editions show" first, and whether the list is what it should be.`,
		Args: cobra.ExactArgs(1),
		RunE: steer(p, func(cmd *cobra.Command, o *office, id newsletter.EditionID) (string, error) {
			err := o.store.ResumeEdition(cmd.Context(), id)
			return fmt.Sprintf("Edition %d goes on.", id), notNow(err, id, "paused")
		}),
	})
}

func newCancelCommand(p process) *cobra.Command {
	reason, yes := "", false
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "End an edition: copies that have not been sent never are",
		Args:  cobra.ExactArgs(1),
		RunE: steer(p, func(cmd *cobra.Command, o *office, id newsletter.EditionID) (string, error) {
			if !yes && !p.terminal {
				return "", usagef("cancel cannot be undone: give --yes where nobody can be asked")
			}
			if !yes && !ask(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("Withdraw all copies of edition %d that have not been sent? This cannot be undone. [y/N] ", id)) {
				return "Nothing was cancelled.", nil
			}
			n, err := o.store.CancelEdition(cmd.Context(), id, reason, o.now())
			return fmt.Sprintf("Edition %d is cancelled, %s withdrawn.", id, counted(n, "copy")), notNow(err, id, "being sent or paused")
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "cancelled by hand", "what `editions show` says about it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return addJSONFlag(cmd)
}

func newRetryCommand(p process) *cobra.Command {
	owner, unknown := "", false
	cmd := &cobra.Command{
		Use:   "retry ID --owner ours | --unknown",
		Short: "Try copies of an edition again that had ended",
		Long: `Try copies of an edition again that had ended.

--owner ours takes up those that were refused for a reason of ours (who we are, our reputation, what the message says, a quota), once
that has been mended. --unknown takes up those of which it is not known whether the relay has them: a reader may get a second copy,
with the same Message-ID.`,
		Args: cobra.ExactArgs(1),
		RunE: steer(p, func(cmd *cobra.Command, o *office, id newsletter.EditionID) (string, error) {
			which := store.WhichUnknown
			switch {
			case unknown == (owner != ""):
				return "", usagef("retry needs one of --owner ours and --unknown")
			case owner != "" && owner != "ours":
				return "", usagef("--owner %q cannot be tried again: only what is ours can be mended; give --owner ours", owner)
			case owner != "":
				which = store.WhichOurs
			}
			n, err := o.store.RetryEdition(cmd.Context(), id, which, o.now())
			if errors.Is(err, newsletter.ErrTooLate) {
				return "", fmt.Errorf("edition %d is too old to be sent: its patience has ended, see \"copies expire\" in `dispatcher editions show %d`", id, id)
			}
			if err != nil {
				return "", notNow(err, id, "there, or was cancelled")
			}
			e, err := o.store.Edition(cmd.Context(), id)
			if e.State == newsletter.Paused {
				return fmt.Sprintf("%s of edition %d will be tried again when it goes on: it is paused, see `dispatcher editions resume`.", counted(n, "copy"), id), err
			}
			return fmt.Sprintf("%s of edition %d will be tried again.", counted(n, "copy"), id), err
		}),
	}
	cmd.Flags().StringVar(&owner, "owner", "", "what failed by this `owner`: ours")
	cmd.Flags().BoolVar(&unknown, "unknown", false, "what the relay may have or not")
	return addJSONFlag(cmd)
}

// steer makes a command out of what is done to one edition: it prints the edition as it stands then with --json, else what was said.
func steer(p process, do func(*cobra.Command, *office, newsletter.EditionID) (said string, err error)) func(*cobra.Command, []string) error {
	return inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		id, err := parseID[newsletter.EditionID]("edition", args[0])
		if err != nil {
			return err
		}
		said, err := do(cmd, o, id)
		if err != nil {
			return err
		}
		if !wantsJSON(cmd) {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		}
		e, err := o.store.Edition(cmd.Context(), id)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), viewEdition(e))
	})
}

// notNow says that an edition is not in the state that a command needs.
func notNow(err error, id newsletter.EditionID, state string) error {
	if errors.Is(err, newsletter.ErrNotFound) {
		return fmt.Errorf("edition %d is not %s; `dispatcher editions list` shows how editions stand", id, state)
	}
	return err
}
