package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"dispatcher/internal/config"
	"dispatcher/internal/store"
)

// backupView is what `backup` prints.
type backupView struct {
	Path    string  `json:"path"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func newBackupCommand(p process) *cobra.Command {
	var force bool
	backup := addJSONFlag(&cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database into a file while everything goes on",
		Long: `Copy the database, as it is at this moment, into FILE. A serve goes on meanwhile, and so does sending. The file has its name only
when it is whole, checked and on disk; an interrupted backup leaves nothing.

The file holds the readers' addresses and the keys that sign their links: only its owner may read it (mode 0600), and it must be
kept as safe as the database itself. The config and what its secret files hold are not in it.

To restore it stop serve, put the file in place of the database, and start again: mail is held back until "dispatcher release".`,
		Args: cobra.ExactArgs(1),
	})
	backup.Flags().BoolVar(&force, "force", false, "replace the file where there is one")
	backup.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		cfg, err := config.Load(path, p.environ)
		if err != nil {
			return err
		}
		return makeBackup(cmd, p, store.Backup{From: cfg.DataDir, To: args[0], Replace: force})
	}
	return backup
}

// makeBackup needs no office: an old database is copied as it is, before anything brings it up to date.
func makeBackup(cmd *cobra.Command, p process, b store.Backup) (err error) {
	v := backupView{}
	if v.Path, err = filepath.Abs(b.To); err != nil {
		return fmt.Errorf("finding where the backup goes: %w", err)
	}
	var shown *progress
	b.Progress = func(done, total int64) {
		if shown == nil {
			shown = p.progress(cmd.ErrOrStderr(), "copying the database", octets, total)
		}
		shown.at(done)
	}
	began := p.now()
	v.Bytes, err = b.Make(cmd.Context())
	v.Seconds = p.now().Sub(began).Seconds()
	if shown != nil {
		shown.end()
	}
	var room *store.NoRoomError
	switch {
	case cmd.Context().Err() != nil && err != nil:
		return errors.New("interrupted: there is no backup, and nothing of it is left")
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("%w; name another file, or give --force to replace it", err)
	case errors.As(err, &room):
		return fmt.Errorf("%w; make room, or name a file on another disk", err)
	case err != nil:
		return err
	case wantsJSON(cmd):
		return printJSON(cmd.OutOrStdout(), v)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s in %.1f s. It holds the readers' addresses and the keys: keep it as safe as the database.\n", v.Path, size(v.Bytes), v.Seconds)
	return err
}
