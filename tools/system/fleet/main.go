// Fleet tests the configuration that `metalrank fleet haproxy` writes. Three simulated nodes, each in a network
// namespace of its own, run behind HAProxy under load, and every score is checked. Meanwhile one is killed, cut off,
// made slow, restarted or given another model. `./build.sh fleet` runs it, on Linux, as root.
//
// Nothing leaves the namespaces, which are gone when it ends.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
)

type options struct {
	Node      string        `help:"The program of a simulated node." default:"node"`
	Metalrank string        `help:"The program metalrank." default:"metalrank"`
	Haproxy   string        `help:"The program HAProxy." default:"haproxy"`
	Inside    bool          `hidden:"" help:"Run where the load comes from; the program says it to itself."`
	Rate      float64       `help:"Requests a second, of 4 documents each; a node does 200." default:"240"`
	Part      time.Duration `help:"Time of each part but rolling ones, which take what they take." default:"8s"`
	Only      string        `help:"Do the parts whose name contains this, and don't measure how the fleet scales." placeholder:"TEXT"`
	Verbose   bool          `help:"Show the output of HAProxy and the nodes."`
}

func main() {
	cli.Program{
		Name: "fleet", Description: "Tests three simulated nodes behind HAProxy, on Linux, as root.", Grammar: &options{},
	}.Main()
}

// Validate is called by kong.
func (o *options) Validate() error {
	if !(o.Rate > 0 && o.Rate <= 2000) || o.Part < 4*time.Second || o.Part > time.Minute {
		return errors.New("want a --rate of up to 2000, and a --part of 4s to 1m")
	}
	return nil
}

// StopTime implements cli.StopTimer: the namespaces have to be deleted.
func (o *options) StopTime() time.Duration { return time.Minute }

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	if o.Inside {
		return proveAll(ctx, o, std.Out, std.Err)
	}
	return outside(ctx, std.Out, std.Err)
}
