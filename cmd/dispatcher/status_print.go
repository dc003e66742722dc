package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// print is the page for people: what is wrong, what is under way, what comes.
func (v *statusView) print(cmd *cobra.Command, now time.Time) error {
	out := cmd.OutOrStdout()
	t := table{out: out}
	for _, x := range v.Problems {
		t.add(x.Level, x.Where, x.What)
	}
	if len(v.Problems) > 0 {
		t.add()
	}
	if err := t.flush(); err != nil {
		return err
	}
	state := "Serving."
	switch {
	case !v.Serving:
		state = "Not serving."
	case v.Ready != nil && !*v.Ready:
		state = "Serving, but not ready: see above."
	}
	if v.Rehearsal {
		state += " This is a rehearsal: mail goes to the proof address alone."
	}
	if len(v.Editions) == 0 {
		state += " No edition is under way."
	}
	fmt.Fprintln(out, state)
	for _, l := range v.Lanes {
		if l.Pending > 0 {
			fmt.Fprintf(out, "%s lane: %s pending%s\n", l.Lane, counted(l.Pending, "copy"), waited(l.Oldest, now))
		}
	}
	if len(v.Editions) > 0 {
		fmt.Fprintln(out)
		t = table{out: out}
		t.title("EDITION", "LIST", "STATE", "SENT", "PENDING", "OTHERS", "SUBJECT")
		for _, e := range v.Editions {
			t.add(strconv.FormatInt(int64(e.ID), 10), e.List, string(e.State), strconv.Itoa(e.Sent), strconv.Itoa(e.Pending),
				strconv.Itoa(e.Failed+e.Withdrawn+e.Unknown), e.Subject)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	t = table{out: out}
	t.title("NEXT", "LIST", "READERS")
	for _, n := range v.Next {
		t.add(n.words, n.List, strconv.Itoa(n.Readers))
	}
	return t.flush()
}

// waited says since when the copy waits that has waited longest.
func waited(oldest *time.Time, now time.Time) string {
	if oldest == nil || now.Sub(*oldest) < time.Minute {
		return ""
	}
	return fmt.Sprintf(", the oldest for %s", roughly(now.Sub(*oldest)))
}
