package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	prefix = "DISPATCHER_"
	// configVariable names the config file, so it is not a key of it.
	configVariable = prefix + "CONFIG"
)

// environment finds the values that DISPATCHER_* variables give, by key. Two underscores stand for a
// dot: DISPATCHER_HTTP__LISTEN is http.listen. A variable that is set but empty counts as not set.
func environment(r *report, environ []string) map[string]any {
	keys := scalarKeys(reflect.TypeFor[Config](), "")
	values := map[string]any{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || name == configVariable {
			continue
		}
		t, known := keys[keyOf(name)]
		switch {
		case !known || variable(keyOf(name)) != name:
			r.problems = append(r.problems, unknownVariable(name, keys))
		case text != "":
			key := keyOf(name)
			r.source.at[key] = position{variable: name}
			v, err := parseScalar(t, text)
			if err != nil {
				what, cure := explain(err)
				r.problem(key, text, what, cure)
				continue
			}
			values[key] = v
		}
	}
	return values
}

// unknownVariable tells why a variable is not taken. Its value is never shown: it may well be a password.
func unknownVariable(name string, keys map[string]reflect.Type) Problem {
	p := Problem{Variable: name}
	key := keyOf(name)
	top, _, _ := strings.Cut(key, ".")
	all := slices.Sorted(maps.Keys(keys))
	var below []string
	for _, k := range all {
		if strings.HasPrefix(k, key+".") {
			below = append(below, variable(k))
		}
	}
	field, ok := fieldNamed(reflect.TypeFor[Config](), top)
	switch {
	case ok && field.Type.Kind() == reflect.Slice:
		p.What, p.Cure = "belongs to a list", "write it under "+top+" in the config file"
	case len(below) > 0:
		p.What, p.Cure = "is a section", "set "+strings.Join(below, " or ")
	default:
		p.What, p.Cure = "unknown variable", "variables are named after keys, such as "+variable("data_dir")+" and "+variable("http.listen")
		if near := nearest(key, append(all, keyOf(configVariable))); near != "" {
			p.Cure = "did you mean " + variable(near) + "?"
		}
	}
	return p
}

// scalarKeys are the keys that hold one value and stand in no list, with their types.
func scalarKeys(t reflect.Type, section string) map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	for _, name := range names(t) {
		field, _ := fieldNamed(t, name)
		key := child(section, name)
		switch {
		case isSection(field.Type):
			maps.Copy(keys, scalarKeys(field.Type, key))
		case field.Type.Kind() == reflect.Slice:
		default:
			keys[key] = field.Type
		}
	}
	return keys
}

func variable(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

func keyOf(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, prefix), "__", "."))
}
