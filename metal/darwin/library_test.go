package darwin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/metal"
)

func TestLibraryLoadOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lib.metallib")
	if err := os.WriteFile(path, []byte("from the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("built for another system")
	for _, c := range []struct {
		name, path string
		source     metal.Source
		refuse     map[string]error
		want       string
	}{
		{name: "environment first", path: path, source: metal.Source{Text: "text", Metallib: []byte("embedded")}, want: "from the file"},
		{name: "then embedded", source: metal.Source{Text: "text", Metallib: []byte("embedded")}, want: "embedded"},
		{name: "then source", source: metal.Source{Text: "text"}, want: "text"},
		{
			name: "embedded one doesn't load", source: metal.Source{Text: "text", Metallib: []byte("embedded")},
			refuse: map[string]error{"loadLibrary": broken}, want: "text",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			if c.refuse != nil {
				f.refuse = c.refuse
			}
			l := must[metal.Library](t)(f.open(c.path).NewLibrary(c.source)).(*library)
			defer l.Close()
			if got := (*fakeObject)(l.object.Ptr()).text; got != c.want {
				t.Errorf("the library was made from %q, want %q", got, c.want)
			}
		})
	}
}

func TestLibraryErrors(t *testing.T) {
	f := newFake(t)
	f.refuse["compileLibrary"] = &nativeError{code: 3, text: "program_source:5:1: error: expected ';'"}
	f.refuse["loadLibrary"] = &nativeError{code: 1, text: "not a metallib"}
	d := f.open("")

	_, err := d.NewLibrary(metal.Source{Name: "gemm.metal", Text: "text"})
	want := &metal.CompileError{File: "gemm.metal", Line: 5, Log: "program_source:5:1: error: expected ';'"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("source (-want +got):\n%s", diff)
	}

	_, err = d.NewLibrary(metal.Source{Name: "gemm.metal", Text: "text", Metallib: []byte("x")})
	var failure *metal.CompileError
	if !errors.As(err, &failure) || !strings.Contains(failure.Log, "expected ';'") || !strings.Contains(failure.Log, "not a metallib") {
		t.Errorf("both: %v, want both logs", err)
	}

	_, err = d.NewLibrary(metal.Source{Name: "gemm.metal", Metallib: []byte("x")})
	if !errors.As(err, &failure) || !strings.Contains(failure.Log, "not a metallib") {
		t.Errorf("metallib alone: %v, want its log", err)
	}
	if n := f.count("compileLibrary"); n != 2 {
		t.Errorf("compileLibrary was called %d times, want 2", n)
	}
}

func TestMetallibFromTheEnvironmentMustLoad(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.metallib")
	broken := filepath.Join(t.TempDir(), "broken.metallib")
	for path, text := range map[string]string{empty: "", broken: "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(t.TempDir(), "none"), fs.ErrNotExist.Error()},
		{empty, "is empty"},
		{broken, "not a metallib"},
	} {
		f := newFake(t)
		f.refuse["loadLibrary"] = errors.New("not a metallib")
		_, err := f.open(c.path).NewLibrary(metal.Source{Text: "text"})
		if err == nil || !strings.Contains(err.Error(), c.want) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want an error with %q", c.path, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), metallibVariable) {
			t.Errorf("%s: %v, want an error that names %s", c.path, err, metallibVariable)
		}
		if n := f.count("compileLibrary"); n != 0 {
			t.Errorf("%s: the source was compiled instead", c.path)
		}
	}
}

func TestPipeline(t *testing.T) {
	b := newBench(t)
	want := metal.PipelineInfo{Kernel: "k", MaxThreads: 1024, SIMDWidth: 32, ThreadgroupMemoryBytes: 128}
	if diff := cmp.Diff(want, b.pipeline.Info()); diff != "" {
		t.Errorf("Info (-want +got):\n%s", diff)
	}
	l := must[metal.Library](t)(b.device.NewLibrary(metal.Source{Text: "text"}))
	b.metal.refuse["newPipeline"] = &nativeError{text: "Function 'absent' does not exist"}
	var failure *metal.CompileError
	if p, err := l.Pipeline("absent"); p != nil || !errors.As(err, &failure) || failure.Kernel != "absent" {
		t.Errorf("Pipeline: %v, %v; want nil and a CompileError of the kernel", p, err)
	}
	delete(b.metal.refuse, "newPipeline")
	closeNow(t, l)
	if _, err := l.Pipeline("k"); !errors.Is(err, metal.ErrClosed) {
		t.Errorf("Pipeline of a closed library: %v, want %v", err, metal.ErrClosed)
	}
}

// slowCompiler is a native that makes no pipeline until the gate opens.
type slowCompiler struct {
	*fakeMetal
	gate chan struct{}
}

func (s slowCompiler) newPipeline(l object, kernel string, c []metal.Constant) (object, metal.PipelineInfo, error) {
	<-s.gate
	return s.fakeMetal.newPipeline(l, kernel, c)
}

func TestLibraryClosedWhileItCompilesAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		d := f.open("")
		slow := slowCompiler{f, make(chan struct{})}
		d.native = slow
		l := must[metal.Library](t)(d.NewLibrary(metal.Source{Text: "text"})).(*library)
		compiled := make(chan error)
		go func() {
			p, err := l.Pipeline("k")
			if err == nil {
				err = p.Close()
			}
			compiled <- err
		}()
		synctest.Wait()
		closeNow(t, l)
		if n := f.releases(l.object); n != 0 {
			t.Errorf("the library was released %d times while it is in use, want 0", n)
		}
		closed := closeInBackground(t, d)
		synctest.Wait()
		if f.released != 0 {
			t.Error("the device was released while it compiles")
		}
		close(slow.gate)
		if err := <-compiled; err != nil {
			t.Errorf("Pipeline: %v", err)
		}
		<-closed
		if n := f.releases(l.object); n != 1 {
			t.Errorf("the library was released %d times, want once", n)
		}
	})
}
