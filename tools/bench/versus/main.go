// Command versus counts the work of kernels, ours beside others': the same operations on the same numbers. The
// simulator executes them in checked mode, where counts are exact. Answers are compared with float64 before they are
// counted. Counts say nothing of time.
//
//	go run ./tools/bench/versus --mlx DIR [--gpu base,max] [--only TEXT]
//
// DIR is a checkout of ml-explore/mlx (made for 846d176; nothing is fetched). One Markdown table for each problem goes to
// standard output. Exit status: 0 fine, 1 something was wrong or not computed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/tools/bench/versus/mlx"
)

type options struct {
	MLX  string   `name:"mlx" help:"Checkout of ml-explore/mlx." required:"" placeholder:"DIR"`
	GPU  []string `name:"gpu" help:"Whose choices of kernels MLX makes: base, max or none." default:"base,max"`
	Only string   `help:"Problems whose name has this text." placeholder:"TEXT"`
}

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "versus", Description: "Counts the work of kernels, ours beside MLX's.", Grammar: &options{}}, args, std)
}

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	device, err := sim.Open(sim.Config{Checked: true})
	if err != nil {
		return err
	}
	defer device.Close()
	contenders, err := contenders(device, o.MLX, o.GPU)
	if err != nil {
		return err
	}
	var failed error
	for _, p := range problems() {
		if !strings.Contains(p.name, o.Only) {
			continue
		}
		if err := compare(std.Out, p, contenders); err != nil {
			fmt.Fprintln(std.Err, "versus:", err)
			failed = cli.ErrReported
		}
	}
	return failed
}

// contenders returns all contenders, ours first.
func contenders(device *sim.Device, folder string, gpus []string) ([]contender, error) {
	all := []contender{ourKernels{device}}
	for _, name := range gpus {
		if name == "none" {
			continue
		}
		i := slices.IndexFunc(mlx.GPUs, func(g mlx.GPU) bool { return g.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--gpu: %q, want base, max or none", name)
		}
		all = append(all, mlxKernels{device, os.DirFS(folder), mlx.GPUs[i]})
	}
	return all, nil
}

// compare writes p's table of the contenders with a right answer. It returns the errors of the others, joined.
func compare(out io.Writer, p *operation, contenders []contender) error {
	var entries []entry
	var errs []error
	for _, c := range contenders {
		e, err := c.solve(p)
		if err == nil && p.kind != onePass {
			var worst float64
			worst, err = p.verify(e.output)
			e.kernels += fmt.Sprintf("; largest error %.0f %% of what is allowed", 100*worst)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name(), err))
			continue
		}
		entries = append(entries, e)
	}
	if len(entries) > 0 {
		table(out, p, entries)
		if p.kind != onePass {
			fmt.Fprintf(out, "Allowed: %.1e + %.1e·|want|: %s.\n\n", p.absolute, p.relative, p.reason)
		}
	}
	return errors.Join(errs...)
}

// A contender solves problems by kernels of its own.
type contender interface {
	name() string
	// solve runs p's kernels in the simulator, in checked mode.
	solve(p *operation) (entry, error)
}

// An entry is one contender's result on a problem.
type entry struct {
	contender string
	counters  sim.Counters // sums
	// dispatches is the number of dispatches.
	dispatches int
	kernels    string    // for the table: names or a summary
	output     []float64 // compared with the problem's reference; nil where the contender has verified parts itself
}

// total adds up reports.
func total(reports []sim.Report) (c sim.Counters) {
	for _, r := range reports {
		c = c.Plus(r.Counters, 1)
	}
	return c
}
