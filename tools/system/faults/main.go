// Faults has clients and the machine misbehave towards a running server. It wants every answer right all the while,
// every refusal clear, and nothing left afterwards: no goroutine, no descriptor, no memory. `./build.sh faults` runs
// it. Quick cases are tested in httpapi; here are thousands of connections, and processes that end.
//
// The right scores come from the engine without a server.
package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
)

type options struct {
	Server      string        `help:"The program to test." default:"bin/metalrank"`
	Connections int           `help:"Connections that idle at once." default:"10000"`
	Load        time.Duration `help:"How long a server is under load." default:"10s"`
	Kills       time.Duration `help:"How long servers are killed and started again." default:"1m"`
	Only        string        `help:"Run cases whose name contains this." placeholder:"TEXT"`
}

func main() {
	cli.Program{
		Name: "faults", Description: "Has clients and the machine misbehave towards a running server.", Grammar: &options{},
	}.Main()
}

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	corpus, err := newCorpus(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "case\tresult\toutcome")
	wrong := 0
	for _, c := range cases {
		if !strings.Contains(c.name, o.Only) {
			continue
		}
		fmt.Fprintf(std.Err, "faults: %s\n", c.name)
		result := "right"
		outcome, err := c.run(ctx, o, corpus)
		if err != nil {
			result = "WRONG"
			wrong++
			outcome = strings.ReplaceAll(strings.TrimPrefix(outcome+"; "+err.Error(), "; "), "\n", "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, result, outcome)
	}
	if err := table.Flush(); err != nil || wrong == 0 {
		return err
	}
	return fmt.Errorf("%d cases went wrong", wrong)
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
