package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readDocument parses the one document of the file. It is nil where there is none to read, which
// it has told.
func readDocument(r *report, text []byte) *yaml.Node {
	if !utf8.Valid(text) {
		r.whole(badLine(text), "is not UTF-8 text", "save the file as UTF-8")
		return nil
	}
	documents, err := parseDocuments(text)
	switch {
	case err != nil:
		line := faultyLine(text, err)
		what, cure := hint(strings.Split(string(text), "\n")[line-1])
		if what == "" {
			what = "is not valid YAML" + words(err)
		}
		r.whole(line, what, cure)
		return nil
	case len(documents) == 0 || documents[0].Content[0].ShortTag() == "!!null":
		r.whole(0, "is empty", "begin with a copy of config.example.yaml")
		return nil
	case len(documents) > 1:
		r.whole(documents[1].Line, "begins a second YAML document", "keep one: take out the line with the three dashes")
		return nil
	}
	return documents[0].Content[0]
}

// whole reports a problem of the file rather than of a key; nothing else is told after it.
func (r *report) whole(line int, what, cure string) {
	r.add(Problem{File: r.source.file, Line: line, What: what, Cure: cure})
}

// parseDocuments parses all documents. A panic of the parser is an error: a running daemon must
// survive whatever is saved into its config.
func parseDocuments(text []byte) (documents []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parsing YAML: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		n := new(yaml.Node)
		err := decoder.Decode(n)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, n)
	}
}

// faultyLine is the line, from 1, where what cannot be parsed begins. The parser names the line
// before or the top of the whole block, so this looks for the shortest beginning of the file
// that fails in the same way, and from there back to one that can be parsed: an open bracket
// makes all that follows fail.
func faultyLine(text []byte, err error) int {
	var ends []int // of each line
	for i, b := range text {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		ends = append(ends, len(text))
	}
	fails := func(lines int) error {
		if lines == 0 {
			return nil
		}
		_, err := parseDocuments(text[:ends[lines-1]])
		return err
	}
	line := sort.Search(len(ends), func(i int) bool {
		got := fails(i + 1)
		return got != nil && got.Error() == err.Error()
	}) + 1
	const far = 20 // lines; the construct that is open is seldom longer
	for back := line; back > max(1, line-far); back-- {
		if fails(back-1) == nil {
			return back
		}
	}
	return min(line, len(ends))
}

// words are the parser's own, which help who knows YAML well. Where they would repeat a piece of
// the file, which may be a secret, there are none.
func words(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, after, found := strings.Cut(text, ": "); found && strings.HasPrefix(text, "line ") {
		text = after
	}
	if strings.Contains(text, "anchor") {
		return ""
	}
	return ": " + text
}

// hint looks at a line that cannot be parsed for the usual mistakes. What is empty where only the
// parser can say what is wrong.
func hint(line string) (what, cure string) {
	text := strings.TrimLeft(line, " ")
	if strings.HasPrefix(text, "\t") {
		return "is indented with a tab", "indent with spaces"
	}
	for value := range strings.SplitSeq(strings.TrimPrefix(text, "- "), ": ") {
		if begin := strings.TrimLeft(value, " "); begin != "" && strings.ContainsRune("*&!%@`", rune(begin[0])) {
			return "has a value that begins with " + begin[:1], "put the value in quotes"
		}
	}
	if strings.Count(text, ": ") > 1 && !strings.ContainsAny(text, `"'[{`) {
		return "has a second colon in its value", "put the value in quotes"
	}
	return "", "look at the indentation, quotes, brackets and colons of this line and the one above"
}

// badLine is the line, from 1, of the first bytes that are not UTF-8.
func badLine(text []byte) int {
	line := 1
	for part := range bytes.SplitSeq(text, []byte("\n")) {
		if !utf8.Valid(part) {
			return line
		}
		line++
	}
	return 0
}
