package convert

import (
	"fmt"
	"math"
	"strings"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/calibrate"
	"github.com/metalrank/metalrank/weights/quant"
)

// outputForm is the form in which a tensor is written.
type outputForm uint8

const (
	asFloat   outputForm = iota // float, of the type in tensorPlan
	asAffine                    // codes, scales, biases
	asChannel                   // codes and scales
	copied                      // no weight: written as it is
)

// tensorPlan is a tensor of the source and its new form.
type tensorPlan struct {
	source      weights.Tensor
	form        outputForm
	float       weights.DType
	scheme      quant.Affine // asAffine
	largestCode int          // asChannel: code of the largest weight of a row
	layer       string       // name without ".weight"

	rounding *calibrate.Rounding // nil: to nearest
}

// plan decides on every tensor. A buffer of position numbers is left out, as transformers has done since 4.31: it
// would not find its place in MLX's module.
func (o Options) plan(tensors []weights.Tensor) []tensorPlan {
	var all []tensorPlan
	for _, t := range tensors {
		if strings.HasSuffix(t.Name, "position_ids") {
			continue
		}
		layer, isWeight := strings.CutSuffix(t.Name, ".weight")
		p := tensorPlan{source: t, float: o.Float, layer: layer}
		switch {
		case !t.IsNumeric():
			p.form = copied
		case o.Bits == 0 || !isWeight || len(t.Shape) != 2 || t.Len() == 0 || o.skips(layer):
		case o.Scheme == W8A8 && !isEmbedding(layer):
			p.form, p.largestCode = asChannel, quant.ChannelLevels
		case o.Scheme == W8A8 && o.EmbeddingLevels > 0:
			p.form, p.largestCode = asChannel, o.EmbeddingLevels
		case o.Scheme == MLX && o.affine(o.Bits).Fits(t.Shape[1]):
			p.form, p.scheme = asAffine, o.affine(o.Bits)
			if isEmbedding(layer) {
				p.scheme.Bits = max(o.Bits, embeddingBits)
			}
		}
		all = append(all, p)
	}
	return all
}

// isEmbedding goes by the names that the model families have.
func isEmbedding(layer string) bool {
	return strings.HasSuffix(layer, "_embeddings") || strings.HasSuffix(layer, "embed_tokens")
}

// specs returns the tensors that are written.
func (p *tensorPlan) specs() []weights.TensorSpec {
	spec := func(name string, d weights.DType, shape ...int) weights.TensorSpec {
		return weights.TensorSpec{Name: name, DType: d, Shape: shape}
	}
	switch t := p.source; p.form {
	case asAffine:
		out, in := t.Shape[0], t.Shape[1]
		return []weights.TensorSpec{
			spec(t.Name, weights.U32, out, p.scheme.Words(in)),
			spec(p.layer+".scales", p.float, out, p.scheme.Groups(in)),
			spec(p.layer+".biases", p.float, out, p.scheme.Groups(in)),
		}
	case asChannel:
		return []weights.TensorSpec{spec(t.Name, weights.I8, t.Shape...), spec(p.layer+".weight_scale", p.float, t.Shape[0], 1)}
	case copied:
		return []weights.TensorSpec{spec(t.Name, t.DType, t.Shape...)}
	default:
		return []weights.TensorSpec{spec(t.Name, p.float, t.Shape...)}
	}
}

// taskElements is the number of elements of a task: 4 MB of float32.
const taskElements = 1 << 20

// task is a range of rows of a tensor; a row is the last axis.
type task struct {
	*tensorPlan
	begin, end, width int
}

// split cuts a tensor into tasks.
func (p *tensorPlan) split() []task {
	n := p.source.Len()
	if n == 0 {
		return nil
	}
	width := 1
	if rank := len(p.source.Shape); rank > 0 {
		width = p.source.Shape[rank-1]
	}
	if p.form == copied {
		return []task{{p, 0, n / width, width}}
	}
	var tasks []task
	step := max(1, taskElements/width)
	for begin := 0; begin < n/width; begin += step {
		tasks = append(tasks, task{p, begin, min(begin+step, n/width), width})
	}
	return tasks
}

// sizeBytes is the task's share of the source, for showing progress.
func (t *task) sizeBytes() int64 {
	return int64(t.source.SizeBytes()) * int64(t.end-t.begin) * int64(t.width) / int64(t.source.Len())
}

// run reads the rows, converts them and writes them.
func (t *task) run(src *weights.Checkpoint, out *weights.Writer) error {
	rows, err := src.Read(t.source.Rows(t.begin, t.end))
	if err != nil {
		return err
	}
	if t.form == copied {
		return out.WriteAt(t.source.Name, rows.Bytes(), 0)
	}
	w := make([]float32, (t.end-t.begin)*t.width)
	rows.Float32s(w, 0)
	if err := t.checkRange(w); err != nil {
		return err
	}
	switch t.form {
	case asAffine:
		return t.writeAffine(out, w)
	case asChannel:
		return t.writeChannel(out, w)
	default:
		return t.writeFloats(out, t.source.Name, w, t.begin*t.width)
	}
}

// largestHalf is the largest magnitude that does not round to infinity in F16.
const largestHalf = 65520 - 1e-3

// checkRange returns an error for a value that cannot be stored: it would turn a whole model into NaN.
func (t *task) checkRange(w []float32) error {
	for i, v := range w {
		if d := float64(v); math.IsNaN(d) || math.IsInf(d, 0) {
			return fmt.Errorf("convert: tensor %q: element %d is %g, want finite weights", t.source.Name, t.begin*t.width+i, v)
		} else if t.float == weights.F16 && math.Abs(d) > largestHalf {
			return fmt.Errorf("convert: tensor %q: element %d is %g, which float16 cannot hold: want bf16 or fp32",
				t.source.Name, t.begin*t.width+i, v)
		}
	}
	return nil
}

// writeFloats stores values as elements of a tensor, from element start on.
func (t *task) writeFloats(out *weights.Writer, name string, values []float32, start int) error {
	data := make([]byte, len(values)*t.float.Size())
	t.float.Encode(data, values)
	return out.WriteAt(name, data, int64(start*t.float.Size()))
}

// rounded rounds w to the float type, as MLX does when it casts a model before it quantises.
func (p *tensorPlan) rounded(w []float32) {
	if p.float == weights.F32 {
		return
	}
	data := make([]byte, len(w)*p.float.Size())
	p.float.Encode(data, w)
	p.float.Decode(w, data)
}

// quantise computes codes, scales and biases of whole rows.
func (t *task) quantise(w []float32) quant.Quantized {
	if t.rounding == nil {
		t.rounded(w)
		return t.scheme.Quantize(w)
	}
	q, groups := t.scheme.Make(len(w)), t.scheme.Groups(t.width)
	for r := range t.end - t.begin {
		t.rounding.Encode(q.Slice(r*groups, (r+1)*groups), w[r*t.width:(r+1)*t.width], t.rounded)
	}
	return q
}

func (t *task) writeAffine(out *weights.Writer, w []float32) error {
	q := t.quantise(w)
	codes := make([]byte, 0, 4*len(q.Codes))
	for _, word := range q.Codes {
		codes = append(codes, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	if err := out.WriteAt(t.source.Name, codes, int64(t.begin*t.scheme.Words(t.width)*4)); err != nil {
		return err
	}
	first := t.begin * t.scheme.Groups(t.width)
	if err := t.writeFloats(out, t.layer+".scales", q.Scales, first); err != nil {
		return err
	}
	return t.writeFloats(out, t.layer+".biases", q.Biases, first)
}

func (t *task) writeChannel(out *weights.Writer, w []float32) error {
	codes, scales := make([]byte, len(w)), make([]float32, t.end-t.begin)
	for r := range scales {
		scales[r] = quant.FitChannel(w[r*t.width:(r+1)*t.width], t.largestCode)
	}
	t.rounded(scales) // codes are for the scale that they will be multiplied by
	for r, scale := range scales {
		row, to := w[r*t.width:(r+1)*t.width], codes[r*t.width:(r+1)*t.width]
		if t.rounding != nil {
			t.rounding.EncodeChannel(to, row, scale)
			continue
		}
		quant.EncodeChannel(to, row, scale)
	}
	if err := out.WriteAt(t.source.Name, codes, int64(t.begin*t.width)); err != nil {
		return err
	}
	return t.writeFloats(out, t.layer+".weight_scale", scales, t.begin)
}
