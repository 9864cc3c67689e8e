// Package convert writes a checkpoint again with weights of another type: floats, or integers in the layouts of MLX and
// of compressed-tensors. The result opens here and in MLX; if it is floats, in transformers too.
//
// It works through the tensors in pieces of a few megabytes on all cores, so that memory does not grow with the model,
// and the new folder appears whole or not at all. It must not know models, text or devices.
package convert

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/calibrate"
	"github.com/metalrank/metalrank/weights/quant"
)

// Scheme is a layout of quantised weights.
type Scheme string

const (
	// MLX is groups along a row with scale and bias; see [weights.AffineTensor].
	MLX Scheme = "mlx"
	// W8A8 is int8 with one scale for each output channel; see [weights.ChannelTensor]. It is for kernels that multiply
	// int8 by int8, and leaves embeddings as they are unless EmbeddingLevels is set.
	W8A8 Scheme = "w8a8"
)

// Options choose the types and the layout of the new weights.
type Options struct {
	// Bits is 8 or 4 (2, 3 and 6 too under MLX), 8 under W8A8, and 0 for floats.
	Bits int
	// Float is the type of tensors that are not quantised, and of scales and biases. 0 keeps F16 and BF16, and makes F16
	// of F32 if Bits is not 0.
	Float weights.DType
	// GroupSize is 32, 64 or 128; 0 is 64. Rows that are no multiple of it are left as floats.
	GroupSize int
	// Scheme is MLX if it is empty.
	Scheme Scheme
	// EmbeddingLevels makes W8A8 quantise embeddings too; MLX always does. It is the code of a row's largest weight, 1
	// to MaxEmbeddingLevels. Fewer compress better. 0 leaves embeddings in floats.
	EmbeddingLevels int
	// Skip are patterns of path.Match for layers to be left as floats: "classifier*", "*.pooler.dense". The classifier
	// and the token types always are: they are small, and the scores depend on the classifier.
	Skip []string
	// Calibration, if not nil, has the inputs of the model's linear layers. The weights are rounded for these inputs.
	Calibration *calibrate.Moments
	// Progress, if not nil, is called with the bytes read so far, from any goroutine.
	Progress func(done, total int64)
}

// MaxEmbeddingLevels bounds EmbeddingLevels: more do not fit a byte with a sign.
const MaxEmbeddingLevels = quant.ChannelLevels

// embeddingBits is the number of bits of embeddings, for any Bits of the rest: a row is read as it is and not summed
// over, so that errors do not cancel.
const embeddingBits = 8

func (o Options) check() error {
	if err := o.affine(o.Bits).Check(); o.Bits != 0 && o.Scheme == MLX && err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	switch {
	case o.Scheme != MLX && o.Scheme != W8A8:
		return fmt.Errorf("convert: scheme %q, want mlx or w8a8", o.Scheme)
	case o.Scheme == W8A8 && o.Bits != 8:
		return fmt.Errorf("convert: scheme w8a8 with %d bits, want 8", o.Bits)
	case o.EmbeddingLevels < 0 || o.EmbeddingLevels > MaxEmbeddingLevels:
		return fmt.Errorf("convert: %d levels of embeddings, want at most %d", o.EmbeddingLevels, MaxEmbeddingLevels)
	case o.EmbeddingLevels != 0 && o.Scheme != W8A8:
		return fmt.Errorf("convert: levels of embeddings with scheme %s, want w8a8", o.Scheme)
	case o.Bits == 0 && o.Calibration != nil:
		return errors.New("convert: calibration goes with integers")
	case o.Float != 0 && !o.Float.IsFloat():
		return fmt.Errorf("convert: floats as %s, want F32, F16 or BF16", o.Float)
	}
	for _, pattern := range o.Skip {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("convert: skip %q: %w", pattern, err)
		}
	}
	return nil
}

func (o Options) affine(bits int) quant.Affine {
	return quant.Affine{GroupSize: o.GroupSize, Bits: bits}
}

// withDefaults fills in fields that are zero, given the checkpoint's tensors.
func (o Options) withDefaults(tensors []weights.Tensor) Options {
	if o.Scheme == "" {
		o.Scheme = MLX
	}
	if o.GroupSize == 0 {
		o.GroupSize = 64
	}
	if o.Float == 0 {
		o.Float = commonFloat(tensors)
		if o.Float == weights.F32 && o.Bits != 0 {
			o.Float = weights.F16
		}
	}
	return o
}

// commonFloat returns the type that most of the weights have. Quantised ones count by the type of their scales, which in
// blocks is F16.
func commonFloat(tensors []weights.Tensor) weights.DType {
	elements := map[weights.DType]int{}
	for _, t := range tensors {
		switch {
		case t.Quant != nil:
			elements[t.Quant.Scales.DType] += t.Len()
		case t.Channel != nil:
			elements[t.Channel.Scales.DType] += t.Len()
		case t.Blocks != nil:
			elements[weights.F16] += t.Len()
		case t.DType.IsFloat():
			elements[t.DType] += t.Len()
		}
	}
	best := weights.F32
	for _, d := range []weights.DType{weights.F16, weights.BF16} {
		if elements[d] > elements[best] {
			best = d
		}
	}
	return best
}

// Folder writes the checkpoint to a new folder dst. If it returns an error, or the process ends before it returns, there
// is no dst. Folder removes the remains of an earlier process that ended so.
func Folder(ctx context.Context, src *weights.Checkpoint, dst string, options Options) (err error) {
	if _, err := src.Plan(); err != nil { // a model that can't be opened isn't worth converting
		return err
	}
	tensors, err := src.Weights()
	if err != nil {
		return err
	}
	tensors = slices.DeleteFunc(tensors, src.InHead)
	options = options.withDefaults(tensors)
	if err := options.check(); err != nil {
		return err
	}
	plan := options.plan(tensors)
	for _, pattern := range options.Skip {
		if !slices.ContainsFunc(plan, func(p tensorPlan) bool { ok, _ := path.Match(pattern, p.layer); return ok }) {
			return fmt.Errorf("convert: skip %q: there is no such layer", pattern)
		}
	}
	if err := options.calibrate(plan); err != nil {
		return err
	}
	if options.Bits != 0 && !slices.ContainsFunc(plan, func(p tensorPlan) bool { return p.form != asFloat }) {
		return errors.New("convert: nothing to quantise: no matrix has rows of whole groups, or all are skipped")
	}
	config, err := options.config(src, plan)
	if err != nil {
		return err
	}
	folder, err := newFolder(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.discard()) }()
	if err := folder.copySmallFiles(src, config); err != nil {
		return err
	}
	if err := options.writeWeights(ctx, src, plan, folder); err != nil {
		return err
	}
	if err := src.Changed(); err != nil { // parts of the output are of another checkpoint
		return err
	}
	return folder.publish()
}

// calibrate sets the rounding of the layers that have been calibrated.
func (o Options) calibrate(plan []tensorPlan) error {
	if o.Calibration == nil {
		return nil
	}
	for i := range plan {
		p := &plan[i]
		if p.form != asAffine && p.form != asChannel {
			continue
		}
		var err error
		if p.rounding, err = o.Calibration.Rounding(p.layer); err != nil {
			return err
		}
		if p.rounding != nil && p.rounding.Width() != p.source.Shape[1] {
			return fmt.Errorf("convert: tensor %q: rows of %d, calibrated with inputs of %d", p.source.Name, p.source.Shape[1], p.rounding.Width())
		}
	}
	return nil
}

// writeWeights makes model.safetensors.
func (o Options) writeWeights(ctx context.Context, src *weights.Checkpoint, plan []tensorPlan, folder *folder) (err error) {
	file, err := folder.create("model.safetensors")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var (
		specs []weights.TensorSpec
		tasks []task
		total int64
	)
	for i := range plan {
		specs = append(specs, plan[i].specs()...)
		tasks = append(tasks, plan[i].split()...)
		total += int64(plan[i].source.SizeBytes())
	}
	format := map[string]string{"format": "pt"}
	if o.Bits != 0 && o.Scheme == MLX {
		format["format"] = "mlx"
	}
	out, err := weights.NewWriter(file, specs, format)
	if err != nil {
		return err
	}
	var done atomic.Int64
	err = parallel.For(ctx, len(tasks), 0, func(i int) error {
		if err := tasks[i].run(src, out); err != nil {
			return err
		}
		done.Add(tasks[i].sizeBytes())
		if o.Progress != nil {
			o.Progress(min(done.Load(), total), total)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return file.Sync()
}

// skips reports whether a layer is left as floats.
func (o Options) skips(layer string) bool {
	// The classifier is "classifier", or layers below it: "classifier.dense". That of a decoder is "score", or some rows of
	// "lm_head", of which the others are never read.
	if slices.Contains([]string{"classifier", "score", "score_rows", "lm_head"}, layer) || strings.HasPrefix(layer, "classifier.") || strings.HasSuffix(layer, "token_type_embeddings") {
		return true
	}
	return slices.ContainsFunc(o.Skip, func(pattern string) bool {
		ok, _ := path.Match(pattern, layer) // checked
		return ok
	})
}
