package doctor

import (
	"slices"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// Pipeline describes a kernel as a device compiled it.
type Pipeline struct {
	Kernel      string  `json:"kernel"`
	Specialised int     `json:"specialised"`              // how often, each time with other function constants
	MaxThreads  int     `json:"max_threads"`              // in a threadgroup: the least of them
	Width       int     `json:"execution_width"`          // threads in a SIMD-group
	MemoryBytes int     `json:"threadgroup_memory_bytes"` // static: the most of them
	Precompiled bool    `json:"precompiled,omitempty"`    // from a metallib, else from source
	CompileMS   float64 `json:"compile_ms"`               // of all of them
	LongestMS   float64 `json:"longest_compile_ms"`
}

// Source is a file that a device compiled or loaded.
type Source struct {
	File      string  `json:"file"`
	CompileMS float64 `json:"compile_ms"`
}

// observed is a device that records the libraries and pipelines that it compiles. Like a selftest.Watched, it belongs to one goroutine.
type observed struct {
	metal.Device

	config    *Config
	simulated bool // its pipelines say nothing about a GPU's
	sources   []Source
	pipelines []Pipeline
}

// NewLibrary implements metal.Device.
func (o *observed) NewLibrary(source metal.Source) (metal.Library, error) {
	o.config.logf("compiling %s", source.Name)
	begin := time.Now()
	library, err := o.Device.NewLibrary(source)
	if err != nil {
		return nil, err
	}
	if !o.simulated {
		o.sources = append(o.sources, Source{source.Name, milliseconds(time.Since(begin))})
	}
	return observedLibrary{library, o}, nil
}

type observedLibrary struct {
	metal.Library

	device *observed
}

// Pipeline implements metal.Library.
func (l observedLibrary) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	begin := time.Now()
	pipeline, err := l.Library.Pipeline(kernel, constants...)
	if err == nil {
		l.device.add(pipeline.Info(), milliseconds(time.Since(begin)))
	}
	return pipeline, err
}

func (o *observed) add(info metal.PipelineInfo, ms float64) {
	if o.simulated {
		return
	}
	o.config.logf("%s: %d threads, execution width %d, %d bytes of threadgroup memory, %.1f ms",
		info.Kernel, info.MaxThreads, info.SIMDWidth, info.ThreadgroupMemoryBytes, ms)
	i := slices.IndexFunc(o.pipelines, func(p Pipeline) bool { return p.Kernel == info.Kernel })
	if i < 0 {
		i = len(o.pipelines)
		o.pipelines = append(o.pipelines, Pipeline{
			Kernel: info.Kernel, MaxThreads: info.MaxThreads, Width: info.SIMDWidth, Precompiled: info.Precompiled,
		})
	}
	p := &o.pipelines[i]
	p.Specialised++
	p.MaxThreads, p.MemoryBytes = min(p.MaxThreads, info.MaxThreads), max(p.MemoryBytes, info.ThreadgroupMemoryBytes)
	p.CompileMS, p.LongestMS = p.CompileMS+ms, max(p.LongestMS, ms)
}

func milliseconds(d time.Duration) float64 { return 1e3 * d.Seconds() }
