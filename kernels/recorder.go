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
const maxArgumentBytes = 16

// NewRecorder returns an empty Recorder for device.
func NewRecorder(device metal.Device) *Recorder { return &Recorder{encoder: metal.NewEncoder(device)} }

// Barrier makes what is recorded next wait for all that was recorded before.
func (r *Recorder) Barrier() { r.encoder.Barrier() }

// Kernels are the names of what was recorded, in order.
func (r *Recorder) Kernels() []string {
	var names []string
	for _, command := range r.encoder.Recorded() {
		names = append(names, command.Pipeline.Info().Kernel)
	}
	return names
}

// Commit submits what was recorded, and empties the Recorder.
func (r *Recorder) Commit() (metal.Pending, error) { return r.encoder.Commit() }

// Reset forgets what was recorded.
func (r *Recorder) Reset() { r.encoder.Reset() }

// words are the fields of a struct of params.h: each has four bytes.
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
