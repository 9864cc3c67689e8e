// Command mutate measures how many defects our checks catch: it puts one defect at a time, of a kind that people make
// (a barrier forgotten, an index off by one), into the product's kernels, or into the test kernels of metal/metaltest,
// and runs each through the same checks as the tests: the dialect check, the simulator's checked mode and a comparison
// with float64. A header is judged through the files that include it. It fails where fewer than 95 % of a set are
// caught, or where a check complains of a kernel without a defect.
//
//	go run ./tools/check/mutate [parts of mutants' sets, files or names]
//
// as in `mutate kernels/gemm "tile.h: step forgotten"`.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/metalrank/metalrank/cmd/cli"
)

// leastCaught is the share of mutants, in percent, that must be caught.
const leastCaught = 95

// nothing stands in the table for the check that caught a mutant, where none did.
const nothing = "NOTHING"

// judges is the number of judges that run at the same time.
const judges = 2

type options struct {
	Parts []string `arg:"" optional:"" help:"Parts of mutants' sets, files or names. None: all mutants."`
}

func main() {
	cli.Program{Name: "mutate", Description: "Measures how many defects our checks catch.", Grammar: &options{}}.Main()
}

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	found := false
	var tooFew error
	for _, s := range sets() {
		var chosen []mutant
		for _, m := range s.mutants {
			has := func(part string) bool { return strings.Contains(s.name+"/"+m.file+": "+m.name, part) }
			if len(o.Parts) == 0 || slices.ContainsFunc(o.Parts, has) {
				chosen = append(chosen, m)
			}
		}
		if len(chosen) == 0 {
			continue
		}
		found = true
		outcomes, err := judgeAll(ctx, s, chosen, log.New(std.Err, "", 0))
		if err != nil {
			return err
		}
		tooFew = errors.Join(tooFew, tabulate(std.Out, s, chosen, outcomes))
	}
	if !found {
		return fmt.Errorf("no mutant is called %q", o.Parts)
	}
	return tooFew
}

// outcome is the verdict on one mutant, and the place of its defect.
type outcome struct {
	defect place
	verdict
}

// judgeAll judges the kernels of a set as they are, which must pass, and then the mutants. It logs each verdict at once: a run takes
// an hour, and one that is stopped keeps those.
func judgeAll(ctx context.Context, s *set, chosen []mutant, progress *log.Logger) ([]outcome, error) {
	outcomes := make([]outcome, len(chosen))
	failures := make(chan error, judges)
	next := make(chan int, len(chosen))
	for i := range chosen {
		next <- i
	}
	close(next)
	if err := passRight(ctx, s, chosen); err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	for range judges {
		all.Go(func() { failures <- judgeSome(ctx, s, chosen, next, outcomes, progress) })
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
func judgeSome(
	ctx context.Context, s *set, chosen []mutant, next <-chan int, outcomes []outcome, progress *log.Logger,
) (err error) {
	j, err := newJudge()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	for i := range next {
		if outcomes[i], err = j.judgeMutant(ctx, s, chosen[i]); err != nil {
			return fmt.Errorf("%s: %s: %w", chosen[i].file, chosen[i].name, err)
		}
		progress.Printf("%s: %s: %s", chosen[i].file, chosen[i].name, cmp.Or(outcomes[i].by, nothing))
	}
	return nil
}

// judgeMutant tries the files that a mutant goes into until one is caught.
func (j *judge) judgeMutant(ctx context.Context, s *set, m mutant) (outcome, error) {
	files, defect, err := m.spoil(s.files)
	if err != nil {
		return outcome{}, err
	}
	shaders, err := s.shaders(m.file)
	if err != nil {
		return outcome{}, err
	}
	for _, shader := range shaders {
		if v, err := j.judge(ctx, s, files, shader, defect); err != nil || v.by != "" {
			return outcome{defect, v}, err
		}
	}
	return outcome{defect: defect}, nil
}

// passRight fails where a check complains of a kernel without a defect.
func passRight(ctx context.Context, s *set, chosen []mutant) (err error) {
	j, err := newJudge()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	seen := map[string]bool{}
	for _, m := range chosen {
		shaders, err := s.shaders(m.file)
		if err != nil {
			return err
		}
		for _, shader := range shaders {
			if seen[shader] {
				continue
			}
			seen[shader] = true
			v, err := j.judge(ctx, s, s.files, shader, place{})
			if err != nil {
				return fmt.Errorf("%s: %w", shader, err)
			}
			if v.by != "" {
				return fmt.Errorf("false alarm: %s: %s, line %d: %s", shader, v.by, v.line, v.what)
			}
		}
	}
	return nil
}

// tabulate prints the outcomes, and returns an error where too few mutants were caught.
func tabulate(out io.Writer, s *set, chosen []mutant, outcomes []outcome) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tline\tcaught by\tat line\treport")
	caught, located, exact := map[string]int{}, 0, 0
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
		o.by = cmp.Or(o.by, nothing)
		caught[o.by]++
		fmt.Fprintf(table, "%s/%s: %s\t%d\t%s\t%s\t%.110s\n", s.name, m.file, m.name, o.defect.line, o.by, at, o.what)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var by []string
	for _, net := range slices.Sorted(maps.Keys(caught)) {
		by = append(by, fmt.Sprintf("%d by %s", caught[net], net))
	}
	percent := 100 * float64(len(chosen)-caught[nothing]) / float64(len(chosen))
	fmt.Fprintf(out, "%.1f %% of %d mutants of %s caught: %s; %d reports name a line, %d of them the defect's own\n",
		percent, len(chosen), s.name, strings.Join(by, ", "), located, exact)
	if percent < leastCaught {
		return fmt.Errorf("%.1f %% of the mutants of %s were caught, want %d %%", percent, s.name, leastCaught)
	}
	return nil
}
