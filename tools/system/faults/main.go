// Faults has clients and the machine misbehave towards a running server. It wants every answer right all the while,
// every refusal clear, and nothing left afterwards: no goroutine, no descriptor, no memory. `./build.sh faults` runs
// it. Quick cases are tested in httpapi; here are thousands of connections, and processes that end.
//
// The right scores come from the engine without a server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	server      string        // the program metalrank
	connections int           // that idle
	load        time.Duration // how long a case with load takes
	kills       time.Duration // how long servers are killed
	only        string        // run cases with this in their name
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.server, "server", "bin/metalrank", "the program to test")
	flags.IntVar(&o.connections, "connections", 10_000, "connections that idle at once")
	flags.DurationVar(&o.load, "load", 10*time.Second, "how long a server is under load")
	flags.DurationVar(&o.kills, "kills", time.Minute, "how long servers are killed and started again")
	flags.StringVar(&o.only, "only", "", "run cases whose name contains this")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0:
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	corpus, err := newCorpus(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "faults:", err)
		return 1
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "case\tresult\toutcome")
	status := 0
	for _, c := range cases {
		if !strings.Contains(c.name, o.only) {
			continue
		}
		fmt.Fprintf(stderr, "faults: %s\n", c.name)
		result := "right"
		outcome, err := c.run(ctx, &o, corpus)
		if err != nil {
			result, status = "WRONG", 1
			outcome = strings.ReplaceAll(strings.TrimPrefix(outcome+"; "+err.Error(), "; "), "\n", "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, result, outcome)
	}
	_ = table.Flush() // to a terminal or a buffer, as fmt.Fprint
	return status
}

// faultCase is a kind of misbehaviour. outcome gives the results in figures.
type faultCase struct {
	name string
	run  func(ctx context.Context, o *options, corpus *corpus) (outcome string, err error)
}

var cases = []faultCase{
	{"requests dribbled", withServer(nil, dribbled)},
	{"clients vanish in every phase", withServer(nil, vanishing)},
	{"answers are not read", withServer(nil, unread)},
	{"bodies too large, and bombs", withServer(nil, tooLarge)},
	{"idle connections", withServer(crowd, idle)},
	{"models unloaded and loaded again", reloading},
	{"SIGTERM under load", terminated},
	{"kill -9 behind retrying clients", killed},
}
