package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// intakeView is what one poll or import brought.
type intakeView struct {
	Source  string `json:"source"`
	New     int    `json:"new"`
	Changed int    `json:"changed"`
	Known   int    `json:"known"`
	Held    int    `json:"held"`
	Dropped int    `json:"dropped"`
	Error   string `json:"error,omitempty"`
}

func viewIntake(source string, in newsletter.Intake, err error) intakeView {
	v := intakeView{Source: source, New: in.New, Changed: in.Changed, Known: in.Known, Held: in.Held, Dropped: in.Dropped}
	if err != nil {
		v.Error = newsletter.Redact(err.Error())
	}
	return v
}

// printIntakes prints what came in, and fails when something could not be read.
func printIntakes(cmd *cobra.Command, source, none string, rows []intakeView) error {
	number := func(of func(intakeView) int) func(intakeView) string {
		return func(v intakeView) string { return strconv.Itoa(of(v)) }
	}
	shown := rows
	if !wantsJSON(cmd) { // what failed is told below
		shown = slices.DeleteFunc(slices.Clone(rows), func(v intakeView) bool { return v.Error != "" })
	}
	if len(shown) == 0 && len(rows) > 0 {
		none = "Nothing came in."
	}
	err := list(cmd, shown, none,
		column[intakeView]{source, func(v intakeView) string { return v.Source }},
		column[intakeView]{"NEW", number(func(v intakeView) int { return v.New })},
		column[intakeView]{"CHANGED", number(func(v intakeView) int { return v.Changed })},
		column[intakeView]{"KNOWN", number(func(v intakeView) int { return v.Known })},
		column[intakeView]{"HELD", number(func(v intakeView) int { return v.Held })},
		column[intakeView]{"DROPPED", number(func(v intakeView) int { return v.Dropped })},
	)
	if err != nil {
		return err
	}
	failed := false
	for _, v := range rows {
		if v.Error != "" {
			failed = true
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", v.Source, v.Error)
		}
		if v.Held > 0 && !wantsJSON(cmd) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d held by the flood gate; look with `dispatcher items list --state held`, let go with `dispatcher items release ID`\n", v.Source, v.Held)
		}
	}
	if failed {
		return &alreadyTold{}
	}
	return nil
}

func newFetchCommand(p process) *cobra.Command {
	return addJSONFlag(&cobra.Command{
		Use:   "fetch [FEED]",
		Short: "Poll all feeds now, or the one that is named",
		Long: `Poll all feeds now, or the one that is named, and say what each brought: new items, items that changed, items that are known;
of the new ones, how many the flood gate holds, and how many were dropped (a first poll records what is there and mails none of it
unless first_poll says otherwise). It needs no running serve and does not disturb one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
			feeds := o.feeds
			if len(args) == 1 {
				feed, err := o.feed(args[0])
				if err != nil {
					return err
				}
				feeds = []ingest.Feed{feed}
			}
			o.log = quiet()
			ingester := o.ingester()
			var rows []intakeView
			for _, feed := range feeds {
				took, err := ingester.Fetch(cmd.Context(), feed)
				rows = append(rows, viewIntake(feed.Name, took, err))
			}
			return printIntakes(cmd, "FEED", "The config names no feeds.", rows)
		}),
	})
}

// feed finds a feed by its name.
func (o *office) feed(name string) (ingest.Feed, error) {
	var known []string
	for _, f := range o.feeds {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return ingest.Feed{}, usagef("there is no feed %q in the config; it has %s", name, strings.Join(known, ", "))
}

func newImportCommand(p process) *cobra.Command {
	var release bool
	imp := addJSONFlag(&cobra.Command{
		Use:   "import FILE...",
		Short: "Import items from files: RSS, Atom, JSON Feed, JSON Lines, Markdown with front matter",
		Long: `Import items into the queue from files: RSS, Atom and JSON Feed, JSON Lines with one item each, or Markdown with YAML front matter.
The keys of JSON Lines and front matter are kind (article or action), title, url, summary, body, image, image_alt, author,
language, topics, published, petition, deadline, urgent. The flood gate holds a batch of more than 20 and items
older than 14 days, unless --release lets them through. What is known already is not imported twice.`,
		Args: cobra.MinimumNArgs(1),
	})
	imp.Flags().BoolVar(&release, "release", false, "let everything past the flood gate")
	imp.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		o.log = quiet()
		intake := fileIntake{
			ingester: o.ingester(), bar: o.progress(cmd.ErrOrStderr(), "importing", octets, sizeOf(args...)),
			options: ingest.ImportOptions{Release: release, Actions: ingest.ActionRules(config.DefaultActions())},
		}
		var rows []intakeView
		for _, name := range args {
			took, err := intake.take(cmd, name)
			rows = append(rows, viewIntake(name, took, err))
		}
		intake.bar.end()
		return printIntakes(cmd, "FILE", "", rows)
	})
	return imp
}

// fileIntake takes items in from files.
type fileIntake struct {
	ingester *ingest.Ingester
	bar      *progress
	options  ingest.ImportOptions
}

func (i fileIntake) take(cmd *cobra.Command, name string) (_ newsletter.Intake, err error) {
	var file io.Reader = cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return newsletter.Intake{}, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		file = f
	}
	return i.ingester.Import(cmd.Context(), name, i.bar.reading(file), i.options)
}
