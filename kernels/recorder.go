package kernels

import (
	"fmt"

	"github.com/metalrank/metalrank/metal"
)

// Recorder records operations for a device and submits them together. It belongs to one goroutine at a time, and
// allocates nothing once it has grown to the longest list.
type Recorder struct {
	encoder   *metal.Encoder
	dispatch  metal.Dispatch
	arguments [maxArgumentBytes]byte
	buffers   [metal.MaxBuffers]metal.Binding
}

// maxArgumentBytes is the size of the largest struct of params.h.
const maxArgumentBytes = 28

// NewRecorder returns an empty Recorder for device.
func NewRecorder(device metal.Device) *Recorder { return &Recorder{encoder: metal.NewEncoder(device)} }

// Barrier makes later operations wait for all earlier ones.
func (r *Recorder) Barrier() { r.encoder.Barrier() }

// Kernels returns the names of the recorded kernels, in order.
func (r *Recorder) Kernels() []string {
	var names []string
	for _, command := range r.encoder.Recorded() {
		names = append(names, command.Pipeline.Info().Kernel)
	}
	return names
}

// Commit submits the recorded operations, and empties the Recorder.
func (r *Recorder) Commit() (metal.Pending, error) { return r.encoder.Commit() }

// Reset discards the recorded operations.
func (r *Recorder) Reset() { r.encoder.Reset() }

// words sets the arguments: the fields of a struct of params.h, of four bytes each.
func (r *Recorder) words(words ...uint32) {
	if 4*len(words) > maxArgumentBytes {
		panic(fmt.Sprintf("BUG: kernels: %d words of arguments", len(words)))
	}
	for i, w := range words {
		r.arguments[4*i], r.arguments[4*i+1], r.arguments[4*i+2], r.arguments[4*i+3] = byte(w), byte(w>>8), byte(w>>16), byte(w>>24)
	}
	r.dispatch.Arguments = r.arguments[:4*len(words)]
}

// bind sets buffers from index 1 on; index 0 has the arguments.
func (r *Recorder) bind(buffers ...metal.Binding) {
	r.buffers[0] = metal.Binding{}
	copy(r.buffers[1:], buffers)
	r.dispatch.Buffers = r.buffers[:1+len(buffers)]
}

// launch records a dispatch with the words and buffers that were set.
func (r *Recorder) launch(pipeline metal.Pipeline, groups metal.Size, simdgroups int) error {
	r.dispatch.Pipeline, r.dispatch.Groups = pipeline, groups
	r.dispatch.Threads = metal.Size{X: uint32(simdWidth * simdgroups)}
	return r.encoder.Dispatch(&r.dispatch)
}
