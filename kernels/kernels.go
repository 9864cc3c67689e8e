// Package kernels holds the compute kernels of a BERT cross-encoder: for each operation a file of Metal beside the Go
// file that launches it. Only this package knows kernels' names, buffer indices and grids.
//
// Letters, here and in the kernels: T packed tokens, B sequences, H hidden size, A heads, D = H/A head size, F
// feed-forward size, C labels; a product has M rows and N columns, and sums over K.
//
// It knows nothing of models: a linear layer is a matrix, without its name in a checkpoint.
package kernels

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/metalrank/metalrank/metal"
)

//go:embed *.metal *.h metallib
var files embed.FS

// Files returns the sources, "gemm.metal" and so on, with their headers.
func Files() fs.FS { return files }

// metallib is the file with all kernels compiled. It is embedded if `build.sh metallib` made it before the build.
const metallib = "metallib/kernels.metallib"

// DType is the type of activations, and of weights that are not quantised.
type DType int

// F16 is the type for models; F32 is for checking the error of half precision.
const (
	F16 DType = iota
	F32
)

// Size returns the bytes of one element.
func (d DType) Size() int {
	if d == F32 {
		return 4
	}
	return 2
}

// String returns the name that kernels have for it.
func (d DType) String() string {
	if d == F32 {
		return "f32"
	}
	return "f16"
}

// Alignment returns the bytes that a buffer of this type must begin at a multiple of.
func (d DType) Alignment() int { return run * d.Size() }

// Activation is a function that a kernel applies to its sums; values are those of params.h.
type Activation uint32

// The activations.
const (
	None    Activation = iota
	GELU               // x·Φ(x)
	GELUNew            // its approximation by tanh
	ReLU
	Tanh
	SiLU // x / (1 + exp(-x))
)

const (
	simdWidth = 32
	// side is the number of rows and columns of a simdgroup_matrix.
	side = 8
	// run is how many neighbouring elements kernels read at once: buffers must begin at a multiple of it.
	run = 4
)

// Library holds the compiled kernels of a device for one DType. The operations that it makes may be used from several
// goroutines at once, and are freed by Close.
type Library struct {
	device metal.Device
	dtype  DType
	files  fs.FS

	mu        sync.Mutex
	closed    bool                      // guarded by mu
	sources   map[string]metal.Library  // guarded by mu; by file
	pipelines map[string]metal.Pipeline // guarded by mu; by kernel and constants
	pinned    []Choice                  // guarded by mu; see Pin
}

// Open returns a Library for device. Kernels are compiled when they are first asked for.
func Open(device metal.Device, dtype DType) *Library { return OpenFiles(device, dtype, files) }

// OpenFiles is Open with other sources than Files: for experiments, and for tests with broken kernels.
func OpenFiles(device metal.Device, dtype DType, files fs.FS) *Library {
	return &Library{device: device, dtype: dtype, files: files, sources: map[string]metal.Library{}, pipelines: map[string]metal.Pipeline{}}
}

// DType returns the type of activations.
func (l *Library) DType() DType { return l.dtype }

// Close frees all kernels. None of them may be recorded any more.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var errs []error
	for _, pipeline := range l.pipelines {
		errs = append(errs, pipeline.Close())
	}
	for _, library := range l.sources {
		errs = append(errs, library.Close())
	}
	clear(l.pipelines)
	clear(l.sources)
	return errors.Join(errs...)
}

// pipeline returns a kernel of a file, specialised, for threadgroups of c.simdgroups SIMD-groups; the same again for the same
// constants. Errors: *metal.CompileError, and *metal.LimitError where the device has less than a threadgroup needs.
func (l *Library) pipeline(file, kernel string, c constants) (metal.Pipeline, error) {
	pipeline, err := l.specialised(file, kernel, c.values())
	if err != nil {
		return nil, err
	}
	info, device := pipeline.Info(), l.device.Info()
	if info.SIMDWidth != simdWidth {
		return nil, fmt.Errorf("kernels: %s: the device has SIMD-groups of %d threads, want %d", kernel, info.SIMDWidth, simdWidth)
	}
	return pipeline, errors.Join(
		overLimit(kernel, "threads in a threadgroup", simdWidth*c.simdgroups, info.MaxThreads),
		overLimit(kernel, "bytes of threadgroup memory", info.ThreadgroupMemoryBytes, device.MaxThreadgroupMemoryBytes),
	)
}

func (l *Library) specialised(file, kernel string, constants []metal.Constant) (metal.Pipeline, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, metal.ErrClosed
	}
	key := fmt.Sprint(kernel, constants)
	if pipeline, ok := l.pipelines[key]; ok {
		return pipeline, nil
	}
	library, ok := l.sources[file]
	if !ok {
		source, err := load(l.files, file)
		if err != nil {
			return nil, err
		}
		if library, err = l.device.NewLibrary(source); err != nil {
			return nil, err
		}
		l.sources[file] = library
	}
	pipeline, err := library.Pipeline(kernel, constants...)
	if err != nil {
		return nil, err
	}
	l.pipelines[key] = pipeline
	return pipeline, nil
}

// load reads a file of kernels with its includes, and the compiled kernels, if they are embedded. (The driver prefers a
// file named by the variable METALRANK_METALLIB to both.)
func load(files fs.FS, file string) (metal.Source, error) {
	source, err := metal.LoadSource(files, file)
	if err != nil {
		return metal.Source{}, err
	}
	source.Metallib, err = fs.ReadFile(files, metallib)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return metal.Source{}, fmt.Errorf("kernels: %w", err)
	}
	return source, nil
}

// checkSize reports a size that an operation cannot take.
func checkSize(operation, what string, got int, ok bool, want string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("kernels: %s: %s is %d, want %s", operation, what, got, want)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
