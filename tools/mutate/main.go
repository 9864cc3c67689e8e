// Command mutate asks how good our nets are: it puts one defect at a time into the kernels of metal/metaltest, as
// people do (a barrier forgotten, an index off by one), and runs each through the dialect check, the simulator's
// checked mode and a comparison with float64. It fails where fewer than 95 % are caught, or where a kernel without
// a defect is complained of.
//
//	go run ./tools/mutate [part of a mutant's name or file]
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
)

// leastCaught is the share of mutants, in percent, that must be caught.
const leastCaught = 95

// judges run at the same time.
const judges = 2

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 1 {
		return errors.New("mutate: usage: mutate [part of a mutant's name or file]")
	}
	var chosen []mutant
	for _, m := range mutants() {
		if len(args) == 0 || strings.Contains(m.file+": "+m.name, args[0]) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("mutate: no mutant is called %q", args[0])
	}
	outcomes, err := judgeAll(ctx, chosen)
	if err != nil {
		return err
	}
	return tabulate(out, chosen, outcomes)
}

// outcome is what became of one mutant.
type outcome struct {
	line int // of the defect
	verdict
}

// judgeAll judges the kernels as they are, which must pass, and then the mutants.
func judgeAll(ctx context.Context, chosen []mutant) ([]outcome, error) {
	outcomes := make([]outcome, len(chosen))
	failures := make(chan error, judges)
	next := make(chan int, len(chosen))
	for i := range chosen {
		next <- i
	}
	close(next)
	cases := metaltest.Cases()
	if err := passRight(ctx, chosen, cases); err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for range judges {
		all.Go(func() { failures <- judgeSome(ctx, cases, chosen, next, outcomes) })
	}
	all.Wait()
	close(failures)
	var err error
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return outcomes, err
}

// judgeSome judges mutants with indices from next until there are none.
func judgeSome(ctx context.Context, cases []metaltest.Case, chosen []mutant, next <-chan int, outcomes []outcome) (err error) {
	j, err := newJudge(cases)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	for i := range next {
		source, line, err := chosen[i].source()
		if err != nil {
			return err
		}
		v, err := j.judge(ctx, source, line)
		if err != nil {
			return fmt.Errorf("mutate: %s: %s: %w", chosen[i].file, chosen[i].name, err)
		}
		outcomes[i] = outcome{line, v}
	}
	return nil
}

// passRight fails where a kernel without a defect is complained of.
func passRight(ctx context.Context, chosen []mutant, cases []metaltest.Case) (err error) {
	j, err := newJudge(cases)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	seen := map[string]bool{}
	for _, m := range chosen {
		if seen[m.file] {
			continue
		}
		seen[m.file] = true
		source, err := metal.LoadSource(metaltest.Files(), m.file)
		if err != nil {
			return err
		}
		v, err := j.judge(ctx, source, 0)
		if err != nil {
			return fmt.Errorf("mutate: %s: %w", m.file, err)
		}
		if v.by != "" {
			return fmt.Errorf("mutate: false alarm: %s: %s, line %d: %s", m.file, v.by, v.line, v.what)
		}
	}
	return nil
}

// tabulate prints what became of the mutants, and returns an error where too few were caught.
func tabulate(out io.Writer, chosen []mutant, outcomes []outcome) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tline\tcaught by\tat line\treport")
	caught, located, exact := 0, 0, 0
	for i, m := range chosen {
		o := outcomes[i]
		at := "-"
		if o.verdict.line > 0 {
			at = fmt.Sprint(o.verdict.line)
			located++
		}
		if o.exact {
			exact++
		}
		if o.by != "" {
			caught++
		} else {
			o.by = "NOTHING"
		}
		fmt.Fprintf(table, "%s: %s\t%d\t%s\t%s\t%.110s\n", m.file, m.name, o.line, o.by, at, o.what)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	percent := 100 * float64(caught) / float64(len(chosen))
	fmt.Fprintf(out, "%d of %d mutants caught (%.1f %%); %d reports name a line, %d of them the defect's own\n",
		caught, len(chosen), percent, located, exact)
	if percent < leastCaught {
		return fmt.Errorf("mutate: %.1f %% of the mutants were caught, want %d %%", percent, leastCaught)
	}
	return nil
}
