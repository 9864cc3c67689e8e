// Fleet tests the configuration that `metalrank fleet haproxy` writes. Three simulated nodes, each in a network
// namespace of its own, run behind HAProxy under load, and every score is checked. Meanwhile one is killed, cut off,
// made slow, restarted or given another model. `./build.sh fleet` runs it, on Linux, as root.
//
// Nothing leaves the namespaces, which are gone when it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	node, metalrank, haproxy string // programs
	inside                   bool   // of the namespace of HAProxy and the clients
	rate                     float64
	part                     time.Duration
	only                     string // parts with this in their name
	verbose                  bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.node, "node", "node", "the program of a simulated node")
	flags.StringVar(&o.metalrank, "metalrank", "metalrank", "the program metalrank")
	flags.StringVar(&o.haproxy, "haproxy", "haproxy", "the program HAProxy")
	flags.BoolVar(&o.inside, "inside", false, "run where the load comes from; the program says it to itself")
	flags.Float64Var(&o.rate, "rate", 240, "requests a second, of 4 documents each; a node does 200")
	flags.DurationVar(&o.part, "part", 8*time.Second, "time of each part but rolling ones, which take what they take")
	flags.StringVar(&o.only, "only", "", "do the parts whose name contains this, and don't measure how the fleet scales")
	flags.BoolVar(&o.verbose, "verbose", false, "show what HAProxy and the nodes say")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0 || !(o.rate > 0 && o.rate <= 2000) || o.part < 4*time.Second || o.part > time.Minute:
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	prove := outside
	if o.inside {
		prove = proveAll
	}
	if err := prove(ctx, &o, args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return 1
	}
	return 0
}
