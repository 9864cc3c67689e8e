package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
)

// selfCheck has sequences of one model with the logits that the CPU computes for them in fp32. Every backend that is opened
// on a GPU must compute the same, within a tolerance, before it gets a request: the GPU's compiler and its arithmetic are
// not ours. The passes also leave the device warm.
//
// It costs the time and, before the GPU has the weights, the memory of the CPU's fp32 weights. The logits are kept, so that
// only the first backend of an engine pays for the CPU's part.
type selfCheck struct {
	sequences []sequence // of plainPairs, then of a passage
	want      []float32  // [n, C]
	batches   []repeated
}

// repeated is a batch of the check: the sequences from number first on, again and again, as long as they have no more than so
// many tokens.
type repeated struct{ first, tokens int }

// A passage is cut to each of passageLengths: at and over the 8, 32 and 64 rows of tiles, and several blocks of keys. It is
// text, since a model may be ill-conditioned elsewhere: for two random tokens the embedded one's logit moves by 0.2 in fp16,
// and for texts by less than 0.002. On the simulator, which takes a tenth of a second for a token, only the first length counts.
// A tokenizer without an unknown token may lack the characters of some of the passages.
var (
	passages = []Pair{
		{Query: "Where do pandas live, and what do they eat?", Document: strings.Repeat("The giant panda is a bear "+
			"that lives in the mountains of central China. It eats bamboo for ten to sixteen hours a day: 9 to 14 kg of shoots and leaves. ", 6)},
		{Query: "大熊猫生活在哪里", Document: strings.Repeat("大熊猫是生活在中国中部山区的一种熊每天吃十到十六个小时的竹子", 12)},
		{Query: "1 2 3", Document: strings.Repeat("4 5 6 7 8 9 0 ", 25)},
	}
	passageLengths = []int{minMaxLength, 20, 33, 65, 130}
)

// smallChecks are the tokens of batches as small as those of a single pair: products of few rows run in other tiles.
var smallChecks = []int{8, 32, 128}

// largestCheck is the most tokens in a batch of the check; batches of more run in the same tiles.
const largestCheck = 4096

// newSelfCheck makes the sequences of a model, and computes their logits.
func (e *Engine) newSelfCheck(ctx context.Context, simulated bool) (*selfCheck, error) {
	c := &selfCheck{}
	for _, pair := range plainPairs {
		if encoded, err := e.encode(ctx, []Pair{pair}, &Options{}); err == nil { // a request with another text is refused by itself
			c.sequences = append(c.sequences, encoded[0])
		}
	}
	plain, lengths := len(c.sequences), passageLengths
	if simulated {
		lengths = lengths[:1]
	}
	cut, err := e.encodePassage(ctx, lengths)
	if err != nil {
		return nil, err
	}
	c.sequences = append(c.sequences, cut...)
	tokens := 0
	for _, q := range c.sequences {
		tokens += len(q.ids)
	}
	each := repeated{0, tokens}
	c.batches = []repeated{each}
	if !simulated {
		for _, size := range smallChecks {
			c.batches = append(c.batches, repeated{plain, size})
		}
		largest := min(e.config.MaxBatchTokens, largestCheck)
		for _, size := range []int{2 * tokens, 4 * tokens, largest} {
			if size > tokens && size <= largest {
				c.batches = append(c.batches, repeated{0, size})
			}
		}
	}
	c.want, err = e.logitsOfCPU(ctx, c.batch(each))
	return c, err
}

// encodePassage returns a passage, cut to each of the lengths, which rise: the first passage that has so many tokens, or else
// the longest. Errors: ErrTokenizer, if all fail; ctx's.
func (e *Engine) encodePassage(ctx context.Context, lengths []int) ([]sequence, error) {
	var longest []sequence
	var failures []error
	most := func(cut []sequence) int { return len(cut[len(cut)-1].ids) }
	for _, passage := range passages {
		cut := make([]sequence, len(lengths))
		fixed, err := e.fixedTokens(ctx, passage.Query)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for i, length := range lengths {
			encoded, err := e.encode(ctx, []Pair{passage}, &Options{MaxPairTokens: fixed + length})
			if err != nil {
				failures, cut = append(failures, err), nil
				break
			}
			cut[i] = encoded[0]
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case cut == nil:
		case most(cut) >= min(fixed+lengths[len(lengths)-1], e.config.MaxLength):
			return cut, nil
		case longest == nil || most(cut) > most(longest):
			longest = cut
		}
	}
	if longest == nil {
		return nil, fmt.Errorf("%w: it encodes none of the texts that test a GPU, of English, of Chinese and of digits; the CPU needs no test: %w",
			ErrTokenizer, errors.Join(failures...))
	}
	return longest, nil
}

func (c *selfCheck) batch(r repeated) *backend.Batch {
	var b backend.Batch
	for i := r.first; ; i++ {
		q := c.sequences[i%len(c.sequences)]
		if b.Tokens()+len(q.ids) > r.tokens {
			return &b
		}
		b.Append(q.ids, q.types)
	}
}

// logitsOfCPU opens the model on the CPU for one batch: on the fast backend, or if that lacks an operation on the reference.
func (e *Engine) logitsOfCPU(ctx context.Context, batch *backend.Batch) (logits []float32, err error) {
	b, err := opened(cpu.New(e.checkpoint, cpu.Options{}))
	if _, ok := errors.AsType[*backend.UnsupportedError](err); ok {
		b, err = opened(reference.New(e.checkpoint))
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	logits = make([]float32, batch.Sequences()*len(e.labels))
	return logits, b.Forward(ctx, batch, logits)
}

// tolerances bound the difference of a logit from the CPU's, by the GPU's arithmetic: absolute + relative·|logit|. They are
// two and a half times what tests allow the same kernels, 2e-2 in fp16 and 1e-3 in fp32 for logits up to 11, and a hundred
// times what is seen there on these texts (docs/measurements.md): a model that is less well-conditioned must not be
// refused, and a wrong tile is off by the size of the logits.
var tolerances = map[string]struct{ absolute, relative float64 }{
	"float16": {5e-2, 1e-2},
	"float32": {2.5e-3, 5e-4},
}

// doubt returns an error if wrong scores could pass: if the logits of all texts are so close to each other that a device that
// computes one number for all of them is within the tolerance.
func (c *selfCheck) doubt(dtype string, classes int) error {
	t, widest, most := tolerances[dtype], 0.0, 0.0
	for class := range classes {
		least, greatest := math.Inf(1), math.Inf(-1)
		for i := class; i < len(c.want); i += classes {
			least, greatest = min(least, float64(c.want[i])), max(greatest, float64(c.want[i]))
		}
		allowed := t.absolute + t.relative*max(math.Abs(least), math.Abs(greatest))
		if spread := greatest - least; spread > 2*allowed {
			return nil
		} else if spread >= widest {
			widest, most = spread, allowed
		}
	}
	return fmt.Errorf("engine: the logits of all texts that test the GPU are within %.2g of each other, and each may be off by %.2g: "+
		"wrong ones would not be noticed; compare scores with those of backend \"cpu\"", widest, most)
}

// MismatchError says that a GPU computes another logit than the CPU for one of the pairs that Open tries. It is an
// ErrBackend.
type MismatchError struct {
	Device             string
	DType              string // of the device's arithmetic
	Pair               int    // from 0
	Tokens             int    // of the pair
	BatchTokens        int    // of the batch that it was part of
	Got, Want, Allowed float64
	Lanes              error // why all products are wrong on the device; nil: not known
}

// Error implements error.
func (e *MismatchError) Error() string {
	text := fmt.Sprintf("%v: %s computes wrong scores: the logit of test pair %d, of %d tokens, in a batch of %d tokens, is %.6g in %s; "+
		"the CPU computes %.6g, and %.2g of difference is allowed", ErrBackend, e.Device, e.Pair, e.Tokens, e.BatchTokens, e.Got, e.DType, e.Want, e.Allowed)
	if e.Lanes != nil {
		return fmt.Sprintf("%s: %v", text, e.Lanes)
	}
	return text + "; `metalrank doctor` tests each kernel"
}

// Unwrap makes it an ErrBackend.
func (e *MismatchError) Unwrap() error { return ErrBackend }

// run compares a backend with the CPU. Errors: *MismatchError, *NonFiniteError, and the device's.
func (c *selfCheck) run(ctx context.Context, e *Engine, b backend.Backend) error {
	for _, r := range c.batches {
		if err := c.runBatch(ctx, e, b, r.first, c.batch(r)); err != nil {
			return err
		}
	}
	if !e.prefixes || !b.Info().Prefixes {
		return nil
	}
	var batch backend.Batch
	var with []int32
	for i := range c.sequences {
		with = append(with, int32(shared(c.sequences, i)))
	}
	pack(&batch, c.sequences, with)
	return c.runBatch(ctx, e, b, 0, &batch)
}

// runBatch compares a batch that begins with sequence number first.
func (c *selfCheck) runBatch(ctx context.Context, e *Engine, b backend.Backend, first int, batch *backend.Batch) error {
	logits := make([]float32, batch.Sequences()*len(e.labels))
	if err := b.Forward(ctx, batch, logits); err != nil {
		return fmt.Errorf("%w: a batch of %d tokens, to test the device: %w", ErrBackend, batch.Tokens(), err)
	}
	return c.compare(e, b.Info(), first, batch.Tokens(), withoutPrefixes(batch, logits, len(e.labels)))
}

// compare looks for a wrong logit; logits are those of a batch of some tokens that begins with sequence number first.
func (c *selfCheck) compare(e *Engine, info backend.Info, first, tokens int, logits []float32) error {
	classes := len(e.labels)
	t := tolerances[info.DType]
	for i, got := range logits {
		pair := (first + i/classes) % len(c.sequences)
		want := c.want[pair*classes+i%classes]
		if !isFinite(want) { // the CPU computes in fp32
			return e.nonFiniteText("float32")
		}
		if !isFinite(got) && info.DType == "float16" {
			return fmt.Errorf("%w; or %s computes wrongly: `metalrank doctor` tests each kernel", e.nonFiniteText(info.DType), info.Device)
		}
		allowed := t.absolute + t.relative*math.Abs(float64(want))
		if difference := math.Abs(float64(got) - float64(want)); !(difference <= allowed) { // in this form, NaN fails
			return &MismatchError{
				Device: info.Device, DType: info.DType, Pair: pair, Tokens: len(c.sequences[pair].ids), BatchTokens: tokens,
				Got: float64(got), Want: float64(want), Allowed: allowed,
			}
		}
	}
	return nil
}

// nonFiniteText returns the error for one of the check's texts.
func (e *Engine) nonFiniteText(dtype string) *NonFiniteError {
	bad := e.nonFinite([]float32{float32(math.NaN())}, dtype)
	bad.Index = -1
	return bad
}

// openGPU opens the model on a GPU, and checks that it computes as the CPU does.
func (e *Engine) openGPU(ctx context.Context, driver string) (backend.Backend, error) {
	if err := e.config.checkPrecision(driver); err != nil {
		return nil, err
	}
	plan, err := e.checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	if err := gpu.Supports(plan, driver); err != nil { // before the CPU computes logits for the check
		return nil, err
	}
	session, check, err := e.prepareGPU(ctx, driver)
	if err != nil {
		return nil, err
	}
	b, err := session.Open(e.checkpoint)
	if err != nil {
		return nil, err
	}
	// No result has been trusted yet: the check tests the variants that were chosen.
	tuned, err := b.Tune(ctx)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := check.run(ctx, e, b); err != nil {
		if wrong, ok := errors.AsType[*MismatchError](err); ok {
			wrong.Lanes = session.CheckLanes(ctx)
		}
		return nil, errors.Join(err, b.Close())
	}
	if tuned.Elapsed > 0 {
		tuned.Path, tuned.Err = session.KeepTuning()
		e.tellTuned(tuned)
	}
	if doubt := check.doubt(b.Info().DType, len(e.labels)); doubt != nil {
		e.gpu.doubtful.Do(func() {
			if tell := e.config.OnDoubt; tell != nil {
				tell(doubt)
			}
		})
	}
	return b, nil
}

// prepareGPU returns the engine's session, a new one if the device was lost, and its self-check. The check's logits are
// computed before the GPU has the weights, so that both copies are never in memory at once.
func (e *Engine) prepareGPU(ctx context.Context, driver string) (*gpu.Session, *selfCheck, error) {
	g := &e.gpu
	g.opening.Lock()
	defer g.opening.Unlock()
	tuning := e.config.tuningOf()
	if g.session != nil && g.session.Lost() != nil {
		_ = g.session.Close() // of a device that is gone
		g.session = nil
		if tuning != nil { // it was done again
			t := *tuning
			t.Again, tuning = false, &t
		}
	}
	var err error
	if g.session == nil {
		if g.session, err = gpu.OpenSession(e.config.opener(), gpu.Config{
			Driver: driver, Float32: e.config.Precision == PrecisionFP32, MaxBatchTokens: e.config.MaxBatchTokens,
			KeepWarm: e.config.KeepWarm, Tuning: tuning,
		}); err != nil {
			return nil, nil, err
		}
		if err := g.session.LoadTuning(); err != nil {
			e.tellTuned(Tuned{Err: err})
		}
	}
	if g.check == nil {
		g.check, err = e.newSelfCheck(ctx, g.session.Simulated())
		err = cmp.Or(err, ctx.Err())
	}
	if err != nil {
		g.check = nil
	}
	return g.session, g.check, err
}
