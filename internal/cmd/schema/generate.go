package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"dispatcher/internal/config"
)

// node is a schema or a part of one (JSON Schema, draft 2020-12).
type node struct {
	Schema      string     `json:"$schema,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        string     `json:"type"`
	Default     any        `json:"default,omitempty"`
	Enum        []string   `json:"enum,omitempty"`
	Pattern     string     `json:"pattern,omitempty"`
	MinLength   int        `json:"minLength,omitempty"`
	MaxLength   int        `json:"maxLength,omitempty"`
	Minimum     *int       `json:"minimum,omitempty"`
	Maximum     *int       `json:"maximum,omitempty"`
	MinItems    int        `json:"minItems,omitempty"`
	Items       *node      `json:"items,omitempty"`
	Properties  properties `json:"properties,omitempty"`
	Required    []string   `json:"required,omitempty"`
	Additional  *bool      `json:"additionalProperties,omitempty"`
}

// properties are keys in the order in which they are to be written.
type properties []property

type property struct {
	name string
	node *node
}

// MarshalJSON writes an object with its keys in order.
func (ps properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range ps {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", p.name)
		if err := plainEncoder(&b).Encode(p.node); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainEncoder leaves <, > and & as they are.
func plainEncoder(b *bytes.Buffer) *json.Encoder {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e
}

// generate makes the schema of the config, with the manual's comments.
func generate(manual string) ([]byte, error) {
	comments, err := commentsOf(manual)
	if err != nil {
		return nil, err
	}
	root, err := sectionOf(reflect.TypeFor[config.Config](), "", comments)
	if err != nil {
		return nil, err
	}
	root.Schema, root.Title = "https://json-schema.org/draft/2020-12/schema", "The config of dispatcher"
	var b bytes.Buffer
	e := plainEncoder(&b)
	e.SetIndent("", "  ")
	err = e.Encode(root)
	return b.Bytes(), err
}

// sectionOf is the schema of a struct: its keys are those of its yaml tags.
func sectionOf(t reflect.Type, path string, comments map[string]comment) (*node, error) {
	n := &node{Type: "object", Additional: new(bool)}
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		below := strings.TrimPrefix(path+"."+name, ".")
		c, told := comments[below]
		if !told {
			return nil, fmt.Errorf("config.example.yaml does not tell of %s", below)
		}
		p, err := nodeOf(f.Type, below, comments)
		if err != nil {
			return nil, err
		}
		p.Description, p.Default = c.words, c.standard
		if c.required() || p.Type == "object" && len(p.Required) > 0 {
			n.Required = append(n.Required, name)
		}
		if p.Type == "array" && c.required() {
			p.MinItems = 1
		}
		n.Properties = append(n.Properties, property{name, p})
	}
	return n, nil
}

// nodeOf is the schema of a value of a type. What the type does not tell, the tables of shapes do.
func nodeOf(t reflect.Type, path string, comments map[string]comment) (n *node, err error) {
	shape, known := shapes[path]
	if !known {
		shape, known = shapesOfTypes[t]
	}
	switch {
	case known:
		n := shape
		return &n, nil
	case t.Kind() == reflect.Slice:
		n = &node{Type: "array"}
		if t.Elem().Kind() != reflect.Struct {
			path += "[]"
		}
		if n.Items, err = nodeOf(t.Elem(), path, comments); err == nil && n.Items.Type == "string" && n.Items.Pattern == "" {
			n.Items.Pattern = `\S` // an empty prefix would match everything
		}
		return n, err
	case t.Kind() == reflect.Struct:
		return sectionOf(t, path, comments)
	case t.Kind() == reflect.Bool:
		return &node{Type: "boolean"}, nil
	case t.Kind() == reflect.Int:
		return &node{Type: "integer"}, nil
	case t.Kind() == reflect.String:
		return &node{Type: "string"}, nil
	}
	return nil, fmt.Errorf("%s is of type %s, of which there is no schema", path, t)
}

const (
	duration  = `([0-9]+d)?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))*`
	timeOfDay = `[0-9]{1,2}:[0-9]{2}`
	cronField = `[-0-9A-Za-z*,/?]+`
	id        = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	webURL    = `^https?://[^/?#]`
	linkBase  = webURL + `[^?#]*$`
)

// shapesOfTypes are the values that are written as text of a form of their own.
var shapesOfTypes = map[reflect.Type]node{
	reflect.TypeFor[time.Duration]():     {Type: "string", Pattern: `^` + duration + `$`, MinLength: 1},
	reflect.TypeFor[config.Rate]():       {Type: "string", Pattern: `^0*[1-9][0-9]*/[smhd]$`},
	reflect.TypeFor[config.FirstPoll]():  {Type: "string", Pattern: `^(none|newest +0*([1-9][0-9]{0,2}|1000))$`},
	reflect.TypeFor[config.FirstWave]():  {Type: "string", Pattern: `^0*[1-9][0-9]* +then +` + duration + `$`},
	reflect.TypeFor[config.AtMost]():     {Type: "string", Pattern: `^0*[1-9][0-9]* +per +` + duration + `$`},
	reflect.TypeFor[config.QuietHours](): {Type: "string", Pattern: `^` + timeOfDay + ` *- *` + timeOfDay + `$`},
}

// shapes are what the types do not tell, by the path of the key.
var shapes = map[string]node{
	"public_url":                     {Type: "string", Pattern: linkBase},
	"former_urls[]":                  {Type: "string", Pattern: linkBase},
	"proof_to[]":                     address,
	"publisher.from":                 address,
	"publisher.reply_to":             address,
	"unsubscribe_address":            address,
	"bounce_address":                 address,
	"relays.port":                    between(1, 65535),
	"relays.tls":                     choice("implicit", "starttls", "none"),
	"relays.connections":             between(1, 1000),
	"relays.messages_per_connection": between(1, 1_000_000),
	"relays.per_hour":                atLeast(1),
	"relays.per_day":                 atLeast(1),
	"durability":                     choice("full", "normal"),
	"on_unknown.alert":               choice("retry", "hold"),
	"on_unknown.digest":              choice("retry", "hold"),
	"feeds.url":                      {Type: "string", Pattern: webURL},
	"feeds.max_new":                  atLeast(1),
	"topics.id":                      listID,
	"lists.id":                       listID,
	"lists.was":                      listID,
	"lists.kind":                     choice("digest", "alert"),
	"lists.schedule":                 {Type: "string", Pattern: `^([A-Za-z,-]+ +` + timeOfDay + `|[0-9*?][-0-9A-Za-z*,/?]*( +` + cronField + `){4})?$`},
	"lists.on_missed":                choice("latest", "skip"),
	"lists.max_items":                atLeast(0),
	"lists.language":                 {Type: "string", Pattern: `^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`},
	"action_links":                   choice("direct", "stable"),
	"http.listen":                    {Type: "string", Pattern: `:[0-9]{1,5}$`},
	"http.admin_listen":              {Type: "string", Pattern: `:[0-9]{1,5}$`},
	"log.level":                      choice("debug", "info", "warn", "error"),
	"log.format":                     choice("text", "json"),
}

var (
	address = node{Type: "string", Pattern: `^[^@\s]+@[^@\s]+$`}
	listID  = node{Type: "string", Pattern: id, MaxLength: 63}
)

func choice(words ...string) node { return node{Type: "string", Enum: words} }

func atLeast(least int) node { return node{Type: "integer", Minimum: &least} }

func between(least, most int) node { return node{Type: "integer", Minimum: &least, Maximum: &most} }
