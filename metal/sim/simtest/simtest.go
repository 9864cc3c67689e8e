// Package simtest opens simulators for tests.
package simtest

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
)

// Open opens a simulator, which is closed when the test ends. Where there is no compiler for it the test is skipped, or
// fails if this is CI.
func Open(tb testing.TB, config sim.Config) *sim.Device {
	tb.Helper()
	device, err := sim.Open(config)
	switch {
	case errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true":
		tb.Skipf("no simulator: %v", err)
	case err != nil:
		tb.Fatal(err)
	}
	CloseLater(tb, device)
	return device
}

// CloseLater closes c when the test ends.
func CloseLater(tb testing.TB, c io.Closer) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
}

// longVariable makes tests that run a part of their cases run all of them; METALRANK_TEST_LONG=1 asks for them.
const longVariable = "METALRANK_TEST_LONG"

// Long says whether tests may run for long.
func Long() bool { return os.Getenv(longVariable) != "" }

// Findings returns the findings of all dispatches of a list that a simulator has executed.
func Findings(tb testing.TB, pending metal.Pending) []sim.Finding {
	tb.Helper()
	work, ok := pending.(*sim.Pending)
	if !ok {
		tb.Fatalf("submitted work is a %T", pending)
	}
	var all []sim.Finding
	for _, report := range work.Reports() {
		all = append(all, report.Findings...)
	}
	return all
}
