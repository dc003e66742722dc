package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// compare says what the new config changes in the plan. It returns the office of the old one; nil where that could not be used either, or
// there is no database to plan with.
func (e *editing) compare(ctx context.Context, o *office) *office {
	old, err := e.office(ctx, e.path)
	switch {
	case err != nil:
		fmt.Fprintln(e.words, "The plan is not compared: the config as it was cannot be used.")
		return nil
	case old.store == nil || o.store == nil:
		fmt.Fprintln(e.words, "The plan is not compared: there is no database yet.")
		return old
	}
	before, err := old.planLines(ctx)
	var after []string
	if err == nil {
		after, err = o.planLines(ctx)
	}
	if err != nil {
		fmt.Fprintln(e.words, "The plan is not compared:", scrub(err.Error()))
		return old
	}
	if slices.Equal(before, after) {
		fmt.Fprintln(e.out, "The plan of the next eight days stays as it is.")
		return old
	}
	fmt.Fprintln(e.out, "The plan of the next eight days changes:")
	for _, line := range before {
		if !slices.Contains(after, line) {
			fmt.Fprintln(e.out, "  -", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			fmt.Fprintln(e.out, "  +", line)
		}
	}
	return old
}

// planLines are the slots that `plan` shows, one to a line.
func (o *office) planLines(ctx context.Context) (lines []string, err error) {
	now := o.now()
	rows, err := o.foresee(ctx, o.liveLists(), now, now.AddDate(0, 0, 8))
	for _, row := range rows {
		lines = append(lines, fmt.Sprintf("%s: %s, %s, %s: %s", row.List, row.words, counted(len(row.Items), "item"), counted(row.Readers, "reader"), planWords(row)))
	}
	return lines, err
}

// replace puts a text in the config's place in one step, with its owner and mode. Where somebody else has changed the config meanwhile, it stays.
func (e *editing) replace(text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("replacing the config: %w", err)
		}
	}()
	real, err := filepath.EvalSymlinks(e.path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(real), ".config-*.yaml")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next.Name()))
		}
	}()
	_, err = next.Write(text)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		err = next.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = next.Chmod(info.Mode().Perm())
	}
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if now, err := os.ReadFile(real); err != nil || !bytes.Equal(now, e.before) {
		return errors.Join(err, errors.New("somebody else has changed it meanwhile: it is left as it is"))
	}
	if err := os.Rename(next.Name(), real); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(real))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reload has a running serve take the new config over. The old office is nil where the old config could not be used.
func (e *editing) reload(ctx context.Context, old, o *office) error {
	where := o.store
	if old != nil && old.store != nil {
		where = old.store
	}
	m, err := store.Mailer{}, newsletter.ErrNotFound
	if where != nil {
		m, err = where.Mailer()
	}
	switch {
	case errors.Is(err, newsletter.ErrNotFound) || err == nil && m.As != "serve":
		_, err = fmt.Fprintln(e.out, "Nobody serves: it holds from the next start of serve on.")
		return err
	case err != nil:
		return err
	case old != nil && old.config.DataDir != o.config.DataDir:
		_, err = fmt.Fprintln(e.out, "The running serve keeps its data_dir: restart it to take this config over.")
		return err
	}
	control, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", m.PID)) // where there is none, systemd has not started it
	if unit := unitIn(string(control)); unit != "" {
		run := exec.CommandContext(ctx, "systemctl", "reload", unit)
		run.Stdin, run.Stdout, run.Stderr = os.Stdin, e.words, e.words
		if err := run.Run(); err != nil {
			return fmt.Errorf("the new config is in its place, but `systemctl reload %s` did not work: %w; its log tells by which config it works", unit, err)
		}
		_, err = fmt.Fprintf(e.out, "%s has reloaded.\n", unit)
		return err
	}
	if err := haveReloaded(ctx, where, m); err != nil {
		return fmt.Errorf("the new config is in its place, but %w", err)
	}
	_, err = fmt.Fprintf(e.out, "serve, process %d, works by it.\n", m.PID)
	return err
}

// unitIn is the unit of ours that a process belongs to, by its control groups; empty: it belongs to none.
func unitIn(groups string) string {
	for line := range strings.Lines(groups) {
		unit := path.Base(strings.TrimSpace(line))
		if strings.HasPrefix(unit, "dispatcher") && strings.HasSuffix(unit, ".service") {
			return unit
		}
	}
	return ""
}

// env is a variable's value in an environment; empty when it is not set.
func env(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
