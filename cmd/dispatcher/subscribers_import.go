package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// csvColumns are the columns of a subscriber file, in the order in which export writes them. Only email is needed.
var csvColumns = []string{"email", "name", "language", "timezone", "lists", "topics", "state", "consent", "consent_at", "suppressed"}

func newSubscribersImportCommand(p process) *cobra.Command {
	var listID, confirmed string
	imp := addJSONFlag(&cobra.Command{
		Use:   "import FILE",
		Short: "Import subscribers from a CSV file",
		Long: `Import subscribers from a CSV file in UTF-8 with the header ` + strings.Join(csvColumns, ",") + `.
Only email is needed; lists and topics are separated by semicolons, and no topics means all of them. "-" reads standard input.
The last four are for what "subscribers export" wrote elsewhere: a row's own state (pending, confirmed or ended), where and when its
consent was given, and why its address is never to be mailed. A row that is confirmed must say where its consent came from.

With --confirmed "where consent came from" the readers get editions at once, and that text is kept as evidence of consent.
Without it and without a state of their own their subscriptions are pending, and they get nothing until they have confirmed. An import never begins a
subscription again that its reader has ended, and lifts no suppression. The same file again changes nothing.
Bad rows are reported with their line, and the good ones are imported.`,
		Args: cobra.ExactArgs(1),
	})
	imp.Flags().StringVar(&listID, "list", "", "the `id` of the list for rows that name none")
	imp.Flags().StringVar(&confirmed, "confirmed", "", "where the readers' consent came from")
	imp.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) (err error) {
		if listID != "" {
			if _, err := o.liveList(listID); err != nil {
				return err
			}
		}
		file := p.stdin
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("reading subscribers: %w", err)
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			file = f
		}
		bar := o.progress(cmd.ErrOrStderr(), "importing", octets, sizeOf(args...))
		result, err := o.importSubscribers(cmd, bar.reading(file), listID, confirmed)
		bar.end()
		if err != nil {
			return err
		}
		return result.print(cmd, confirmed != "")
	})
	return imp
}

// importResult is what an import did.
type importResult struct {
	Rows       int       `json:"rows"`
	New        int       `json:"new"`
	Confirmed  int       `json:"newly_confirmed"`
	Known      int       `json:"known"`
	Left       int       `json:"ended_by_reader"`
	Suppressed int       `json:"suppressed"`
	Bad        []badLine `json:"bad"`
	states     bool      // some rows say their own state
	lost       int       // rows of which nothing was imported
}

// badLine is a row that was not imported, or not with all of its lists.
type badLine struct {
	Line   int    `json:"line"`
	What   string `json:"what"`
	Partly bool   `json:"partly_imported,omitempty"`
}

// importSubscribers reads rows one by one and writes them in groups, so that memory does not grow with the file.
func (o *office) importSubscribers(cmd *cobra.Command, file io.Reader, listID, confirmed string) (importResult, error) {
	result := importResult{Bad: []badLine{}}
	rows := newRowReader(file)
	header, err := rows.header()
	if err != nil {
		return result, err
	}
	_, result.states = header["state"]
	const group = 500
	var batch []store.Enrolment
	flush := func() error {
		done, err := o.store.Enrol(cmd.Context(), batch, o.now())
		for _, e := range done {
			result.add(e)
		}
		batch = batch[:0]
		return err
	}
	for rows.next() {
		result.Rows++
		record, err := rows.record(len(header))
		var r reader
		var unknown error
		var e store.Enrolment
		if err == nil {
			r = readRow(header, record, listID)
			r.lists, unknown = o.knownLists(r.lists)
			e, err = o.enrolment(r, confirmed)
		}
		why, partly := cmp.Or(unknown, err), err == nil
		if err != nil {
			e, err = o.enrolment(r.warning(), "")
			partly = err == nil
		}
		if why != nil {
			result.Bad = append(result.Bad, badLine{Line: rows.line, What: why.Error(), Partly: partly})
		}
		if err != nil {
			result.lost++
			continue
		}
		if batch = append(batch, e); len(batch) == group {
			if err := flush(); err != nil {
				return result, err
			}
		}
	}
	return result, errors.Join(rows.err(), flush())
}

// warning is what must not be lost of a row, whatever else is wrong with it: that she is suppressed, and which lists she has left.
func (r reader) warning() reader {
	kept := reader{address: r.address, suppressed: r.suppressed}
	if r.state == string(newsletter.Ended) {
		kept.lists, kept.state, kept.consent = r.lists, r.state, r.consent
	}
	return kept
}

// knownLists are those of a row's lists that there are, retired ones too, and those that were renamed since: an import may be a restore. The error
// tells of the others.
func (o *office) knownLists(ids []string) (known []string, err error) {
	for _, id := range ids {
		if i := slices.IndexFunc(o.lists, func(l newsletter.List) bool { return slices.Contains(l.Former, id) }); i >= 0 {
			id = o.lists[i].ID
		}
		l, unknown := o.list(id)
		if unknown != nil {
			err = errors.Join(err, fmt.Errorf("lists: %w", unknown))
			continue
		}
		if !slices.Contains(known, l.ID) {
			known = append(known, l.ID)
		}
	}
	return known, err
}

func readRow(header map[string]int, record []string, listID string) reader {
	cell := func(name string) string {
		i, ok := header[name]
		if !ok || i >= len(record) {
			return ""
		}
		return fromSpreadsheet(strings.TrimSpace(record[i]))
	}
	words := func(name string) (all []string) {
		for word := range strings.SplitSeq(cell(name), ";") {
			if word = strings.TrimSpace(word); word != "" {
				all = append(all, word)
			}
		}
		return all
	}
	r := reader{
		address: cell("email"), name: cell("name"), language: cell("language"), timezone: cell("timezone"), lists: words("lists"), topics: words("topics"),
		state: cell("state"), consent: cell("consent"), consentAt: cell("consent_at"), suppressed: cell("suppressed"),
	}
	if len(r.lists) == 0 && listID != "" {
		r.lists = []string{listID}
	}
	return r
}

func (r *importResult) add(e store.Enrolled) {
	switch {
	case e.New:
		r.New++
	case e.Confirmed > 0:
		r.Confirmed++
	default:
		r.Known++
	}
	if e.Left > 0 {
		r.Left++
	}
	if e.Suppressed {
		r.Suppressed++
	}
}

// print tells what the import did. It fails when there were rows and none of them was good.
func (r importResult) print(cmd *cobra.Command, confirmed bool) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else {
		for _, b := range r.Bad {
			how := "not imported"
			if b.Partly {
				how = "imported in part"
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "line %d: %s: %s\n", b.Line, how, newsletter.OneLine(b.What, 0))
		}
		state := "pending: they get nothing until they have confirmed"
		switch {
		case r.states:
			state = "each as its row says"
		case confirmed:
			state = "confirmed"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s read: %d new (%s), %d newly confirmed, %d known already, %d bad\n",
			counted(r.Rows, "row"), r.New, state, r.Confirmed, r.Known, len(r.Bad))
		if r.Left > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s had ended a subscription and were left alone\n", counted(r.Left, "reader"))
		}
		if r.Suppressed > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "suppressed, and will get nothing: %s\n", counted(r.Suppressed, "subscriber"))
		}
	}
	if r.Rows > 0 && r.lost == r.Rows {
		return &alreadyTold{}
	}
	return nil
}
