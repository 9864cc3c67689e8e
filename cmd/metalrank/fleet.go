package main

import (
	"fmt"
	"io"
	"os"

	"github.com/metalrank/metalrank/cmd/metalrank/fleet"
	"github.com/metalrank/metalrank/internal/outfile"
)

// fleetCommand groups the commands for several servers.
type fleetCommand struct {
	HAProxy haproxyCommand   `cmd:"" name:"haproxy" help:"Write HAProxy's configuration for the servers that a file lists."`
	Plan    fleetPlanCommand `cmd:"" help:"Say how many nodes a load takes, from what bin/sweep measured of one."`
}

type haproxyCommand struct {
	Nodes  string `arg:"" help:"The servers, YAML; -: standard input."`
	Output string `short:"o" help:"Write there instead of to standard output." type:"path" placeholder:"FILE"`
}

// Help is called by kong.
func (*haproxyCommand) Help() string {
	return "For example:\n\n  nodes:\n    - {name: mini-1, address: 192.0.2.1:8080, agent: 192.0.2.1:8081}\n    - {name: mini-2, address: 192.0.2.2:8080, agent: 192.0.2.2:8081}\n\n" +
		"docs/operations/README.md of the source lists all fields. Servers run with --agent-listen and --overloaded-status 503."
}

// Run is called by kong.
func (c *haproxyCommand) Run(std streams) (err error) {
	nodes, err := c.read(std.in)
	if err != nil {
		return err
	}
	if c.Output == "" {
		return nodes.WriteHAProxy(std.out)
	}
	return outfile.Write(c.Output, nodes.WriteHAProxy)
}

func (c *haproxyCommand) read(in io.Reader) (*fleet.Nodes, error) {
	if c.Nodes == "-" {
		return fleet.ReadNodes(in)
	}
	file, err := os.Open(c.Nodes)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	nodes, err := fleet.ReadNodes(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Nodes, err)
	}
	return nodes, nil
}
