package darwin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
)

// TestConformanceOfMetal runs the suite that every driver must pass on this Mac's GPU.
func TestConformanceOfMetal(t *testing.T) {
	metaltest.Run(t, func(t testing.TB) metal.Device {
		t.Helper()
		d, err := Open()
		if errors.Is(err, metal.ErrNoDevice) {
			skip(t, fmt.Sprintf("no GPU: %v", err))
		}
		if err != nil {
			t.Fatal(err)
		}
		metaltest.SkipUnsupported(t, d)
		return d
	})
}
