//go:build !gendocs

package main

import "github.com/spf13/cobra"

// buildCommands are those that only packaging needs, in a binary that it builds for itself.
func buildCommands() []*cobra.Command { return nil }
