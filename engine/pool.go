package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metalrank/metalrank/weights"
)

// Pool serves several models by name. They share the devices: each gets its share of the time, by weight, however much the
// others have queued. Its methods, and those of its Models, may be called from several goroutines at once.
type Pool struct {
	dispatcher *dispatcher
	loading    sync.WaitGroup // calls of Load, which begin under mu

	mu     sync.Mutex
	models map[string]*Model // guarded by mu
	closed bool              // guarded by mu
}

// ModelConfig is a model's place in a Pool.
type ModelConfig struct {
	Config
	// Weight is the model's share of device time relative to others that wait. 0: that of its name in Weights, or 1.
	// Bounds: 1/16 to 16.
	Weight float64
	// Weights holds weights by model name, for models that are named by their checkpoints.
	Weights map[string]float64
	// IdleAfter is the idle time after which the model is unloaded (0: never); the next call loads it again and waits for
	// that.
	IdleAfter time.Duration
}

func (c *ModelConfig) validate() error {
	for _, weight := range append(slices.Collect(maps.Values(c.Weights)), cmp.Or(c.Weight, 1)) {
		if !(weight >= 1./maxWeight && weight <= maxWeight) {
			return &ValueError{Field: "Weight", Value: weight, Min: 1. / maxWeight, Max: maxWeight}
		}
	}
	if c.IdleAfter < 0 {
		return fmt.Errorf("engine: IdleAfter is %v, want 0 (never) or more", c.IdleAfter)
	}
	return c.Config.Validate()
}

// ErrNoModel is returned by the methods of a Model that was unloaded, and by Unload for a name that isn't there.
var ErrNoModel = errors.New("engine: no such model")

// ErrReload marks a model that was unloaded for being idle and can't be loaded again.
var ErrReload = errors.New("engine: the model can't be loaded again")

// NewPool returns a Pool without models. The caller closes it.
func NewPool() *Pool {
	return &Pool{dispatcher: newDispatcher(), models: map[string]*Model{}}
}

// Load serves a model under a name; an empty name stands for Info.Model. A model already served under that name goes on
// until the new one is ready, then finishes the calls that it has accepted: the swap makes no call fail.
func (p *Pool) Load(ctx context.Context, name string, config ModelConfig) (*Model, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if !p.beginLoading() {
		return nil, ErrClosed
	}
	defer p.loading.Done()
	e, err := openOn(ctx, config.Config, p.dispatcher)
	if err != nil {
		return nil, err
	}
	name = cmp.Or(name, e.info.Model)
	config.Weight = cmp.Or(config.Weight, config.Weights[name])
	e.attach(config.Weight)
	for {
		m, placed, err := p.place(name, e, &config)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		if placed {
			return m, nil
		}
		if old, ok := m.replaceEngine(e, &config); ok {
			return m, closeEngine(old)
		}
		// The old model was unloaded meanwhile, and the name is free.
	}
}

// beginLoading says whether the pool is open. If so, its dispatcher stays until loading is done.
func (p *Pool) beginLoading() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.loading.Add(1)
	}
	return !p.closed
}

// place serves e under a name that is free; otherwise it returns the model that has the name, and placed is false.
func (p *Pool) place(name string, e *Engine, config *ModelConfig) (m *Model, placed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, ErrClosed
	}
	if m := p.models[name]; m != nil {
		return m, false, nil
	}
	m = &Model{pool: p, name: name, turn: make(chan struct{}, 1)}
	m.replaceEngine(e, config)
	p.models[name] = m
	return m, true, nil
}

// closeEngine closes e, if it isn't nil.
func closeEngine(e *Engine) error {
	if e == nil {
		return nil
	}
	return e.Close()
}

// Unload stops serving a name. It returns when all accepted calls are answered and the memory is freed.
func (p *Pool) Unload(name string) error {
	p.mu.Lock()
	m := p.models[name]
	delete(p.models, name)
	p.mu.Unlock()
	if m == nil {
		return fmt.Errorf("%w: %q", ErrNoModel, name)
	}
	return m.unload()
}

// Model returns the model served under a name.
func (p *Pool) Model(name string) (*Model, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.models[name]
	return m, ok
}

// Names returns the names of the models served, sorted.
func (p *Pool) Names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.models))
}

// Close unloads every model, as Unload does, and waits for running calls of Load, which fail. It may be called more than
// once.
func (p *Pool) Close() error {
	p.mu.Lock()
	wasClosed := p.closed
	p.closed = true
	models := slices.Collect(maps.Values(p.models))
	clear(p.models)
	p.mu.Unlock()
	var errs []error
	for _, m := range models {
		errs = append(errs, m.unload())
	}
	if !wasClosed {
		p.loading.Wait()
		p.dispatcher.close()
	}
	return errors.Join(errs...)
}

// Model is a name in a Pool. The engine behind it may be swapped, unloaded and loaded again.
type Model struct {
	pool *Pool
	name string

	turn    chan struct{}          // held to change the fields below, except asked; has room for one
	current atomic.Pointer[Engine] // nil while it is unloaded
	config  ModelConfig            // guarded by turn
	gone    atomic.Bool            // unloaded for good
	last    atomic.Pointer[loaded] // of the current engine, or of the last one
	asked   atomic.Int64           // when it was last called or replaced, on the dispatcher's clock
	idle    *time.Timer            // guarded by turn; nil: never unloaded
}

// loaded is the data kept about an engine after it is closed.
type loaded struct {
	config     Config
	info       Info
	checkpoint *weights.Checkpoint
}

func loadedOf(e *Engine) *loaded { return &loaded{e.config, e.Info(), e.checkpoint} }

// Name is the name that the model is served under.
func (m *Model) Name() string { return m.name }

// Score is Engine.Score; it returns ErrNoModel after Unload.
func (m *Model) Score(ctx context.Context, pairs []Pair, options Options) (scores *Scores, err error) {
	err = m.do(ctx, func(e *Engine) (err error) { scores, err = e.Score(ctx, pairs, options); return err })
	return scores, err
}

// Rerank is Engine.Rerank; it returns ErrNoModel after Unload.
func (m *Model) Rerank(ctx context.Context, query string, documents []string, options Options) (ranking *Ranking, err error) {
	err = m.do(ctx, func(e *Engine) (err error) { ranking, err = e.Rerank(ctx, query, documents, options); return err })
	return ranking, err
}

// Tokenize is Engine.Tokenize; it returns ErrNoModel after Unload.
func (m *Model) Tokenize(ctx context.Context, text string, specialTokens bool, options Options) (tokens []Token, err error) {
	err = m.do(ctx, func(e *Engine) (err error) { tokens, err = e.Tokenize(ctx, text, specialTokens, options); return err })
	return tokens, err
}

// Full is Engine.Full; a model unloaded for being idle is never full.
func (m *Model) Full(client string) error {
	if e := m.current.Load(); e != nil {
		return e.Full(client)
	}
	return nil
}

// Info describes the loaded engine, or the last one if none is loaded.
func (m *Model) Info() Info {
	if e := m.current.Load(); e != nil {
		return e.Info()
	}
	return m.last.Load().info
}

// Changed returns an error that names the first file of the loaded engine, or of the last one, that is no longer on disk as
// it was read. A loaded engine stays as it was.
func (m *Model) Changed() error { return m.last.Load().checkpoint.Changed() }

// Ready returns an error if no request can be answered: ErrUnavailable while no backend can be opened again, and ErrReload
// if the model is unloaded for being idle and can't be loaded again from its files.
func (m *Model) Ready() error {
	if e := m.current.Load(); e != nil {
		return e.Ready()
	}
	if m.Changed() == nil {
		return nil
	}
	config := m.last.Load().config
	checkpoint, err := config.openCheckpoint()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReload, err)
	}
	if _, err = checkpoint.Plan(); err != nil {
		err = fmt.Errorf("%w: %w", ErrReload, err)
	}
	return errors.Join(err, checkpoint.Close())
}

// Counters are those of the loaded engine; loaded is false if there is none.
func (m *Model) Counters() (counters Counters, loaded bool) {
	e := m.current.Load()
	if e == nil {
		return Counters{}, false
	}
	return e.Counters(), true
}

// do calls f with the loaded engine. If that is closed meanwhile, f has done nothing, and do calls it again with the next.
func (m *Model) do(ctx context.Context, f func(*Engine) error) error {
	m.asked.Store(int64(m.pool.dispatcher.now()))
	for {
		e, err := m.engine(ctx)
		if err != nil {
			return err
		}
		if err := f(e); !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// engine returns the loaded engine, and loads it again if it was unloaded for being idle.
func (m *Model) engine(ctx context.Context) (*Engine, error) {
	if e := m.current.Load(); e != nil {
		return e, nil
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.gone.Load() {
		return nil, fmt.Errorf("%w: %q", ErrNoModel, m.name)
	}
	if e := m.current.Load(); e != nil { // another call has loaded it
		return e, nil
	}
	e, err := openOn(ctx, m.config.Config, m.pool.dispatcher)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrReload, err)
		}
		return nil, err
	}
	e.attach(m.config.Weight)
	m.last.Store(loadedOf(e)) // the files may have changed since the last load
	m.current.Store(e)
	m.watch()
	return e, nil
}

// replaceEngine serves e and returns the engine served before, which may be nil. It does nothing for a model that is
// unloaded for good.
func (m *Model) replaceEngine(e *Engine, config *ModelConfig) (old *Engine, ok bool) {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	if m.gone.Load() {
		return nil, false
	}
	m.config = *config
	m.asked.Store(int64(m.pool.dispatcher.now()))
	m.last.Store(loadedOf(e))
	old = m.current.Swap(e)
	m.watch()
	return old, true
}

func (m *Model) unload() error {
	m.turn <- struct{}{}
	m.gone.Store(true)
	if m.idle != nil {
		m.idle.Stop()
	}
	old := m.current.Swap(nil)
	<-m.turn
	return closeEngine(old)
}

// watch starts the timer that unloads an idle model. The caller holds the turn.
func (m *Model) watch() {
	if m.idle != nil {
		m.idle.Stop()
		m.idle = nil
	}
	if m.config.IdleAfter > 0 {
		m.idle = time.AfterFunc(m.config.IdleAfter, m.unloadIfIdle)
	}
}

// unloadIfIdle unloads the model if it has been idle for long enough, and looks again later if not.
func (m *Model) unloadIfIdle() {
	m.turn <- struct{}{}
	e := m.current.Load()
	if m.gone.Load() || e == nil || m.idle == nil {
		<-m.turn
		return
	}
	since := m.pool.dispatcher.now() - time.Duration(m.asked.Load())
	if left := m.config.IdleAfter - since; left > 0 || e.Counters().UnderWay > 0 {
		m.idle.Reset(max(left, m.config.IdleAfter/4, time.Millisecond))
		<-m.turn
		return
	}
	m.current.Store(nil)
	<-m.turn
	_ = e.Close() // there is no caller to return the error to
}
