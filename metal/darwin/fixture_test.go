package darwin

import (
	"os"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// must returns v where err is nil.
func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// bench is a device with one pipeline and one buffer, all closed at the test's end.
type bench struct {
	metal    *fakeMetal
	device   *device
	pipeline *pipeline
	buffer   *buffer
}

func newBench(t testing.TB) *bench {
	t.Helper()
	f := newFake(t)
	b := &bench{metal: f, device: f.open("")}
	b.pipeline = newPipeline(t, b.device, "k")
	b.buffer = newBuffer(t, b.device, 256)
	return b
}

func newPipeline(t testing.TB, d *device, kernel string) *pipeline {
	t.Helper()
	l := must[metal.Library](t)(d.NewLibrary(metal.Source{Text: "text"}))
	defer l.Close()
	p := must[metal.Pipeline](t)(l.Pipeline(kernel)).(*pipeline)
	t.Cleanup(func() { closeNow(t, p) })
	return p
}

func newBuffer(t testing.TB, d *device, sizeBytes int) *buffer {
	t.Helper()
	b := must[metal.Buffer](t)(d.NewBuffer(sizeBytes)).(*buffer)
	t.Cleanup(func() { closeNow(t, b) })
	return b
}

// list returns a list of n dispatches of the bench's pipeline over its buffer.
func (b *bench) list(n int) *metal.CommandList { return listOf(n, b.pipeline, b.buffer) }

func listOf(n int, p metal.Pipeline, buffers ...metal.Buffer) *metal.CommandList {
	list := &metal.CommandList{}
	for range n {
		c := metal.Command{Pipeline: p, Groups: metal.Size{X: 1, Y: 1, Z: 1}, Threads: metal.Size{X: 32, Y: 1, Z: 1}}
		for i, buffer := range buffers {
			c.Buffers[i] = metal.At(buffer, 0)
		}
		list.Commands = append(list.Commands, c)
	}
	return list
}

// pages returns n pages of memory that begins at a page.
func pages(n int) []byte {
	data := make([]byte, (n+1)*fakePage)
	return data[misalignment(data):][: n*fakePage : n*fakePage]
}

// closeInBackground calls Close on a goroutine; the channel is closed when it has returned.
func closeInBackground(t testing.TB, c interface{ Close() error }) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	return done
}

func closeNow(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("%T: Close: %v", c, err)
	}
}

// skip skips a test because a tool is missing; on CI, where all tools must be installed, it fails the test.
func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
