package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// homes says in which packages a third-party module may be used: the package whose job it is hides it from the others.
var homes = map[string][]string{
	"github.com/PuerkitoBio/goquery":     {"render"},
	"github.com/coreos/go-systemd":       {"cmd/dispatcher"},
	"github.com/emersion/go-message":     {},
	"github.com/go-viper/mapstructure":   {"config"},
	"github.com/mattn/go-sqlite3":        {"store"},
	"github.com/microcosm-cc/bluemonday": {"ingest"},
	"github.com/mmcdole/gofeed":          {"ingest"},
	"github.com/pressly/goose":           {"store"},
	"github.com/prometheus":              {"web"},
	"github.com/robfig/cron":             {"scheduler"},
	"github.com/schollz/progressbar":     {"cmd/dispatcher"},
	"github.com/spf13/cobra":             {"cmd/dispatcher"},
	"github.com/spf13/pflag":             {"cmd/dispatcher"},
	"github.com/spf13/viper":             {"config"},
	"github.com/vanng822/go-premailer":   {"render"},
	"github.com/wneessen/go-mail":        {"render", "mailer"},
	"github.com/yuin/goldmark":           {"ingest"},
	"go.yaml.in/yaml":                    {"config", "ingest", "cmd/schema"},
	"golang.org/x/net/html":              {"ingest", "render"},
	"golang.org/x/net/idna":              {"newsletter", "ingest"},
	"golang.org/x/sync":                  {"cmd/dispatcher", "mailer", "ingest"},
	"golang.org/x/term":                  {"cmd/dispatcher"},
	"golang.org/x/text":                  {"newsletter", "render", "ingest", "cmd/dispatcher"},
	"golang.org/x/time/rate":             {"mailer"},
}

// The packages are a star, not a tower: each imports newsletter and no sibling, commands import them all, and a
// third-party module stays in the package whose job it is.
func TestThePackagesAreAStar(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "dispatcher/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "dispatcher/"), "internal/")
		for _, imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, "dispatcher/")
			switch {
			case isOwn && !strings.HasPrefix(name, "cmd/") && own != "internal/newsletter":
				t.Errorf("%s imports its sibling %s", name, own)
			case !isOwn && strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.Contains(homeOf(imported), name):
				t.Errorf("%s imports %s, whose home is %q", name, imported, homeOf(imported))
			}
		}
	}
}

// homeOf finds the packages in which a module's package may be used.
func homeOf(imported string) []string {
	for module, packages := range homes {
		if imported == module || strings.HasPrefix(imported, module+"/") {
			return packages
		}
	}
	return nil
}
