package engine

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// damaged writes a random checkpoint with some elements changed.
func damaged(t *testing.T, change func(tensor string, i int, v float32) float32) string {
	t.Helper()
	spec := weightstest.Specs()[0]
	spec.Change = change
	dir := t.TempDir()
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	return dir
}

// oneNaN damages the embedding of one token, "[MASK]".
func oneNaN(t *testing.T) (dir string, element int) {
	t.Helper()
	spec := weightstest.Specs()[0]
	for row, token := range spec.Vocab {
		if token == "[MASK]" {
			element = row*spec.Hidden + 5
		}
	}
	return damaged(t, func(tensor string, i int, v float32) float32 {
		if strings.HasSuffix(tensor, "word_embeddings.weight") && i == element {
			return float32(math.NaN())
		}
		return v
	}), element
}

// TestNonFinitePair: a pair with no finite score fails its own request, by its number, with the tensor that is to blame;
// requests beside it in the batch get their scores.
func TestNonFinitePair(t *testing.T) {
	dir, element := oneNaN(t)
	for _, backend := range []string{BackendCPU, BackendReference} {
		e := openConfig(t, Config{Model: dir, Backend: backend})
		good := []Pair{{Query: "a", Document: "b"}, {Query: "c d", Document: "e"}}
		want, err := e.Score(t.Context(), good, Options{})
		if err != nil {
			t.Fatalf("%s: %v", backend, err)
		}
		errs := make(chan error, 1)
		go func() {
			_, err := e.Score(t.Context(), append(good[:2:2], Pair{Query: "a", Document: "b [MASK]"}), Options{})
			errs <- err
		}()
		got, err := e.Score(t.Context(), good, Options{})
		if err != nil || got.Values[0] != want.Values[0] || got.Values[1] != want.Values[1] {
			t.Errorf("%s: beside a pair that fails: %v, error %v, want %v", backend, got, err, want.Values)
		}
		err = <-errs
		bad, ok := errors.AsType[*NonFiniteError](err)
		if !ok || !errors.Is(err, ErrBackend) || bad.Index != 2 || bad.Element != element ||
			!strings.HasSuffix(bad.Tensor, "word_embeddings.weight") {
			t.Errorf("%s: error %v, want one of pair 2 and element %d of the word embeddings", backend, err, element)
		}
		if n := e.Counters().Failed; n != 1 {
			t.Errorf("%s: %d calls have failed, want 1", backend, n)
		}
	}
}

// overflowing scales the feed-forward blocks so that the values between their halves overflow float16, and no others: the
// scores are about the same in fp32.
func overflowing(t *testing.T) string {
	t.Helper()
	return damaged(t, func(tensor string, _ int, v float32) float32 {
		switch {
		case strings.Contains(tensor, "intermediate.dense"):
			return v * 3e5
		case strings.HasSuffix(tensor, "output.dense.weight") && !strings.Contains(tensor, "attention"):
			return v / 3e5
		}
		return v
	})
}

// TestHalfOverflows: a model that cannot be right in fp16 is refused when it is opened, and is right in fp32.
func TestHalfOverflows(t *testing.T) {
	openSim(t, Config{Model: damaged(t, nil)}) // or skip
	dir := overflowing(t)
	_, err := Open(t.Context(), Config{Model: dir, Backend: BackendSim})
	if bad, ok := errors.AsType[*NonFiniteError](err); !ok || bad.Index != -1 || !strings.Contains(err.Error(), "--precision fp32") {
		t.Errorf("fp16: error %v, want one that says --precision fp32", err)
	}
	pairs := []Pair{{Query: "a", Document: "b c"}}
	want, err := openConfig(t, Config{Model: dir, Backend: BackendReference}).Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openSim(t, Config{Model: dir, Precision: PrecisionFP32}).Score(t.Context(), pairs, raw)
	if err != nil || !(math.Abs(got.Values[0]-want.Values[0]) <= floatTolerance) {
		t.Errorf("fp32: %v, error %v, want %v", got, err, want.Values)
	}
}

// TestNarrowOpen: the same check where the CPU computes in eight bits; in fp32 it is the pair that fails.
func TestNarrowOpen(t *testing.T) {
	dir := damaged(t, func(tensor string, i int, v float32) float32 {
		if strings.HasSuffix(tensor, "0.attention.self.key.bias") && i == 3 {
			return float32(math.Inf(1))
		}
		return v
	})
	_, err := Open(t.Context(), Config{Model: dir, Backend: BackendCPU, Precision: PrecisionInt8})
	if bad, ok := errors.AsType[*NonFiniteError](err); !ok || !strings.HasSuffix(bad.Tensor, "key.bias") || bad.Element != 3 {
		t.Errorf("int8: error %v, want one of element 3 of a key's bias", err)
	}
	e := openConfig(t, Config{Model: dir, Backend: BackendCPU, Precision: PrecisionFP32})
	if _, err := e.Score(t.Context(), []Pair{{Query: "a", Document: "b"}}, Options{}); !errors.Is(err, ErrBackend) {
		t.Errorf("fp32: error %v, want ErrBackend", err)
	}
}
