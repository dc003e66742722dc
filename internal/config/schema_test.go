package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// bySchema is what config.schema.json says of a config; nil: that it is good. What is not YAML at all is refused, too.
func bySchema(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join("..", "..", "config.schema.json")
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return err
	}
	return schema.Validate(document)
}

// beyondSchema are the broken configs of the tests of problems that a schema takes: what is wrong there hangs on other keys, on another
// value of the same key, or on what a text means.
var beyondSchema = map[string]bool{
	"copies that are kept for too short": true, "feeds that would be called alike": true, "public_url without TLS": true, "quiet hours of no length": true,
	"relay in the clear": true, "relay with a URL for a host": true, "relay zones": true, "relays of one name": true, "several lines": true,
	"two pages on one port": true, "username alone, password alone": true, "zones": true,
}

func refusedBySchema(t *testing.T, name, text string) {
	t.Helper()
	if err := bySchema(t, text); (err == nil) != beyondSchema[name] {
		t.Errorf("config.schema.json: %v", err)
	}
}

func TestTheSchemaTakesWhatIsGood(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{"the smallest": smallest, "a fuller one": fuller, "the manual": manual(t), "the manual awake": awake(t)}
	for _, block := range strings.Split(string(readme), "```")[1:] {
		if text, isYAML := strings.CutPrefix(block, "yaml\n"); isYAML && strings.Contains(text, "public_url:") {
			configs["of the README"] = text
		}
	}
	for name, text := range configs {
		if err := bySchema(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSchemaTakesWhatTheConfigReads(t *testing.T) {
	for _, keys := range []string{
		"max_age: 1d12h", "max_age: 1.5h", "max_age: 36500d", "schedule: monday 9:05", `schedule: "Mon-Wed,Sun 7:30"`, `schedule: "*/5  8-18 1,15 * ?"`,
		`schedule: "0 9 L * *"`, "schedule: weekdays 08:00", "first_wave: 500 then 15m", "language: pt-BR", "was: iran-news", "retired: true", "max_items: 0",
		"timezone: subscriber", "kind: alert",
	} {
		text := edited(t, "schedule: Mon 09:00, timezone: America/New_York", keys)
		if err := bySchema(t, text); err != nil {
			t.Errorf("{%s}: %v", keys, err)
		}
		mustLoad(t, text)
	}
}
