package selftest_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// capture is a device that keeps what the last dispatch left in one of its buffers.
type capture struct {
	metal.Device
	index int
	kept  []byte
}

func (c *capture) Submit(list *metal.CommandList) (metal.Pending, error) {
	buffer := list.Commands[len(list.Commands)-1].Buffers[c.index].Buffer
	pending, err := c.Device.Submit(list)
	if err == nil {
		_, err = pending.Wait(context.Background())
		c.kept = slices.Clone(buffer.Bytes())
	}
	return pending, err
}

// TestVariantsAgree wants the same bits from all variants of a shape with the same Split: a score must not depend on the rows of a
// batch. In f32 nothing is rounded away.
func TestVariantsAgree(t *testing.T) {
	device := &capture{Device: simtest.Open(t, sim.Config{})}
	library := libraries(t, device)
	for _, g := range []selftest.Gemm{
		{DType: kernels.F16, M: 70, N: 132, K: 164}, {DType: kernels.F32, M: 70, N: 132, K: 164},
		{DType: kernels.F16, M: 35, N: 132, K: 420, FewRows: true}, {DType: kernels.F16, M: 35, N: 132, K: 416, FewRows: true, Bits: 4, GroupSize: 32},
		{DType: kernels.F16, M: 70, N: 132, K: 160, Bits: 4, GroupSize: 32}, {DType: kernels.F32, M: 70, N: 132, K: 160, Bits: 8, GroupSize: 32},
		{DType: kernels.F16, M: 35, N: 136, K: 164, Norm: true}, {DType: kernels.F16, M: 35, N: 136, K: 160, Norm: true, Bits: 8, GroupSize: 32},
	} {
		device.index = 4 // of y, behind arguments, a, w and vectors
		if g.Bits != 0 {
			device.index = 6
		}
		first := map[int][]byte{} // by split
		variants := kernels.Candidates(g.Shape(), device.Info())
		if len(variants) < 2 {
			t.Errorf("%+v has the variants %v, want several", g, variants)
		}
		for i, c := range g.Variants(variants) {
			split := variants[i].Split
			if _, err := c.Run(t.Context(), device, library[g.DType], problem.Exact); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			if first[split] == nil {
				first[split] = device.kept
			}
			if len(device.kept) != g.M*g.N*g.DType.Size() || !bytes.Equal(device.kept, first[split]) {
				t.Errorf("%s: other bits than by the first with that split", c.Name)
			}
		}
	}
}

// TestEpiloguesAgree wants the same of what epilogues make beside y, and of their y.
func TestEpiloguesAgree(t *testing.T) {
	device := &capture{Device: simtest.Open(t, sim.Config{})}
	library := libraries(t, device)
	g := selftest.Gemm{DType: kernels.F16, M: 70, N: 144, K: 160}
	for _, c := range []struct {
		e     selftest.Epilogue
		index int // of the buffer
	}{
		{selftest.Epilogue{Gemm: g, Gated: true, Normed: true}, 4}, {selftest.Epilogue{Gemm: g, HeadSize: 16, Turned: 96, Normed: true}, 4},
		{selftest.Epilogue{Gemm: g, Kept: true}, 4}, {selftest.Epilogue{Gemm: g, Kept: true}, 9}, {selftest.Epilogue{Gemm: g, Kept: true}, 10},
	} {
		device.index = c.index
		var first []byte
		for _, v := range c.e.Variants(kernels.Candidates(g.Shape(), device.Info())) {
			if _, err := v.Run(t.Context(), device, library[g.DType], problem.Exact); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
			if first == nil {
				first = device.kept
			}
			if !bytes.Equal(device.kept, first) {
				t.Errorf("%s: buffer %d has other bits than by the first variant", v.Name, c.index)
			}
		}
	}
}
