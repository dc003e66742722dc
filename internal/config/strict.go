package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// walk reads the tree of a YAML document against a Go type and gives back plain values of just that
// type: a map for a section, a slice for a list. What does not fit is told and left out, so that one
// walk finds every such problem, and the later checks find the rest.
type walk struct{ *report }

// value reads one node of any kind. It is false where nothing usable is there, which it has told.
func (w walk) value(n *yaml.Node, t reflect.Type, key string) (any, bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		w.tell(n, key, "", "is an alias", "aliases are not read here: write the value out")
		return nil, false
	case n.ShortTag() == "!!null":
		w.tell(n, key, "", "has no value", "give it one, or take the line out")
		return nil, false
	case isSection(t):
		return w.section(n, t, key)
	case t.Kind() == reflect.Slice:
		return w.list(n, t, key)
	}
	return w.scalar(n, t, key)
}

func (w walk) section(n *yaml.Node, t reflect.Type, key string) (any, bool) {
	if n.Kind != yaml.MappingNode {
		w.tell(n, key, "", "is "+shape(n)+" where keys with values belong", "write its keys, one to a line: "+strings.Join(names(t), ", "))
		return nil, false
	}
	values := map[string]any{}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := n.Content[i], n.Content[i+1]
		path := child(key, plain(name.Value))
		field, known := fieldNamed(t, name.Value)
		switch {
		case name.Kind != yaml.ScalarNode || !known:
			w.unknown(name, t, key)
			continue
		case lines[name.Value] > 0:
			w.tell(name, path, "", fmt.Sprintf("is given a second time, first on line %d", lines[name.Value]), "keep one of them")
			continue
		}
		lines[name.Value] = name.Line
		w.place(name, path)
		if v, ok := w.value(content, field.Type, path); ok {
			values[name.Value] = v
		}
	}
	return values, true
}

func (w walk) list(n *yaml.Node, t reflect.Type, key string) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		cure := "put it in brackets: [ ]"
		if isSection(t.Elem()) {
			cure = "begin each element with a dash: - " + names(t.Elem())[0] + ": …"
		}
		w.tell(n, key, "", "is "+shape(n)+" where a list belongs", cure)
		return nil, false
	}
	values := make([]any, 0, len(n.Content))
	for i, content := range n.Content {
		path := element(key, i)
		w.place(content, path)
		v, ok := w.value(content, t.Elem(), path)
		if !ok { // an empty one keeps its place, so that the elements behind it keep their numbers
			v = reflect.Zero(t.Elem()).Interface()
			if isSection(t.Elem()) {
				v = map[string]any{}
			}
		}
		values = append(values, v)
	}
	return values, true
}

func (w walk) scalar(n *yaml.Node, t reflect.Type, key string) (any, bool) {
	if n.Kind != yaml.ScalarNode {
		w.tell(n, key, "", "is "+shape(n)+" where one value belongs", "write key: value")
		return nil, false
	}
	v, err := parseScalar(t, n.Value)
	if err == nil {
		err = written(n, t)
	}
	if err != nil {
		what, cure := explain(err)
		w.tell(n, key, n.Value, what, cure)
		return nil, false
	}
	return v, true
}

// written checks that quotes stand where YAML needs them: without, it makes 1.1 of the text 1.10.
func written(n *yaml.Node, t reflect.Type) error {
	text := n.ShortTag() == "!!str"
	switch {
	case t.Kind() == reflect.String && !text:
		return &misfit{"is not text as it stands", "put it in quotes"}
	case (t.Kind() == reflect.Bool || t.Kind() == reflect.Int) && text && !readsText(t):
		return &misfit{"is text", "write it without quotes"}
	}
	return nil
}

// parseScalar reads the text of one value, from the file or the environment, as a Go type. Its
// errors are misfits.
func parseScalar(t reflect.Type, text string) (any, error) {
	v := reflect.New(t)
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return parseDuration(text)
	case readsText(t):
		if err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return nil, &misfit{"is neither true nor false", "write one of the two"}
		}
		v.Elem().SetBool(text == "true")
	case t.Kind() == reflect.Int:
		number, err := strconv.Atoi(text)
		if err != nil || strconv.Itoa(number) != text {
			return nil, &misfit{"is not a number", "write a whole number in plain digits"}
		}
		v.Elem().SetInt(int64(number))
	default:
		v.Elem().SetString(text)
	}
	return v.Elem().Interface(), nil
}

// isSection reports whether a type is written as keys with values.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !readsText(t) }

// readsText reports whether a type reads its own text.
func readsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// unknown tells of a key that the section does not have. Its value is never shown: it may well be
// a password.
func (w walk) unknown(n *yaml.Node, t reflect.Type, section string) {
	known := names(t)
	name := plain(n.Value)
	cure := didYouMean(name, known)
	near := nearest(name, known)
	if n.Value == "<<" {
		cure = "merge keys are not read here: write the keys out"
	}
	for _, k := range known {
		if near == "" && strings.HasSuffix(k, "_file") && len(name) >= 4 && strings.HasPrefix(k, name[:4]) {
			cure = "use " + k + ": put the secret into a file of its own and name that file"
			near = k
		}
	}
	if near != "" {
		w.meant[child(section, near)] = true
	}
	w.tell(n, child(section, name), "", "unknown key", cure)
}

// tell reports a problem at a node.
func (w walk) tell(n *yaml.Node, key, value, what, cure string) {
	p := Problem{File: w.source.file, Line: n.Line, Column: n.Column, Key: key, What: what, Cure: cure}
	if !private(key) {
		p.Value = shorten(value)
	}
	w.add(p)
}

// place remembers where a key stands. The environment, read before the file, outranks it.
func (w walk) place(n *yaml.Node, key string) {
	if !w.source.given(key) {
		w.source.at[key] = position{line: n.Line, column: n.Column}
	}
}

// shape is what a node looks like to the one who wrote it.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	return "one value"
}

// plain is a key as it may be shown. A forgotten space makes a key of "password:hunter2", so it ends
// where a key's letters end.
func plain(name string) string {
	end := strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end >= 0 || name == "" {
		return name[:max(end, 0)] + "…"
	}
	return shorten(name)
}

// names are the keys of a section, in the order of its type.
func names(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		if name := f.Tag.Get("yaml"); name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	return keys
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag == name && tag != "-" && tag != "" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}
