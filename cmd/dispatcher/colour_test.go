package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestColoursTakeNoRoom(t *testing.T) {
	print := func(colours bool) string {
		var out strings.Builder
		table := table{out: &screen{Writer: &out, columns: 80, colours: colours}}
		table.title("LEVEL", "WHERE", "WHAT")
		table.add("error", "a long place", "something")
		table.add("warning", "", "something else")
		if err := table.flush(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plain := print(false)
	if want := "LEVEL    WHERE         WHAT\nerror    a long place  something\nwarning                something else\n"; plain != want {
		t.Errorf("the table is\n%s, want\n%s", plain, want)
	}
	coloured := print(true)
	if coloured == plain || regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, "") != plain {
		t.Errorf("with colours it is\n%q", coloured)
	}
}

func TestTableFitsTheScreen(t *testing.T) {
	tests := map[string]struct {
		columns int
		want    string
	}{
		"wide":                  {80, "ITEM  TITLE                                WHAT\n1     They row across the bay, all eleven  it is held since this morning\n"},
		"the last one wraps":    {70, "ITEM  TITLE                                WHAT\n1     They row across the bay, all eleven  it is held since this\n                                           morning\n"},
		"the widest is clipped": {60, "ITEM  TITLE                         WHAT\n1     They row across the bay…      it is held since this\n                                    morning\n"},
		"paragraphs":            {40, "ITEM   1\nTITLE  They row across the bay, all\n       eleven\nWHAT   it is held since this morning\n\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			table := table{out: &screen{Writer: &out, columns: tt.columns}}
			table.title("ITEM", "TITLE", "WHAT")
			table.add("1", "They row across the bay, all eleven", "it is held since this morning")
			if err := table.flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("it is\n%s, want\n%s", out.String(), tt.want)
			}
		})
	}
}

func TestColoursOnScreensAlone(t *testing.T) {
	s := newSite(t, 25)
	s.ok("fetch")
	s.ok("items", "hold", "1")
	if out := s.ok("items", "list") + s.ok() + s.ok("check"); strings.Contains(out, "\x1b") {
		t.Errorf("there are colours in a pipe: %q", out)
	}
	show := func(args ...string) string {
		var out, errs strings.Builder
		run(t.Context(), process{stdin: strings.NewReader(""), stdout: &screen{&out, 120, true}, stderr: &errs, now: time.Now}, append([]string{"--config", s.dir + "/config.yaml"}, args...))
		return out.String()
	}
	if out := show("items", "list"); !strings.Contains(out, "\x1b[33mheld\x1b[0m") {
		t.Errorf("there is no colour: %q", out)
	}
	if out := show("items", "list", "--json"); strings.Contains(out, "\x1b") {
		t.Errorf("there are colours in JSON: %q", out)
	}
}

func TestWhoWantsColours(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    bool
	}{
		"a terminal":    {[]string{"TERM=xterm-256color"}, true},
		"asked not to":  {[]string{"NO_COLOR=1"}, false},
		"asked nothing": {[]string{"NO_COLOR="}, true},
		"a dumb one":    {[]string{"TERM=dumb"}, false},
	}
	for name, tt := range tests {
		if got := wantsColours(tt.environ); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
