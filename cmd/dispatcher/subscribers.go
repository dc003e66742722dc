package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/text/language"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// subscriberView is a subscriber as `subscribers` prints it.
type subscriberView struct {
	ID            newsletter.SubscriberID `json:"id"`
	Address       newsletter.Address      `json:"address"`
	Name          string                  `json:"name"`
	Language      string                  `json:"language"`
	Timezone      string                  `json:"timezone"`
	Created       time.Time               `json:"created"`
	Subscriptions []subscriptionView      `json:"subscriptions"`
}

type subscriptionView struct {
	List    string                       `json:"list"`
	State   newsletter.SubscriptionState `json:"state"`
	Topics  []string                     `json:"topics"`
	Since   time.Time                    `json:"consent_at"`
	Consent string                       `json:"consent"`
}

func viewSubscriber(s newsletter.Subscriber, all []newsletter.Subscription) subscriberView {
	v := subscriberView{ID: s.ID, Address: s.Address, Name: s.Name, Language: s.Language, Timezone: s.Zone, Created: s.Created, Subscriptions: []subscriptionView{}}
	for _, c := range all {
		topics := c.Topics
		if topics == nil {
			topics = []string{}
		}
		v.Subscriptions = append(v.Subscriptions, subscriptionView{c.List, c.State, topics, c.Consent.At, c.Consent.Source})
	}
	return v
}

// describe is a subscription in one phrase: "iran-weekly confirmed (iran; press-freedom)".
func (v subscriptionView) describe() string {
	text := v.List + " " + string(v.State)
	if len(v.Topics) > 0 {
		text += " (" + strings.Join(v.Topics, "; ") + ")"
	}
	return text
}

func newSubscribersCommand(p process) *cobra.Command {
	group := &cobra.Command{Use: "subscribers", Short: "The readers: import, export, add, list, and see what became of each one's copies"}
	var listID string
	listing := addJSONFlag(&cobra.Command{
		Use:   "list",
		Short: "List subscribers with their subscriptions",
		Args:  cobra.NoArgs,
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, _ []string) error {
			if listID != "" {
				if _, err := o.list(listID); err != nil {
					return err
				}
			}
			return listSubscribers(cmd, o, listID)
		}),
	})
	listing.Flags().StringVar(&listID, "list", "", "only subscribers of the list with this `id`")
	group.AddCommand(newSubscribersImportCommand(p), newSubscribersExportCommand(p), newSubscribersAddCommand(p), listing, addJSONFlag(&cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show one subscriber, and why she got each edition or did not",
		Args:  cobra.ExactArgs(1),
		RunE:  inOffice(p, showSubscriber),
	}))
	return group
}

// erased stands where a reader's address was, after she was erased (docs/privacy.md): her number, and by its keyed hash that her address is
// suppressed, are still known.
const erased = "erased"

func listSubscribers(cmd *cobra.Command, o *office, listID string) error {
	p := newRowPrinter(cmd, "No subscribers yet. `dispatcher subscribers import FILE` brings some.", []column[subscriberView]{
		{"ID", func(v subscriberView) string { return strconv.FormatInt(int64(v.ID), 10) }},
		{"ADDRESS", func(v subscriberView) string { return cmp.Or(string(v.Address), erased) }},
		{"NAME", func(v subscriberView) string { return v.Name }},
		{"LANGUAGE", func(v subscriberView) string { return v.Language }},
		{"TIMEZONE", func(v subscriberView) string { return v.Timezone }},
		{"SUBSCRIPTIONS", func(v subscriberView) string {
			var all []string
			for _, c := range v.Subscriptions {
				all = append(all, c.describe())
			}
			return strings.Join(all, ", ")
		}},
	})
	err := o.store.EachSubscriber(cmd.Context(), listID, func(s newsletter.Subscriber, all []newsletter.Subscription) error {
		return p.add(viewSubscriber(s, all))
	})
	if err != nil {
		return err
	}
	return p.end()
}

// copyView is what became of one copy.
type copyView struct {
	Edition  newsletter.EditionID `json:"edition"`
	List     string               `json:"list"`
	Slot     time.Time            `json:"slot"`
	Subject  string               `json:"subject"`
	State    newsletter.State     `json:"state"`
	At       time.Time            `json:"at"`
	Attempts int                  `json:"attempts"`
	Code     int                  `json:"code,omitempty"`
	Enhanced string               `json:"enhanced,omitempty"`
	Words    string               `json:"words,omitempty"`
	Tries    []tryView            `json:"tries"`
}

// tryView is one try that did not end in a plain 250.
type tryView struct {
	At       time.Time        `json:"at"`
	State    newsletter.State `json:"state"`
	Code     int              `json:"code,omitempty"`
	Enhanced string           `json:"enhanced,omitempty"`
	Words    string           `json:"words"`
}

func viewCopy(c store.Copy) copyView {
	v := copyView{
		Edition: c.Edition.ID, List: c.Edition.List, Slot: c.Edition.Slot, Subject: c.Edition.Subject, State: c.State, At: c.At, Attempts: c.Attempts,
		Code: c.Code, Enhanced: c.Enhanced, Words: c.Words, Tries: []tryView{},
	}
	for _, t := range c.Tries {
		v.Tries = append(v.Tries, tryView{t.At, t.State, t.Code, t.Enhanced, t.Words})
	}
	return v
}

func showSubscriber(cmd *cobra.Command, o *office, args []string) error {
	address, err := newsletter.ParseAddress(args[0])
	if err != nil {
		return usagef("the address given cannot be used: %s", err)
	}
	sub, err := o.store.Subscriber(cmd.Context(), address)
	if errors.Is(err, newsletter.ErrNotFound) {
		return errors.New("nobody with this address is a subscriber")
	}
	if err != nil {
		return err
	}
	detail, err := o.subscriberDetail(cmd, sub, address)
	if err != nil {
		return err
	}
	fields := []field{
		{"subscriber", strconv.FormatInt(int64(sub.ID), 10)},
		{"address", cmp.Or(string(sub.Address), erased)},
		{"name", sub.Name},
		{"language", sub.Language},
		{"timezone", sub.Zone},
		{"created", moment(sub.Created)},
		{"suppressed", detail.Suppressed},
	}
	for _, c := range detail.Subscriptions {
		fields = append(fields, field{"subscription", c.describe() + ", consent: " + c.Consent + ", " + moment(c.Since)})
	}
	for _, c := range detail.Copies {
		fields = append(fields, copyFields(c)...)
	}
	if detail.PrunedUntil != nil {
		fields = append(fields, field{"older copies", "those of editions up to " + moment(*detail.PrunedUntil) + " are no longer kept; \"dispatcher editions show\" has their sums"})
	}
	for _, b := range detail.Bounces {
		fields = append(fields, field{fmt.Sprintf("edition %d", b.Edition), strings.TrimSpace(fmt.Sprintf("came back: %s, %s %s %s", b.Kind, moment(b.At), b.Status, b.Words))})
	}
	return show(cmd, detail, fields...)
}

// subscriberDetail is all that is known of a subscriber.
type subscriberDetail struct {
	subscriberView
	Suppressed  string       `json:"suppressed,omitempty"`
	Copies      []copyView   `json:"copies"`
	Bounces     []bounceView `json:"bounces"`
	PrunedUntil *time.Time   `json:"pruned_until,omitempty"` // copies of editions that were made up to then are no longer kept
}

// bounceView is what came back about one copy.
type bounceView struct {
	Edition newsletter.EditionID  `json:"edition"`
	Kind    newsletter.BounceKind `json:"kind"`
	At      time.Time             `json:"at"`
	Status  string                `json:"status,omitempty"`
	Words   string                `json:"words,omitempty"`
}

// subscriberDetail is about the subscriber who was found by an address. Hers is gone where she was erased.
func (o *office) subscriberDetail(cmd *cobra.Command, sub newsletter.Subscriber, address newsletter.Address) (detail subscriberDetail, err error) {
	ctx := cmd.Context()
	subscriptions, err := o.store.Subscriptions(ctx, sub.ID)
	if err != nil {
		return detail, err
	}
	copies, err := o.store.Copies(ctx, sub.ID, 50)
	if err != nil {
		return detail, err
	}
	bounces, err := o.store.Bounces(ctx, sub.ID)
	if err != nil {
		return detail, err
	}
	pruned, err := o.store.PrunedUntil(ctx)
	if err != nil {
		return detail, err
	}
	detail = subscriberDetail{subscriberView: viewSubscriber(sub, subscriptions), Copies: []copyView{}, Bounces: []bounceView{}}
	if sub.Created.Before(pruned) {
		detail.PrunedUntil = optional(pruned)
	}
	for _, c := range copies {
		detail.Copies = append(detail.Copies, viewCopy(c))
	}
	for _, b := range bounces {
		detail.Bounces = append(detail.Bounces, bounceView{b.Edition, b.Kind, b.At, b.Status, b.Words})
	}
	x, err := o.store.Suppression(ctx, address)
	if errors.Is(err, newsletter.ErrNotFound) {
		return detail, nil
	}
	detail.Suppressed = fmt.Sprintf("since %s: %s", moment(x.At), x.Reason)
	return detail, err
}

func copyFields(v copyView) []field {
	state := fmt.Sprintf("%s: %s, %s", v.List, v.State, moment(v.At))
	if v.State == newsletter.Pending && v.Attempts > 0 {
		state = fmt.Sprintf("%s: pending, next try %s", v.List, moment(v.At))
	}
	if v.Words != "" && len(v.Tries) == 0 {
		state += ": " + v.Words
	}
	fields := []field{{fmt.Sprintf("edition %d", v.Edition), state}}
	for _, t := range v.Tries {
		words := t.Words
		if t.Code != 0 {
			words = fmt.Sprintf("%d %s %s", t.Code, t.Enhanced, t.Words)
		}
		fields = append(fields, field{"  try " + moment(t.At), words})
	}
	return fields
}

// reader is what a reader's row or the flags of `add` say, still to be checked.
type reader struct {
	address, name, language, timezone string
	lists, topics                     []string

	state, consent, consentAt, suppressed string // as another dispatcher exported them
}

// enrolment checks a reader, whose lists have been found. The error says what is wrong and repeats no address.
func (o *office) enrolment(r reader, confirmed string) (store.Enrolment, error) {
	var e store.Enrolment
	address, err := newsletter.ParseAddress(r.address)
	if err != nil {
		return e, fmt.Errorf("email: %w", err)
	}
	if r.language != "" {
		tag, err := language.Parse(r.language)
		if err != nil {
			return e, fmt.Errorf("language %q: it must be a code such as en or pt-BR", r.language)
		}
		r.language = tag.String()
	}
	if r.timezone != "" {
		if _, err := time.LoadLocation(r.timezone); err != nil || r.timezone == "Local" {
			return e, fmt.Errorf("timezone %q: it must be a name such as Europe/Berlin", r.timezone)
		}
	}
	if len(r.lists) == 0 && r.suppressed == "" { // who is suppressed must stay so, also without a list
		return e, errors.New("lists: none is named, here or with --list")
	}
	e.Lists = r.lists
	e.Subscriber = newsletter.Subscriber{Address: address, Name: newsletter.OneLine(r.name, 200), Language: r.language, Zone: r.timezone}
	for _, t := range newsletter.AddTopics(nil, r.topics...) {
		e.Topics = append(e.Topics, newsletter.Slug(t))
	}
	slices.Sort(e.Topics)
	e.Suppressed = newsletter.OneLine(r.suppressed, 300)
	err = o.stand(&e, r, confirmed)
	return e, err
}

// stand says in which state an enrolment's subscriptions begin, and on what evidence. A row's own state outranks --confirmed.
func (o *office) stand(e *store.Enrolment, r reader, confirmed string) error {
	evidence := newsletter.OneLine(cmp.Or(r.consent, confirmed), 300)
	e.Consent = newsletter.Consent{At: o.now(), Source: evidence}
	if r.consentAt != "" {
		at, err := time.Parse(time.RFC3339, r.consentAt)
		if err != nil || at.After(o.now()) {
			return errors.New("consent_at: it must be an instant of the past such as 2026-12-01T09:00:00Z")
		}
		e.Consent.At = at
	}
	switch state := newsletter.SubscriptionState(r.state); {
	case state == newsletter.Confirmed && evidence == "":
		return errors.New("state: it is confirmed, and nothing says where the consent came from: fill in consent, or give --confirmed")
	case state == newsletter.Ended:
		e.Ended = true
	case state == newsletter.Confirmed, state == "" && confirmed != "":
		e.Confirmed = true
	case state != "" && state != newsletter.PendingConsent:
		return errors.New("state: it must be pending, confirmed or ended")
	}
	if !e.Confirmed && r.consent == "" {
		e.Consent.Source = "added by the admin, not confirmed"
	}
	return nil
}

func newSubscribersAddCommand(p process) *cobra.Command {
	var r reader
	var confirmed string
	add := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Add one subscriber",
		Long: `Add one subscriber to one or more lists. With --confirmed "where consent came from" she gets editions at once, and that
text is kept as evidence. Without it her subscriptions are pending, and she gets nothing until she has confirmed.`,
		Args: cobra.ExactArgs(1),
	}
	f := add.Flags()
	f.StringVar(&r.name, "name", "", "her name")
	f.StringVar(&r.language, "language", "", "her language, such as en or fa")
	f.StringVar(&r.timezone, "timezone", "", "her zone, such as Europe/Berlin")
	f.StringSliceVar(&r.lists, "list", nil, "`ids` of the lists, separated by commas")
	f.StringSliceVar(&r.topics, "topics", nil, "the topics that she wants, separated by commas; none means all")
	f.StringVar(&confirmed, "confirmed", "", "where her consent came from, such as \"form at the spring fair\"")
	add.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		r.address = args[0]
		if live := o.liveLists(); len(r.lists) == 0 && len(live) == 1 {
			r.lists = []string{live[0].ID}
		}
		for i, id := range r.lists {
			l, err := o.liveList(id)
			if err != nil {
				return &usageError{"lists: " + err.Error()}
			}
			r.lists[i] = l.ID
		}
		e, err := o.enrolment(r, confirmed)
		if err != nil {
			return &usageError{err.Error()}
		}
		done, err := o.store.Enrol(cmd.Context(), []store.Enrolment{e}, o.now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "subscriber %d: %s\n", done[0].ID, enrolledWords(done[0], e.Confirmed))
		return err
	})
	return add
}

// enrolledWords says what adding a reader did.
func enrolledWords(e store.Enrolled, confirmed bool) string {
	state := "pending"
	if confirmed {
		state = "confirmed"
	}
	var parts []string
	for _, part := range []struct {
		n    int
		text string
	}{
		{e.Began, "new " + state}, {e.Confirmed, "now confirmed"}, {e.Known, "known already"}, {e.Left, "ended by her, left as it is"},
	} {
		if part.n > 0 {
			parts = append(parts, counted(part.n, "subscription")+" "+part.text)
		}
	}
	if e.Suppressed {
		parts = append(parts, "the address is suppressed and gets nothing")
	}
	return strings.Join(parts, ", ")
}
