package engine

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// logitTolerance is the allowed difference from transformers' logits, as tools/model/golden recorded them. It covers the
// rounding of transformers' fp32 arithmetic, against which our float64 is nearly exact.
const logitTolerance = 1e-4

type goldenPair struct {
	Query    string    `json:"query"`
	Document string    `json:"document"`
	Tokens   int       `json:"n_tokens"`
	IDs      string    `json:"ids_sha256"`
	Types    string    `json:"type_ids_sha256"` // absent in those of the embedded model
	Logit    float64   `json:"logit"`
	Logits   []float64 `json:"logits"`
	Score    *float64  `json:"score"` // of the checkpoint's own activation; nil where it isn't compared
}

func readGolden(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// hashIDs is how goldens record token ids: the first 16 hex digits of the SHA-256 of "1,2,3".
func hashIDs(ids []int32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	sum := sha256.Sum256([]byte(strings.Join(text, ",")))
	return hex.EncodeToString(sum[:])[:16]
}

// compareGoldens scores and tokenises pairs; every logit must be within tolerance, every id equal. It returns the logits.
func compareGoldens(t *testing.T, e *Engine, golden []goldenPair, tolerance float64) *Scores {
	t.Helper()
	pairs := make([]Pair, len(golden))
	for i, g := range golden {
		pairs[i] = Pair{Query: g.Query, Document: g.Document}
	}
	sequences, err := e.encode(t.Context(), pairs, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	var worst float64
	for i, g := range golden {
		s := sequences[i]
		if len(s.ids) != g.Tokens || hashIDs(s.ids) != g.IDs || g.Types != "" && hashIDs(s.types) != g.Types {
			t.Errorf("pair %d (%.40q, %.40q): %d tokens with other ids or types, want %d", i, g.Query, g.Document, len(s.ids), g.Tokens)
		}
		want := g.Logits
		if want == nil {
			want = []float64{g.Logit}
		}
		if len(want) != len(scores.Row(i)) {
			t.Fatalf("pair %d: %d logits, want %d", i, len(scores.Row(i)), len(want))
		}
		for label, got := range scores.Row(i) {
			difference := math.Abs(got - want[label])
			if !(difference <= tolerance) { // in this form, NaN fails
				t.Errorf("pair %d (%.40q, %.40q), label %d: logit %v, want %v: %.0f %% of the allowance",
					i, g.Query, g.Document, label, got, want[label], 100*difference/tolerance)
			}
			worst = max(worst, difference)
		}
	}
	t.Logf("%d pairs: largest difference %.2g of %.0g allowed", len(golden), worst, tolerance)
	return scores
}

func TestEmbeddedModelAgainstTransformers(t *testing.T) {
	compareGoldens(t, openConfig(t, Config{Backend: BackendCPU}), embeddedGoldens(t, 512), logitTolerance)
	golden := embeddedGoldens(t, sampleTokens)
	if testing.Short() {
		golden = golden[:4]
	}
	compareGoldens(t, openConfig(t, Config{Backend: BackendReference}), golden, logitTolerance)
}

// TestPublishedScores compares the embedded model with published scores, in fp32, of the model that it was quantised from.
// The allowance is the cost of that quantisation as the card states it, where logits spread over 20; arithmetic in int8 may
// cost as much again.
func TestPublishedScores(t *testing.T) {
	allowed, engines := map[string]float64{PrecisionFP32: 0.2, PrecisionInt8: 0.4}, map[string]*Engine{}
	for precision := range allowed {
		engines[precision] = openConfig(t, Config{Backend: BackendCPU, Precision: precision})
	}
	golden := embeddedGoldens(t, 512)
	for _, published := range []struct {
		pair   int
		logit  float64
		source string
	}{
		{0, 9.2189, "sentence-transformers, in the card of cross-encoder/ms-marco-MiniLM-L-12-v2"},
		{1, -4.0780, "the same"},
		{2, 9.4506, "transformers.js, unquantised, in the card of Xenova/ms-marco-MiniLM-L-12-v2"},
		{3, -11.1605, "the same"},
	} {
		for precision, allowed := range allowed {
			g := golden[published.pair]
			scores, err := engines[precision].Score(t.Context(), []Pair{{Query: g.Query, Document: g.Document}}, raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := scores.Row(0)[0]; !(math.Abs(got-published.logit) <= allowed) {
				t.Errorf("%s: %.60q: logit %v, published %v (%s)", precision, g.Document, got, published.logit, published.source)
			}
		}
	}
}

// sampleTokens bounds the pairs that go through twelve layers of slow arithmetic, float64 or the simulator's: more than half
// of the goldens. The random checkpoints go there at their full length.
const sampleTokens = 28

// embeddedGoldens are the pairs of the embedded model that have at most so many tokens: full-length pairs take seconds
// each in float64, and in the simulator.
func embeddedGoldens(t *testing.T, longest int) []goldenPair {
	t.Helper()
	recorded, err := builtin.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	if len(recorded) != 36 {
		t.Fatalf("%d pairs, want 36", len(recorded))
	}
	var golden []goldenPair
	for _, g := range recorded {
		if g.Tokens <= longest {
			golden = append(golden, goldenPair{Query: g.Query, Document: g.Document, Tokens: g.Tokens, IDs: g.IDs, Logit: g.Logit})
		}
	}
	return golden
}

// randomModel is a checkpoint of weightstest with the results of transformers for it.
type randomModel struct {
	Name      string            `json:"name"`
	Files     map[string]string `json:"files"`
	MaxLength int               `json:"max_length"`
	Pairs     []goldenPair      `json:"pairs"`

	dir string // where it has been written
}

// randomGoldens writes the checkpoints. Their files must be those that the goldens were made with.
func randomGoldens(t *testing.T) []randomModel {
	t.Helper()
	var golden struct {
		Models []randomModel `json:"models"`
	}
	readGolden(t, "goldens_random.json", &golden)
	specs := map[string]weightstest.Spec{}
	for _, spec := range weightstest.Specs() {
		specs[spec.Name] = spec
	}
	if len(golden.Models) != len(specs) {
		t.Fatalf("%d models, want %d", len(golden.Models), len(specs))
	}
	for i := range golden.Models {
		model := &golden.Models[i]
		model.dir = t.TempDir()
		if err := weightstest.Write(model.dir, specs[model.Name]); err != nil {
			t.Fatal(err)
		}
		for name, want := range model.Files {
			data, err := os.ReadFile(filepath.Join(model.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
				t.Fatalf("%s: %s is not the file that the goldens were made with", model.Name, name)
			}
		}
	}
	return golden.Models
}

func TestRandomModelsAgainstTransformers(t *testing.T) {
	for _, model := range randomGoldens(t) {
		t.Run(model.Name, func(t *testing.T) {
			for _, backend := range []string{BackendCPU, BackendReference} {
				e := openConfig(t, Config{Model: model.dir, Backend: backend})
				if got := e.Info().MaxLength; got != model.MaxLength {
					t.Errorf("max length %d, want %d", got, model.MaxLength)
				}
				compareGoldens(t, e, model.Pairs, logitTolerance)
			}
		})
	}
}

// tokenGolden has transformers' tokens for a pair at several lengths; a length that it can't do has 0 tokens.
type tokenGolden struct {
	Kind           string   `json:"kind"`
	Query          string   `json:"query"`
	Document       string   `json:"document"`
	QueryBase64    string   `json:"query_base64"`
	DocumentBase64 string   `json:"document_base64"`
	QueryTokens    int      `json:"query_tokens"`
	DocumentTokens int      `json:"document_tokens"`
	Tokens         []int    `json:"n_tokens"`
	IDs            []string `json:"ids_sha256"`
	Types          []string `json:"type_ids_sha256"`
}

type tokenHeader struct {
	MaxLength []int `json:"max_length"`
	Entries   int   `json:"entries"`
}

// compareTokens tokenises golden at every length, and returns how many sequences it compared.
func compareTokens(t *testing.T, header tokenHeader, golden []tokenGolden) int {
	t.Helper()
	pairs := make([]Pair, len(golden))
	for i, g := range golden {
		pairs[i] = Pair{Query: g.Query, Document: g.Document}
	}
	compared := 0
	for column, length := range header.MaxLength {
		e := openConfig(t, Config{MaxLength: length})
		sequences, err := e.encode(t.Context(), pairs, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range golden {
			if g.Tokens[column] == 0 {
				continue
			}
			compared++
			s := sequences[i]
			if len(s.ids) != g.Tokens[column] || hashIDs(s.ids) != g.IDs[column] || hashIDs(s.types) != g.Types[column] {
				t.Errorf("pair %d (%s) at max length %d: %d tokens with other ids or types, want %d; query %.60q (%d tokens), document %.60q (%d)",
					i, g.Kind, length, len(s.ids), g.Tokens[column], g.Query, g.QueryTokens, g.Document, g.DocumentTokens)
			}
		}
	}
	return compared
}

// readLines reads a file of testdata with a line of JSON as its header and one for each entry, compressed by zstd.
func readLines[Header, Entry any](t *testing.T, name string) (header Header, entries []Entry) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	lines := bufio.NewScanner(decoder)
	lines.Buffer(nil, 4<<20)
	for n := 0; lines.Scan(); n++ {
		if n == 0 {
			err = json.Unmarshal(lines.Bytes(), &header)
		} else {
			entries = append(entries, *new(Entry))
			err = json.Unmarshal(lines.Bytes(), &entries[n-1])
		}
		if err != nil {
			t.Fatalf("%s: line %d: %v", name, n+1, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return header, entries
}

func TestTokensAgainstTransformers(t *testing.T) {
	header, golden := readLines[tokenHeader, tokenGolden](t, "tokens.jsonl.zst")
	if len(golden) != header.Entries || len(golden) < 2000 {
		t.Fatalf("%d pairs, want %d and at least 2000", len(golden), header.Entries)
	}
	if testing.Short() { // one in four
		for i := range len(golden) / 4 {
			golden[i] = golden[4*i]
		}
		golden = golden[:len(golden)/4]
	}
	t.Logf("%d pairs, %d sequences", len(golden), compareTokens(t, header, golden))
}

// Bytes that no Python string can hold: NUL, and invalid UTF-8.
func TestTokensOfInvalidTexts(t *testing.T) {
	var golden struct {
		tokenHeader
		Pairs []tokenGolden `json:"pairs"`
	}
	readGolden(t, "tokens_edge.json", &golden)
	for i, g := range golden.Pairs {
		query, err := base64.StdEncoding.DecodeString(g.QueryBase64)
		if err != nil {
			t.Fatal(err)
		}
		document, err := base64.StdEncoding.DecodeString(g.DocumentBase64)
		if err != nil {
			t.Fatal(err)
		}
		if clean(string(query)) != g.Query || clean(string(document)) != g.Document {
			t.Errorf("pair %d is cleaned to %q and %q, want %q and %q", i, clean(string(query)), clean(string(document)), g.Query, g.Document)
		}
		golden.Pairs[i].Query, golden.Pairs[i].Document = string(query), string(document)
	}
	if n := compareTokens(t, golden.tokenHeader, golden.Pairs); n == 0 {
		t.Error("nothing was compared")
	}
}
