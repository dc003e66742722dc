package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

// manual is config.example.yaml, the admin's manual of the config.
func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awake is the manual with every key at rest set.
func awake(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^( *)#([^ #\n])`).ReplaceAllString(manual(t), "$1$2")
}

// keyPaths are the paths of all keys in a tree of YAML, without the numbers of list elements.
func keyPaths(n *yaml.Node, section string) []string {
	var paths []string
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			path := strings.TrimPrefix(section+"."+n.Content[i].Value, ".")
			paths = append(append(paths, path), keyPaths(n.Content[i+1], path)...)
		}
	default:
		for _, c := range n.Content {
			paths = append(paths, keyPaths(c, section)...)
		}
	}
	return paths
}

// keyValues are the values of a config by such a path; of a list, those of its first element.
func keyValues(v reflect.Value, section string) map[string]reflect.Value {
	values := map[string]reflect.Value{}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		if tag == "" || tag == "-" {
			continue
		}
		path := strings.TrimPrefix(section+"."+tag, ".")
		field := v.Field(i)
		values[path] = field
		if field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct {
			element := reflect.Zero(field.Type().Elem())
			if field.Len() > 0 {
				element = field.Index(0)
			}
			field = element
		}
		if field.Kind() == reflect.Struct {
			for p, below := range keyValues(field, path) {
				values[p] = below
			}
		}
	}
	return values
}

func TestManualLoads(t *testing.T) {
	cfg := mustLoad(t, manual(t))
	if w := cfg.Warnings(); len(w) > 0 {
		t.Errorf("the manual as it stands has warnings:\n%v", w)
	}
	if len(cfg.Lists) != 2 || cfg.Lists[1].ID != "urgent-actions" {
		t.Errorf("lists are %+v", cfg.Lists)
	}
}

func TestManualLoadsWithEveryKeySet(t *testing.T) {
	path := folder(t, awake(t))
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), "templates"), 0o750); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range cfg.Warnings() {
		if w.Key != "relays[0].provider" {
			t.Errorf("unexpected warning: %v", w)
		}
	}
}

func TestManualHasEveryKey(t *testing.T) {
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(awake(t)), &tree); err != nil {
		t.Fatal(err)
	}
	told := keyPaths(&tree, "")
	for path := range keyValues(reflect.ValueOf(config.Config{}), "") {
		if !slices.Contains(told, path) {
			t.Errorf("%s is not in config.example.yaml", path)
		}
	}
}

func TestManualNamesEveryClass(t *testing.T) {
	_, text, _ := strings.Cut(manual(t), "#class_rates:")
	text, _, _ = strings.Cut(text, "class: ")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`,"`, r) })
	for _, class := range newsletter.Classes() {
		if !slices.Contains(words, class) {
			t.Errorf("%s is not in config.example.yaml", class)
		}
	}
}

// claim is a "default:" of the manual.
type claim struct{ path, text string }

// claims reads the manual line by line: what a comment says belongs to the key below it. It also
// gives the keys that have no comment, where they first occur.
func claims(t *testing.T) (told []claim, bare []string) {
	t.Helper()
	key := regexp.MustCompile(`^( *)(- )?([a-z_]+):( |$)`)
	prose := regexp.MustCompile(`^ *# (default: )?(.*)$`)
	rest := regexp.MustCompile(`^( *)#([^ #])`)
	var path [8]string // the names down to the last key, by indentation; the level of a dash has none
	seen := map[string]bool{}
	text, commented := "", false
	for line := range strings.Lines(manual(t)) {
		line = strings.TrimRight(rest.ReplaceAllString(line, "$1$2"), "\n")
		if m := prose.FindStringSubmatch(line); m != nil {
			commented = true
			if m[1] != "" {
				text = m[2]
			}
			continue
		}
		if m := key.FindStringSubmatch(line); m != nil {
			depth := len(m[1]+m[2]) / 2
			path[depth] = m[3]
			clear(path[depth+1:])
			full := strings.Join(strings.FieldsFunc(strings.Join(path[:], "."), func(r rune) bool { return r == '.' }), ".")
			if !commented && !seen[full] {
				bare = append(bare, full)
			}
			if text != "" {
				told = append(told, claim{full, text})
			}
			seen[full] = true
		}
		text, commented = "", false
	}
	return told, bare
}

func TestManualTellsTheRealDefaults(t *testing.T) {
	told, bare := claims(t)
	for _, path := range bare {
		if path != "lists.kind" && path != "lists.title" { // told at the first list
			t.Errorf("%s has no comment", path)
		}
	}
	path := folder(t, base)
	want, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range told {
		write(t, path, with(t, c), 0o640)
		got, err := config.Load(path, nil)
		if err != nil {
			t.Errorf("the default of %s does not load: %v", c.path, err)
			continue
		}
		if diff := cmp.Diff(want, got, ignoring(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s is not the default of %s (-default +told):\n%s", c.text, c.path, diff)
		}
	}
}

// base is the config that shows the defaults: it has one element in every list.
const base = smallest + "topics: [{id: iran}]\n"

// with is the base config with one key set to what the manual says of it.
func with(t *testing.T, c claim) string {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(base), &tree); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(c.text), &value); err != nil {
		t.Fatalf("default of %s: %v", c.path, err)
	}
	names := strings.Split(c.path, ".")
	section := tree
	for _, name := range names[:len(names)-1] {
		switch below := section[name].(type) {
		case nil:
			section[name] = map[string]any{}
			section = section[name].(map[string]any)
		case []any:
			section = below[0].(map[string]any)
		case map[string]any:
			section = below
		}
	}
	section[names[len(names)-1]] = value
	text, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManualLeavesNoDefaultUntold(t *testing.T) {
	told, _ := claims(t)
	var tree yaml.Node
	if err := yaml.Unmarshal([]byte(base), &tree); err != nil {
		t.Fatal(err)
	}
	known := keyPaths(&tree, "")
	for _, c := range told {
		known = append(known, c.path)
	}
	// These are made from other keys, as their comments say.
	known = append(known, "relays.name", "feeds.name", "lists.kind", "lists.title", "topics.title")
	for path, v := range keyValues(reflect.ValueOf(mustLoad(t, base)), "") {
		if v.Kind() != reflect.Struct && !v.IsZero() && !slices.Contains(known, path) {
			t.Errorf("config.example.yaml does not tell that the default of %s is %s", path, fmt.Sprint(v))
		}
	}
}
