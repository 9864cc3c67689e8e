// Package engine scores pairs of texts with a cross-encoder: it opens a model, tokenises, packs batches without
// padding, runs them on a backend and turns logits into scores.
//
// A C compiler is needed. Tokenizers other than BERT's come from a library in Rust, which is linked with the build tag tokenizers:
// docs/go.md says how.
//
// It knows nothing of HTTP.
package engine

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/weights"
)

// Engine is one loaded model on one backend or on several replicas. Its methods may be called from several goroutines at
// once: their work is batched together.
type Engine struct {
	config     Config
	checkpoint *weights.Checkpoint
	tokenizer  *tokenizer
	tokens     *tokenCache // nil: none
	rate       tokenRate
	activation scoreActivation
	labels     []string
	info       Info // without Backend and Fallback, which may change
	badWeight  badWeight
	padding    padding
	prefixes   bool // sequences of the model may share a prefix, where the backend takes them

	gpu         ownGPU
	backendInfo atomic.Pointer[backend.Info] // of the backend that was opened last

	dispatcher *dispatcher
	owned      bool // the dispatcher has no other models
	queue      *schedule.Queue
	replicas   []*replica
	counters   Counters // guarded by the dispatcher's lock

	mu       sync.Mutex
	closed   bool           // guarded by mu
	calls    sync.WaitGroup // calls under way; Add only with mu held and closed false
	closing  sync.Once
	closeErr error // written in closing
}

// Open loads the model that config names. The caller closes the Engine.
func Open(ctx context.Context, config Config) (*Engine, error) {
	d := newDispatcher()
	e, err := openOn(ctx, config, d)
	if err != nil {
		d.close()
		return nil, err
	}
	e.owned = true
	e.attach(1)
	return e, nil
}

// openOn loads a model for the devices of d; attach then puts it on them.
func openOn(ctx context.Context, config Config, d *dispatcher) (*Engine, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config = config.WithDefaults()
	checkpoint, err := config.openCheckpoint()
	if err != nil {
		return nil, err
	}
	limits := schedule.Limits{
		BatchTokens: config.MaxBatchTokens, QueueTokens: config.MaxQueueTokens,
		QueueTime: config.MaxQueueTime, Requests: config.MaxConcurrentRequests, MaxWait: config.MaxWait,
	}
	prefixes, padding := false, padding{}
	if plan, err := checkpoint.Plan(); err == nil { // else load returns the error, if it finds no other first
		limits.Unit, limits.Pair = cost.PerToken(cost.ShapeOf(plan))
		prefixes, padding = plan.Prefixes(), newPadding(plan, checkpoint.Config())
	}
	e := &Engine{
		config: config, checkpoint: checkpoint, labels: checkpoint.Config().Labels, prefixes: prefixes, padding: padding, dispatcher: d,
		tokens: newTokenCache(config.TokenCacheBytes), queue: schedule.NewQueue(limits),
	}
	if err := e.load(ctx); err != nil {
		return nil, errors.Join(err, e.release())
	}
	return e, nil
}

// attach gives a loaded model its share of the devices, by weight.
func (e *Engine) attach(weight float64) {
	for _, r := range e.replicas {
		e.dispatcher.attach(r, weight)
	}
}

func (c *Config) openCheckpoint() (*weights.Checkpoint, error) {
	switch {
	case c.Model != "":
		return weights.Open(filepath.Clean(c.Model))
	case c.Embedded != nil:
		return c.Embedded()
	}
	return nil, wrong("Model", c.Model, "a checkpoint folder, where no model is Embedded")
}

func (e *Engine) load(ctx context.Context) error {
	var err error
	if e.activation, err = chooseActivation(e.checkpoint.Config()); err != nil {
		return err
	}
	if e.tokenizer, err = openTokenizer(e.checkpoint, e.config.SpecialTokensAsText); err != nil {
		return err
	}
	if p := e.tokenizer.prompt; e.config.Instruction != "" && (p == nil || p.words.Instruct == nil) {
		return wrong("Instruction", e.config.Instruction, "none: the model has no place for one in the text that it was trained with")
	}
	if most := e.tokenizer.maxLength; e.config.MaxLength == 0 {
		e.config.MaxLength = e.tokenizer.usual
	} else if e.config.MaxLength > most {
		return wrong("MaxLength", e.config.MaxLength, "at most %d, which the checkpoint takes", most)
	}
	if err := e.checkPromptLength(ctx); err != nil {
		return err
	}
	for i := range e.config.Replicas {
		r := &replica{engine: e, queue: e.queue, open: e.openBackend, index: i, closing: make(chan struct{})}
		if r.backend, err = r.open(ctx); err != nil {
			return err
		}
		r.describe()
		e.replicas = append(e.replicas, r)
	}
	if err := e.tryPairs(ctx, e.replicas[0].backend); err != nil {
		return err
	}
	e.info = e.describe()
	// If the files changed while they were read, the model may be a mix of two.
	return e.checkpoint.Changed()
}

// Close refuses new calls, waits for those under way, then frees everything that Open loaded. It may be called more than
// once.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.closing.Do(func() {
		e.calls.Wait()
		for _, r := range e.replicas {
			e.dispatcher.detach(r)
		}
		if e.owned {
			e.dispatcher.close()
		}
		e.closeErr = e.release()
	})
	return e.closeErr
}

// release frees everything that load opened, in reverse order; load may have stopped part way.
func (e *Engine) release() error {
	var errs []error
	for _, r := range e.replicas {
		errs = append(errs, closeBackend(r.backend))
	}
	errs = append(errs, e.gpu.close())
	if e.tokenizer != nil {
		errs = append(errs, e.tokenizer.close())
	}
	return errors.Join(append(errs, e.checkpoint.Close())...)
}

// hold registers a call, so that Close waits for it; the caller calls e.calls.Done.
func (e *Engine) hold() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.calls.Add(1)
	return nil
}

// enter is hold for a scoring call; it also counts the call and reserves its expected tokens. The caller calls exit.
func (e *Engine) enter(client string, expected int) error {
	if err := e.hold(); err != nil {
		return err
	}
	e.dispatcher.mu.Lock()
	err := e.queue.Enter()
	if err == nil {
		if err = e.queue.Reserve(client, expected); err != nil {
			e.queue.Leave()
		}
	}
	if err != nil {
		e.counters.Refused++
	}
	e.dispatcher.mu.Unlock()
	if err != nil {
		e.calls.Done()
	}
	return err
}

// Full returns an *OverloadError if any scoring call of the client would be refused now. It lets a server refuse a request
// before reading it.
func (e *Engine) Full(client string) error {
	e.dispatcher.mu.Lock()
	defer e.dispatcher.mu.Unlock()
	err := e.queue.Full(client)
	if err != nil {
		e.counters.Refused++
	}
	return err
}

// exit undoes one successful enter, and counts the call by its error err.
func (e *Engine) exit(err error) {
	e.dispatcher.mu.Lock()
	e.queue.Leave()
	switch {
	case err == nil:
		e.counters.Requests++
	case errors.Is(err, ErrBackend) || errors.Is(err, ErrTokenizer):
		e.counters.Failed++
	}
	e.dispatcher.mu.Unlock()
	e.calls.Done()
}

// Check returns the error that Open would return for a checkpoint on any backend: missing tensors, a tokenizer that is not
// supported. The caller keeps the checkpoint.
func Check(checkpoint *weights.Checkpoint) error {
	if _, err := chooseActivation(checkpoint.Config()); err != nil {
		return err
	}
	t, err := openTokenizer(checkpoint, false)
	if err != nil {
		return err
	}
	_, err = checkpoint.Plan()
	return errors.Join(err, t.close())
}
