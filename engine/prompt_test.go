package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
)

// promptFile is a prompt with a tokenizer, of engine/testdata/prompts.
type promptFile struct {
	name, tokenizer string
	limit           int               // tokens of a pair that is cut
	model           string            // name of the model
	files           map[string]string // of the model
}

const touchingTemplate = `{%- set task = messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("rank") -%}
<|im_start|>{{ task }}: q={{ messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first }}
d={{ (messages | selectattr('role', 'eq', 'document') | first).content }}

so<|im_end|>
`

var promptFiles = []promptFile{
	{name: "qwen3", tokenizer: "qwen", limit: 100, model: "Qwen3-Reranker-0.6B"},
	{name: "mxbai", tokenizer: "qwen", limit: 200, model: "mxbai-rerank-base-v2"},
	{name: "nemotron", tokenizer: "llama", limit: 24, model: "llama-nemotron-rerank-1b-v2"},
	{name: "touching", tokenizer: "qwen", limit: 60, model: "m", files: map[string]string{"chat_template.jinja": touchingTemplate}},
}

// words reads the prompt of a decoder without weights.
func (f *promptFile) words(t testing.TB) *weights.Prompt {
	t.Helper()
	header := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	files := map[string][]byte{
		"model.safetensors": append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header+"\x00\x00\x00\x00"...),
		"config.json": []byte(`{"model_type":"qwen3","architectures":["Qwen3ForSequenceClassification"],"hidden_size":8,"head_dim":4,
			"num_attention_heads":2,"num_key_value_heads":1,"num_hidden_layers":1,"intermediate_size":8,"vocab_size":8,"num_labels":1}`),
	}
	for name, text := range f.files {
		files[name] = []byte(text)
	}
	c, err := weights.FromMemory(f.model, files)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	words, err := c.Prompt()
	if err != nil {
		t.Fatal(err)
	}
	return words
}

// open makes an engine that only encodes.
func (f *promptFile) open(t testing.TB, asText bool) *Engine {
	t.Helper()
	checkpoint, err := builtin.Open() // whose vocabulary is larger than those of the tokenizers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checkpoint.Close() })
	e := &Engine{config: Config{MaxLength: 1 << 20}, checkpoint: checkpoint}
	e.tokenizer = newTestTokenizer(t, tokenizerFile(t, "../prompts/"+f.tokenizer), asText)
	if e.tokenizer.prompt, err = newPrompt(e.tokenizer, f.words(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

// whole is the prompt in one call of the library. Texts that are tokenised by themselves are joined as the prompt's package
// joins them.
func (f *promptFile) whole(e *Engine, instruction, query, document string) []int32 {
	p := e.tokenizer.prompt.words
	text := p.Before
	if i := p.Instruct; i != nil {
		if instruction == "" {
			instruction = i.Default
		}
		if instruction != "" {
			text += i.Before + instruction + i.After
		}
	}
	texts := []string{text + p.BeforeQuery + query, p.Between + document, p.After}
	if !p.Apart {
		texts = []string{strings.Join(texts, "")}
	}
	ids := slices.Clone(e.tokenizer.prompt.opening)
	for _, text := range texts {
		ids = append(ids, e.tokenizer.whole(clean(text))...)
	}
	return ids
}

func encodePrompt(t testing.TB, e *Engine, query string, document string, options Options) (sequence, error) {
	t.Helper()
	made, err := e.encode(t.Context(), []Pair{{Query: query, Document: document}}, &options)
	if err != nil {
		return sequence{}, err
	}
	return made[0], nil
}

// Prompts have the ids that transformers gives the whole text, and that are left of it where it is too long; see
// tools/model/golden/prompts.py.
func TestPromptsAgainstTransformers(t *testing.T) {
	type hostilePrompt struct {
		Query       string               `json:"query"`
		Document    string               `json:"document"`
		Instruction string               `json:"instruction"`
		IDs         map[string][2]string `json:"ids"` // hashes of the whole, and of what is left; "": no room
	}
	_, pairs := readLines[hostilePrompt, hostilePrompt](t, "prompts/pairs.jsonl.zst")
	if len(pairs) < 1000 {
		t.Fatalf("%d pairs", len(pairs))
	}
	for _, f := range promptFiles {
		t.Run(f.name, func(t *testing.T) {
			e := f.open(t, false)
			cut, full := 0, 0
			for i, p := range pairs {
				options := Options{Instruction: p.Instruction}
				if e.tokenizer.prompt.words.Instruct == nil {
					options.Instruction = ""
				}
				got, err := encodePrompt(t, e, p.Query, p.Document, options)
				if err != nil {
					t.Fatal(err)
				}
				if hashIDs(got.ids) != p.IDs[f.name][0] {
					t.Fatalf("pair %d (%q, %q, %q): other ids, %d", i, p.Instruction, p.Query, p.Document, got.ids)
				}
				if !slices.Equal(got.types, make([]int32, len(got.ids))) {
					t.Errorf("pair %d has types %d", i, got.types)
				}
				options.MaxPairTokens = f.limit
				short, err := encodePrompt(t, e, p.Query, p.Document, options)
				var length *LengthError
				switch want := p.IDs[f.name][1]; {
				case want == "": // the golden wants room for another token
					if err == nil && (len(short.ids) == f.limit || slices.Equal(short.ids, got.ids)) {
						break
					}
					if !errors.As(err, &length) || !length.Query || length.Limit != f.limit || length.Tokens <= f.limit {
						t.Errorf("pair %d (%q, %q): error %v, want one of no room", i, p.Instruction, p.Query, err)
					}
					full++
				case err != nil:
					t.Errorf("pair %d (%q, %q): %v", i, p.Instruction, p.Query, err)
				case hashIDs(short.ids) != want:
					t.Errorf("pair %d (%q, %q, %q): other ids in %d tokens, %d", i, p.Instruction, p.Query, p.Document, f.limit, short.ids)
				case len(got.ids) > f.limit:
					cut++
				}
				if t.Failed() {
					return
				}
			}
			if cut < 50 || full < 1 {
				t.Errorf("%d pairs were cut, and %d had no room", cut, full)
			}
		})
	}
}

// Pieces have the tokens of the whole on random texts of many scripts, and all documents of a query have its prefix.
func TestPromptsHaveTheTokensOfTheWhole(t *testing.T) {
	texts := 2000
	if testing.Short() {
		texts = 200
	}
	for i, f := range promptFiles {
		t.Run(f.name, func(t *testing.T) {
			e := f.open(t, false)
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for range texts {
				query, documents := randomText(r, r.IntN(12)), []string{randomText(r, r.IntN(40)), "", randomText(r, 3)}
				instruction := ""
				if e.tokenizer.prompt.words.Instruct != nil && r.IntN(2) == 0 {
					instruction = randomText(r, r.IntN(5))
				}
				var pairs []Pair
				for _, d := range documents {
					pairs = append(pairs, Pair{Query: query, Document: d})
				}
				made, err := e.encode(t.Context(), pairs, &Options{Instruction: instruction})
				if err != nil {
					t.Fatal(err)
				}
				for j, s := range made {
					if want := f.whole(e, instruction, query, documents[j]); !slices.Equal(s.ids, want) {
						t.Fatalf("(%q, %q, %q) gives\n%v, want\n%v", instruction, query, documents[j], s.ids, want)
					}
					if s.prefix != made[0].prefix || !slices.Equal(s.ids[:s.prefix], made[0].ids[:s.prefix]) {
						t.Fatalf("document %d has another prefix than document 0", j)
					}
				}
				if shortest := len(made[1].ids) - made[1].prefix; shortest > len(e.tokenizer.prompt.end)+4 {
					t.Fatalf("%d tokens of an empty document are not in the prefix", shortest)
				}
			}
		})
	}
}

// FuzzPrompts looks for texts with pieces that have other tokens than the whole.
func FuzzPrompts(f *testing.F) {
	engines := make([]*Engine, len(promptFiles))
	for i := range promptFiles {
		engines[i] = promptFiles[i].open(f, false)
	}
	r := rand.New(rand.NewPCG(8, 9))
	for i := range 100 {
		f.Add(uint8(i), randomText(r, 3), randomText(r, 6), randomText(r, 9))
	}
	f.Add(uint8(0), "<|im_end|>", "a\x00b\xff", "<|im_")
	f.Fuzz(func(t *testing.T, which uint8, instruction, query, document string) {
		i := int(which) % len(engines)
		e := engines[i]
		if e.tokenizer.prompt.words.Instruct == nil || len(instruction) > MaxInstructionBytes {
			instruction = ""
		}
		got, err := encodePrompt(t, e, query, document, Options{Instruction: instruction})
		if err != nil {
			t.Fatal(err)
		}
		if want := promptFiles[i].whole(e, instruction, query, document); !slices.Equal(got.ids, want) {
			t.Errorf("(%q, %q, %q) gives\n%v, want\n%v", instruction, query, document, got.ids, want)
		}
	})
}

// Special tokens of the prompt stay special tokens where those in texts are text.
func TestPromptsWithSpecialTokensAsText(t *testing.T) {
	f := promptFiles[0]
	plain, asText := f.open(t, false), f.open(t, true)
	want, err := encodePrompt(t, plain, "boat", "pier", Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := encodePrompt(t, asText, "boat", "pier", Options{})
	if err != nil || !slices.Equal(got.ids, want.ids) {
		t.Errorf("%v: %v, want %v", err, got.ids, want.ids)
	}
	const text = "<|im_end|>"
	end := plain.tokenizer.whole(text)
	count := func(e *Engine) (n int) {
		s, err := encodePrompt(t, e, text, text, Options{Instruction: text})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range s.ids {
			if id == end[0] {
				n++
			}
		}
		return n
	}
	if with, without := count(plain), count(asText); len(end) != 1 || with != 5 || without != 2 {
		t.Errorf("%d and %d special tokens of %d, want 5 and 2", with, without, len(end))
	}
}

// Limits of query and document hold, and the prompt stays whole, on both sides.
func TestPromptLimits(t *testing.T) {
	for _, f := range promptFiles {
		e := f.open(t, false)
		p := e.tokenizer.prompt
		long := strings.Repeat("the harbour ", 400)
		for _, mode := range []Truncation{TruncateRight, TruncateLeft} {
			for _, most := range []int{1, 2, 7} {
				s, err := encodePrompt(t, e, long, long, Options{Truncation: mode, MaxQueryTokens: most, MaxDocumentTokens: most})
				if err != nil {
					t.Fatal(err)
				}
				want := f.whole(e, "", "", "")
				if n := len(s.ids) - len(want); n > 2*most+2 || n < 2*most-3 {
					t.Errorf("%s, %v: %d tokens more than of empty texts, want about %d", f.name, mode, n, 2*most)
				}
				if !slices.Equal(s.ids[len(s.ids)-len(p.end):], p.end) {
					t.Errorf("%s, %v: the end is cut", f.name, mode)
				}
			}
			s, err := encodePrompt(t, e, "q", long, Options{Truncation: mode, MaxPairTokens: 150})
			if err != nil || len(s.ids) != 150 || !slices.Equal(s.ids[150-len(p.end):], p.end) {
				t.Errorf("%s, %v: %d tokens, error %v", f.name, mode, len(s.ids), err)
			}
		}
		var length *LengthError
		_, err := encodePrompt(t, e, "q", long, Options{Truncation: TruncateNever, MaxPairTokens: 150})
		if !errors.As(err, &length) || length.Query || length.Limit != 150 || length.Tokens != len(f.whole(e, "", "q", long)) {
			t.Errorf("%s: error %v, want a LengthError of %d tokens", f.name, err, len(f.whole(e, "", "q", long)))
		}
		_, err = encodePrompt(t, e, long, "d", Options{MaxPairTokens: 150})
		if !errors.As(err, &length) || !length.Query || !length.AtLeast || !strings.Contains(fmt.Sprint(err), "the limit is 150") {
			t.Errorf("%s: error %v, want one of no room", f.name, err)
		}
		_, err = e.encode(t.Context(), []Pair{{Document: "d", NoQuery: true}}, &Options{})
		if !errors.Is(err, ErrTokenizer) {
			t.Errorf("%s: a text alone: %v", f.name, err)
		}
	}
	noPlace := promptFiles[2].open(t, false)
	if _, err := encodePrompt(t, noPlace, "q", "d", Options{Instruction: "i"}); !errors.Is(err, ErrNoInstruction) {
		t.Errorf("an instruction for a prompt without one: %v", err)
	}
}

// Tokenizers that might join the prompt's text to the texts beside it are refused.
func TestPromptRefuses(t *testing.T) {
	words := promptFiles[0].words(t)
	for _, c := range []struct {
		name, key, value string
		words            weights.Prompt
		want             string
	}{
		{name: "unknown expression", key: "pre_tokenizer", value: `{"type":"Whitespace"}`, words: *words, want: "may join all of"},
		{name: "a split", key: "pre_tokenizer", value: `{"type":"Split","pattern":{"Regex":"a"},"behavior":"Isolated","invert":false}`, words: *words, want: "pre_tokenizer is not known"},
		{name: "a token that strips", key: "added_tokens", value: `[{"id":2,"content":"<|im_end|>","lstrip":true,"special":true,"single_word":false,"rstrip":false,"normalized":false}]`, words: *words, want: `"<|im_end|>" takes the text beside it into account`},
		{name: "a token across", key: "added_tokens", value: `[{"id":2,"content":"x<|im_end|>","lstrip":false,"special":true,"single_word":false,"rstrip":false,"normalized":false}]`, words: *words, want: "may begin in the text"},
		{name: "nothing between", words: weights.Prompt{BeforeQuery: "a: ", After: "."}, want: "between query and document: there is no text"},
		{name: "a letter between", words: weights.Prompt{BeforeQuery: "a: ", Between: "é", After: "."}, want: `may join all of "é"`},
	} {
		file := tokenizerFile(t, "../prompts/qwen")
		if c.key != "" {
			file[c.key] = []byte(c.value)
		}
		one := newTestTokenizer(t, file, false)
		if _, err := newPrompt(one, &c.words); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}
