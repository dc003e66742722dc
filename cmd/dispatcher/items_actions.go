package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func newItemCloseCommand(p process) *cobra.Command {
	var won string
	var yes bool
	closing := &cobra.Command{
		Use:   "close ID",
		Short: "Close an action before its deadline, and tell the readers of its alert when it was won",
		Long: `Close an action: from now on no mail asks for it. Copies that still wait leave without it, or not at all where they have nothing else.
With --won "what was reached", now or of an action that has closed before, those who got its alert get an update in the same thread. A
text of several paragraphs has empty lines between them. On a terminal it says to how many the update would go and asks; elsewhere it
needs --yes.`,
		Args: cobra.ExactArgs(1),
	}
	closing.Flags().StringVar(&won, "won", "", "what was reached, in the editor's `words`")
	closing.Flags().BoolVar(&yes, "yes", false, "do not ask")
	closing.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		item, err := o.action(cmd, args[0])
		if err != nil {
			return err
		}
		victory := cmd.Flags().Changed("won")
		if victory && item.Won { // it was interrupted
			if won != item.Ending {
				return fmt.Errorf("item %d is won already, in other words: an update tells what was reached once", item.ID)
			}
			return o.tellEnding(cmd, item.ID)
		}
		if !item.Ended.IsZero() && !victory {
			return fmt.Errorf("item %d is closed already, since %s", item.ID, moment(item.Ended))
		}
		if victory && newsletter.OneLine(won, 0) == "" {
			return usagef(`--won needs words: say what was reached, such as --won "She is free."`)
		}
		if victory && !yes {
			if !p.terminal {
				return usagef("an update mails every reader of the action's alerts: give --yes where nobody can be asked")
			}
			if yes, err := o.askToTell(cmd, item); err != nil || !yes {
				return err
			}
		}
		ending := store.Ending{At: o.now(), Won: victory, Words: won}
		if err := o.store.EndAction(cmd.Context(), item.ID, ending); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "item %d is closed\n", item.ID)
		if !victory {
			return nil
		}
		return o.tellEnding(cmd, item.ID)
	})
	return closing
}

// action finds an item that is an action.
func (o *office) action(cmd *cobra.Command, arg string) (newsletter.Item, error) {
	id, err := parseID[newsletter.ItemID]("item", arg)
	if err != nil {
		return newsletter.Item{}, err
	}
	item, err := o.item(cmd.Context(), id)
	if err == nil && item.Kind != newsletter.Action {
		err = usagef("item %d is an article: only an action can be taken and closed", id)
	}
	return item, err
}

// askToTell says to how many an update about an action would go, and asks whether it may.
func (o *office) askToTell(cmd *cobra.Command, item newsletter.Item) (yes bool, err error) {
	item.Ended, item.Won = o.now(), true
	orders, err := o.updates(cmd, item)
	if err != nil {
		return false, err
	}
	readers := 0
	for _, order := range orders {
		draft, err := o.desk().Draft(cmd.Context(), order)
		var none *newsletter.NoEdition
		if errors.As(err, &none) {
			continue
		}
		if err != nil {
			return false, err
		}
		readers += readersOf(draft)
	}
	if ask(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("Close %q and send an update to %s? [y/N] ", item.Title, counted(readers, "reader"))) {
		return true, nil
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed.")
	return false, err
}

// updates are those that an action's end calls for: one for each of its alerts, in its thread, for those who got it.
func (o *office) updates(cmd *cobra.Command, item newsletter.Item) (orders []newsletter.Order, err error) {
	editions, err := o.store.EditionsBearing(cmd.Context(), item.ID)
	if err != nil {
		return nil, err
	}
	for _, alert := range editions {
		l := slices.IndexFunc(o.lists, func(l newsletter.List) bool { return l.ID == alert.List && !l.Retired })
		if alert.Kind != newsletter.Alert || alert.Rehearsal || l < 0 {
			continue
		}
		orders = append(orders, newsletter.Order{
			List: o.lists[l], Kind: newsletter.Update, Items: []newsletter.Item{item}, ByHand: true,
			Slot: newsletter.Slot{List: alert.List, Due: item.Ended, Follows: alert.ID}, // its end is its identity: nobody is told twice
		})
	}
	return orders, nil
}

// tellEnding sends an update to those who got an alert about an action.
func (o *office) tellEnding(cmd *cobra.Command, id newsletter.ItemID) error {
	item, err := o.store.Item(cmd.Context(), id)
	if err != nil {
		return err
	}
	orders, err := o.updates(cmd, item)
	if err != nil {
		return err
	}
	told, before := 0, 0
	for _, order := range orders {
		edition, err := o.desk().Print(cmd.Context(), order)
		var none *newsletter.NoEdition
		switch {
		case errors.As(err, &none):
			continue
		case errors.Is(err, newsletter.ErrSlotTaken):
			before++
			continue
		case err != nil:
			return fmt.Errorf("the action is closed, but telling the readers of edition %d failed: %w; the same command again goes on with them", order.Slot.Follows, err)
		}
		e, err := o.store.Edition(cmd.Context(), edition)
		if err != nil {
			return err
		}
		told++
		fmt.Fprintf(cmd.OutOrStdout(), "edition %d tells %s of %s\n", edition, counted(e.Counts.Audience, "reader"), order.List.ID)
	}
	switch {
	case told > 0:
	case before > 0:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the readers of its alerts have been told before")
	default:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "nobody is known to have had an alert about it, so there is nobody to tell")
	}
	return err
}

func newItemDoneCommand(p process) *cobra.Command {
	var address, file string
	done := addJSONFlag(&cobra.Command{
		Use:   "done ID",
		Short: "Record that readers have taken an action: they get no reminder",
		Long: `Record that a reader has taken an action, or all the readers in a CSV file of signers with a header that has the column email:
they get no reminder of it. Addresses that nobody reads under change nothing and are not kept.`,
		Args: cobra.ExactArgs(1),
	})
	done.Flags().StringVar(&address, "subscriber", "", "the `address` of one reader")
	done.Flags().StringVar(&file, "file", "", `a CSV `+"`file`"+` of signers; "-" reads standard input`)
	done.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		item, err := o.action(cmd, args[0])
		if err != nil {
			return err
		}
		result := doneResult{Item: item.ID, Bad: []badLine{}}
		switch {
		case (address == "") == (file == ""):
			return usagef("give either --subscriber ADDRESS or --file FILE")
		case address != "":
			a, err := newsletter.ParseAddress(address)
			if err != nil {
				return usagef("--subscriber: %s", err)
			}
			result.Rows = 1
			if result.Known, err = o.store.RecordDone(cmd.Context(), item.ID, []newsletter.Address{a}, o.now()); err == nil && result.Known == 0 {
				err = errors.New("nobody subscribes under this address")
			}
			if err != nil {
				return err
			}
		default:
			if err := o.recordSigners(cmd, file, &result); err != nil {
				return err
			}
		}
		return result.print(cmd)
	})
	return done
}

// doneResult is what `items done` did.
type doneResult struct {
	Item  newsletter.ItemID `json:"item"`
	Rows  int               `json:"rows"`
	Known int               `json:"known"` // readers of ours
	Bad   []badLine         `json:"bad"`
}

func (r doneResult) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), r)
	}
	for _, b := range r.Bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "line %d: %s\n", b.Line, b.What)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s read: %s of ours, %d bad\n", counted(r.Rows, "row"), counted(r.Known, "reader"), len(r.Bad))
	return err
}

// recordSigners reads the file row by row and writes in groups.
func (o *office) recordSigners(cmd *cobra.Command, path string, result *doneResult) (err error) {
	var in io.Reader = o.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("reading signers: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		in = f
	}
	rows := newRowReader(in)
	rows.anyColumn = true // signers come from other systems
	header, err := rows.header()
	if err != nil {
		return err
	}
	const group = 500
	var batch []newsletter.Address
	flush := func() error {
		n, err := o.store.RecordDone(cmd.Context(), result.Item, batch, o.now())
		result.Known += n
		batch = batch[:0]
		return err
	}
	for rows.next() {
		result.Rows++
		record, err := rows.record(len(header))
		var address newsletter.Address
		if err == nil {
			address, err = newsletter.ParseAddress(readRow(header, record, "").address)
		}
		if err != nil {
			result.Bad = append(result.Bad, badLine{Line: rows.line, What: err.Error()})
			continue
		}
		if batch = append(batch, address); len(batch) == group {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(rows.err(), flush())
}
