package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// faults are the faults of a device; the zero value has none.
type faults struct {
	opens    func() error              // the error of opening the device
	info     func(*metal.Info)         // changes its description
	source   func(*metal.Source)       // changes the kernels that its compiler gets
	library  func(*metal.Source) error // of its compiler
	pipeline func(kernel string) error
	list     func(*metal.CommandList) // changes the work that it does
	ends     func(list int64) error   // how work ends, instead of well; lists count from 1
	lists    atomic.Int64
	opened   atomic.Int64 // devices
	sources  atomic.Int64 // libraries that were compiled
}

// faulty is a simulator with faults.
type faulty struct {
	metal.Device
	*faults
}

func (d faulty) Info() metal.Info {
	info := d.Device.Info()
	if d.info != nil {
		d.info(&info)
	}
	return info
}

func (d faulty) NewLibrary(source metal.Source) (metal.Library, error) {
	d.sources.Add(1)
	if d.library != nil {
		if err := d.library(&source); err != nil {
			return nil, err
		}
	}
	if d.source != nil {
		d.source(&source)
	}
	library, err := d.Device.NewLibrary(source)
	if err == nil && d.pipeline != nil {
		library = refusing{library, d.pipeline}
	}
	return library, err
}

// refusing is a library with kernels that don't compile.
type refusing struct {
	metal.Library
	pipeline func(kernel string) error
}

func (l refusing) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	if err := l.pipeline(kernel); err != nil {
		return nil, err
	}
	return l.Library.Pipeline(kernel, constants...)
}

func (d faulty) Submit(list *metal.CommandList) (metal.Pending, error) {
	n := d.lists.Add(1)
	if d.list != nil {
		d.list(list)
	}
	pending, err := d.Device.Submit(list)
	if err == nil && d.ends != nil {
		pending = ending{pending, func() error { return d.ends(n) }}
	}
	return pending, err
}

// ending is work that ends with an error.
type ending struct {
	metal.Pending
	how func() error
}

func (e ending) Wait(ctx context.Context) (metal.Timing, error) {
	timing, err := e.Pending.Wait(ctx)
	if err == nil {
		err = e.how()
	}
	return timing, err
}

// config returns the configuration of a model of one layer on the device. f must not be used for two engines.
func (f *faults) config(t *testing.T, model, backend string) Config {
	t.Helper()
	return Config{Model: model, Backend: backend, OpenDevice: func(string) (metal.Device, error) {
		if f.opens != nil {
			if err := f.opens(); err != nil {
				return nil, err
			}
		}
		device, err := sim.Open(sim.Config{})
		if err != nil {
			return nil, err
		}
		f.opened.Add(1)
		return faulty{device, f}, nil
	}}
}

// swappedLanes makes a device of the simulator whose lanes hold the two elements of a matrix the other way round. To save time
// only two files are compiled for it.
func swappedLanes(source *metal.Source) {
	if source.Name != "head.metal" && source.Name != "lanes.metal" {
		return
	}
	source.Text = elements.ReplaceAllString(source.Text, "thread_elements()[1 - ($1)]")
}

var elements = regexp.MustCompile(`thread_elements\(\)\[(\w+)\]`)

// halfOfTerms makes one tile of the products sum over half of their terms.
func halfOfTerms(list *metal.CommandList) {
	for _, c := range list.Commands {
		if strings.HasPrefix(c.Pipeline.Info().Kernel, "gemm_f16_nt_8x") {
			k := list.Arguments[c.ArgumentsOffset+8:] // the third word of GemmArgs
			half := (int(k[0]) | int(k[1])<<8) / 2
			k[0], k[1] = byte(half), byte(half>>8)
		}
	}
}

// openFaults are faults that a device shows before it has answered a request.
var openFaults = []struct {
	name string
	faults
	want string // in the error, a regular expression
}{
	{"no device", faults{opens: func() error {
		return fmt.Errorf("%w: the system has no Metal device", metal.ErrNoDevice)
	}},
		"^metal: no device: the system has no Metal device$"},
	{"old family", faults{info: func(i *metal.Info) { i.Name, i.Families, i.Simulated = "Apple M0", []string{"apple6", "mac2"}, false }},
		`^metal: Apple M0 is not supported: its families are \[apple6 mac2\], and kernels need apple7`},
	{"virtual device", faults{info: func(i *metal.Info) {
		i.Name, i.Families, i.Simulated = "Apple Paravirtual device", []string{"mac2"}, false
	}}, "^metal: Apple Paravirtual device is not supported: a virtual machine's device has no SIMD-group matrices$"},
	{"compile error of a file", faults{source: func(s *metal.Source) {
		if s.Name == "attention.metal" {
			s.Text += "\n#line 1000 \"attention.metal\"\nkernel void broken() { nonsense }\n"
		}
	}}, "^metal: library: attention.metal:1000: .*nonsense"},
	{"compile error of one kernel", faults{pipeline: func(kernel string) error {
		if !strings.HasPrefix(kernel, "attention") {
			return nil
		}
		return &metal.CompileError{Kernel: kernel, Log: "Compiler encountered an internal error"}
	}}, "^metal: kernel attention_f16.*: Compiler encountered an internal error$"},
	{"exception", faults{library: func(s *metal.Source) error {
		if s.Name != "head.metal" {
			return nil
		}
		return &metal.CompileError{Log: "NSInvalidArgumentException: unrecognized selector"}
	}}, "^metal: library: NSInvalidArgumentException: unrecognized selector$"},
	{"wrong lane map", faults{source: swappedLanes}, "^engine: backend failed: simulator computes wrong scores: the logit of test pair 0, of .* tokens, " +
		"in a batch of .* tokens, is .* in float16; the CPU computes .*, and 0.0.* of difference is allowed: " +
		"its lanes hold other elements of a matrix than kernels expect, such as .*lane"},
	{"wrong result of one tile", faults{list: halfOfTerms}, "^engine: backend failed: simulator computes wrong scores: the logit of test pair .*; " +
		"`metalrank doctor` tests each kernel$"},
	{"timeout of every list", faults{ends: func(int64) error { return errTimeout }},
		"^engine: backend failed: a batch of .* tokens, to test the device: metal: execution failed: timeout: caused a GPU timeout; " +
			"before that, with the whole batch: metal: execution failed: timeout"},
	{"lost device", faults{ends: func(int64) error { return errRevoked }},
		"^engine: backend failed: a batch of .* tokens, to test the device: metal: execution failed: access revoked: ignored for prior errors$"},
}

var (
	errTimeout = &metal.ExecError{Code: 2, Reason: "timeout: caused a GPU timeout", Transient: true}
	errRevoked = &metal.ExecError{Code: 4, Reason: "access revoked: ignored for prior errors", Lost: true}
)

// faultModel is a small checkpoint with its logits on the CPU.
func faultModel(t *testing.T) (model string, want []float64) {
	t.Helper()
	simtest.Open(t, sim.Config{}) // or skip
	model = t.TempDir()
	spec := weightstest.MiniLM(1)
	spec.Hidden, spec.Heads, spec.FeedForward = 64, 2, 128
	if err := weightstest.Write(model, spec); err != nil {
		t.Fatal(err)
	}
	return model, scoresOf(t, openConfig(t, Config{Model: model, Backend: BackendCPU}))
}

var faultPairs = []Pair{{Query: "a", Document: "b c"}, {Query: "d", Document: "e"}, {Query: "f", Document: "g h i"}}

func scoresOf(t *testing.T, e *Engine) []float64 {
	t.Helper()
	scores, err := e.Score(t.Context(), faultPairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	return scores.Values
}

// TestOpenFaults: a device that can't be right is an error with backend "metal" and with "sim", and leads to the CPU with
// "auto", which says so.
func TestOpenFaults(t *testing.T) {
	model, want := faultModel(t)
	for i := range openFaults {
		c := &openFaults[i]
		pattern := regexp.MustCompile(c.want)
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.config(t, model, BackendMetal))
			if err == nil || !pattern.MatchString(err.Error()) {
				t.Fatalf("metal: error\n%v\nwant one that matches\n%s", err, c.want)
			}
			t.Logf("metal: %v", err)
			var told []error
			config := c.config(t, model, BackendAuto)
			config.OnFallback = func(err error) { told = append(told, err) }
			e := openConfig(t, config)
			info := e.Info()
			if info.Backend.Name != BackendCPU || !pattern.MatchString(info.Fallback) || len(told) != 1 || told[0].Error() != info.Fallback {
				t.Errorf("auto: backend %s, fallback %q, told %v, want the CPU with the reason, told once", info.Backend.Name, info.Fallback, told)
			}
			if got := scoresOf(t, e); !slices.Equal(got, want) {
				t.Errorf("auto: scores %v, want the CPU's %v", got, want)
			}
		})
	}
}

// TestNoFault: the same device without a fault is used.
func TestNoFault(t *testing.T) {
	model, want := faultModel(t)
	f := &faults{}
	config := f.config(t, model, BackendAuto)
	config.OnFallback = func(err error) { t.Errorf("left the GPU: %v", err) }
	e := openConfig(t, config)
	if info := e.Info(); info.Backend.Name != BackendMetal || info.Fallback != "" {
		t.Errorf("backend %s, fallback %q", info.Backend.Name, info.Fallback)
	}
	for i, got := range scoresOf(t, e) {
		if difference := got - want[i]; !(max(difference, -difference) <= halfTolerance) {
			t.Errorf("pair %d: logit %v, want %v", i, got, want[i])
		}
	}
}

// TestFallbackPrecision: an error of the configuration is none of the device, and fp16 becomes fp32 on the CPU.
func TestFallbackPrecision(t *testing.T) {
	model, want := faultModel(t)
	f := &faults{opens: func() error { return metal.ErrNoDevice }}
	config := f.config(t, model, BackendAuto)
	config.Precision = PrecisionInt8
	if _, err := Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), "Precision") {
		t.Errorf("int8 on a GPU: error %v, want one of Precision", err)
	}
	config.Precision = PrecisionFP16
	e := openConfig(t, config)
	if got := scoresOf(t, e); !slices.Equal(got, want) || e.Info().Backend.DType != "float32" {
		t.Errorf("fp16: scores %v in %s, want the CPU's %v in float32", got, e.Info().Backend.DType, want)
	}
}

// TestUnsupportedModel: a model with operations that there are no kernels for goes to the CPU, or is an error that names them,
// before a device is opened.
func TestUnsupportedModel(t *testing.T) {
	f, model, spec := &faults{}, t.TempDir(), weightstest.Tiny()
	spec.Hidden, spec.Heads = 132, 1
	if err := weightstest.Write(model, spec); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), f.config(t, model, BackendMetal))
	if _, ok := errors.AsType[*backend.UnsupportedError](err); !ok || !strings.Contains(err.Error(), "heads of 132 values") {
		t.Errorf("metal: error %v", err)
	}
	e := openConfig(t, f.config(t, model, BackendAuto))
	if info := e.Info(); info.Backend.Name != BackendCPU || info.Fallback != err.Error() {
		t.Errorf("auto: backend %s, fallback %q", info.Backend.Name, info.Fallback)
	}
	if n := f.opened.Load(); n != 0 {
		t.Errorf("%d devices were opened", n)
	}
}

// runFaults are faults that a device shows later. ends gets the number of the list since the engine was opened, from 1.
var runFaults = []struct {
	name     string
	ends     func(list int64) error
	absent   error             // from opening the device again
	backends map[string]string // by Config.Backend, the backend that answers at last; "": none does
	reopened uint64            // times that the backend was opened again, at least
	faults   int               // batches that ran again
	want     string            // in the error where none answers, or in the fallback
}{
	{"one timeout", only(1, errTimeout), nil, map[string]string{BackendAuto: BackendMetal, BackendMetal: BackendMetal}, 0, 0, ""},
	{"timeouts, in a half, too", upTo(3, errTimeout), nil, map[string]string{BackendAuto: BackendMetal, BackendMetal: BackendMetal}, 1, 1, ""},
	{"lost, and found", only(1, errRevoked), nil, map[string]string{BackendAuto: BackendCPU, BackendMetal: BackendMetal}, 1, 1, "access revoked"},
	{"timeouts", upTo(1<<40, errTimeout), nil, map[string]string{BackendAuto: BackendCPU, BackendMetal: ""}, 0, 0, "timeout: caused a GPU timeout"},
	{"lost for good", upTo(1<<40, errRevoked), metal.ErrNoDevice, map[string]string{BackendAuto: BackendCPU, BackendMetal: ""}, 0, 0, ""},
}

func only(n int64, err error) func(int64) error {
	return func(list int64) error {
		if list == n {
			return err
		}
		return nil
	}
}

func upTo(n int64, err error) func(int64) error {
	return func(list int64) error {
		if list <= n {
			return err
		}
		return nil
	}
}

// TestRunFaults: calls in flight are answered where anything can answer them.
func TestRunFaults(t *testing.T) {
	model, want := faultModel(t)
	for _, c := range runFaults {
		for _, backend := range []string{BackendAuto, BackendMetal} {
			t.Run(c.name+", "+backend, func(t *testing.T) {
				f := &faults{}
				var since atomic.Int64 // lists before the first fault; -1: no fault yet
				since.Store(-1)
				f.opens = func() error {
					if since.Load() >= 0 {
						return c.absent
					}
					return nil
				}
				f.ends = func(list int64) error {
					if from := since.Load(); from >= 0 {
						return c.ends(list - from)
					}
					return nil
				}
				var mu sync.Mutex
				var ran []BatchStats
				config := f.config(t, model, backend)
				config.OnBatch = func(b BatchStats) {
					mu.Lock()
					defer mu.Unlock()
					ran = append(ran, b)
				}
				e := openConfig(t, config)
				compiled := f.sources.Load()
				since.Store(f.lists.Load())
				var calls sync.WaitGroup
				var errs [6]error
				for i := range errs {
					calls.Go(func() {
						scores, err := e.Score(t.Context(), faultPairs, raw)
						errs[i] = err
						if err != nil {
							return
						}
						for j, got := range scores.Values {
							if difference := got - want[j]; !(max(difference, -difference) <= halfTolerance) {
								t.Errorf("pair %d: logit %v, want %v", j, got, want[j])
							}
						}
					})
				}
				calls.Wait()
				answering := c.backends[backend]
				for _, err := range errs {
					if answering != "" && err != nil {
						t.Errorf("a call was lost: %v", err)
					}
					if answering == "" && (!errors.Is(err, ErrUnavailable) && !strings.Contains(fmt.Sprint(err), c.want)) {
						t.Errorf("error %v, want ErrUnavailable or one with %q", err, c.want)
					}
				}
				if answering == "" {
					testUnready(t, e, f, &since)
					return
				}
				info := e.Info()
				if info.Backend.Name != answering || (info.Fallback != "") != (answering == BackendCPU) || !strings.Contains(info.Fallback, c.want) && answering == BackendCPU {
					t.Errorf("answered by %s, fallback %q, want %s", info.Backend.Name, info.Fallback, answering)
				}
				if err := e.Ready(); err != nil {
					t.Errorf("not ready: %v", err)
				}
				got := e.Counters()
				if err := e.Close(); err != nil { // until then a batch that has answered may not be reported yet
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				again := 0
				for _, b := range ran {
					if b.Fault != nil {
						again++
					}
				}
				if got.Reopened < c.reopened || got.Failed != 0 || again < c.faults {
					t.Errorf("%d times opened again, %d calls failed, %d batches ran again, want at least %d, 0 and at least %d",
						got.Reopened, got.Failed, again, c.reopened, c.faults)
				}
				if n := f.sources.Load(); answering == BackendMetal && f.opened.Load() == 1 && n != compiled {
					t.Errorf("%d libraries were compiled, %d of them after the device was opened: pipelines survive", n, n-compiled)
				}
			})
		}
	}
}

// testUnready waits until a failed engine says that it is not ready; it is ready, and answers, once the device works.
func testUnready(t *testing.T, e *Engine, f *faults, since *atomic.Int64) {
	t.Helper()
	for e.Ready() == nil {
		_, _ = e.Score(t.Context(), faultPairs, raw) // a fault keeps it from being ready
	}
	if err := e.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ready: %v, want ErrUnavailable", err)
	}
	t.Logf("not ready: %v", e.Ready())
	since.Store(-1)
	for e.Ready() != nil {
		time.Sleep(time.Millisecond)
	}
	if got := scoresOf(t, e); len(got) != len(faultPairs) {
		t.Errorf("scores %v", got)
	}
}

// faultOnce is a backend whose first batch fails by a fault of the device.
type faultOnce struct {
	backend.Backend
	failed *atomic.Bool
}

func (b faultOnce) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	if !b.failed.Swap(true) {
		return errTimeout
	}
	return b.Backend.Forward(ctx, batch, out)
}

// TestReopeningIsNoBatchTime: the scheduler is told the time of the run that has succeeded, without the time to open the backend
// again, which may be seconds and would make it refuse requests.
func TestReopeningIsNoBatchTime(t *testing.T) {
	var failed atomic.Bool
	opened := time.Time{} // set before the batch runs again
	ran := make(chan BatchStats, 1)
	e := openTest(t, weightstest.Tiny(), Config{
		Backend: BackendCPU, OnBatch: func(b BatchStats) { ran <- b },
		wrap: func(b backend.Backend) (backend.Backend, error) {
			opened = time.Now()
			return faultOnce{b, &failed}, nil
		},
	})
	if _, err := e.Score(t.Context(), faultPairs[:1], raw); err != nil {
		t.Fatal(err)
	}
	if b := <-ran; b.Fault == nil || b.Began.Before(opened) {
		t.Errorf("fault %v, the batch began at %v, the backend was opened again at %v", b.Fault, b.Began, opened)
	}
}
