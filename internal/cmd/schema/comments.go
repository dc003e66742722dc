package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// comment is what config.example.yaml says of a key.
type comment struct {
	words    string
	standard any // what holds where the key is not given, as YAML has it; nil: nothing, or other keys decide
}

// required reports whether the key must be given.
func (c comment) required() bool {
	return strings.Contains(c.words, "It is required.") || strings.Contains(c.words, "One is required.")
}

// atRest is a key with a "#" right before it.
var (
	atRest  = regexp.MustCompile(`^( *)#([^ #])`)
	keyLine = regexp.MustCompile(`^( *)(- )?([a-z_]+):( |$)`)
	prose   = regexp.MustCompile(`^ *# (default: )?(.*)$`)
)

// commentsOf reads the manual line by line: a comment belongs to the key below it, by its dotted path without the numbers of elements. Of a key
// that stands there more than once, the first comment counts.
func commentsOf(manual string) (map[string]comment, error) {
	comments := map[string]comment{}
	var path [8]string // the names down to the last key, by indentation; the level of a dash has none
	var c comment
	var words []string
	for line := range strings.Lines(manual) {
		line = atRest.ReplaceAllString(strings.TrimRight(line, "\n"), "$1$2")
		if m := prose.FindStringSubmatch(line); m != nil {
			if m[1] == "" {
				words = append(words, m[2])
			} else if err := yaml.Unmarshal([]byte(m[2]), &c.standard); err != nil {
				return nil, fmt.Errorf("reading the default %q: %w", m[2], err)
			}
			continue
		}
		if m := keyLine.FindStringSubmatch(line); m != nil {
			depth := len(m[1]+m[2]) / 2
			path[depth] = m[3]
			clear(path[depth+1:])
			full := strings.Join(slices.DeleteFunc(slices.Clone(path[:]), func(name string) bool { return name == "" }), ".")
			c.words = strings.Join(words, " ")
			if _, told := comments[full]; !told {
				comments[full] = c
			}
		}
		c, words = comment{}, nil
	}
	return comments, nil
}
