package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/metalrank/metalrank/weights"
)

// printTensors lists the weights of a model: shape, how they are stored, bytes. With a source it adds how far they are
// from those of the source: the largest difference, and the root of the mean square relative to that of the weights.
func printTensors(w io.Writer, model, against string) (err error) {
	if model == "" {
		model = "builtin"
	}
	made, err := openSource(model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, made.Close()) }()
	tensors, err := made.Weights()
	if err != nil {
		return err
	}
	source := map[string]weights.Tensor{}
	var original *weights.Checkpoint
	if against != "" {
		original, err = openSource(against)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, original.Close()) }()
		all, err := original.Weights()
		if err != nil {
			return err
		}
		for _, t := range all {
			source[t.Name] = t
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range tensors {
		far := ""
		if other, ok := source[t.Name]; ok && slices.Equal(other.Shape, t.Shape) && t.IsNumeric() && other.IsNumeric() {
			if far, err = difference(made, original, t, other); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(table, "%s\t%d\t%s\t%d bytes%s\n", oneLine(t.Name), t.Shape, storedAs(t), t.SizeBytes(), far); err != nil {
			return err
		}
	}
	return table.Flush()
}

// storedAs says the type of a tensor, and the scheme of a quantised one.
func storedAs(t weights.Tensor) string {
	switch {
	case t.Quant != nil:
		return fmt.Sprintf("int%d/%d %s", t.Quant.Bits, t.Quant.GroupSize, t.Quant.Scales.DType)
	case t.Channel != nil:
		return "int8/row " + t.Channel.Scales.DType.String()
	}
	return t.StoredAs()
}

// difference compares a tensor with the one of its name and shape in the source.
func difference(made, original *weights.Checkpoint, t, source weights.Tensor) (string, error) {
	const block = 1 << 16
	var largest, squares, norm float64
	next, stop := iter.Pull2(original.Pieces(source, block))
	defer stop()
	for piece, err := range made.Pieces(t, block) {
		other, otherErr, _ := next()
		if err := errors.Join(err, otherErr); err != nil {
			return "", err
		}
		a, b := make([]float32, piece.Len()), make([]float32, piece.Len())
		piece.Float32s(a, 0)
		other.Float32s(b, 0)
		for j, v := range b {
			d := float64(a[j]) - float64(v)
			largest = max(largest, math.Abs(d))
			squares += d * d
			norm += float64(v) * float64(v)
		}
	}
	return fmt.Sprintf("\tmax |Δ| %.2g\trelative RMS %.2g", largest, math.Sqrt(squares/max(norm, math.SmallestNonzeroFloat64))), nil
}
