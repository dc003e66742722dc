package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dispatcher/internal/bounce"
	"dispatcher/internal/newsletter"
)

func newBounceCommand(p process) *cobra.Command {
	var recipient string
	read := &cobra.Command{
		Use:   "bounce",
		Short: "Read one message that came back, from standard input; for the mail server to call",
		Long: `Read one message that came back, from standard input, and write down what it reports: a hard bounce suppresses the address,
a complaint does too and ends all of the reader's subscriptions. Only a message that bears the token of a copy that was sent counts,
so nobody can forge one. It is for the mail server of bounce_address to call, as the user dispatcher; docs/bounces.md has the lines
for Postfix.

It ends with exit code 0 for whatever it could read, also where there was nothing to write down, so that no mail loops.`,
		Args: cobra.NoArgs,
	}
	read.Flags().StringVar(&recipient, "recipient", "", "the envelope `address` that the message came to")
	read.RunE = inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
		b, err := bounce.Read(cmd.InOrStdin(), recipient, o.store.Keys(), o.now())
		switch {
		case errors.Is(err, bounce.ErrNoBounce), errors.Is(err, bounce.ErrNotOurs):
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "nothing to write down: %s\n", err)
			return err
		case err != nil:
			return err
		}
		_, err = o.store.RecordBounce(cmd.Context(), b)
		if errors.Is(err, newsletter.ErrNotFound) {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "nothing to write down: it names a copy that was not sent")
			return err
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: edition %d, subscriber %d, %s\n", b.Kind, b.Edition, b.Subscriber, b.Status)
		return err
	})
	return read
}
