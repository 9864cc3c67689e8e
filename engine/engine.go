// Package engine scores pairs of texts with a cross-encoder: it opens a model, tokenises, packs batches without
// padding, runs them on a backend and turns logits into scores.
//
// It knows nothing of HTTP.
package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
)

// Engine is one loaded model on one backend. Its methods may be called from several goroutines at once.
type Engine struct {
	config     Config
	checkpoint *weights.Checkpoint
	tokenizer  *tokenizer
	backend    backend.Backend
	activation scoreActivation
	labels     []string
	info       Info
	forwards   chan struct{} // a place for each Forward call that may usefully overlap

	mu       sync.Mutex
	closed   bool           // guarded by mu
	calls    sync.WaitGroup // calls under way; Add only with mu held and closed false
	closing  sync.Once
	closeErr error // written in closing
}

// Open loads the model that config names. The caller closes the Engine.
func Open(ctx context.Context, config Config) (*Engine, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if config.MaxBatchTokens == 0 {
		config.MaxBatchTokens = defaultMaxBatchTokens
	}
	checkpoint, err := openCheckpoint(config.Model)
	if err != nil {
		return nil, err
	}
	e := &Engine{config: config, checkpoint: checkpoint, labels: checkpoint.Config().Labels}
	if err := e.load(); err != nil {
		return nil, errors.Join(err, e.release())
	}
	return e, nil
}

func openCheckpoint(model string) (*weights.Checkpoint, error) {
	if model == "" {
		return builtin.Open()
	}
	return weights.Open(filepath.Clean(model))
}

func (e *Engine) load() error {
	var err error
	if e.activation, err = chooseActivation(e.checkpoint.Config()); err != nil {
		return err
	}
	if e.tokenizer, err = openTokenizer(e.checkpoint, e.config.SpecialTokensAsText); err != nil {
		return err
	}
	if most := e.tokenizer.maxLength; e.config.MaxLength == 0 {
		e.config.MaxLength = most
	} else if e.config.MaxLength > most {
		return fmt.Errorf("engine: MaxLength is %d, the checkpoint takes %d", e.config.MaxLength, most)
	}
	if e.backend, err = e.openBackend(); err != nil {
		return err
	}
	e.forwards = make(chan struct{}, max(e.backend.Info().Overlap, 1))
	e.info = e.describe()
	return nil
}

func (e *Engine) openBackend() (backend.Backend, error) {
	if e.config.Backend == BackendReference {
		return opened(reference.New(e.checkpoint))
	}
	return opened(cpu.New(e.checkpoint, cpu.Options{Precision: cpu.Precision(e.config.Precision)}))
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B backend.Backend](b B, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Close refuses new calls, waits for those under way, then frees what Open loaded. It may be called more than once.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.closing.Do(func() {
		e.calls.Wait()
		e.closeErr = e.release()
	})
	return e.closeErr
}

// release frees in reverse order of load, whatever of it was reached.
func (e *Engine) release() error {
	var errs []error
	if e.backend != nil {
		errs = append(errs, e.backend.Close())
	}
	if e.tokenizer != nil {
		errs = append(errs, e.tokenizer.close())
	}
	return errors.Join(append(errs, e.checkpoint.Close())...)
}

// enter registers a call, so that Close waits for it; the caller calls e.calls.Done.
func (e *Engine) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.calls.Add(1)
	return nil
}
