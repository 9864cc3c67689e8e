package engine

import (
	"os"
	"path/filepath"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/internal/machine"
)

// Tuned is the outcome of a search for the fastest variants of a GPU's kernels.
type Tuned = gpu.Tuned

// tuningOf returns the tuning that Config.Tune asks for; nil: none.
func (c *Config) tuningOf() *gpu.Tuning {
	if c.tuning != nil || c.Tune == TuneOff {
		return c.tuning
	}
	t := &gpu.Tuning{System: machine.System(), Again: c.Tune == TuneAgain}
	t.Folder = TuningFolder()
	return t
}

// TuningFolder returns the folder that keeps the fastest variants of kernels; "": this user has no folder for caches.
func TuningFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "metalrank", "tuning")
}

func (e *Engine) tellTuned(outcome gpu.Tuned) {
	if tell := e.config.OnTuned; tell != nil {
		tell(outcome)
	}
}
