package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"dispatcher/internal/newsletter"
)

// jsonLines reads one record from each line. Empty lines are passed over.
func (m recordMaker) jsonLines(text []byte) (found []newsletter.Found, problems []Problem) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		rec, wrong := readJSONRecord(line)
		if len(wrong) == 0 {
			var f newsletter.Found
			if f, wrong = m.item(rec); len(wrong) == 0 {
				found = append(found, f)
			}
		}
		for _, w := range wrong {
			problems = append(problems, Problem{number, w})
		}
	}
	return found, problems
}

func readJSONRecord(line []byte) (rec record, wrong []string) {
	if !utf8.Valid(line) {
		return rec, []string{"the line is not UTF-8: convert the file"}
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(line, &keys); err != nil {
		return rec, []string{fmt.Sprintf("not a JSON object on one line (%v)", err)}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(recordKeys, key) {
			wrong = append(wrong, unknownKey(key))
		}
	}
	if len(wrong) > 0 {
		return rec, wrong
	}
	var mismatch *json.UnmarshalTypeError
	if err := json.Unmarshal(line, &rec); errors.As(err, &mismatch) {
		return rec, []string{fmt.Sprintf("%s must be %s, not a %s", mismatch.Field, inWords(mismatch.Type), mismatch.Value)}
	} else if err != nil {
		return rec, []string{err.Error()}
	}
	return rec, nil
}

func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list of texts"
	}
	return "text"
}

// markdown reads a file that is one record: its front matter between two lines of three hyphens, and the body below.
func (m recordMaker) markdown(text []byte) ([]newsletter.Found, []Problem) {
	if !utf8.Valid(text) {
		return nil, []Problem{{0, "the file is not UTF-8: convert it"}}
	}
	front, body, ok := splitFrontMatter(string(text))
	if !ok {
		return nil, []Problem{{1, "the front matter has no end: close it with a line of three hyphens (---)"}}
	}
	rec, problems := readYAMLRecord(front)
	if len(problems) > 0 {
		return nil, problems
	}
	if strings.TrimSpace(body) != "" {
		if rec.Body != "" || rec.BodyMarkdown != "" {
			return nil, []Problem{{0, "there is a body in the front matter and one below it: keep one"}}
		}
		rec.BodyMarkdown = body
	}
	f, wrong := m.item(rec)
	for _, w := range wrong {
		problems = append(problems, Problem{0, w})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return []newsletter.Found{f}, nil
}

// splitFrontMatter cuts a file at the line that closes its front matter. The front matter keeps its first line, so
// that lines are counted as in the file.
func splitFrontMatter(text string) (front, body string, ok bool) {
	at := 0
	for line := range strings.Lines(text) {
		if at > 0 && strings.TrimRight(line, " \t\r\n") == "---" {
			return text[:at], text[at+len(line):], true
		}
		at += len(line)
	}
	return "", "", false
}

func readYAMLRecord(front string) (rec record, problems []Problem) {
	var document yaml.Node
	err := yaml.NewDecoder(strings.NewReader(front)).Decode(&document)
	if err != nil && !errors.Is(err, io.EOF) {
		return rec, []Problem{{0, fmt.Sprintf("the front matter is not YAML (%v)", err)}}
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return rec, []Problem{{1, "the front matter has no keys: it needs at least title and url"}}
	}
	fields := document.Content[0].Content
	seen := map[string]bool{}
	for n := 0; n+1 < len(fields); n += 2 {
		key, value := fields[n], fields[n+1]
		switch {
		case !slices.Contains(recordKeys, key.Value):
			problems = append(problems, Problem{key.Line, unknownKey(key.Value)})
		case seen[key.Value]:
			problems = append(problems, Problem{key.Line, key.Value + " is there twice: keep one"})
		default:
			problems = append(problems, checkYAMLValue(key.Value, value)...)
		}
		seen[key.Value] = true
	}
	if len(problems) > 0 {
		return rec, problems
	}
	if err := document.Decode(&rec); err != nil {
		return rec, []Problem{{0, fmt.Sprintf("the front matter cannot be read (%v)", err)}}
	}
	return rec, nil
}

// checkYAMLValue says where a value has the wrong type. Numbers and dates are taken as they are written.
func checkYAMLValue(key string, value *yaml.Node) []Problem {
	wrong := value.Kind != yaml.ScalarNode
	want := "text"
	switch key {
	case "urgent":
		wrong = value.Tag != "!!bool"
		want = "true or false"
	case "topics":
		wrong = value.Kind != yaml.SequenceNode || slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode })
		want = "a list of texts, such as [Iran, Women]"
	}
	if wrong {
		return []Problem{{value.Line, key + " must be " + want}}
	}
	return nil
}
