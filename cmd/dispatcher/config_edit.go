package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

func newConfigCommand(p process) *cobra.Command {
	group := &cobra.Command{Use: "config", Short: "The config file: edit it safely"}
	edit := &cobra.Command{
		Use:   "edit",
		Short: "Edit the config, see what changes, and have the running serve take it over",
		Long: `Open a copy of the config in an editor, $VISUAL, $EDITOR or the system's own. What is saved is checked as "dispatcher check"
does, and the plan of the next eight days is compared with that of the old config. Only then is the config replaced, in one
step and with its owner and mode, and a running serve takes it over. A config that somebody else has changed meanwhile is
left alone.

With --yes nothing is asked: a good config is taken, and a bad one is refused.`,
		Args: cobra.NoArgs,
	}
	yes := edit.Flags().Bool("yes", false, "ask nothing")
	edit.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		if !*yes && !p.terminal {
			return usagef("config edit asks what to do: run it on a terminal, or give --yes")
		}
		s := editing{process: p, path: path, yes: *yes, out: cmd.OutOrStdout(), words: cmd.ErrOrStderr(), answers: bufio.NewReader(cmd.InOrStdin())}
		return s.run(cmd.Context())
	}
	group.AddCommand(edit)
	return group
}

// editing is one sitting over the config.
type editing struct {
	process
	path    string
	yes     bool
	out     io.Writer
	words   io.Writer // to whoever sits there
	answers *bufio.Reader

	before []byte // what the config was
	copied string // the path of the copy that is edited
	taken  bool   // what was written is the config now
}

func (e *editing) run(ctx context.Context) (err error) {
	if e.before, err = os.ReadFile(e.path); err != nil {
		return fmt.Errorf("reading the config: %w", err)
	}
	if err := e.copy(); err != nil {
		return fmt.Errorf("making a copy to edit: %w", err)
	}
	defer func() {
		if written, failed := os.ReadFile(e.copied); failed == nil && !e.taken && !bytes.Equal(written, e.before) {
			fmt.Fprintf(e.words, "What was written is kept in %s.\n", e.copied)
			return
		}
		err = errors.Join(err, os.Remove(e.copied))
	}()
	after, o, err := e.write(ctx)
	if err != nil || after == nil {
		return err
	}
	defer func() { err = errors.Join(err, o.leave()) }()
	for _, w := range o.config.Warnings() {
		w.File = e.place(w.File)
		fmt.Fprintln(e.words, "warning:", w)
	}
	old := e.compare(ctx, o)
	if old != nil {
		defer func() { err = errors.Join(err, old.leave()) }()
	}
	if !e.yes && !e.ask("Take this config? [y/N] ", false) {
		_, err := fmt.Fprintln(e.out, "The config stays as it was.")
		return err
	}
	if err := e.replace(after); err != nil {
		return err
	}
	e.taken = true
	fmt.Fprintf(e.out, "%s is replaced.\n", e.path)
	return e.reload(ctx, old, o)
}

// copy makes the copy in the folder of the config, so that relative paths lead from it to the same places.
func (e *editing) copy() error {
	f, err := os.CreateTemp(filepath.Dir(e.path), ".config-*.yaml") // for the owner alone
	if err != nil {
		return err
	}
	e.copied = f.Name()
	_, err = f.Write(e.before)
	return errors.Join(err, f.Close())
}

// write has the copy edited until it can be used, and returns what it is then and the office that it makes. Both are nil where nothing was
// changed, or it is left.
func (e *editing) write(ctx context.Context) ([]byte, *office, error) {
	for {
		if err := e.editor(ctx); err != nil {
			return nil, nil, err
		}
		after, err := os.ReadFile(e.copied)
		if err != nil {
			return nil, nil, fmt.Errorf("reading what was written: %w", err)
		}
		if bytes.Equal(after, e.before) {
			_, err = fmt.Fprintln(e.out, "Nothing was changed.")
			return nil, nil, err
		}
		o, err := e.office(ctx, e.copied)
		if err == nil {
			return after, o, nil
		}
		if e.yes {
			return nil, nil, err
		}
		fmt.Fprintln(e.words, message(err))
		if !e.ask("This config cannot be used. Edit it again? [Y/n] ", true) {
			_, err = fmt.Fprintln(e.out, "The config stays as it was.")
			return nil, nil, err
		}
	}
}

// editor runs the editor on the copy. It needs the terminal itself, and whoever presses Ctrl-C there means something in the editor.
func (e *editing) editor(ctx context.Context) error {
	command := strings.TrimSpace(env(e.environ, "VISUAL"))
	if command == "" {
		command = strings.TrimSpace(env(e.environ, "EDITOR"))
	}
	for _, usual := range []string{"sensible-editor", "nano", "vi"} {
		if _, err := exec.LookPath(usual); command == "" && err == nil {
			command = usual
		}
	}
	if command == "" {
		return errors.New("there is no editor: name one in EDITOR")
	}
	run := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", command+` "$1"`, "sh", e.copied) // it may have arguments
	run.Stdin, run.Stdout, run.Stderr, run.Env = os.Stdin, os.Stdout, os.Stderr, e.environ
	err := run.Run()
	if err == nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("running the editor: %w; the config stays as it was", err)
	}
	return nil
}

// office is what a config makes, with its database only looked at; without one where there is none yet. Problems are told as of the config
// itself.
func (e *editing) office(ctx context.Context, path string) (o *office, err error) {
	defer func() {
		var problems config.Problems
		if errors.As(err, &problems) {
			for i := range problems {
				problems[i].File = e.place(problems[i].File)
			}
			err = problems
		}
	}()
	cfg, err := config.Load(path, e.environ)
	if err != nil {
		return nil, err
	}
	if o, err = furnish(e.process, cfg); err != nil {
		return nil, err
	}
	o.store, err = store.Look(ctx, cfg.DataDir)
	if errors.Is(err, newsletter.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		o.store = nil
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	problems, err := o.vanished(ctx)
	if err == nil && len(problems) > 0 && path == e.copied {
		err = problems
	}
	if err == nil {
		err = o.goByNames(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, o.leave())
	}
	return o, nil
}

// leave closes the database, where there is one.
func (o *office) leave() error {
	if o.store == nil {
		return nil
	}
	return o.store.Close()
}

// place is the config where its copy is named.
func (e *editing) place(file string) string {
	if file == e.copied {
		return e.path
	}
	return file
}

// ask asks a question. Otherwise is the answer of who just presses return; who has gone says no.
func (e *editing) ask(question string, otherwise bool) bool {
	fmt.Fprint(e.words, question)
	answer, err := e.answers.ReadString('\n')
	if err != nil {
		fmt.Fprintln(e.words)
		return false
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	case "":
		return otherwise
	}
	return false
}
