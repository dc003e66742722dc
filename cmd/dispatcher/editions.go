package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// editionView is an edition as `editions` prints it.
type editionView struct {
	ID        newsletter.EditionID    `json:"id"`
	List      string                  `json:"list"`
	Kind      newsletter.Kind         `json:"kind"`
	Slot      time.Time               `json:"slot"`
	State     newsletter.EditionState `json:"state"`
	Subject   string                  `json:"subject"`
	Rehearsal bool                    `json:"rehearsal"`
	Made      time.Time               `json:"made"`
	Expires   time.Time               `json:"expires"`
	Audience  int                     `json:"audience"`
	Sent      int                     `json:"sent"`
	Pending   int                     `json:"pending"`
	Failed    int                     `json:"failed"`
	Withdrawn int                     `json:"withdrawn"`
	Unknown   int                     `json:"unknown"`
	Reason    string                  `json:"reason,omitempty"`
}

func viewEdition(e newsletter.Edition) editionView {
	c := e.Counts
	return editionView{
		ID: e.ID, List: e.List, Kind: e.Kind, Slot: e.Slot, State: e.State, Subject: e.Subject, Rehearsal: e.Rehearsal, Made: e.Made, Expires: e.Expires,
		Audience: c.Audience, Sent: c.Sent, Pending: c.Pending, Failed: c.Failed, Withdrawn: c.Withdrawn, Unknown: c.Unknown,
		Reason: e.Reason,
	}
}

// editionColumns is the table of editions, the same wherever one is printed.
func editionColumns() []column[editionView] {
	number := func(of func(editionView) int) func(editionView) string {
		return func(e editionView) string { return strconv.Itoa(of(e)) }
	}
	return []column[editionView]{
		{"EDITION", func(e editionView) string { return strconv.FormatInt(int64(e.ID), 10) }},
		{"LIST", func(e editionView) string { return e.List }},
		{"KIND", func(e editionView) string { return string(e.Kind) }},
		{"SLOT", func(e editionView) string { return moment(e.Slot) }},
		{"STATE", func(e editionView) string { return string(e.State) }},
		{"AUDIENCE", number(func(e editionView) int { return e.Audience })},
		{"SENT", number(func(e editionView) int { return e.Sent })},
		{"PENDING", number(func(e editionView) int { return e.Pending })},
		{"FAILED", number(func(e editionView) int { return e.Failed })},
		{"WITHDRAWN", number(func(e editionView) int { return e.Withdrawn })},
		{"UNKNOWN", number(func(e editionView) int { return e.Unknown })},
		{"SUBJECT", func(e editionView) string { return e.Subject }},
	}
}

func newEditionsCommand(p process) *cobra.Command {
	group := &cobra.Command{Use: "editions", Short: "What was sent to how many, and how it went"}
	var listID string
	var limit int
	listing := addJSONFlag(&cobra.Command{
		Use:   "list",
		Short: "List the newest editions with their counts",
		Args:  cobra.NoArgs,
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
			if listID != "" {
				if _, err := o.list(listID); err != nil {
					return err
				}
			}
			editions, err := o.store.Editions(cmd.Context(), listID, limit)
			if err != nil {
				return err
			}
			var rows []editionView
			for _, e := range editions {
				rows = append(rows, viewEdition(e))
			}
			return list(cmd, rows, "No edition has been made yet.", editionColumns()...)
		}),
	})
	listing.Flags().StringVar(&listID, "list", "", "only editions of the list with this `id`")
	listing.Flags().IntVar(&limit, "limit", 50, "at most this many; 0 for all")
	group.AddCommand(listing, addJSONFlag(&cobra.Command{
		Use:   "show ID",
		Short: "Show one edition: its items, its counts, and why copies were not sent",
		Args:  cobra.ExactArgs(1),
		RunE:  inOffice(p, showEdition),
	}))
	group.AddCommand(newSteeringCommands(p)...)
	return group
}

// editionDetail is what `editions show` adds to the listing.
type editionDetail struct {
	editionView
	Items   []itemLine   `json:"items"`
	Reasons []reasonView `json:"reasons"`
}

// itemLine is an item as an edition mentions it.
type itemLine struct {
	ID    newsletter.ItemID   `json:"id"`
	Kind  newsletter.ItemKind `json:"kind"`
	Title string              `json:"title"`
}

// reasonView is why a number of copies were not sent, or not yet.
type reasonView struct {
	State    newsletter.State `json:"state"`
	Code     int              `json:"code,omitempty"`
	Enhanced string           `json:"enhanced,omitempty"`
	Words    string           `json:"words"`
	Owner    newsletter.Owner `json:"owner,omitempty"`
	Count    int              `json:"count"`
}

func showEdition(cmd *cobra.Command, o *office, args []string) error {
	id, err := parseID[newsletter.EditionID]("edition", args[0])
	if err != nil {
		return err
	}
	e, err := o.store.Edition(cmd.Context(), id)
	if errors.Is(err, newsletter.ErrNotFound) {
		return fmt.Errorf("there is no edition %d; `dispatcher editions list` shows them", id)
	}
	if err != nil {
		return err
	}
	items, err := o.store.EditionItems(cmd.Context(), id)
	if err != nil {
		return err
	}
	reasons, err := o.store.Reasons(cmd.Context(), id, 20)
	if err != nil {
		return err
	}
	return printEdition(cmd, viewEdition(e), items, reasons)
}

func printEdition(cmd *cobra.Command, v editionView, items []newsletter.Item, reasons []store.Reason) error {
	detail := editionDetail{editionView: v, Items: []itemLine{}, Reasons: []reasonView{}}
	fields := []field{
		{"edition", strconv.FormatInt(int64(v.ID), 10)},
		{"list", v.List + " (" + string(v.Kind) + ")"},
		{"slot", moment(v.Slot)},
		{"state", string(v.State)},
		{"because", v.Reason},
		{"subject", v.Subject},
		{"made", moment(v.Made)},
		{"copies expire", moment(v.Expires)},
	}
	if v.Rehearsal {
		fields = append(fields, field{"rehearsal", "yes: only the proof was sent"})
	}
	for _, i := range items {
		detail.Items = append(detail.Items, itemLine{i.ID, i.Kind, i.Title})
		fields = append(fields, field{string(i.Kind) + " " + strconv.FormatInt(int64(i.ID), 10), i.Title})
	}
	fields = append(fields, field{"audience", fmt.Sprintf("%d = %d sent + %d pending + %d failed + %d withdrawn + %d unknown",
		v.Audience, v.Sent, v.Pending, v.Failed, v.Withdrawn, v.Unknown)})
	for _, r := range reasons {
		detail.Reasons = append(detail.Reasons, reasonView(r))
		words := r.Words
		if r.Code != 0 {
			words = fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Words)
		}
		if r.Owner != "" {
			words = string(r.Owner) + ": " + words
		}
		fields = append(fields, field{fmt.Sprintf("%d %s", r.Count, r.State), words})
	}
	return show(cmd, detail, fields...)
}

// parseID reads the number of an edition or item.
func parseID[T ~int64](what, text string) (T, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, usagef("%q is not the number of an %s; `dispatcher %ss list` shows them", text, what, what)
	}
	return T(n), nil
}
