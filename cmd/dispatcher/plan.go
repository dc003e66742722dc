package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
)

// planFlags are what `plan` takes.
type planFlags struct {
	from, until, list string
	slots             int
}

func newPlanCommand(p process) *cobra.Command {
	var flags planFlags
	plan := addJSONFlag(&cobra.Command{
		Use:   "plan",
		Short: "Show what will be mailed, when and to how many, and what will be skipped",
		Long: `Show each coming slot: when it is, on the list's clock, what it would bear as things stand now, to how many readers, and why it
would be skipped. It runs what serve runs, on a clock of its own, and stores nothing.

Without --until it looks eight days ahead. With --slots N it prints only when the next N slots of each list are, those before --until
where that is given; its JSON is a list of {"list", "civil", "at", "zone"}, where at is an instant in UTC. A list that goes by each
reader's own clock has as its instant the one at which the first of its readers' zones has that time.
--from and --until take an instant such as 2026-12-01T09:00:00+01:00, or a day such as 2026-12-01 (its beginning here).`,
		Args: cobra.NoArgs,
	})
	plan.Flags().StringVar(&flags.from, "from", "", "begin at this `time` instead of now")
	plan.Flags().StringVar(&flags.until, "until", "", "end at this `time`")
	plan.Flags().StringVar(&flags.list, "list", "", "only the `list` with this id")
	plan.Flags().IntVar(&flags.slots, "slots", 0, "only when the next `N` slots of each list are")
	plan.RunE = inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
		return o.plan(cmd, flags)
	})
	return plan
}

// planned is a slot as `plan` prints it.
type planned struct {
	List    string          `json:"list"`
	Kind    newsletter.Kind `json:"kind"`
	Civil   string          `json:"civil"`
	At      time.Time       `json:"at"`
	Until   *time.Time      `json:"until,omitempty"` // where copies wait for the readers' own clocks: when the last of them go
	Zone    string          `json:"zone"`
	Subject string          `json:"subject,omitempty"`
	Items   []plannedItem   `json:"items"`
	Readers int             `json:"readers"`
	Zones   map[string]int  `json:"zones,omitempty"`
	Barred  int             `json:"barred,omitempty"`
	Skipped string          `json:"skipped,omitempty"`
	Warning string          `json:"warning,omitempty"`
	words   string          // Civil for people
	slot    newsletter.Slot
}

// count adds up the readers, and says until when the last of them have their copies' time.
func (p *planned) count(audience []newsletter.Audience) {
	for _, a := range audience {
		switch {
		case a.Variant == 0:
		case a.Bar != "":
			p.Barred += a.Readers
		default:
			p.Readers += a.Readers
			p.Zones[a.Zone] += a.Readers
			if a.Due.After(p.At) && (p.Until == nil || a.Due.After(*p.Until)) {
				p.Until = optional(a.Due)
			}
		}
	}
}

type plannedItem struct {
	ID    newsletter.ItemID   `json:"id"`
	Kind  newsletter.ItemKind `json:"kind"`
	Title string              `json:"title"`
}

// slotAt is a slot as `plan --slots` prints it.
type slotAt struct {
	List  string    `json:"list"`
	Civil string    `json:"civil"`
	At    time.Time `json:"at"`
	Zone  string    `json:"zone"`
	words string    // Civil for people
}

func (o *office) plan(cmd *cobra.Command, flags planFlags) error {
	now := o.now()
	o.now = func() time.Time { return now } // it stands: where --from is not given, the clock was not set back
	from, err := o.planTime("--from", flags.from, now)
	if err != nil {
		return err
	}
	until, err := o.planTime("--until", flags.until, later(from, now).AddDate(0, 0, 8))
	if err != nil {
		return err
	}
	lists := o.liveLists()
	if flags.list != "" {
		l, err := o.liveList(flags.list)
		if err != nil {
			return err
		}
		lists = []newsletter.List{l}
	}
	if cmd.Flags().Changed("slots") && flags.slots < 1 || !until.After(from) {
		return usagef("plan looks ahead: --slots is at least 1, and --until is later than --from")
	}
	if held, err := o.store.Held(cmd.Context(), now); err != nil {
		return err
	} else if held != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: all mail is held back: %s; `dispatcher release` lets it go\n", held)
	}
	if flags.slots > 0 {
		if flags.until == "" {
			until = time.Time{}
		}
		return o.planSlots(cmd, lists, from, until, flags.slots)
	}
	rows, err := o.foresee(cmd.Context(), lists, from, until)
	if err != nil {
		return err
	}
	return list(cmd, rows, "Nothing is planned in that time.",
		column[planned]{"WHEN", func(v planned) string { return v.words }},
		column[planned]{"LIST", func(v planned) string { return v.List }},
		column[planned]{"KIND", func(v planned) string { return string(v.Kind) }},
		column[planned]{"ITEMS", func(v planned) string { return strconv.Itoa(len(v.Items)) }},
		column[planned]{"READERS", func(v planned) string { return strconv.Itoa(v.Readers) }},
		column[planned]{"", planWords},
	)
}

// planWords is what a person wants to know of a slot.
func planWords(v planned) string {
	words := []string{v.Subject}
	if v.Skipped != "" {
		words = []string{v.Skipped}
	}
	if v.Barred > 0 {
		words = append(words, fmt.Sprintf("(%s barred)", counted(v.Barred, "more reader")))
	}
	if len(v.Zones) > 0 && v.Until != nil {
		words = append(words, fmt.Sprintf("(in %s)", counted(len(v.Zones), "zone")))
	}
	if v.Warning != "" {
		words = append(words, "warning: "+v.Warning)
	}
	return strings.Join(words, " ")
}

// planTime reads an instant, or a day where the machine is.
func (o *office) planTime(flag, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day, nil
	}
	return time.Time{}, usagef("%s %q: write an instant such as 2026-12-01T09:00:00+01:00, or a day such as 2026-12-01", flag, text)
}

// planSlots prints when the next slots are, up to an instant; zero: however far away.
func (o *office) planSlots(cmd *cobra.Command, lists []newsletter.List, from, until time.Time, n int) error {
	f, err := newForesight(cmd.Context(), o, from)
	if err != nil {
		return err
	}
	if !f.back {
		if err := f.run(cmd.Context(), f.now); err != nil { // what is decided at once is not to come
			return err
		}
	}
	var rows []slotAt
	for _, l := range lists {
		slots, err := f.upcoming(cmd.Context(), l, from, n)
		if err != nil {
			return err
		}
		for _, slot := range slots {
			if !until.IsZero() && slot.Opens.After(until) {
				break
			}
			iso, words := civil(l, slot.Slot)
			rows = append(rows, slotAt{l.ID, iso, slot.Opens.UTC(), l.Clock(), words})
		}
	}
	slices.SortStableFunc(rows, func(a, b slotAt) int { return a.At.Compare(b.At) })
	return list(cmd, rows, "No list has a slot to come in that time.",
		column[slotAt]{"LIST", func(v slotAt) string { return v.List }},
		column[slotAt]{"WHEN", func(v slotAt) string { return v.words }},
		column[slotAt]{"UTC", func(v slotAt) string { return v.At.Format("2006-01-02 15:04") }},
	)
}

// civil is what a list's clock shows at a slot, for machines and for people: "2026-03-08T03:00" and "Sun 2026-03-08 03:00 EDT".
func civil(l newsletter.List, slot time.Time) (iso, words string) {
	zone, name := time.UTC, " MST"
	switch {
	case l.Local:
		name = ", reader's clock"
	case l.Zone != nil:
		zone = l.Zone
	}
	slot = slot.In(zone)
	return slot.Format("2006-01-02T15:04"), slot.Format("Mon 2006-01-02 15:04" + name)
}

// foresee is what becomes of the slots of some lists from one instant to another.
func (o *office) foresee(ctx context.Context, lists []newsletter.List, from, until time.Time) ([]planned, error) {
	f, err := newForesight(ctx, o, from)
	if err != nil {
		return nil, err
	}
	if err := f.run(ctx, until); err != nil {
		return nil, err
	}
	rows := slices.DeleteFunc(f.rows, func(p planned) bool {
		return p.At.Before(from) || p.At.After(until) || !slices.ContainsFunc(lists, func(l newsletter.List) bool { return l.ID == p.List })
	})
	slices.SortStableFunc(rows, func(a, b planned) int { return a.At.Compare(b.At) })
	o.warnInPlan(rows)
	return rows, nil
}

// warnInPlan says where the relays' rates and quotas do not let an edition out before the list's next slot.
func (o *office) warnInPlan(rows []planned) {
	for i := range rows {
		row := &rows[i]
		time := row.Kind.Lane().Patience()
		if n := slices.IndexFunc(rows[i+1:], func(p planned) bool { return p.List == row.List && p.Kind == row.Kind }); n >= 0 {
			time = min(time, rows[i+1+n].At.Sub(row.At))
		}
		if takes := mailer.Forecast(relaysOf(o.config), row.Readers); row.Skipped == "" && takes > time {
			row.Warning = fmt.Sprintf("with the rates and quotas of the relays this takes %s, and copies expire in %s", roughly(takes), roughly(time))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
