// Command schema writes config.schema.json, the JSON Schema of the config file, for editors that complete and check YAML while it is typed. It
// makes it of the type Config, whose tags name the keys, and of the comments of config.example.yaml. Run it in the repository's folder:
//
//	go run ./internal/cmd/schema
//
// The schema knows shapes. What keys mean together, "dispatcher check" tells.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func write() error {
	manual, err := os.ReadFile("config.example.yaml")
	if err != nil {
		return fmt.Errorf("reading the comments: %w; run it in the repository's folder", err)
	}
	text, err := generate(string(manual))
	if err != nil {
		return err
	}
	return os.WriteFile("config.schema.json", text, 0o644)
}
