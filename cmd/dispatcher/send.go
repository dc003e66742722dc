package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
)

func newSendCommand(p process) *cobra.Command {
	var to string
	var wait, yes bool
	send := addJSONFlag(&cobra.Command{
		Use:   "send LIST",
		Short: "Make an edition of a list now, or send a test copy of it to one address",
		Long: `Make an edition of what is queued and the list has not used yet, for all its readers, and let the running serve send it.
With --wait stay until every copy is done, and do the sending where nobody serves. It ends with exit code 0 also where some
readers' copies failed: "dispatcher editions show" tells. Where nothing is new there is no edition, and that is no failure;
--wait then goes on with the list's editions that are not done yet.

With --to ADDRESS only a test copy goes out, at once, and nothing is stored.
On a terminal it says to how many it would go and asks; elsewhere it needs --yes.`,
		Args: cobra.ExactArgs(1),
	})
	send.Flags().StringVar(&to, "to", "", "send only a test copy to this `address`")
	send.Flags().BoolVar(&wait, "wait", false, "stay until the edition is done; send it here where nobody serves")
	send.Flags().BoolVar(&yes, "yes", false, "do not ask")
	send.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		l, err := o.liveList(args[0])
		if err != nil {
			return err
		}
		if to != "" {
			return o.sendTestCopy(cmd, l, to)
		}
		if !yes && !p.terminal {
			return usagef("send mails every reader of %s: give --yes where nobody can be asked", l.ID)
		}
		id, err := o.printByHand(cmd, l, yes)
		var none *newsletter.NoEdition
		if errors.As(err, &none) {
			fmt.Fprintf(cmd.ErrOrStderr(), "no edition of %s: %s\n", l.ID, strings.TrimPrefix(string(none.Fate), "skipped: "))
			if id, err = o.stillSending(cmd, l); err == nil && (id == 0 || !wait) && wantsJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), nil)
			}
			if !wait {
				id = 0
			}
		}
		if err != nil || id == 0 {
			return err
		}
		if wait {
			err = o.waitFor(cmd, id)
		} else {
			err = o.sayWhoSends(cmd)
		}
		if err != nil {
			return err
		}
		return o.printSent(cmd, id)
	})
	return send
}

// stillSending is the newest edition of a list that is being sent, and says that it is; 0: there is none. Who waits for it has those before
// it sent, too.
func (o *office) stillSending(cmd *cobra.Command, l newsletter.List) (id newsletter.EditionID, err error) {
	editions, err := o.store.Unfinished(cmd.Context(), o.now())
	for _, e := range editions {
		if e.List == l.ID && e.State == newsletter.Sending {
			id = e.ID
			fmt.Fprintf(cmd.ErrOrStderr(), "edition %d of %s is still being sent: %s pending\n", id, l.ID, counted(e.Counts.Pending, "copy"))
		}
	}
	return id, err
}

// printSent prints an edition as it stands. It is over, or others go on with it: a signal that comes now changes nothing.
func (o *office) printSent(cmd *cobra.Command, id newsletter.EditionID) error {
	e, err := o.store.Edition(context.WithoutCancel(cmd.Context()), id)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), viewEdition(e))
	}
	return list(cmd, []editionView{viewEdition(e)}, "", editionColumns()...)
}

// printByHand makes the edition, after asking where there is somebody to ask. Id 0 means that the answer was no.
func (o *office) printByHand(cmd *cobra.Command, l newsletter.List, yes bool) (newsletter.EditionID, error) {
	now := o.now()
	next, err := o.nextSlot(cmd.Context(), l, now)
	if err != nil {
		return 0, err
	}
	order := newsletter.Order{List: l, Slot: newsletter.Slot{List: l.ID, Due: now}, NextSlot: next, ByHand: true}
	desk := o.desk()
	if !yes {
		draft, err := desk.Draft(cmd.Context(), order)
		if err != nil {
			return 0, err
		}
		o.warnIfTooSlow(cmd, readersOf(draft), draft.Expires)
		if !ask(cmd.InOrStdin(), cmd.ErrOrStderr(), question(draft)) {
			_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was sent.")
			return 0, err
		}
	}
	id, err := desk.Print(cmd.Context(), order)
	if err != nil || !yes {
		return id, err
	}
	e, err := o.store.Edition(cmd.Context(), id)
	if err != nil {
		return id, err
	}
	o.warnIfTooSlow(cmd, e.Counts.Pending, e.Expires)
	return id, nil
}

// warnIfTooSlow says when the relays' rates and quotas do not let all copies out before they expire.
func (o *office) warnIfTooSlow(cmd *cobra.Command, readers int, expires time.Time) {
	now := o.now()
	if takes := mailer.Forecast(relaysOf(o.config), readers); takes > expires.Sub(now) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: with the rates and quotas of the relays, %s take %s, and copies expire in %s (at the list's next slot, or when they are too late): "+
			"raise `rate`, `per_hour` or `per_day`, or add a relay\n", counted(readers, "reader"), roughly(takes), roughly(expires.Sub(now)))
	}
}

// roughly rounds a time for people.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int((d+12*time.Hour)/(24*time.Hour)))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int((d+30*time.Minute)/time.Hour))
	}
	return counted(int((d+30*time.Second)/time.Minute), "minute")
}

func readersOf(d newsletter.Draft) (readers int) {
	for _, a := range d.Audience {
		if a.Variant > 0 {
			readers += a.Readers
		}
	}
	return readers
}

// question says what is about to happen to how many.
func question(d newsletter.Draft) string {
	whom := counted(readersOf(d), "reader")
	if d.Rehearsal {
		whom = fmt.Sprintf("the proof address alone (rehearsal; the list has %s)", whom)
	}
	return fmt.Sprintf("%s: %q, %s, to %s. Send it? [y/N] ", d.List.Title, d.Subject, counted(len(d.Items), "item"), whom)
}

func ask(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprint(out, question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(out)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// sayWhoSends tells an admin who has no serve running that the edition waits.
func (o *office) sayWhoSends(cmd *cobra.Command) error {
	held, err := o.store.Held(cmd.Context(), o.now())
	if err != nil {
		return err
	}
	if held != "" {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "warning:", heldError(held))
		return err
	}
	release, err := o.store.LockMailer("send")
	if errors.Is(err, newsletter.ErrLocked) {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "The edition is made; the running serve sends it.")
		return err
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "The edition is made and waits: nobody serves. Start `dispatcher serve`, or give --wait to send it from here.")
	return release()
}

// heldError is why an edition that is made is not sent.
func heldError(held string) error {
	if held == "" {
		return nil
	}
	return fmt.Errorf("the edition is made and waits, for all mail is held back: %s; `dispatcher release` lets it go", held)
}

// waitFor stays until an edition is done, or it is interrupted and says what is left.
func (o *office) waitFor(cmd *cobra.Command, id newsletter.EditionID) error {
	err := o.waitOrSend(cmd, id)
	if err == nil || cmd.Context().Err() == nil {
		return err
	}
	e, err := o.store.Edition(context.WithoutCancel(cmd.Context()), id)
	if err != nil {
		return err
	}
	sender, err := o.store.Mailer()
	who := fmt.Sprintf("nobody sends now; `dispatcher serve`, or `dispatcher send %s --wait`, goes on with them", e.List)
	if err == nil {
		who = "the running " + sender.As + " goes on with them"
	}
	return fmt.Errorf("interrupted: %s of edition %d wait in the outbox, %d were sent; %s", counted(e.Counts.Pending, "copy"), id, e.Counts.Sent, who)
}

// waitOrSend waits for an edition. Where nobody sends, or whoever did has ended, it does.
func (o *office) waitOrSend(cmd *cobra.Command, id newsletter.EditionID) error {
	e, err := o.store.Edition(cmd.Context(), id)
	if err != nil {
		return err
	}
	bar := o.progress(cmd.ErrOrStderr(), "sending", "copy", int64(e.Counts.Audience))
	bar.always = true
	defer bar.end()
	for {
		release, err := o.store.LockMailer("send")
		switch {
		case errors.Is(err, newsletter.ErrLocked):
			held, err := o.store.Held(cmd.Context(), o.now())
			if err = errors.Join(err, heldError(held)); err != nil {
				return err
			}
			done, err := o.watch(cmd.Context(), bar, id, time.Second)
			if err != nil || done {
				return err
			}
		case err != nil:
			return err
		default:
			return errors.Join(o.sendHere(cmd, bar, id), release())
		}
	}
}

// sendHere sends what is in the outbox until an edition is done.
func (o *office) sendHere(cmd *cobra.Command, bar *progress, id newsletter.EditionID) error {
	held, err := o.store.Beat(cmd.Context(), o.now())
	if err = errors.Join(err, heldError(held)); err != nil {
		return err
	}
	defer o.lastBeat(cmd.Context())
	ctx, done := context.WithCancel(cmd.Context())
	defer done()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return o.mailer().Run(ctx) })
	g.Go(func() error {
		defer done()
		_, err := o.watch(ctx, bar, id, 0)
		return err
	})
	return g.Wait()
}

// watch reports how far an edition is until it is done, or a while has passed where one is given.
func (o *office) watch(ctx context.Context, bar *progress, id newsletter.EditionID, while time.Duration) (done bool, err error) {
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for begun := o.now(); ; {
		counting := time.Now()
		e, err := o.store.Edition(ctx, id)
		if err != nil {
			return false, err
		}
		look.Reset(max(200*time.Millisecond, 20*time.Since(counting))) // a million copies are not counted in a moment
		over := e.State == newsletter.Done || e.State == newsletter.Cancelled
		bar.at(int64(e.Counts.Audience - e.Counts.Pending))
		if e.State == newsletter.Paused {
			return false, fmt.Errorf("edition %d is paused: %s; `dispatcher editions show %d` tells more, `dispatcher editions resume %d` goes on", id, e.Reason, id, id)
		}
		if over || while > 0 && o.now().Sub(begun) >= while {
			return over, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// sendTestCopy sends the next edition as it stands to one address, past the outbox.
func (o *office) sendTestCopy(cmd *cobra.Command, l newsletter.List, to string) error {
	address, err := newsletter.ParseAddress(to)
	if err != nil {
		return usagef("--to cannot be used: %s", err)
	}
	if o.config.Rehearsal && !slices.ContainsFunc(o.config.ProofTo, func(a newsletter.Address) bool { return a.Folded() == address.Folded() }) {
		return usagef("this is a rehearsal, which mails the addresses of proof_to alone: give one of those, or end the rehearsal")
	}
	if _, err := o.store.Suppression(cmd.Context(), address); !errors.Is(err, newsletter.ErrNotFound) {
		if err == nil {
			err = errors.New("this address is suppressed: nothing is sent to it")
		}
		return err
	}
	variant, err := o.desk().Proof(cmd.Context(), l, newsletter.Audience{})
	var none *newsletter.NoEdition
	if errors.As(err, &none) {
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "nothing new for %s: there is no test copy to send\n", l.ID)
		return err
	}
	if err != nil {
		return err
	}
	d := newsletter.Delivery{List: l.ID, Address: address, FirstDue: o.now(), KeyID: o.store.Key().ID}
	d.Subscriber = -1 // nobody's: its links change nothing
	_, _, message, err := o.renderer.Fill(variant, o.composer().Personal(d))
	if err != nil {
		return err
	}
	if err := mailer.SendOne(cmd.Context(), relaysOf(o.config)[0], newsletter.Message{From: o.publisher.From, To: address, Data: newsletter.DotStuff(message)}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "The relay has taken the test copy.")
	return err
}
