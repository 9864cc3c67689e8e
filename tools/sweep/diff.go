package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/record"
)

var errSlower = fmt.Errorf("the second run is slower: %w", cli.ErrReported)

type diffCommand struct {
	A         string  `arg:"" help:"Folder of a run, or its sweep.json: before."`
	B         string  `arg:"" help:"Likewise: after."`
	Threshold float64 `help:"How much slower, in percent, is too slow." default:"5" placeholder:"PERCENT"`
}

// Run is called by kong.
func (c *diffCommand) Run(std cli.Streams) error {
	a, err := readRun(c.A)
	if err != nil {
		return err
	}
	b, err := readRun(c.B)
	if err != nil {
		return err
	}
	if a.Host.CPU != b.Host.CPU || a.Host.Cores != b.Host.Cores {
		fmt.Fprintf(std.Err, "sweep: different machines: %s with %d cores, %s with %d\n", a.Host.CPU, a.Host.Cores, b.Host.CPU, b.Host.Cores)
	}
	before := cellsByKey(a)
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "cell\tbefore, pairs/s\tafter\tmean latency, after/before\t95 % interval\t")
	matched, slower := 0, 0
	for _, k := range keysOf(b) {
		was, is := before[k], cellsByKey(b)[k]
		if was == nil || was.Error != "" || is.Error != "" || was.Requests == 0 || is.Requests == 0 {
			continue
		}
		matched++
		low, high := latencyRatio(was.Latencies, is.Latencies)
		verdict := ""
		if low > 1+c.Threshold/100 {
			verdict = "SLOWER"
			slower++
		} else if high < 1-c.Threshold/100 {
			verdict = "faster"
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.3f\t%.3f to %.3f\t%s\n", k, was.Throughput.Mean, is.Throughput.Mean,
			is.Latency.Mean/was.Latency.Mean, low, high, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case matched == 0:
		return errors.New("the runs have no cell in common")
	case slower > 0:
		fmt.Fprintf(std.Err, "sweep: %d of %d cells are more than %g %% slower\n", slower, matched, c.Threshold)
		return errSlower
	}
	fmt.Fprintf(std.Err, "sweep: none of %d cells is more than %g %% slower\n", matched, c.Threshold)
	return nil
}

// key tells the cells of a run apart.
type key struct {
	experiment, backend, device, dtype, data string
	batching                                 bool
	batch, concurrency                       int
	rate                                     float64
}

func (k key) String() string {
	text := fmt.Sprintf("%s %s %s %d×%d", k.experiment, k.backend, k.dtype, k.batch, k.concurrency)
	if k.batching {
		text += " dynamic"
	}
	return text
}

func keyOf(t *record.Table, c *record.Cell) key {
	return key{t.Experiment, t.System.Backend, t.System.Device, t.System.DType, t.Data.Set, t.Batching.On, c.Batch, c.Concurrency, c.Rate}
}

func keysOf(run *record.Run) []key {
	var keys []key
	for _, t := range run.Tables {
		for _, c := range t.Cells {
			keys = append(keys, keyOf(t, c))
		}
	}
	return keys
}

// cellsByKey returns the cells by key; of several with one key, the last.
func cellsByKey(run *record.Run) map[key]*record.Cell {
	cells := map[key]*record.Cell{}
	for _, t := range run.Tables {
		for _, c := range t.Cells {
			cells[keyOf(t, c)] = c
		}
	}
	return cells
}

// latencyRatio returns the 95 % bootstrap interval of the ratio of mean latencies, b's to a's.
func latencyRatio(a, b []float64) (low, high float64) {
	const resamples = 1000
	random := rand.New(rand.NewPCG(1, 1))
	ratios := make([]float64, resamples)
	for i := range ratios {
		ratios[i] = resampledMean(random, b) / resampledMean(random, a)
	}
	return record.Percentile(ratios, 2.5), record.Percentile(ratios, 97.5)
}

func resampledMean(random *rand.Rand, values []float64) float64 {
	sum := 0.0
	for range values {
		sum += values[random.IntN(len(values))]
	}
	return sum / float64(len(values))
}

// readRun reads a run by its folder or its file.
func readRun(path string) (*record.Run, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, recordFile)
	}
	return record.ReadFile(path)
}
