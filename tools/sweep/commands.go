package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/sweep/experiments"
	"github.com/metalrank/metalrank/tools/sweep/peers"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

type listCommand struct{}

// Run is called by kong.
func (*listCommand) Run(std cli.Streams) error {
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\ttarget\tdtype\tbatch × concurrency\trequests\tdynamic batching")
	for _, e := range experiments.All() {
		for _, g := range e.Grids {
			var modes []string
			for _, m := range g.Modes {
				modes = append(modes, map[experiments.Mode]string{false: "off", true: "on"}[m])
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s × %s\t%d\t%s\n", e.Name, e.Target, e.DType, join(g.BatchSizes), join(g.Clients),
				g.Requests, strings.Join(modes, ", "))
		}
	}
	return w.Flush()
}

func join(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")
}

type showCommand struct {
	Name string `arg:"" help:"As \"sweep list\" has it."`
}

// Run is called by kong.
func (c *showCommand) Run(std cli.Streams) error {
	data, found := experiments.Source(c.Name)
	if !found {
		return fmt.Errorf("no experiment %q: \"sweep list\" lists them", c.Name)
	}
	_, err := std.Out.Write(data)
	return err
}

type tableCommand struct {
	File string `arg:"" help:"Results document; \"study\" for the study's own."`
}

// Run is called by kong. It formats the parsed document again; it doesn't copy the file.
func (c *tableCommand) Run(std cli.Streams) error {
	d, err := readDocument(c.File)
	if err != nil {
		return err
	}
	rows := 0
	for _, s := range d.Sections {
		rows += len(s.Rows)
	}
	fmt.Fprintf(std.Err, "sweep: %d tables, %d rows\n", len(d.Sections), rows)
	_, err = fmt.Fprint(std.Out, d.String())
	return err
}

func readDocument(path string) (*table.Document, error) {
	if path == "study" {
		return table.Study(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := table.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

type peersCommand struct {
	Install peersInstall `cmd:"" help:"Make the virtual environments of the peers, in the cache folder."`
	List    peersList    `cmd:"" help:"List the peers, and whether they are installed."`
}

type peersInstall struct {
	Names []string `arg:"" optional:"" name:"peer" help:"Default: all but infinity, which wants an environment of its own."`
}

// Run is called by kong.
func (c *peersInstall) Run(ctx context.Context, std cli.Streams) error {
	names := c.Names
	if len(names) == 0 {
		names = []string{"pytorch"} // all peers but infinity share its environment
	}
	for _, name := range names {
		if err := peers.Check(name); err != nil {
			return err
		}
		interpreter, err := peers.Install(ctx, name, std.Err)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(std.Out, "%s\t%s\n", name, interpreter)
	}
	return nil
}

type peersList struct{}

// Run is called by kong.
func (*peersList) Run(ctx context.Context, std cli.Streams) error {
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	for _, name := range peers.Names {
		state, err := peers.Installed(ctx, name)
		if err != nil {
			state = err.Error()
		}
		fmt.Fprintf(w, "%s\t%s\n", name, state)
	}
	return w.Flush()
}
