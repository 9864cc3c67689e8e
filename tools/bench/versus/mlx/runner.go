// Package mlx runs MLX's own Metal kernels in the simulator, dispatched as MLX's host code dispatches them. It has no
// line of MLX: the kernels come from the user's checkout of ml-explore/mlx, and this package has the rules by which MLX
// names, specialises and sizes them (mlx/backend/metal/*.cpp at 846d176).
package mlx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
)

// Runner executes operations one after another, as the kernels of one GPU.
type Runner struct {
	GPU GPU
	// RoutedRows is the least number of rows by which a linear layer's kernel is chosen, so that a part of a batch runs
	// as the whole would. Zero: the layer's own rows count.
	RoutedRows int

	device    *sim.Device
	files     fs.FS // the checkout's root
	libraries map[string]metal.Library
	buffers   []metal.Buffer
	reports   []sim.Report
	err       error // the first; nothing runs after it
}

// NewRunner returns a Runner of the kernels below files on device.
func NewRunner(device *sim.Device, files fs.FS, gpu GPU) (*Runner, error) {
	if _, err := fs.Stat(files, kernelFolder+"utils.h"); err != nil {
		return nil, fmt.Errorf("mlx: not a checkout of ml-explore/mlx: %w", err)
	}
	return &Runner{GPU: gpu, device: device, files: files, libraries: map[string]metal.Library{}}, nil
}

const kernelFolder = "mlx/backend/metal/kernels/"

// Close frees the libraries and the buffers.
func (r *Runner) Close() error {
	var errs []error
	for _, library := range r.libraries {
		errs = append(errs, library.Close())
	}
	for _, buffer := range r.buffers {
		errs = append(errs, buffer.Close())
	}
	return errors.Join(errs...)
}

// Reports returns the reports of every dispatch so far, and the first error.
func (r *Runner) Reports() ([]sim.Report, error) { return r.reports, r.err }

// Array is memory on the device, from an offset on.
type Array struct {
	buffer      metal.Buffer
	offsetBytes int
}

// Values reads n halves.
func (a Array) Values(n int) []float64 {
	return problem.DecodeHalf(a.buffer.Bytes()[a.offsetBytes:][:2*n])
}

// New returns memory of sizeBytes bytes.
func (r *Runner) New(sizeBytes int) Array {
	if r.err != nil {
		return Array{}
	}
	buffer, err := r.device.NewBuffer(sizeBytes)
	if err != nil {
		r.err = err
		return Array{}
	}
	r.buffers = append(r.buffers, buffer)
	return Array{buffer: buffer}
}

// Halves returns memory that holds values.
func (r *Runner) Halves(values []float64) Array { return r.Bytes(problem.EncodeHalf(values)) }

// Bytes returns memory that holds data.
func (r *Runner) Bytes(data []byte) Array {
	a := r.New(len(data))
	if r.err == nil {
		copy(a.buffer.Bytes(), data)
	}
	return a
}

// A kernel is an instantiation of one of MLX's templates, as its just-in-time compilation has it, so that a library
// holds that one kernel and not some hundred.
type kernel struct {
	name      string
	includes  []string // below kernelFolder
	template  string   // with its arguments: "gemm, half, 64"; empty: text defines the kernel
	text      string   // between the two
	constants []metal.Constant
}

// An argument is bound to one buffer index: an Array, or bytes that the host code sets.
type argument struct {
	index int
	array Array
	bytes []byte
}

func bindArray(index int, a Array) argument { return argument{index: index, array: a} }

// bindBytes is set_bytes: values are laid out as C lays out a struct of them when each is aligned already.
func bindBytes(index int, values ...any) argument {
	var data []byte
	for _, v := range values {
		data, _ = binary.Append(data, binary.LittleEndian, v) // fails for types without a size only
	}
	return argument{index: index, bytes: data}
}

// threads runs k over a grid of threads that don't cooperate, which MLX dispatches with dispatch_threads. Package metal
// has whole threadgroups alone, so each axis of MLX's threadgroup is cut to a size that divides the grid: each thread
// does the same, only the number of threadgroups differs.
func (r *Runner) threads(k kernel, grid, block [3]int, arguments ...argument) {
	var groups [3]int
	for axis := range grid {
		for grid[axis]%block[axis] != 0 {
			block[axis]--
		}
		groups[axis] = grid[axis] / block[axis]
	}
	r.groups(k, groups, block, arguments...)
}

// groups runs k over a grid of threadgroups.
func (r *Runner) groups(k kernel, groups, threads [3]int, arguments ...argument) {
	if r.err != nil {
		return
	}
	if err := r.dispatch(k, groups, threads, arguments); err != nil {
		r.err = fmt.Errorf("mlx: %s: %w", k.name, err)
	}
}

func (r *Runner) dispatch(k kernel, groups, threads [3]int, arguments []argument) error {
	library, err := r.library(k)
	if err != nil {
		return err
	}
	pipeline, err := library.Pipeline(k.name, k.constants...)
	if err != nil {
		return err
	}
	defer pipeline.Close()
	d := metal.Dispatch{Pipeline: pipeline, Groups: size(groups), Threads: size(threads)}
	for _, a := range arguments {
		if a.bytes != nil {
			// set_bytes allows for any number of indices; here a buffer stands for each. The simulator still counts
			// reads through `constant` pointers as reads of constants.
			a.array = r.Bytes(a.bytes)
			if r.err != nil {
				return r.err
			}
		}
		if missing := a.index + 1 - len(d.Buffers); missing > 0 {
			d.Buffers = append(d.Buffers, make([]metal.Binding, missing)...)
		}
		d.Buffers[a.index] = metal.At(a.array.buffer, a.array.offsetBytes)
	}
	return r.submit(&d)
}

func (r *Runner) submit(d *metal.Dispatch) error {
	encoder := metal.NewEncoder(r.device)
	if err := encoder.Dispatch(d); err != nil {
		return err
	}
	pending, err := encoder.Commit()
	if err != nil {
		return err
	}
	if _, err := pending.Wait(context.Background()); err != nil {
		return err
	}
	if p, ok := pending.(*sim.Pending); ok {
		r.reports = append(r.reports, p.Reports()...)
	}
	return nil
}

// library compiles k, or finds it.
func (r *Runner) library(k kernel) (metal.Library, error) {
	if library := r.libraries[k.name]; library != nil {
		return library, nil
	}
	var text strings.Builder
	text.WriteString(preamble)
	for _, name := range k.includes {
		fmt.Fprintf(&text, "#include %q\n", kernelFolder+name)
	}
	text.WriteString(k.text)
	if k.template != "" {
		fmt.Fprintf(&text, "instantiate_kernel(%q, %s)\n", k.name, k.template)
	}
	source, err := metal.LoadSource(amended{r.files, text.String()}, rootName)
	if err != nil {
		return nil, err
	}
	library, err := r.device.NewLibrary(source)
	if err != nil {
		return nil, err
	}
	r.libraries[k.name] = library
	return library, nil
}

func size(s [3]int) metal.Size { return metal.Size{X: uint32(s[0]), Y: uint32(s[1]), Z: uint32(s[2])} }

// shapeBytes and strideBytes are int and int64_t, as MLX's set_vector_bytes has shapes and strides.
func shapeBytes(index int, values ...int) argument {
	a := argument{index: index}
	for _, v := range values {
		a.bytes = binary.LittleEndian.AppendUint32(a.bytes, uint32(v))
	}
	return a
}

func strideBytes(index int, values ...int) argument {
	a := argument{index: index}
	for _, v := range values {
		a.bytes = binary.LittleEndian.AppendUint64(a.bytes, uint64(v))
	}
	return a
}

// Kernels returns the names of the kernels that ran, in order.
func Kernels(reports []sim.Report) []string {
	var names []string
	for _, report := range reports {
		names = append(names, report.Kernel)
	}
	return slices.Clip(names)
}
