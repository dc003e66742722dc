package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dispatcher/internal/newsletter"
)

// prepare brings in the items and the readers, by the code of `fetch` and `subscribers import`.
func (d *demo) prepare(ctx context.Context) error {
	d.sayf("The whole loop, on this machine alone. Its people and events are invented.\n")
	if !d.once {
		d.sayf("  Inbox    http://%s/", d.inbox)
		d.sayf("  Config   %s\n", d.configFile())
	}
	d.stepf("For the demo it is %s.", d.clock.begin.In(d.zone()).Format("Monday, 2 January 2006, 15:04:05 MST"))
	o := d.office
	if _, err := o.ingester().Fetch(ctx, o.feeds[0]); err != nil {
		return err
	}
	items, err := o.store.Items(ctx, newsletter.Queued, 0)
	if err != nil {
		return err
	}
	d.stepf("The feed of %s brings %s.", o.publisher.Name, contentsOf(items))
	file, err := demoFiles.Open("demo/readers.csv")
	if err != nil {
		return err
	}
	result, err := o.importSubscribers(d.cmd, file, "", "invented for the demo")
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if len(result.Bad) > 0 {
		return fmt.Errorf("importing the sample readers: line %d: %s", result.Bad[0].Line, result.Bad[0].What)
	}
	d.stepf("%s imported.", counted(result.New, "reader"))
	return nil
}

// contentsOf says what items there are: "10 articles and 2 actions, 1 urgent".
func contentsOf(items []newsletter.Item) string {
	actions, urgent := 0, 0
	for _, i := range items {
		if i.Kind == newsletter.Action {
			actions++
		}
		if i.Urgent {
			urgent++
		}
	}
	return fmt.Sprintf("%s and %s, %d urgent", counted(len(items)-actions, "article"), counted(actions, "action"), urgent)
}

// play tells what the daemon does until all mail is out and then, on a terminal, waits for the end.
func (d *demo) play(ctx context.Context) error {
	d.stepf("Serving: the alert goes out within seconds, the digest at %s.", d.clock.begin.Add(demoStart).In(d.zone()).Format("15:04"))
	editions, err := d.watch(ctx)
	if err != nil {
		return err
	}
	d.sayf("")
	var rows []editionView
	for _, e := range editions {
		rows = append(rows, viewEdition(e))
	}
	if err := list(d.cmd, rows, "", demoColumns()...); err != nil {
		return err
	}
	if d.once || d.out != "" {
		if err := d.writeMail(ctx); err != nil || d.once {
			return err
		}
	}
	d.sayf(`
Open the inbox and follow the links in the mail: to stories, to petitions,
and out of the list. The other commands can look in, such as
  dispatcher --config %s editions list
Ctrl-C ends the demo.`, d.configFile())
	<-ctx.Done()
	d.sayf("\nThe demo has ended.")
	return ctx.Err()
}

// demoColumns are those of the table of editions that a narrow terminal has room for. The subjects have been told.
func demoColumns() []column[editionView] {
	return slices.DeleteFunc(editionColumns(), func(c column[editionView]) bool {
		return slices.Contains([]string{"SLOT", "STATE", "SUBJECT"}, c.title)
	})
}

// demoPatience is how long the mail may take. It takes seconds, unless the machine is very busy.
const demoPatience = time.Minute

// watch tells of each edition when it is done, until each list has one and all are. It returns them, the newest first.
func (d *demo) watch(ctx context.Context) ([]newsletter.Edition, error) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	patience := time.NewTimer(demoPatience)
	defer patience.Stop()
	told := map[newsletter.EditionID]bool{}
	for {
		editions, err := d.office.store.Editions(ctx, "", 0)
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(editions) {
			if e.State == newsletter.Done && !told[e.ID] {
				told[e.ID] = true
				d.stepf("Sent the %s to %s: %s", e.Kind, counted(e.Counts.Sent, "reader"), e.Subject)
			}
		}
		missing := unfinished(d.office.lists, editions)
		if len(missing) == 0 {
			return editions, nil
		}
		select {
		case <-look.C:
		case <-patience.C:
			return nil, fmt.Errorf("the demo is not done after %s: %s", demoPatience, strings.Join(missing, "; "))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// unfinished says what is still missing: lists without an edition, and editions that are not done.
func unfinished(lists []newsletter.List, editions []newsletter.Edition) (missing []string) {
	for _, l := range lists {
		if !slices.ContainsFunc(editions, func(e newsletter.Edition) bool { return e.List == l.ID }) {
			missing = append(missing, "the list "+l.ID+" has no edition")
		}
	}
	for _, e := range editions {
		if e.State != newsletter.Done {
			missing = append(missing, fmt.Sprintf("edition %d of %s has %d of %d copies pending", e.ID, e.List, e.Counts.Pending, e.Counts.Audience))
		}
	}
	return missing
}

// stepf prints a line with the demo's time.
func (d *demo) stepf(format string, args ...any) {
	d.sayf(d.clock.now().In(d.zone()).Format(time.TimeOnly)+"  "+format, args...)
}
