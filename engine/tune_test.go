package engine

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestTuneOnce: the replicas of a model are tuned once, and the outcome is kept for the next open; "again" tunes anew.
func TestTuneOnce(t *testing.T) {
	var told []Tuned
	tuning := &gpu.Tuning{
		Folder: t.TempDir(), System: "test", Budget: time.Hour,
		Clock: func(metal.Pending, metal.Timing, time.Duration) float64 { return 1 },
	}
	open := func() {
		t.Helper()
		e := openTest(t, weightstest.Tiny(), Config{
			Backend: BackendSim, MaxBatchTokens: 64, Replicas: 2, tuning: tuning, OnTuned: func(tuned Tuned) { told = append(told, tuned) },
		})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	if len(told) != 1 || told[0].Products == 0 || told[0].Err != nil {
		t.Fatalf("told %+v, want one outcome", told)
	}
	open()
	if len(told) != 1 {
		t.Errorf("told %+v, want the kept outcome to be used", told)
	}
	if err := os.WriteFile(told[0].Path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	open()
	if len(told) != 3 || told[1].Err == nil || told[2].Products != told[0].Products {
		t.Errorf("told %+v, want an error and a new outcome", told)
	}
	tuning.Again = true
	open()
	if len(told) != 4 {
		t.Errorf("told %+v, want one more outcome", told)
	}
}

// TestTuneAgainOnce: a device that is lost and found again is not tuned a second time by "again".
func TestTuneAgainOnce(t *testing.T) {
	model, _ := faultModel(t)
	var told []Tuned
	var lost atomic.Bool
	f := &faults{ends: func(int64) error {
		if lost.Swap(false) {
			return errRevoked
		}
		return nil
	}}
	config := f.config(t, model, BackendMetal)
	config.MaxBatchTokens, config.OnTuned = 64, func(tuned Tuned) { told = append(told, tuned) }
	config.tuning = &gpu.Tuning{
		Folder: t.TempDir(), System: "test", Again: true, Budget: time.Hour,
		Clock: func(metal.Pending, metal.Timing, time.Duration) float64 { return 1 },
	}
	e := openConfig(t, config)
	lost.Store(true)
	scoresOf(t, e)
	if n := f.opened.Load(); n != 2 || len(told) != 1 {
		t.Errorf("the device was opened %d times, told %+v, want two and one outcome", n, told)
	}
}

// TestTuneSettings: --tune off asks for none.
func TestTuneSettings(t *testing.T) {
	for setting, want := range map[string]bool{"": true, TuneAuto: true, TuneAgain: true, TuneOff: false} {
		c := Config{Tune: setting}
		if got := c.tuningOf(); (got != nil) != want || want && got.Again != (setting == TuneAgain) {
			t.Errorf("%q: %+v", setting, got)
		}
	}
}
