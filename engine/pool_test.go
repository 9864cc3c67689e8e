package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// poolOf returns a pool that the test closes, with nothing left running.
func poolOf(t *testing.T) *Pool {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	p := NewPool()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, leaks)
	})
	return p
}

func tinyModel(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "tiny")
	if err := weightstest.Write(folder, weightstest.Tiny()); err != nil {
		t.Fatal(err)
	}
	return folder
}

// serial is a device that takes a while for each token, one batch at a time.
type serial struct {
	backend.Backend
	device   chan struct{} // has room for one; a mutex would stop synctest's clock
	perToken time.Duration
}

func (s serial) Forward(_ context.Context, b *backend.Batch, out []float32) error {
	s.device <- struct{}{}
	defer func() { <-s.device }()
	time.Sleep(time.Duration(b.Tokens()) * s.perToken)
	for i := range out {
		out[i] = hash(b.IDs[b.Starts[i]:b.Starts[i+1]])
	}
	return nil
}

// Two models, one of which costs four times the other, share a device by weight when both have more work than it can do.
func TestModelsShareDevices(t *testing.T) {
	for _, weights := range [][2]float64{{1, 1}, {3, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testShare(t, weights) })
		})
	}
}

func testShare(t *testing.T, weights [2]float64) {
	t.Helper()
	p := poolOf(t)
	device := make(chan struct{}, 1)
	names := [2]string{"tiny", "large"} // the first name is the checkpoint's
	for i, name := range names {
		perToken := []time.Duration{2 * time.Microsecond, 8 * time.Microsecond}[i]
		config := ModelConfig{Weight: weights[i], Config: Config{
			Model: tinyModel(t), MaxBatchTokens: 512,
			wrap: wrapped(func(b backend.Backend) backend.Backend { return serial{b, device, perToken} }),
		}}
		if i == 0 {
			config.Weight, config.Weights, name = 0, map[string]float64{"tiny": weights[0], "another": 16}, ""
		}
		if _, err := p.Load(t.Context(), name, config); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Second, cancel)
	var calls sync.WaitGroup
	for i := range 16 {
		m, _ := p.Model(names[i%2])
		calls.Go(func() {
			for ctx.Err() == nil {
				if _, err := m.Score(ctx, mixedPairs(40), raw); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	var busy [2]float64
	for i, name := range names {
		m, _ := p.Model(name)
		counters, _ := m.Counters()
		busy[i] = counters.Busy.Seconds()
	}
	got, want := busy[0]/(busy[0]+busy[1]), weights[0]/(weights[0]+weights[1])
	if math.Abs(got-want) > 0.05*want {
		t.Errorf("weights %v: the first has %.3f of the time, want %.3f", weights, got, want)
	}
	t.Logf("weights %v: the first has %.4f of %.2f s", weights, got, busy[0]+busy[1])
}

// Models are swapped, unloaded and loaded under fire: no call fails but those to a name that is not there.
func TestSwapUnderFire(t *testing.T) {
	p := poolOf(t)
	config := ModelConfig{Config: Config{Model: tinyModel(t), wrap: wrapped(func(b backend.Backend) backend.Backend { return hashing{b, nil} })}}
	for _, name := range []string{"stays", "goes"} {
		if _, err := p.Load(t.Context(), name, config); err != nil {
			t.Fatal(err)
		}
	}
	stays, _ := p.Model("stays")
	pairs := mixedPairs(7)
	want, err := stays.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	var scored, absent atomic.Int64
	for i := range 8 {
		name := []string{"stays", "goes"}[i%2]
		calls.Go(func() {
			for ctx.Err() == nil {
				m, ok := p.Model(name)
				if !ok {
					absent.Add(1)
					continue
				}
				got, err := m.Score(context.Background(), pairs, raw)
				switch {
				case errors.Is(err, ErrNoModel) && name == "goes":
					absent.Add(1)
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case !slices.Equal(got.Values, want.Values):
					t.Errorf("%s: scores %v, want %v", name, got.Values, want.Values)
				default:
					scored.Add(1)
				}
			}
		})
	}
	for round := 0; round < 10 || scored.Load() == 0 || absent.Load() == 0; round++ {
		_, err1 := p.Load(t.Context(), "stays", config)
		err2 := p.Unload("goes")
		_, err3 := p.Load(t.Context(), "goes", config)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
		}
	}
	cancel()
	calls.Wait()
	if got := p.Names(); !slices.Equal(got, []string{"goes", "stays"}) {
		t.Errorf("names %v", got)
	}
}

func TestIdleModelIsUnloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idleAfter = time.Minute
		p := poolOf(t)
		config := ModelConfig{Config: Config{Model: tinyModel(t)}, IdleAfter: idleAfter}
		if _, err := p.Load(t.Context(), "m", config); err != nil {
			t.Fatal(err)
		}
		m, _ := p.Model("m")
		for range 2 {
			time.Sleep(idleAfter / 3)
			synctest.Wait()
			if _, loaded := m.Counters(); !loaded {
				t.Error("it is unloaded too soon")
			}
			time.Sleep(2 * idleAfter)
			synctest.Wait()
			if _, loaded := m.Counters(); loaded {
				t.Error("it is not unloaded")
			}
			if _, err := m.Score(t.Context(), mixedPairs(3), raw); err != nil {
				t.Fatal(err)
			}
			if _, loaded := m.Counters(); !loaded {
				t.Error("it scores without being loaded")
			}
		}
	})
}

// TestIdleModelOfOtherFiles: a model that is loaded again is that of its files by then, or returns an error if they can't
// be loaded.
func TestIdleModelOfOtherFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idleAfter = time.Minute
		p := poolOf(t)
		folder := tinyModel(t)
		config := ModelConfig{Config: Config{Model: folder}, IdleAfter: idleAfter}
		m, err := p.Load(t.Context(), "m", config)
		if err != nil {
			t.Fatal(err)
		}
		idle := func() {
			t.Helper()
			time.Sleep(3 * idleAfter)
			synctest.Wait()
			if _, loaded := m.Counters(); loaded {
				t.Error("it is not unloaded")
			}
		}
		ready := func(changed bool, want error) {
			t.Helper()
			if err := m.Changed(); errors.Is(err, weights.ErrChanged) != changed {
				t.Errorf("Changed: %v", err)
			}
			if err := m.Ready(); !errors.Is(err, want) {
				t.Errorf("Ready: %v, want %v", err, want)
			}
		}
		ready(false, nil)

		other := weightstest.Tiny()
		other.Labels, other.LabelNames, other.Layers = 3, []string{"a", "b", "c"}, other.Layers+1
		put := func() {
			t.Helper()
			if err := weightstest.Write(folder, other); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		ready(true, nil) // loaded, it needs no files
		idle()
		ready(true, ErrReload)
		ready(true, fs.ErrNotExist)
		if _, err := m.Score(t.Context(), mixedPairs(3), raw); !errors.Is(err, ErrReload) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without files: %v", err)
		}
		put()
		ready(true, nil)
		scores, err := m.Score(t.Context(), mixedPairs(3), raw)
		if err != nil || len(scores.Labels) != 3 {
			t.Fatal(scores, err)
		}
		if info := m.Info(); len(info.Labels) != 3 || info.Config.Layers != other.Layers {
			t.Errorf("%d labels and %d layers are shown, of the files before", len(info.Labels), info.Config.Layers)
		}
		ready(false, nil)

		idle()
		if err := os.Truncate(filepath.Join(folder, "model.safetensors"), 100); err != nil {
			t.Fatal(err)
		}
		ready(true, ErrReload)
	})
}

func TestPoolErrors(t *testing.T) {
	p := poolOf(t)
	if err := p.Unload("none"); !errors.Is(err, ErrNoModel) {
		t.Errorf("unloading what isn't there: %v", err)
	}
	for _, config := range []ModelConfig{
		{Weight: 17}, {Weight: -1}, {Weights: map[string]float64{"x": 17}}, {Weight: math.NaN()}, {IdleAfter: -1}, {Config: Config{Replicas: 65}},
		{Config: Config{Model: filepath.Join(t.TempDir(), "none")}},
	} {
		if _, err := p.Load(t.Context(), "m", config); err == nil {
			t.Errorf("%+v was loaded", config)
		}
	}
	config := ModelConfig{Config: Config{Model: tinyModel(t)}}
	if _, err := p.Load(t.Context(), "m", config); err != nil {
		t.Fatal(err)
	}
	m, _ := p.Model("m")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Score(t.Context(), mixedPairs(1), raw); !errors.Is(err, ErrNoModel) {
		t.Errorf("scoring in a closed pool: %v", err)
	}
	if _, err := p.Load(t.Context(), "m", config); !errors.Is(err, ErrClosed) {
		t.Errorf("loading into a closed pool: %v", err)
	}
}

// A model that is being loaded when its pool closes is not served, and its dispatcher stays open until then.
func TestCloseWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolOf(t)
		closed := make(chan error, 1)
		config := ModelConfig{Config: Config{Model: tinyModel(t), wrap: wrapped(func(b backend.Backend) backend.Backend {
			go func() { closed <- p.Close() }()
			synctest.Wait() // until it waits
			if p.beginLoading() {
				p.loading.Done()
				t.Error("the pool does not close")
			}
			select {
			case err := <-closed:
				t.Errorf("closed, with %v, while a model was being loaded", err)
			default:
			}
			return hashing{b, nil}
		})}}
		if _, err := p.Load(t.Context(), "m", config); !errors.Is(err, ErrClosed) {
			t.Errorf("loading while the pool closes: %v", err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
