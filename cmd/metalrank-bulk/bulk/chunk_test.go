package bulk

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine"
)

func chunks() []*chunk {
	return []*chunk{
		{first: 0, pairs: []engine.Pair{{}}},
		{first: 7, pairs: []engine.Pair{{Query: "q", Document: "a"}, {Query: "q", Document: "b"}, {Query: "", Document: "b"}, {Query: ""}}},
		{first: 1 << 40, pairs: somePairs(maxChunkPairs)},
		{first: 1, pairs: []engine.Pair{{Query: "\x00\xff", Document: strings.Repeat("long ", 1<<16)}}},
	}
}

func results() []*result {
	return []*result{
		{first: 3, count: 1, labels: 1, model: "m", scores: []float64{math.Pi}},
		{first: 0, count: 3, labels: 2, model: "", scores: []float64{1, -2, 0, 0, math.SmallestNonzeroFloat64, math.MaxFloat64}, failed: []failure{{1, "why"}}},
		{first: 9, count: 2, labels: 0, model: "m", scores: []float64{}, failed: []failure{{0, ""}, {1, "so"}}},
		{model: "of a damaged chunk", scores: []float64{}},
	}
}

func TestChunkRoundTrip(t *testing.T) {
	for _, want := range chunks() {
		got, err := decodeChunk(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(chunk{})); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestResultRoundTrip(t *testing.T) {
	for _, want := range results() {
		got, err := decodeResult(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{}, failure{})); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// A message that is cut off anywhere, or has any byte changed, is an error.
func TestDamageIsNoticed(t *testing.T) {
	for name, whole := range map[string][]byte{"chunk": chunks()[1].encode(), "result": results()[1].encode()} {
		want, err := decompress(whole)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			if _, err := decompress(whole[:i]); i > 0 && !errors.Is(err, errFormat) {
				t.Errorf("%s, cut after %d of %d bytes: %v", name, i, len(whole), err)
			}
			changed := bytes.Clone(whole)
			changed[i] ^= 0x40
			// A changed window size in the frame's header may leave the content as it was.
			if got, err := decompress(changed); err == nil && !bytes.Equal(got, want) || err != nil && !errors.Is(err, errFormat) {
				t.Errorf("%s, byte %d changed: %v", name, i, err)
			}
		}
	}
	for name, plain := range map[string]string{
		"empty": "", "another magic": "MRC2\x00\x01\x01\x00", "no pairs": "MRC1\x00\x00", "more after it": "MRC1\x00\x01\x01\x00x",
		"no query before": "MRC1\x00\x01\x00\x00", "too many pairs": "MRC1\x00\x81\x20\x01\x00", "a text that ends early": "MRC1\x00\x01\x01\x05abc",
		"a large first": "MRC1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01\x00",
	} {
		if _, err := decodeChunk(compress([]byte(plain))); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, plain := range map[string]string{
		"scores that end early": "MRR1\x00\x01\x01\x00\x00\x00", "a failure out of place": "MRR1\x00\x01\x00\x00\x01\x01\x00",
		"failures out of order": "MRR1\x00\x02\x00\x00\x02\x01\x00\x00\x00", "more failures than pairs": "MRR1\x00\x01\x00\x00\x02\x00\x00\x00\x00",
	} {
		if _, err := decodeResult(compress([]byte(plain))); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := decodeChunk(compress(make([]byte, maxChunkBytes+1))); !errors.Is(err, errFormat) {
		t.Errorf("a bomb: %v", err)
	}
}

// A chunk that was decoded stays the same when it is encoded and decoded again.
func FuzzChunk(f *testing.F) {
	for _, c := range chunks()[:2] {
		f.Add(c.plain())
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		c, err := decodeChunk(compress(plain))
		if err != nil {
			if !errors.Is(err, errFormat) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeChunk(c.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again, cmp.AllowUnexported(chunk{})); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzResult(f *testing.F) {
	for _, r := range results() {
		plain, err := decompress(r.encode())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		r, err := decodeResult(compress(plain))
		if err != nil {
			if !errors.Is(err, errFormat) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeResult(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		same := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(result{}, failure{}), same); diff != "" {
			t.Error(diff)
		}
	})
}

// Chunks hold all pairs in order, within their limits, and are cut the same each time.
func TestCut(t *testing.T) {
	pairs := somePairs(10_000)
	for i := range pairs {
		if i%97 == 0 {
			pairs[i].Document = strings.Repeat("word ", i%1000)
		}
	}
	spec := Spec{ChunkTokens: 1000, MaxLength: 100, ChunkBytes: 8192}
	if err := spec.normalize(); err != nil {
		t.Fatal(err)
	}
	cut := cutter{spec: &spec}
	var all []engine.Pair
	check := func(c *chunk) {
		tokens := 0
		for _, p := range c.pairs {
			tokens += estimateTokens(p, spec.MaxLength)
		}
		if c.first != len(all) || len(c.pairs) > maxChunkPairs || tokens > spec.ChunkTokens && len(c.pairs) > 1 ||
			len(c.plain()) > spec.ChunkBytes {
			t.Fatalf("a chunk of %d pairs from %d on, after %d, of %d tokens and %d bytes", len(c.pairs), c.first, len(all), tokens, len(c.plain()))
		}
		all = append(all, c.pairs...)
	}
	for _, p := range pairs {
		c, err := cut.add(p)
		if err != nil {
			t.Fatal(err)
		}
		if c != nil {
			check(c)
		}
	}
	check(cut.flush())
	if diff := cmp.Diff(pairs, all); diff != "" {
		t.Error(diff)
	}
	if cut.flush() != nil {
		t.Error("a chunk of nothing")
	}
}

// A job with a field of a newer version is refused.
func TestJobOfANewerVersion(t *testing.T) {
	if j, err := decodeJob([]byte(`{"name":"a","spec":{"chunk_tokens":64,"raw_scores":true}}`)); err != nil || !j.Spec.RawScores {
		t.Errorf("%+v, %v", j, err)
	}
	for _, data := range []string{`{"name":"a","spec":{"prompt":"x"}}`, `{"name":"a","format":2}`} {
		if _, err := decodeJob([]byte(data)); err == nil || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestSpecBounds(t *testing.T) {
	for want, spec := range map[string]Spec{
		"ChunkTokens is 63": {ChunkTokens: 63}, "MaxLength is -1": {MaxLength: -1}, "Tries is 101": {Tries: 101},
		"AckWait is 1ms": {AckWait: 1e6}, "Replicas is 6": {Replicas: 6}, "MaxQueuedBytes is 5": {MaxQueuedBytes: 5},
	} {
		if err := spec.normalize(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, name := range []string{"", "a.b", "a b", "a>", strings.Repeat("x", 65), "ä"} {
		if CheckName(name) == nil {
			t.Errorf("%q is a name", name)
		}
	}
	for _, subject := range []string{"metalrank.bulk.j.work.x", "metalrank.bulk.j.work.01", "metalrank.bulk.j.work.-1", "metalrank.bulk.k.work.1"} {
		if n, err := parseWorkSubject("j", subject); err == nil {
			t.Errorf("%s is chunk %d", subject, n)
		}
	}
}
