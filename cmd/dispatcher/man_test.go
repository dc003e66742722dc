package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManShowsThePageOfACommand(t *testing.T) {
	bin := t.TempDir()
	const script = "#!/bin/sh\ncase \"$*\" in *dispatcher-send|*dispatcher-items-set) echo \"page $*\";; *) exit 16;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "man"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	s := newSite(t, 25)
	tests := map[string]struct {
		words []string
		code  int
		says  string
	}{
		"a command":             {[]string{"send"}, exitDone, "page 1 dispatcher-send\n"},
		"one of a group":        {[]string{"items", "set"}, exitDone, "page 1 dispatcher-items-set\n"},
		"not installed":         {[]string{"plan"}, exitFailed, "`dispatcher plan --help` says the same"},
		"no such command":       {[]string{"plant"}, exitUsage, "there is no command \"plant\""},
		"none of a group's own": {[]string{"items", "eat"}, exitUsage, "there is no command \"items eat\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := s.run(append([]string{"man"}, tt.words...)...)
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.says) {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}
