package darwin

import (
	"errors"
	"runtime/cgo"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/metal"
)

func TestInfoIsNatives(t *testing.T) {
	f := newFake(t)
	d := f.open("")
	if diff := cmp.Diff(f.info(), d.Info()); diff != "" {
		t.Errorf("Info (-native +device):\n%s", diff)
	}
}

func TestCloseWaitsForSubmittedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		must[metal.Pending](t)(b.device.Submit(b.list(1)))
		done := closeInBackground(t, b.device)
		synctest.Wait()
		select {
		case <-done:
			t.Error("Close returned before the list had ended")
		default:
		}
		if _, err := b.device.Submit(b.list(1)); !errors.Is(err, metal.ErrClosed) {
			t.Errorf("Submit while closing: %v, want %v", err, metal.ErrClosed)
		}
		b.metal.endAll()
		<-done
	})
}

func TestCloseFromManyGoroutinesReleasesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		must[metal.Pending](t)(b.device.Submit(b.list(1)))
		var closers sync.WaitGroup
		for range 8 {
			closers.Go(func() {
				if err := b.device.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if b.metal.released != 1 {
					t.Errorf("Close returned with the device released %d times, want once", b.metal.released)
				}
			})
		}
		synctest.Wait()
		b.metal.endAll()
		closers.Wait()
	})
}

func TestClosedDeviceRefuses(t *testing.T) {
	b := newBench(t)
	l := must[metal.Library](t)(b.device.NewLibrary(metal.Source{Text: "text"}))
	defer l.Close()
	if err := b.device.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"NewBuffer":       func() error { _, err := b.device.NewBuffer(1); return err },
		"NewBufferNoCopy": func() error { _, err := b.device.NewBufferNoCopy(pages(1)); return err },
		"NewLibrary":      func() error { _, err := b.device.NewLibrary(metal.Source{Text: "text"}); return err },
		"Pipeline":        func() error { _, err := l.Pipeline("k"); return err },
		"Submit":          func() error { _, err := b.device.Submit(b.list(1)); return err },
	} {
		if err := call(); !errors.Is(err, metal.ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, metal.ErrClosed)
		}
	}
}

// TestCloseDeletesHandles: a handle that is not deleted would keep its device from the garbage collector forever.
func TestCloseDeletesHandles(t *testing.T) {
	b := newBench(t)
	for range 3 {
		must[metal.Pending](t)(b.device.Submit(b.list(1)))
	}
	b.metal.endAll()
	handles := map[cgo.Handle]bool{}
	for _, s := range b.device.free {
		handles[s.handle] = true
	}
	if len(handles) != 3 {
		t.Errorf("three lists in flight had %d handles, want 3", len(handles))
	}
	closeNow(t, b.device)
	for handle := range handles {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a handle outlives its device")
				}
			}()
			handle.Value()
		}()
	}
}

func TestOpenElsewhere(t *testing.T) {
	d, err := Open()
	if err == nil { // a Mac
		closeNow(t, d)
		t.Skip("this system has Metal")
	}
	if !errors.Is(err, metal.ErrNoDevice) {
		t.Errorf("Open: %v, want one that wraps %v", err, metal.ErrNoDevice)
	}
}

func TestKeepResidentIsNatives(t *testing.T) {
	b := newBench(t)
	if !b.device.KeepResident(true) || !b.device.KeepResident(false) {
		t.Error("KeepResident is false, native's is true")
	}
	b.metal.refuse["keepResident true"] = errors.New("no")
	if b.device.KeepResident(true) {
		t.Error("KeepResident is true, native's is false")
	}
	if b.metal.count("keepResident true") != 2 || b.metal.count("keepResident false") != 1 {
		t.Errorf("native was called %v", b.metal.calls)
	}
	closeNow(t, b.device)
	if b.device.KeepResident(true) {
		t.Error("KeepResident of a closed device is true")
	}
}
