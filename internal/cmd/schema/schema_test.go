package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const repository = "../../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSchemaIsOfThisConfig(t *testing.T) {
	want, err := generate(read(t, "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), read(t, "config.schema.json")); diff != "" {
		t.Errorf("config.schema.json is not what the config is: run `go run ./internal/cmd/schema` (-want +got):\n%s", diff)
	}
}

func TestTheSchemaHasDescriptionsAndDefaultsOfTheManual(t *testing.T) {
	text, err := generate(read(t, "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		Description string
		Default     any
		Enum        []string
		Items       struct{ Properties map[string]key }
		Properties  map[string]key
		Required    []string
	}
	var root key
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	list := root.Properties["lists"].Items.Properties
	if got := list["on_missed"]; got.Default != "latest" || len(got.Enum) != 2 || got.Description == "" {
		t.Errorf("on_missed is %+v", got)
	}
	if got := root.Properties["relays"].Items.Properties["port"].Default; got != 465.0 {
		t.Errorf("the default port is %v", got)
	}
	if diff := cmp.Diff([]string{"public_url", "publisher", "relays", "lists"}, root.Required); diff != "" {
		t.Errorf("required keys (-want +got):\n%s", diff)
	}
}

func TestAKeyWithoutCommentIsNoticed(t *testing.T) {
	if _, err := generate("# Where.\npublic_url: https://news.example.org\n"); err == nil {
		t.Error("a manual of one key makes a schema")
	}
}
