// Command bench measures dispatcher's sending beside Postfix's own load generator, in one run on one machine.
//
// Both send messages of the same size over as many connections to the same sink, a process of its own. dispatcher keeps its
// ledger in a real database on disk while it does so; smtp-source keeps none. docs/performance.md tells the method.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// settings are what the command line says.
type settings struct {
	suite    string
	binary   string
	dir      string
	readers  int
	rounds   int
	plot     string // a file for the picture of growth; empty: none
	json     bool
	markdown bool
}

// suite is one of the things that can be measured.
type suite struct {
	name    string
	measure func(l *lab, ctx context.Context) ([]table, error)
	source  bool // smtp-source is measured beside it
}

var suites = []suite{
	{"speed", (*lab).speed, true},
	{"normal", (*lab).normal, true},
	{"latency", (*lab).latency, true},
	{"growth", (*lab).growth, false},
	{"alert", (*lab).alert, false},
}

func main() {
	var s settings
	var sink sink
	flag.StringVar(&s.suite, "suite", "all", "what to measure: speed, normal, latency, growth, alert or all")
	flag.StringVar(&s.binary, "binary", "bin/dispatcher", "the dispatcher to measure")
	flag.StringVar(&s.dir, "dir", ".", "where databases lie while they are measured: a folder on a real disk, with 1 GB free for growth")
	flag.IntVar(&s.readers, "readers", 100_000, "readers of an edition; latency takes a fiftieth of them, growth a tenth to ten times as many")
	flag.IntVar(&s.rounds, "rounds", 3, "how often to measure; medians are printed")
	flag.StringVar(&s.plot, "plot", "", "also draw growth, as an SVG `file`")
	flag.BoolVar(&s.json, "json", false, "print JSON")
	flag.BoolVar(&s.markdown, "markdown", false, "print Markdown")
	asSink := flag.Bool("sink", false, "be the sink: take all mail and keep nothing")
	flag.DurationVar(&sink.delay, "delay", 0, "with -sink: how much later than its command each reply goes out")
	flag.BoolVar(&sink.pipelining, "pipelining", true, "with -sink: offer PIPELINING")
	mark := flag.String("mark", "", "with -sink: tell when the first message came that has this `text`")
	flag.Parse()
	sink.mark = []byte(*mark)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *asSink {
		err = beSink(&sink)
	} else {
		err = run(ctx, s)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted, nothing is left behind")
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures what was asked for, prints it, and leaves nothing behind.
func run(ctx context.Context, s settings) (err error) {
	chosen, err := s.choose()
	if err != nil {
		return err
	}
	l, err := openLab(s, slices.ContainsFunc(chosen, func(c suite) bool { return c.source }))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	var tables []table
	for _, c := range chosen {
		more, err := c.measure(l, ctx)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", c.name, err)
		}
		tables = append(tables, more...)
	}
	if s.plot != "" {
		picture, err := draw(l.grown)
		if err != nil {
			return fmt.Errorf("drawing growth: %w", err)
		}
		if err := os.WriteFile(s.plot, picture, 0o644); err != nil {
			return fmt.Errorf("keeping the picture: %w; give -plot a file that may be written", err)
		}
	}
	switch {
	case s.json:
		return printJSON(os.Stdout, tables)
	case s.markdown:
		return printMarkdown(os.Stdout, tables)
	}
	return printText(os.Stdout, tables)
}

// choose checks the settings and finds the suites that they name.
func (s settings) choose() ([]suite, error) {
	const least = 1000 // so that growth and latency have some
	chosen := slices.DeleteFunc(slices.Clone(suites), func(c suite) bool { return s.suite != "all" && s.suite != c.name })
	switch {
	case flag.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag: see bench -help", flag.Arg(0))
	case len(chosen) == 0:
		return nil, fmt.Errorf("there is no suite %q: give -suite speed, normal, latency, growth, alert or all", s.suite)
	case s.readers < least:
		return nil, fmt.Errorf("%d readers are too few to measure anything: give -readers %d or more", s.readers, least)
	case s.rounds < 1:
		return nil, fmt.Errorf("%d rounds measure nothing: give -rounds 1 or more", s.rounds)
	case s.plot != "" && !slices.ContainsFunc(chosen, func(c suite) bool { return c.name == "growth" }):
		return nil, errors.New("-plot draws growth: give -suite growth or all with it")
	}
	return chosen, nil
}

// lab is where things are measured.
type lab struct {
	settings
	dir    string            // for all files; removed at the end
	source string            // the path of smtp-source
	bases  map[string]string // databases with readers, to be copied
	sites  int               // how many copies there were
	grown  []growth
}

// openLab finds what is needed, before anything takes time.
func openLab(s settings, needSource bool) (*lab, error) {
	l := &lab{settings: s, bases: map[string]string{}}
	var err error
	if l.binary, err = exec.LookPath(s.binary); err != nil {
		return nil, fmt.Errorf("looking for dispatcher: %w; run make build, or give its path with -binary", err)
	}
	if needSource {
		if l.source, err = findSource(); err != nil {
			return nil, err
		}
	}
	if l.dir, err = os.MkdirTemp(s.dir, "bench-"); err != nil {
		return nil, fmt.Errorf("making a folder for databases: %w; give -dir a folder that may be written", err)
	}
	return l, nil
}

// findSource looks beyond the PATH, too: Debian keeps it out of everybody's but root's.
func findSource() (string, error) {
	for _, name := range []string{"smtp-source", "/usr/sbin/smtp-source", "/usr/lib/postfix/sbin/smtp-source"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("smtp-source is not here: install Postfix (on Debian: apt-get install postfix), or measure what does without it: -suite growth or alert")
}

// tell is a line of progress.
func tell(format string, args ...any) {
	fmt.Fprintln(os.Stderr, strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
}
