package metal_test

import (
	"context"
	"slices"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// fakeDevice takes lists and executes nothing.
type fakeDevice struct {
	submitted []metal.CommandList // copies
	discard   bool                // don't copy
	err       error               // of Submit
}

func (d *fakeDevice) Info() metal.Info {
	return metal.Info{
		Name: "fake", SIMDWidth: 32, MaxThreadsPerGroup: 1024, MaxThreadgroupMemoryBytes: 32 << 10,
		MaxBufferSizeBytes: 1 << 20, PageSizeBytes: 4096,
	}
}

func (d *fakeDevice) NewBuffer(sizeBytes int) (metal.Buffer, error) {
	return fakeBuffer(make([]byte, sizeBytes)), nil
}
func (d *fakeDevice) NewBufferNoCopy(data []byte) (metal.Buffer, error) { return fakeBuffer(data), nil }
func (d *fakeDevice) NewLibrary(metal.Source) (metal.Library, error)    { return nil, metal.ErrNoDevice }
func (d *fakeDevice) KeepResident(bool) bool                            { return false }
func (d *fakeDevice) Close() error                                      { return nil }

func (d *fakeDevice) Submit(list *metal.CommandList) (metal.Pending, error) {
	if d.err != nil {
		return nil, d.err
	}
	if !d.discard {
		d.submitted = append(d.submitted, metal.CommandList{
			Commands: slices.Clone(list.Commands), Arguments: slices.Clone(list.Arguments),
		})
	}
	return fakePending{}, nil
}

// last is the list that was submitted last.
func (d *fakeDevice) last() metal.CommandList { return d.submitted[len(d.submitted)-1] }

type fakeBuffer []byte

func (b fakeBuffer) Bytes() []byte { return b }
func (b fakeBuffer) Close() error  { return nil }

// fakePipeline allows less than the device, and needs threadgroup memory of its own.
type fakePipeline struct{}

func (fakePipeline) Info() metal.PipelineInfo {
	return metal.PipelineInfo{Kernel: "k", MaxThreads: 512, SIMDWidth: 32, ThreadgroupMemoryBytes: 4096}
}
func (fakePipeline) Close() error { return nil }

type fakePending struct{}

func (fakePending) Wait(context.Context) (metal.Timing, error) {
	return metal.Timing{Start: time.Millisecond, End: 3 * time.Millisecond}, nil
}
