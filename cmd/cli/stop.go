package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrAbandoned marks a function that Within has stopped waiting for.
var ErrAbandoned = errors.New("not all work had ended")

// Within calls f on a goroutine of its own and returns its error. Once ctx has ended, it waits for f no longer than limit;
// after that it returns an error that wraps ErrAbandoned, and f goes on until the process ends.
func Within(ctx context.Context, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w after %v: what is under way is given up", ErrAbandoned, limit)
	}
}
