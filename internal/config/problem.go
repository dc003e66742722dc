package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong, or looks wrong, in the config: where it stands, what it is
// and how to cure it. It never holds a secret.
type Problem struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"` // from 1; 0 where no line can be named
	Column   int    `json:"column,omitempty"`
	Variable string `json:"variable,omitempty"` // the environment variable that gave the value, in place of File and Line
	Key      string `json:"key,omitempty"`      // dotted path, such as lists[0].schedule
	Value    string `json:"value,omitempty"`    // what was found; empty where there is nothing to show or it must not be shown
	What     string `json:"what"`               // continues the value: "is not a port"
	Cure     string `json:"cure,omitempty"`
}

// String is the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Variable != "":
		b.WriteString(p.Variable)
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d", p.File, p.Line)
	default:
		b.WriteString(p.File)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": ")
	if p.Value != "" {
		b.WriteString(strconv.Quote(p.Value) + " ")
	}
	b.WriteString(p.What)
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return b.String()
}

// Problems are all that is wrong with a config, in the order of the file. As an error they print
// one line each.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Warnings are what is legal but looks wrong, or has no effect in this version.
func (c Config) Warnings() Problems { return slices.Clone(c.warnings) }

// Problem lets another part report on a key, such as a schedule that never comes due, with the
// line where the key stands. What continues the value: "is not a port".
func (c Config) Problem(key, value, what, cure string) Problem {
	return c.source.problem(key, value, what, cure)
}

// source remembers where each key of a config was given.
type source struct {
	file string
	at   map[string]position
}

type position struct {
	line, column int
	variable     string
}

// given reports whether a key stands in the file or the environment, rather than having its default.
func (s source) given(key string) bool {
	_, ok := s.at[key]
	return ok
}

// problem has the place of the key, or of the section or list around it where the key itself is absent.
func (s source) problem(key, value, what, cure string) Problem {
	p := Problem{File: s.file, Key: key, What: what, Cure: cure}
	if !private(key) {
		p.Value = shorten(value)
	}
	for k := key; k != ""; k = parent(k) {
		at, ok := s.at[k]
		if !ok {
			continue
		}
		p.Line, p.Column, p.Variable = at.line, at.column, at.variable
		if at.variable != "" {
			p.File = ""
		}
		break
	}
	return p
}

// report gathers problems and warnings. Of a key that has been told, and of all beneath it, nothing
// more is told: it would only be the same mistake in other words.
type report struct {
	source   source
	told     map[string]bool
	meant    map[string]bool // keys that were misspelt: they, and what is beneath them, are not missing as well
	problems Problems
	warnings Problems
}

func newReport(file string) *report {
	return &report{
		source: source{file: file, at: map[string]position{}},
		told:   map[string]bool{},
		meant:  map[string]bool{},
	}
}

func (r *report) problem(key, value, what, cure string) {
	r.add(r.source.problem(key, value, what, cure))
}

func (r *report) add(p Problem) {
	for k := p.Key; ; k = parent(k) {
		if r.told[k] {
			return
		}
		if k == "" {
			break
		}
	}
	r.told[p.Key] = true
	r.problems = append(r.problems, p)
}

func (r *report) missing(key, cure string) {
	for k := key; k != ""; k = parent(k) {
		if r.meant[k] {
			return
		}
	}
	r.problem(key, "", "is missing", cure)
}

func (r *report) warn(key, value, what, cure string) {
	r.warnings = append(r.warnings, r.source.problem(key, value, what, cure))
}

// sorted are problems in the order of the file; those without a line come first.
func sorted(ps Problems) Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// parent is the key of the section or list that a key stands in; empty at the top.
func parent(key string) string {
	if i := strings.LastIndexAny(key, ".["); i >= 0 {
		return key[:i]
	}
	return ""
}

// child is the dotted path of a key in a section.
func child(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// element is the dotted path of the i-th element of a list.
func element(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// private reports whether the value of a key must not be shown: people's addresses, and the place
// where the password itself is most easily written by mistake.
func private(key string) bool {
	name := key[strings.LastIndexByte(key, '.')+1:]
	name, _, _ = strings.Cut(name, "[")
	return name == "password_file" || name == "proof_to"
}

// shorten keeps a message on one line of a terminal.
func shorten(value string) string {
	const most = 60
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return value
}
