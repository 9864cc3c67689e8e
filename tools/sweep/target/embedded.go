package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
)

// embedded is the engine in this process. Its instances are models of one pool, asked in turns.
type embedded struct {
	pool   *engine.Pool
	models []*engine.Model
	turn   atomic.Uint64
	system record.System
	folder string // of converted weights; "" where there are none
}

// plan is the way to a dtype on a backend: the arithmetic, and a conversion of the weights before.
type plan struct {
	precision string
	convert   *convert.Options
	detail    string
}

// planFor returns the plan for a dtype on a backend. GPUs multiply fp16 by weights of 8 or 4 bits, as MLX does. The CPU
// has int8 kernels for int8; fp16 and int4 there are types of weights.
func planFor(backend, dtype string) (plan, error) {
	fp16 := &convert.Options{Float: weights.F16}
	int4 := &convert.Options{Bits: 4}
	switch gpu := backend == engine.BackendMetal || backend == engine.BackendSim; {
	case backend == engine.BackendReference:
		return plan{detail: "float64 whatever the dtype"}, nil
	case gpu && dtype == "fp32":
		return plan{precision: engine.PrecisionFP32}, nil
	case gpu && dtype == "fp16":
		return plan{precision: engine.PrecisionFP16}, nil
	case gpu && dtype == "int8":
		return plan{precision: engine.PrecisionFP16, convert: &convert.Options{Bits: 8}, detail: "weights int8 in groups of 64"}, nil
	case gpu && dtype == "int4":
		return plan{precision: engine.PrecisionFP16, convert: int4, detail: "weights int4 in groups of 64"}, nil
	case gpu:
		return plan{}, fmt.Errorf("the backend %s has no %s", backend, dtype)
	case dtype == "fp16":
		return plan{precision: engine.PrecisionFP32, convert: fp16, detail: "weights rounded to fp16, arithmetic fp32"}, nil
	case dtype == "int4":
		return plan{precision: engine.PrecisionInt8, convert: int4, detail: "weights int4 in groups of 64, arithmetic int8"}, nil
	}
	return plan{precision: dtype}, nil
}

func openEmbedded(ctx context.Context, o Options) (_ Target, err error) {
	how, err := planFor(o.Backend, o.DType)
	if err != nil {
		return nil, err
	}
	e := &embedded{pool: engine.NewPool(), system: o.Describe()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	checkpoint, err := openCheckpoint(o.Model)
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	if e.system.Hash, err = hashWeights(checkpoint); err != nil {
		return nil, err
	}
	config := engine.Config{
		Model: o.Model, Embedded: builtin.Open, Backend: o.Backend, Precision: how.precision, MaxLength: o.MaxLength,
		MaxConcurrentRequests: 1 << 20, MaxQueueTokens: 1 << 40, // so high that no request of a sweep is refused
	}
	if o.Batching.On {
		config.MaxBatchTokens = o.Batching.MaxTokens
		config.MaxWait = time.Duration(o.Batching.WaitMS * float64(time.Millisecond))
	}
	if how.convert != nil {
		if e.folder, err = os.MkdirTemp("", "sweep-"); err != nil {
			return nil, err
		}
		config.Model = filepath.Join(e.folder, "model")
		if err := convert.Folder(ctx, checkpoint, config.Model, *how.convert); err != nil {
			return nil, fmt.Errorf("converting the model to %s: %w", o.DType, err)
		}
	}
	for i := range e.system.Instances {
		m, err := e.pool.Load(ctx, strconv.Itoa(i), engine.ModelConfig{Config: config})
		if err != nil {
			return nil, err
		}
		e.models = append(e.models, m)
	}
	e.describe(o, how)
	return e, nil
}

// describe fills in e.system from the engine's Info.
func (e *embedded) describe(o Options, how plan) {
	info := e.models[0].Info()
	e.system.Device, e.system.MaxLength, e.system.Model = info.Backend.Name, info.MaxLength, info.Model
	if o.Model == "" {
		e.system.Model = builtin.Name
	}
	e.system.Detail = info.Backend.DType + "; " + info.Backend.Device
	if how.detail != "" {
		e.system.Detail = how.detail + "; " + e.system.Detail
	}
}

func openCheckpoint(model string) (*weights.Checkpoint, error) {
	if model == "" {
		return builtin.Open()
	}
	return weights.Open(model)
}

func (e *embedded) Score(ctx context.Context, query string, documents []string) ([]float64, error) {
	return e.score(ctx, query, documents, engine.Options{})
}

func (e *embedded) Raw(ctx context.Context, query string, documents []string) ([]float64, bool, error) {
	logits, err := e.score(ctx, query, documents, engine.Options{RawScores: true})
	return logits, true, err
}

func (e *embedded) score(ctx context.Context, query string, documents []string, o engine.Options) ([]float64, error) {
	m := e.models[e.turn.Add(1)%uint64(len(e.models))]
	ranking, err := m.Rerank(ctx, query, documents, o)
	if err != nil {
		return nil, err
	}
	scores := make([]float64, len(documents))
	for _, r := range ranking.Results {
		scores[r.Index] = r.Score
	}
	return scores, nil
}

func (e *embedded) System() record.System { return e.system }

func (e *embedded) Close() error {
	err := e.pool.Close()
	if e.folder != "" {
		err = errors.Join(err, os.RemoveAll(e.folder))
	}
	return err
}
