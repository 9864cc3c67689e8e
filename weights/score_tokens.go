package weights

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// scoreTokens are the tokens of which a language model's score is made: the logit of one, less that of the other.
type scoreTokens struct {
	yes, no int      // ids; no is noToken where the score is the logit of yes alone
	named   []string // no and yes, where the model's name chose them
}

const (
	noToken        = -1
	moduleLogits   = "LogitScore"
	causalLogits   = "causal_logits" // the row of the Transformer before a LogitScore
	languageModel  = "ForCausalLM"   // the end of its class
	tokenizerFile  = "tokenizer.json"
	maxTokenizer   = 256 << 20 // bytes
	classifierKey  = "classifier_from_token"
	twoWaySoftmax  = "from_2_way_softmax"
	noPostProcess  = "no_post_processing"
	maxTokenLength = 256
)

// namedRerankers are language models whose cards say how they score, by a part of their names in lower case, and the words
// for no and yes.
var namedRerankers = []struct{ modelType, name, no, yes string }{
	{"qwen3", "qwen3-reranker", "no", "yes"},
	{"qwen2", "mxbai-rerank-base-v2", "0", "1"},
	{"qwen2", "mxbai-rerank-large-v2", "0", "1"},
}

// scoreTokens reads the tokens of which vLLM makes a classifier (as_seq_cls_model of vllm/model_executor/models/adapters.py,
// 0.11): ["no", "yes"], or one whose logit is the score.
func (f *fields) scoreTokens() []string {
	v, ok := f.get(classifierKey)
	if !ok {
		return nil
	}
	var tokens []string
	if json.Unmarshal(v, &tokens) != nil || len(tokens) < 1 || len(tokens) > 2 ||
		slices.ContainsFunc(tokens, func(t string) bool { return t == "" || len(t) > maxTokenLength }) {
		f.fail(classifierKey, v, `["no", "yes"] or ["yes"]: tokens whose logits make the score`)
		return nil
	}
	method := map[int]string{1: noPostProcess, 2: twoWaySoftmax}[len(tokens)]
	f.only("method", method)
	return tokens
}

// readLogitScore reads the settings of sentence-transformers' module that makes a score of two logits
// (cross_encoder/modules/logit_score.py in 6.2.0).
func (c *Checkpoint) readLogitScore(folder string) error {
	name := path.Join(folder, configFile)
	c.head = &modularHead{configs: []string{name}}
	data, err := c.src.readPath(name, maxConfigBytes)
	if err != nil {
		return err
	}
	f, err := parseFields(name, data)
	if err != nil {
		return err
	}
	f.only("module_input_name", causalLogits)
	if !f.has("true_token_id") && f.err == nil {
		f.err = invalidf("%s: no true_token_id, want the id of a token", name)
	}
	c.tokens = &scoreTokens{yes: f.wholeFrom("true_token_id", 0, 0, maxVocab), no: f.wholeFrom("false_token_id", noToken, 0, maxVocab)}
	return f.err
}

// findTokens finds the tokens of a language model's score. Any language model has a token "yes", and a chat model's scores
// look like a reranker's, so that something must say that the model is one: a LogitScore, classifier_from_token, or its name.
func (c *Checkpoint) findTokens() error {
	d, ok := c.config.own.(*decoder)
	modular := c.head != nil && c.tokens == nil
	if !ok || modular || c.tokens == nil && !strings.HasSuffix(c.config.Architecture, languageModel) {
		return nil
	}
	if c.tokens == nil {
		words, byName := d.tokens, []string(nil)
		for _, known := range namedRerankers {
			if words == nil && byName == nil && known.modelType == c.config.ModelType && c.isCalled(known.name) {
				byName = []string{known.no, known.yes}
			}
		}
		if words == nil {
			words = byName
		}
		if words == nil {
			return c.notReranker()
		}
		ids, err := c.tokenIDs(words)
		if err != nil {
			return err
		}
		c.tokens = &scoreTokens{yes: ids[len(ids)-1], no: noToken, named: byName}
		if len(ids) == 2 {
			c.tokens.no = ids[0]
		}
	}
	c.config.Labels, c.config.LabelsUnstated = numberedLabels(1), false
	for _, id := range []int{c.tokens.yes, c.tokens.no} {
		if id >= c.config.VocabSize {
			return invalidf("%s: token %d makes the score, but vocab_size is %d", c.src.place, id, c.config.VocabSize)
		}
	}
	return nil
}

// NamedTokens returns the tokens of a language model's score, ["no", "yes"], where only the model's name says which they are.
// In config.json they are classifier_from_token.
func (c *Checkpoint) NamedTokens() []string {
	if c.tokens == nil {
		return nil
	}
	return slices.Clone(c.tokens.named)
}

// isCalled reports whether the model's name, that of its GGUF file, or that of its base model on its card, has a part.
func (c *Checkpoint) isCalled(part string) bool {
	names := []string{c.name, c.src.gguf}
	if readme, err := c.src.read(cardFile, maxCardBytes); err == nil {
		if card, err := parseCard(readme); err == nil {
			names = append(names, card.BaseModel...)
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(strings.ToLower(name), part) })
}

// notReranker makes the error for a language model that nothing calls a reranker.
func (c *Checkpoint) notReranker() error {
	return &kindError{
		configFile + ": architectures: " + quote(c.config.Architecture) + ": a language model, and no file says that it is a reranker. " +
			`Want modules.json with a LogitScore, or "` + classifierKey + `": ["no", "yes"] in config.json, with the tokens of which the second ` +
			"speaks for a document, or the name of a reranker that is known; nearest is " + likeQwen,
		[]error{ErrNotCrossEncoder},
	}
}

// tokenIDs returns the ids of tokens.
func (c *Checkpoint) tokenIDs(tokens []string) ([]int, error) {
	data, err := c.src.read(tokenizerFile, maxTokenizer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, causef(fs.ErrNotExist, "%s: no %s, which has the ids of %s", c.src.place, tokenizerFile, quote(strings.Join(tokens, ", ")))
	} else if err != nil {
		return nil, err
	}
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, headerError(tokenizerFile, err)
	}
	ids := make([]int, len(tokens))
	for i, token := range tokens {
		id, ok := file.Model.Vocab[token]
		for _, added := range file.Added {
			if added.Content == token {
				id, ok = added.ID, true
			}
		}
		if !ok || id < 0 {
			return nil, invalidf("%s: no token %s, whose logit the score is made of", tokenizerFile, quote(token))
		}
		ids[i] = id
	}
	return ids, nil
}

// tokenRow returns the layer [1, H] that makes the score: a row of the head over the vocabulary, less another one. Of the
// head no other rows are read.
func (r *resolver) tokenRow(t *scoreTokens, tied bool, vocab, hidden int) Tensor {
	const headName, pairName = "lm_head.weight", "score_rows.weight"
	var matrix Tensor
	_, hasHead := r.c.index[headName]
	_, hasPair := r.c.index[pairName]
	switch {
	case hasPair && t.no != noToken: // of a GGUF file, which has both rows instead of the head
		matrix, t = r.plain(pairName, 2, hidden), &scoreTokens{yes: 0, no: 1}
	case tied:
		matrix = r.base(wordEmbeddings, vocab, hidden)
	case hasHead:
		matrix = r.plain(headName, vocab, hidden)
	case r.err == nil:
		r.err = invalidf("no tensor %q, and tie_word_embeddings is not true: the score is made of its rows", headName)
	}
	row := r.row(matrix, t.yes)
	if t.no != noToken {
		for i, v := range r.row(matrix, t.no) {
			row[i] -= v
		}
	}
	// A file may have the head twice. If the two differ, versions of transformers disagree on which one counts.
	if tied && hasHead && !hasPair && r.err == nil {
		head := r.plain(headName, vocab, hidden)
		for _, id := range []int{t.yes, max(t.no, 0)} {
			if !slices.Equal(r.row(head, id), r.row(matrix, id)) && r.err == nil {
				r.err = invalidf("tensor %q: row %d is not that of the embeddings, but tie_word_embeddings is true", headName, id)
			}
		}
	}
	return madeOf(cmp.Or(matrix.Name, headName), row, 1, hidden)
}

// row reads and decodes a row of a matrix; nothing after a failure.
func (r *resolver) row(t Tensor, i int) []float32 {
	if t.Shape == nil || r.err != nil {
		return nil
	}
	return r.floats(t.Rows(i, i+1))
}

// floats reads and decodes a small tensor; zeros after a failure.
func (r *resolver) floats(t Tensor) []float32 {
	if t.Shape == nil || r.err != nil {
		return nil
	}
	values := make([]float32, t.Len())
	if t, r.err = r.c.readWhole(nil, t); r.err == nil {
		t.Float32s(values, 0)
	}
	return values
}

// madeOf returns a tensor of values in memory.
func madeOf(name string, values []float32, shape ...int) Tensor {
	t := Tensor{Name: name, DType: F32, Shape: shape, data: make([]byte, 4*len(values))}
	F32.Encode(t.data, values)
	return t
}
