package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

// gridSeeds is how many traces each cell of the grid is the median of.
const gridSeeds = 3

// printGrid compares ours with FIFO where all requests have as many documents.
func printGrid(out io.Writer) error {
	table(out, 0, "documents", "load", "clients", "p50 ms", "FIFO", "p99 ms", "FIFO", "p50 / FIFO's", "p99 / FIFO's")
	for _, documents := range []int{1, 8, 32, 100, 1000} {
		for _, load := range []float64{0.2, 0.5, 0.8, 0.9, 0.95} {
			for _, clients := range []int{1, 4, 16, 256} {
				if err := printCell(out, documents, load, clients); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func printCell(out io.Writer, documents int, load float64, clients int) error {
	s := simulate.Uniform(documents, load, clients)
	var values [6][]float64 // p50, FIFO's, p99, FIFO's, and their ratios
	for seed := range uint64(gridSeeds) {
		var at [4]float64
		for i, p := range []simulate.NewPolicy{simulate.Ours, simulate.FIFO} {
			r, err := s.Run(seed+1, p, nil)
			if err != nil {
				return err
			}
			at[i], at[2+i] = float64(r.Latency.At(0.5)), float64(r.Latency.At(0.99))
		}
		for i, v := range []float64{at[0], at[1], at[2], at[3], at[0] / at[1], at[2] / at[3]} {
			values[i] = append(values[i], v)
		}
	}
	cells := []string{fmt.Sprint(documents), fmt.Sprintf("%.0f %%", 100*load), fmt.Sprint(clients)}
	for i := range values {
		slices.Sort(values[i])
		if v := values[i][gridSeeds/2]; i < 4 {
			cells = append(cells, ms(int64(v)))
		} else {
			cells = append(cells, fmt.Sprintf("%.3f", v))
		}
	}
	row(out, cells...)
	return nil
}
