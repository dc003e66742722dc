package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// completed asks for completions as a shell does, and returns them with cobra's directive.
func (s *site) completed(words ...string) []string {
	s.t.Helper()
	return strings.Split(strings.TrimSpace(s.ok(append([]string{"__complete"}, words...)...)), "\n")
}

const (
	noFiles = ":36" // cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	nothing = ":4"  // cobra.ShellCompDirectiveNoFileComp
)

func TestCompletion(t *testing.T) {
	s := newSite(t, 25, "topics: [{id: harbour, title: The Harbour}]")
	s.ok("fetch")
	s.ok("subscribers", "import", s.readers(2), "--confirmed", "the fair")
	s.ok("items", "hold", "2")
	s.ok("send", "weekly", "--yes")
	tests := map[string]struct {
		words []string
		want  []string
	}{
		"lists":                      {[]string{"send", ""}, []string{"weekly\tHarbour Weekly", "urgent\tAct Now", noFiles}},
		"lists that begin so":        {[]string{"preview", "u"}, []string{"urgent\tAct Now", noFiles}},
		"one list is enough":         {[]string{"send", "weekly", ""}, []string{nothing}},
		"feeds":                      {[]string{"fetch", ""}, []string{"gazette\t" + s.feed.URL + "/wordpress.xml", noFiles}},
		"second of several lists":    {[]string{"subscribers", "add", "x", "--list", "weekly,"}, []string{"weekly,urgent\tAct Now", noFiles}},
		"topics":                     {[]string{"subscribers", "add", "x", "--topics", ""}, []string{"harbour\tThe Harbour", noFiles}},
		"states":                     {[]string{"items", "list", "--state", ""}, []string{"queued", "held", "dropped", nothing}},
		"an edition under way":       {[]string{"editions", "pause", ""}, []string{"1\t", noFiles}},
		"no edition is paused":       {[]string{"editions", "resume", ""}, []string{noFiles}},
		"held items alone":           {[]string{"items", "release", ""}, []string{"2\t", noFiles}},
		"held once":                  {[]string{"items", "release", "2", ""}, []string{noFiles}},
		"never addresses":            {[]string{"subscribers", "show", ""}, []string{nothing}},
		"nor those of a flag":        {[]string{"send", "weekly", "--to", ""}, []string{nothing}},
		"words of an editor's":       {[]string{"items", "set", "1", "--title", ""}, []string{nothing}},
		"files":                      {[]string{"import", ""}, []string{":0"}},
		"what a flag is about":       {[]string{"send", "--to"}, []string{"--to\tsend only a test copy to this address", nothing}},
		"a config":                   {[]string{"check", "--config", ""}, []string{"yaml", "yml", ":8"}},
		"a folder":                   {[]string{"preview", "weekly", "--out", ""}, []string{":16"}},
		"a file for the subscribers": {[]string{"subscribers", "export", "--out", ""}, []string{":0"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.completed(tt.words...)
			for i, want := range tt.want { // titles are the feed's
				if i < len(got) && strings.HasSuffix(want, "\t") && strings.HasPrefix(got[i], want) {
					got[i] = want
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCompletionOfItemsFitsTheCommand(t *testing.T) {
	s := newSite(t, 25)
	s.ok("fetch")
	s.ok("items", "hold", "1")
	var items []itemView
	s.okJSON(&items, "items", "list")
	var all, queued, actions []string
	for _, i := range items {
		line := choice(strconv.FormatInt(int64(i.ID), 10), i.Title)
		all = append(all, line)
		if i.State == "queued" {
			queued = append(queued, line)
		}
		if i.Kind == "action" {
			actions = append(actions, line)
		}
	}
	for command, want := range map[string][]string{"show": all, "hold": queued, "close": actions} {
		got := s.completed("items", command, "")
		if d := cmp.Diff(append(slices.Clone(want), noFiles), got); d != "" {
			t.Errorf("items %s: %s", command, d)
		}
	}
}

// A shell shows what stands on stderr between the lines that are typed.
func TestCompletionIsSilent(t *testing.T) {
	s := newSite(t, 25)
	for name, config := range map[string]string{"bad config": "lists: [", "no database": s.config} {
		t.Run(name, func(t *testing.T) {
			s.write("config.yaml", config)
			for _, words := range [][]string{{"items", "show", ""}, {"send", ""}, {"editions", "show", ""}} {
				r := s.run(append([]string{"__complete"}, words...)...)
				if r.code != exitDone || strings.Count(r.stderr, "\n") != 1 { // cobra's own line, which the scripts throw away
					t.Errorf("%q: exit code %d: %s", words, r.code, r.stderr)
				}
			}
		})
	}
}
