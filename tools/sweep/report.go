package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/report"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

type reportCommand struct {
	Runs      []string `arg:"" optional:"" name:"run" help:"Folders of runs, or their sweep.json. Default: the newest below sweep-results."`
	Published string   `help:"Results document to set beside them; \"study\" is the study's own, \"none\" none." default:"study"`
	Out       string   `help:"Folder for report.html, report.csv and report.json. Default: the first run's." placeholder:"DIR"`
}

// Run is called by kong.
func (c *reportCommand) Run(std cli.Streams) error {
	if len(c.Runs) == 0 {
		folder, err := newest()
		if err != nil {
			return err
		}
		c.Runs = []string{folder}
	}
	var runs []*record.Run
	for _, path := range c.Runs {
		run, err := readRun(path)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	var published *table.Document
	name := strings.TrimSuffix(filepath.Base(c.Published), ".md")
	if c.Published != "none" {
		var err error
		if published, err = readDocument(c.Published); err != nil {
			return err
		}
	}
	if c.Out == "" {
		c.Out = c.Runs[0]
		if info, err := os.Stat(c.Out); err == nil && !info.IsDir() {
			c.Out = filepath.Dir(c.Out)
		}
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	rows := report.Rows(runs, published, name)
	for file, write := range map[string]func(io.Writer) error{
		"report.html": func(w io.Writer) error { return report.WriteHTML(w, runs, published, name) },
		"report.csv":  func(w io.Writer) error { return report.WriteCSV(w, rows) },
		"report.json": func(w io.Writer) error { return report.WriteJSON(w, rows, runs) },
	} {
		if err := outfile.Write(filepath.Join(c.Out, file), write); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(std.Out, filepath.Join(c.Out, "report.html"))
	return err
}
