package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// exportFlags are what `subscribers export` takes.
type exportFlags struct {
	list, state, out string
}

func newSubscribersExportCommand(p process) *cobra.Command {
	var flags exportFlags
	export := addJSONFlag(&cobra.Command{
		Use:   "export",
		Short: "Export subscribers as a CSV file that import reads",
		Long: `Export the subscribers with their subscriptions and the evidence of their consent, as CSV that "subscribers import" reads, or with
--json as a JSON array. It goes to standard output, or with --out to a new file that only you may read.

It holds the readers' addresses: keep it as safe as the database, and delete it when it has served.

A reader has a row for each state, choice of topics and consent that her subscriptions have. "suppressed" says why an address is never
mailed; an import of the file suppresses it there too. A cell that a spreadsheet would take for a formula has an apostrophe before it, which
import takes away.`,
		Args: cobra.NoArgs,
	})
	export.Flags().StringVar(&flags.list, "list", "", "only subscriptions to the list with this `id`")
	export.Flags().StringVar(&flags.state, "state", "", "only subscriptions in this `state`: pending, confirmed or ended")
	export.Flags().StringVar(&flags.out, "out", "", "write to this new `file`")
	export.RunE = inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
		switch newsletter.SubscriptionState(flags.state) {
		case "", newsletter.PendingConsent, newsletter.Confirmed, newsletter.Ended:
		default:
			return usagef("--state %q: it is pending, confirmed or ended", flags.state)
		}
		if flags.list != "" {
			if _, err := o.list(flags.list); err != nil {
				return err
			}
		}
		if flags.out == "" {
			_, err := o.export(cmd, flags, cmd.OutOrStdout())
			return err
		}
		n, err := newFile(flags.out, func(w io.Writer) (int64, error) { return o.export(cmd, flags, w) })
		if err == nil {
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s written to %s; it holds their addresses\n", counted(int(n), "subscriber"), flags.out)
		}
		return err
	})
	return export
}

// newFile writes a file that was not there before, for this user alone. Where that fails none is left.
func newFile(path string, write func(io.Writer) (int64, error)) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, usagef("--out: %s is there already, and is not overwritten: give another name, or remove it", path)
	}
	if err != nil {
		return 0, fmt.Errorf("writing subscribers: %w", err)
	}
	n, err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(fmt.Errorf("writing subscribers: %w", err), os.Remove(path))
	}
	return n, err
}

// export writes the subscribers one by one and returns how many they were.
func (o *office) export(cmd *cobra.Command, flags exportFlags, to io.Writer) (n int64, err error) {
	total, err := o.store.CountSubscribers(cmd.Context())
	if err != nil {
		return 0, err
	}
	write, end := exportCSV(to)
	if wantsJSON(cmd) {
		write, end = exportJSON(to)
	}
	bar := o.progress(cmd.ErrOrStderr(), "exporting", "subscriber", total)
	defer bar.end()
	err = o.store.Export(cmd.Context(), flags.list, newsletter.SubscriptionState(flags.state), func(e store.Export) error {
		n++
		bar.at(n)
		return write(e)
	})
	return n, errors.Join(err, end())
}

// exportView is a subscriber as `subscribers export --json` writes it.
type exportView struct {
	subscriberView
	Suppressed string `json:"suppressed,omitempty"`
}

func exportJSON(to io.Writer) (write func(store.Export) error, end func() error) {
	rows := &rowPrinter[exportView]{out: to, json: true}
	return func(e store.Export) error {
		return rows.add(exportView{viewSubscriber(e.Subscriber, e.Subscriptions), e.Suppressed})
	}, rows.end
}

func exportCSV(to io.Writer) (write func(store.Export) error, end func() error) {
	rows := csv.NewWriter(to)
	_ = rows.Write(csvColumns) // the writer keeps the error
	return func(e store.Export) error {
			for _, row := range exportRows(e) {
				for i := range row {
					row[i] = forSpreadsheet(newsletter.OneLine(row[i], 0))
				}
				_ = rows.Write(row)
			}
			return rows.Error()
		}, func() error {
			rows.Flush()
			return rows.Error()
		}
}

// exportRows are a reader's rows: one for all lists that have state, topics and consent in common.
func exportRows(e store.Export) (rows [][]string) {
	for i, c := range e.Subscriptions {
		row := []string{
			string(e.Address), e.Name, e.Language, e.Zone, c.List, strings.Join(c.Topics, ";"),
			string(c.State), c.Consent.Source, c.Consent.At.UTC().Format(time.RFC3339Nano), e.Suppressed,
		}
		alike := slices.IndexFunc(rows, func(r []string) bool { return slices.Equal(r[listsCell+1:], row[listsCell+1:]) })
		if i > 0 && alike >= 0 {
			rows[alike][listsCell] += ";" + c.List
		} else {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		rows = [][]string{{string(e.Address), e.Name, e.Language, e.Zone, "", "", "", "", "", e.Suppressed}}
	}
	return rows
}

// Where some cells stand in csvColumns.
const (
	listsCell = 4
	stateCell = 6 // from here on they are for what was exported
)

// forSpreadsheet keeps a spreadsheet from taking a cell for a formula: it would compute what a reader gave as her name.
func forSpreadsheet(cell string) string {
	if formulaLike(cell) {
		return "'" + cell
	}
	return cell
}

// fromSpreadsheet takes away what forSpreadsheet adds.
func fromSpreadsheet(cell string) string {
	if rest, quoted := strings.CutPrefix(cell, "'"); quoted && formulaLike(rest) {
		return rest
	}
	return cell
}

// formulaLike reports whether a cell begins as a formula does, or as one that forSpreadsheet made safe.
func formulaLike(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	return cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0]))
}
