package mlx

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// An amendment is a change to a file of MLX that the simulator needs to run it. None changes the counts.
type amendment struct{ file, old, new string }

var amendments = []amendment{
	// Where a row is shorter than its threads can take, the threads past its end begin at a negative index and write
	// before their array. Checked mode stops there; Metal doesn't notice. The array is a thread's own: no counter has
	// it.
	{"layer_norm.metal", "for (int i = n; i < N_READS; i++) {\n      thread_x[i] = mean;",
		"for (int i = max(n, 0); i < N_READS; i++) {\n      thread_x[i] = mean;"},
	// The simulator doesn't know parameters that are written as arrays, which are pointers.
	{"binary.h", "_strides[2]", "_strides"},
	{"binary.h", "_strides[3]", "_strides"},
	{"binary.h", "constant const int64_t a_strides,", "constant const int64_t* a_strides,"},
	{"binary.h", "constant const int64_t b_strides,", "constant const int64_t* b_strides,"},
	// The first lane of each SIMD-group alone reaches this barrier, and it orders no memory. Checked mode stops there; the
	// devices that MLX runs on let it pass.
	{"gemv.h", "threadgroup_barrier(mem_flags::mem_none);\n\n        if (sgN == 0) {",
		"}\n      threadgroup_barrier(mem_flags::mem_threadgroup);\n      if (thrN == 0) {\n        if (sgN == 0) {"},
	// gemv_wide has 18 buffers, two more than package metal binds: those of a batch, which is not there, go last.
	{"gemv.h", "batch_ndim [[buffer(11)]]", "batch_ndim [[buffer(16)]]"},
	{"gemv.h", "batch_shape [[buffer(12)]]", "batch_shape [[buffer(17)]]"},
	{"gemv.h", "[[buffer(16), function_constant(gemv_wide_do_axpby)]]", "[[buffer(11), function_constant(gemv_wide_do_axpby)]]"},
	{"gemv.h", "[[buffer(17), function_constant(gemv_wide_do_axpby)]]", "[[buffer(12), function_constant(gemv_wide_do_axpby)]]"},
}

// preamble begins every library: the parts of Metal's standard library that the simulator's lacks. The functors replace
// those of unary_ops.h and binary_ops.h, which need more of it: each is one operation, in the type of its operands.
const preamble = `#include <metal_stdlib>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
namespace metal {
template <typename T> using uniform = T;
template <typename T> constexpr T make_uniform(T x) { return x; }
template <typename T, size_t N> struct array {
  T at[N];
  thread T& operator[](size_t i) thread { return at[i]; }
  const thread T& operator[](size_t i) const thread { return at[i]; }
};
}
using namespace metal;
`

const functors = `
struct Add { template <typename T> T operator()(T x, T y) thread { return x + y; } };
struct Multiply { template <typename T> T operator()(T x, T y) thread { return x * y; } };
struct Divide { template <typename T> T operator()(T x, T y) thread { return x / y; } };
struct Erf { template <typename T> T operator()(T x) thread { return static_cast<T>(erf(static_cast<float>(x))); } };
struct Tanh { template <typename T> T operator()(T x) thread { return metal::precise::tanh(x); } };
`

// rootName is the file that a library begins with: the includes and instantiations, which no file of MLX's has.
const rootName = "versus.metal"

// amended is the checkout with rootName added and the amendments made.
type amended struct {
	fs.FS
	root string
}

func (a amended) Open(name string) (fs.File, error) {
	if name == rootName {
		return newFile(name, []byte(a.root)), nil
	}
	short, isKernel := strings.CutPrefix(name, kernelFolder)
	if !isKernel {
		return a.FS.Open(name)
	}
	var data []byte
	for _, change := range amendments {
		if change.file != short {
			continue
		}
		if data == nil {
			var err error
			if data, err = fs.ReadFile(a.FS, name); err != nil {
				return nil, err
			}
		}
		if !bytes.Contains(data, []byte(change.old)) {
			return nil, &fs.PathError{Op: "amend", Path: name, Err: fmt.Errorf("no %q: made for ml-explore/mlx at 846d176", change.old)}
		}
		data = bytes.ReplaceAll(data, []byte(change.old), []byte(change.new))
	}
	if data == nil {
		return a.FS.Open(name)
	}
	return newFile(name, data), nil
}

// file is fs.File and fs.FileInfo of a text.
type file struct {
	io.Reader
	name      string
	sizeBytes int64
}

func newFile(name string, data []byte) *file {
	return &file{bytes.NewReader(data), name, int64(len(data))}
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Size() int64                { return f.sizeBytes }
func (f *file) Mode() fs.FileMode          { return 0o400 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
