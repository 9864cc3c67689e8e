package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

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
	sequences []sequence
	texts     int       // sequences made of plainPairs; the others have random tokens
	want      []float32 // [n, C]
	batches   []repeated
}

// repeated is a batch of the check: the sequences from number first on, again and again, as long as they have no more than so
// many tokens.
type repeated struct{ first, tokens int }

// randomLengths are the lengths of the sequences of random tokens: below and over the 8, 32 and 64 rows of tiles, and
// several blocks of keys. On the simulator, which takes a tenth of a second for a token, only the first two.
var randomLengths = []int{2, 9, 33, 65, 130}

// smallChecks are the tokens of batches as small as those of a single pair: products of few rows run in other tiles.
var smallChecks = []int{8, 32, 128}

// largestCheck is the most tokens in a batch of the check; batches of more run in the same tiles.
const largestCheck = 4096

// newSelfCheck makes the sequences of a model, and computes their logits.
func (e *Engine) newSelfCheck(ctx context.Context, simulated bool) (*selfCheck, error) {
	c := &selfCheck{}
	for i := range plainPairs {
		encoded, err := e.encode(ctx, plainPairs[i:i+1], &Options{})
		if err != nil {
			continue // a request with such a text is refused by itself
		}
		c.sequences = append(c.sequences, encoded[0])
	}
	c.texts = len(c.sequences)
	plan, err := e.checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	lengths := randomLengths
	if simulated {
		lengths = lengths[:2]
	}
	for i, length := range lengths {
		random := rand.New(rand.NewPCG(uint64(i), 0))
		length = min(length, plan.Positions)
		q := sequence{ids: make([]int32, length), types: make([]int32, length)}
		for at := range q.ids {
			q.ids[at], q.types[at] = random.Int32N(int32(plan.Vocab)), int32(2*at/length%max(plan.Types, 1))
		}
		c.sequences = append(c.sequences, q)
	}
	tokens := 0
	for _, q := range c.sequences {
		tokens += len(q.ids)
	}
	each := repeated{0, tokens}
	c.batches = []repeated{each}
	if !simulated {
		for _, size := range smallChecks {
			c.batches = append(c.batches, repeated{c.texts, size})
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
// two and a half times what tests allow the same kernels on texts, 2e-2 in fp16 and 1e-3 in fp32 for logits up to 11,
// since random tokens lead to larger activations; a wrong tile is off by the size of the logits.
var tolerances = map[string]struct{ absolute, relative float64 }{
	"float16": {5e-2, 1e-2},
	"float32": {2.5e-3, 5e-4},
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
		batch := c.batch(r)
		logits := make([]float32, batch.Sequences()*len(e.labels))
		if err := b.Forward(ctx, batch, logits); err != nil {
			return fmt.Errorf("%w: a batch of %d tokens, to test the device: %w", ErrBackend, batch.Tokens(), err)
		}
		if err := c.compare(e, b.Info(), r.first, batch.Tokens(), logits); err != nil {
			return err
		}
	}
	return nil
}

// compare looks for a wrong logit; logits are those of a batch of some tokens that begins with sequence number first.
func (c *selfCheck) compare(e *Engine, info backend.Info, first, tokens int, logits []float32) error {
	classes := len(e.labels)
	t := tolerances[info.DType]
	for i, got := range logits {
		pair := (first + i/classes) % len(c.sequences)
		want := c.want[pair*classes+i%classes]
		switch finite := isFinite(want); {
		case pair < c.texts && (!finite || !isFinite(got) && info.DType == "float16"):
			bad := e.nonFinite([]float32{float32(math.NaN())}, info.DType)
			bad.Index = -1
			return bad
		case !finite:
			continue // random tokens may have no finite logit
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

// openGPU opens the model on a GPU, and checks that it computes as the CPU does.
func (e *Engine) openGPU(ctx context.Context, driver string) (backend.Backend, error) {
	if err := e.config.checkPrecision(driver); err != nil {
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
	if err := e.tune(ctx, b); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := check.run(ctx, e, b); err != nil {
		if wrong, ok := errors.AsType[*MismatchError](err); ok {
			wrong.Lanes = session.CheckLanes(ctx)
		}
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// prepareGPU returns the engine's session, a new one if the device was lost, and its self-check. The check's logits are
// computed before the GPU has the weights, so that both copies are never in memory at once.
func (e *Engine) prepareGPU(ctx context.Context, driver string) (*gpu.Session, *selfCheck, error) {
	g := &e.gpu
	g.opening.Lock()
	defer g.opening.Unlock()
	if g.session != nil && g.session.Lost() != nil {
		_ = g.session.Close() // of a device that is gone
		g.session = nil
	}
	var err error
	if g.session == nil {
		if g.session, err = gpu.OpenSession(e.config.opener(), gpu.Config{
			Driver: driver, Float32: e.config.Precision == PrecisionFP32, MaxBatchTokens: e.config.MaxBatchTokens,
			KeepWarm: e.config.KeepWarm, Tuning: e.config.tuningOf(),
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
