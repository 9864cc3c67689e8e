// Package calibrate quantises weights for the inputs that they multiply, instead of by themselves: it collects the
// inputs of a model's linear layers, and rounds so that the layers' outputs change little.
//
// The package must not know models, text, files or devices, and imports nothing of this module but weights/quant.
package calibrate

import (
	"fmt"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// Moments sums up the inputs of linear layers: the matrix XᵀX of each, which has 8·width² bytes. The zero value is ready.
// Its methods may be called from several goroutines.
type Moments struct {
	mu     sync.Mutex
	layers map[string]*moment // guarded by mu; layers with one input share it
}

// moment is the sum for one input.
type moment struct {
	rows  int
	sum   blas64.General // [width, width]
	once  sync.Once
	round *Rounding // made by once, or err
	err   error
}

// Add adds rows of width numbers that are the input of all the layers. A layer must come with the same width, and with
// the same other layers, each time. A difference is a bug of the caller.
func (m *Moments) Add(layers []string, x []float64, width int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.layers == nil {
		m.layers = map[string]*moment{}
	}
	of := m.layers[layers[0]]
	if of == nil {
		of = &moment{sum: blas64.General{Rows: width, Cols: width, Stride: width, Data: make([]float64, width*width)}}
	}
	for _, layer := range layers {
		if before := m.layers[layer]; before != nil && before != of || of.sum.Rows != width {
			panic(fmt.Sprintf("BUG: calibrate: layer %q has changed its input", layer))
		}
		m.layers[layer] = of
	}
	rows := blas64.General{Rows: len(x) / width, Cols: width, Stride: width, Data: x}
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, rows, rows, 1, of.sum)
	of.rows += rows.Rows
}

// Rounding returns the rounding for the weights of a layer; nil if Add never had the layer. The layer must not be added
// to after that.
func (m *Moments) Rounding(layer string) (*Rounding, error) {
	m.mu.Lock()
	of := m.layers[layer]
	m.mu.Unlock()
	if of == nil {
		return nil, nil
	}
	of.once.Do(func() {
		if of.round, of.err = newRounding(of.sum); of.err != nil {
			of.err = fmt.Errorf("calibrate: layer %q, %d inputs: %w", layer, of.rows, of.err)
		}
		of.sum.Data = nil
	})
	return of.round, of.err
}
