// Command dispatcher watches feeds for articles and take-action items, writes digests and alerts, and sends them through
// the organisation's relay. This package holds the commands and wires the rooms together; it alone reads the config.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dispatcher/internal/config"
)

// Exit codes. systemd must not restart a service that ends with exitUsage: it would fail again.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// process is what a command gets from outside, so that tests can give it something else.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	now            func() time.Time
	terminal       bool // stdin and stdout are a terminal: somebody can be asked
	errColumns     int  // of the terminal that stderr is; 0: it is none
}

func main() {
	leaveRoom()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks, a second one kills
	code := run(ctx, process{
		stdin: os.Stdin, stdout: screenOf(os.Stdout, os.Environ()), stderr: os.Stderr, environ: os.Environ(), now: clock(),
		terminal:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
		errColumns: columnsOf(os.Stderr, os.Environ()),
	}, os.Args[1:])
	os.Exit(code)
}

// run runs one command and returns its exit code. What went wrong is written to stderr, once.
func run(ctx context.Context, p process, args []string) int {
	p.stderr = &sharedWriter{to: p.stderr}
	root := newRootCommand(p)
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	if slices.Contains(args, cobra.ShellCompRequestCmd) {
		plainUsages(root)
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var silent *alreadyTold
	if !errors.As(err, &silent) {
		fmt.Fprintln(p.stderr, message(err))
	}
	var problems config.Problems
	var usage *usageError
	if errors.As(err, &problems) || errors.As(err, &usage) || (errors.As(err, &silent) && silent.usage) {
		return exitUsage
	}
	return exitFailed
}

// sharedWriter lets the log and a command's own words go to one place without mixing.
type sharedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *sharedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// message is what a person reads. A list of problems already says where each one is. What comes from further inside may quote others, and
// with them an address.
func message(err error) string {
	var problems config.Problems
	var usage *usageError
	switch {
	case errors.As(err, &problems):
		return problems.Error()
	case errors.As(err, &usage):
		return "dispatcher: " + err.Error()
	}
	return "dispatcher: " + scrub(err.Error())
}

// usageError is a command line that cannot be followed.
type usageError struct{ what string }

func (e *usageError) Error() string { return e.what }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// alreadyTold ends a command whose problems have been printed as its output.
type alreadyTold struct{ usage bool }

func (*alreadyTold) Error() string { return "problems were found" }

// newRootCommand puts the commands together.
func newRootCommand(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "dispatcher",
		Short: "Newsletter and alert daemon for newsrooms and advocacy organisations",
		Long: `dispatcher watches an organisation's feeds for articles and take-action items (petitions with deadlines),
writes digests and alerts from templates, and sends them to subscribers through the organisation's SMTP relay.

It reads one YAML file, /etc/dispatcher/config.yaml unless --config or DISPATCHER_CONFIG names another.
Without a command it shows how things stand: what is wrong, what is being sent, what comes next.
Try "dispatcher demo" to see the whole loop on this machine without any set-up.`,
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,

		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return status(cmd, p)
			}
			return noCommand(cmd, args[0])
		},
	}
	root.PersistentFlags().String("config", defaultConfigPath(p.environ), "the config `file`")
	addJSONFlag(root)
	root.SetFlagErrorFunc(badFlag)
	root.SetHelpFunc(help)
	root.AddCommand(
		newServeCommand(p), newDemoCommand(p), newCheckCommand(p), newPlanCommand(p), newPreviewCommand(p), newSendCommand(p), newFetchCommand(p),
		newImportCommand(p), newItemsCommand(p), newSubscribersCommand(p), newEditionsCommand(p),
		newConfigCommand(p), newReleaseCommand(p), newReloadCommand(p), newBounceCommand(p), newBackupCommand(p), newVersionCommand(), newManCommand(p),
	)
	root.AddCommand(buildCommands()...)
	root.InitDefaultCompletionCmd() // so that it is as strict as ours
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		strict(c)
		if c.Name() == "help" {
			c.Run, c.RunE = nil, helpOn
		}
	}
	addCompletions(p, root)
	return root
}

// strict gives every command's argument errors the usage exit code, and makes a group refuse a command that it does not
// know: cobra would show its help and succeed.
func strict(c *cobra.Command) {
	if c.HasSubCommands() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%q needs one of its commands: %s", cmd.CommandPath(), names(cmd))
			}
			return usagef("%q has no command %q; it has %s", cmd.CommandPath(), args[0], names(cmd))
		}
	} else if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return usagef("%q takes %s, and %s given\nUsage: %s", cmd.CommandPath(), arguments(cmd), given(len(args)), cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// arguments is what a command takes, in the words of its usage.
func arguments(c *cobra.Command) string {
	if _, words, some := strings.Cut(c.Use, " "); some {
		return words
	}
	return "no arguments"
}

// given says how many arguments there were. It repeats none: one may be an address.
func given(n int) string {
	switch n {
	case 0:
		return "nothing was"
	case 1:
		return "one was"
	}
	return fmt.Sprintf("%d were", n)
}

func names(c *cobra.Command) string {
	var all []string
	for _, sub := range c.Commands() {
		all = append(all, sub.Name())
	}
	return strings.Join(all, ", ")
}

func defaultConfigPath(environ []string) string {
	for _, e := range environ {
		if path, ok := strings.CutPrefix(e, "DISPATCHER_CONFIG="); ok && path != "" {
			return path
		}
	}
	return standardConfig
}

// standardConfig is the config file where none is named.
const standardConfig = "/etc/dispatcher/config.yaml"
