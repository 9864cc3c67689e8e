package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

type notesCommand struct {
	Version string `arg:"" help:"The version, as its tag: v0.1.0."`
}

// Run is called by kong.
func (c *notesCommand) Run(std cli.Streams) error {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	notes, err := notesOf(string(text), c.Version)
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.Out, notes)
	return err
}

// notesOf returns the section of a version, without its title, from a changelog as keepachangelog.com has it.
func notesOf(changelog, version string) (string, error) {
	title := "## [" + strings.TrimPrefix(version, "v") + "]"
	_, section, found := strings.Cut("\n"+changelog, "\n"+title)
	if !found {
		return "", fmt.Errorf("CHANGELOG.md has no section %s", title)
	}
	_, section, _ = strings.Cut(section, "\n") // the date
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n[") // links
	if strings.TrimSpace(section) == "" {
		return "", fmt.Errorf("CHANGELOG.md: the section %s is empty", title)
	}
	return strings.TrimSpace(section) + "\n", nil
}
