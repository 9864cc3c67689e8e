package dialect

import (
	"errors"
	"fmt"

	"github.com/metalrank/metalrank/metal/sim"
)

// ErrNoCompiler is returned where there is no clang++ to check with.
var ErrNoCompiler = errors.New("metallint: no compiler")

// findCompiler returns the compiler that the simulator uses, so that both need only one.
func findCompiler(asked string) (string, error) {
	path, err := sim.FindCompiler(asked)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoCompiler, err)
	}
	return path, nil
}
