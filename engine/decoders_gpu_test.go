package engine

import (
	"fmt"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/convert"
)

// Decoders of 8 and 4 bits have the logits of float64 over the same weights dequantised, alone and behind a prefix.
func TestDecodersQuantisedOnKernels(t *testing.T) {
	notShort(t)
	for _, name := range []string{"qwen3", "qwen3_seqcls"} {
		golden, files := decoderGoldens(t, name)
		batch := &backend.Batch{}
		appendTo(batch, -1, golden[0].IDs[:20])
		for _, g := range golden[:3] {
			appendTo(batch, -1, g.IDs)
			appendTo(batch, 0, g.IDs[20:])
		}
		for _, bits := range []int{8, 4} {
			made := convertFiles(t, files, convert.Options{Bits: bits, GroupSize: 32, Scheme: convert.MLX})
			want := forward(t, made, onReference, batch)
			for full, tolerance := range map[bool]float64{false: halfTolerance, true: logitTolerance} {
				t.Run(fmt.Sprintf("%s, %d bits, fp32 %t", name, bits, full), func(t *testing.T) {
					if worst := farthest(forward(t, made, onSession(t, full), batch), want); !(worst <= tolerance) {
						t.Errorf("a logit differs by %.2g, allowed is %.2g", worst, tolerance)
					} else {
						t.Logf("largest difference %.2g", worst)
					}
				})
			}
		}
	}
}
