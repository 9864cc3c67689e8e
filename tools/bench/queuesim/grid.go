package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

// gridSeeds is the number of traces; each cell of the grid is their median.
const gridSeeds = 3

// printGrid compares ours with FIFO where all requests have as many documents: by load, and in closed loops.
func printGrid(out io.Writer) error {
	table(out, 0, "documents", "load", "clients", "p50 ms", "FIFO", "p99 ms", "FIFO", "p50 / FIFO's", "p99 / FIFO's")
	for _, documents := range []int{1, 8, 32, 100, 1000} {
		for _, load := range []float64{0.2, 0.5, 0.8, 0.9, 0.95} {
			for _, clients := range []int{1, 4, 16, 256} {
				s := simulate.Uniform(documents, load, clients)
				if err := printCell(out, s, fmt.Sprint(documents), fmt.Sprintf("%.0f %%", 100*load), fmt.Sprint(clients)); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintln(out)
	table(out, 0, "documents", "clients", "p50 ms", "FIFO", "p99 ms", "FIFO", "p50 / FIFO's", "p99 / FIFO's", "throughput / FIFO's")
	for _, documents := range []int{8, 32, 96} {
		for _, clients := range []int{1, 2, 4, 8, 12} {
			if err := printCell(out, simulate.Loop(documents, clients), fmt.Sprint(documents), fmt.Sprint(clients)); err != nil {
				return err
			}
		}
	}
	return nil
}

// printCell is a row: medians of the traces, and of their ratios. Throughput is printed where the load isn't given.
func printCell(out io.Writer, s simulate.Scenario, names ...string) error {
	var values [7][]float64 // p50, FIFO's, p99, FIFO's, and their ratios; that of throughput
	for seed := range uint64(gridSeeds) {
		var at [6]float64
		for i, p := range []simulate.NewPolicy{simulate.Ours, simulate.FIFO} {
			r, err := s.Run(seed+1, p, nil)
			if err != nil {
				return err
			}
			at[i], at[2+i] = float64(r.Latency.At(0.5)), float64(r.Latency.At(0.99))
			at[4+i] = float64(r.Answered) / r.Duration.Seconds()
		}
		for i, v := range []float64{at[0], at[1], at[2], at[3], at[0] / at[1], at[2] / at[3], at[4] / at[5]} {
			values[i] = append(values[i], v)
		}
	}
	for i := range values {
		slices.Sort(values[i])
		if v := values[i][gridSeeds/2]; i < 4 {
			names = append(names, ms(int64(v)))
		} else if i < 6 || s.Trace(0).Streams[0].Closed {
			names = append(names, fmt.Sprintf("%.3f", v))
		}
	}
	row(out, names...)
	return nil
}
