package parallel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestForCallsEachIndexOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 1000} {
		for _, workers := range []int{0, 1, 3, 64} {
			calls := make([]atomic.Int32, n)
			if err := For(t.Context(), n, workers, func(i int) error { calls[i].Add(1); return nil }); err != nil {
				t.Fatalf("n=%d workers=%d: %v", n, workers, err)
			}
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Errorf("n=%d workers=%d: f(%d) was called %d times, want 1", n, workers, i, got)
				}
			}
		}
	}
}

func TestForReturnsFailureOfLowestIndexAndStops(t *testing.T) {
	const n = 1_000_000
	first := errors.New("index 3")
	for _, workers := range []int{1, 4} {
		var calls atomic.Int32
		err := For(t.Context(), n, workers, func(i int) error {
			calls.Add(1)
			if i == 3 {
				return first
			}
			if i > 3 && workers == 1 {
				t.Error("a later index ran after the failure")
			}
			return nil
		})
		if !errors.Is(err, first) {
			t.Errorf("workers=%d: error %v, want %v", workers, err, first)
		}
		if calls.Load() == n {
			t.Errorf("workers=%d: every index ran in spite of the failure", workers)
		}
	}
}

func TestForStopsWhenContextEnds(t *testing.T) {
	for _, workers := range []int{1, 4} {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int32
		err := For(ctx, 1_000_000, workers, func(int) error {
			if calls.Add(1) == 10 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("workers=%d: error %v, want context.Canceled", workers, err)
		}
		if got := calls.Load(); got > 20 {
			t.Errorf("workers=%d: %d calls, want about 10", workers, got)
		}
	}
}

func TestForPanicsInTheCaller(t *testing.T) {
	for _, workers := range []int{1, 4} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "iteration 3") {
					t.Errorf("workers=%d: recovered %v, want the panic of iteration 3", workers, r)
				}
			}()
			err := For(t.Context(), 8, workers, func(i int) error {
				if i == 3 {
					panic("iteration 3")
				}
				return nil
			})
			t.Errorf("workers=%d: For returned %v", workers, err)
		}()
	}
}
