package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
)

// formulaFile is the formula without version and checksum.
const formulaFile = "docs/operations/metalrank.rb"

type formulaCommand struct {
	Version string `arg:"" help:"The version, as its tag: v0.1.0."`
	Sums    string `arg:"" type:"existingfile" help:"SHA256SUMS of its archives."`
}

// Run is called by kong.
func (c *formulaCommand) Run(std cli.Streams) error {
	formula, err := os.ReadFile(formulaFile)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(c.Sums)
	if err != nil {
		return err
	}
	filled, err := fillFormula(string(formula), c.Version, string(sums))
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.Out, filled)
	return err
}

var (
	// formulaArchive finds the path of the archive behind the address of all releases.
	formulaArchive = regexp.MustCompile(`/download/[^"]*-darwin-arm64\.tar\.gz"`)
	formulaSum     = regexp.MustCompile(`sha256 "[0-9a-f]{64}"`)
)

// fillFormula returns the formula with the address and the checksum of a version's archive for macOS.
func fillFormula(formula, version, sums string) (string, error) {
	archive := "metalrank-" + version + "-darwin-arm64.tar.gz"
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if name != archive {
			continue
		}
		line := fmt.Sprintf("sha256 %q", sum)
		if !formulaArchive.MatchString(formula) || !formulaSum.MatchString(formula) || !formulaSum.MatchString(line) {
			return "", fmt.Errorf("%s lacks an archive or a checksum, or %q is none", formulaFile, sum)
		}
		formula = formulaArchive.ReplaceAllLiteralString(formula, "/download/"+version+"/"+archive+`"`)
		return formulaSum.ReplaceAllLiteralString(formula, line), nil
	}
	return "", fmt.Errorf("there is no checksum of %s: the one from a stub is not to be published", archive)
}
