package httpapi

import (
	"context"
	"slices"

	"github.com/metalrank/metalrank/engine"
)

// rerankForm is the body of every path that reranks. The body and not the path decides the dialect: `texts` is
// answered as text-embeddings-inference does, `documents` with the one envelope below.
var rerankForm = slices.Concat(form{queryField, modelField}, teiFields, cohereFields, jinaFields, vllmFields)

// rootForm is the body of text-embeddings-inference's `/`, which is /rerank or /predict.
var rootForm = append(slices.Clone(rerankForm), inputsField)

// shape is how a path answers a body with `documents`: one envelope that the clients of all these servers can read,
// with the few differences that they insist on.
type shape struct {
	idPrefix string
	version  string // Cohere's, of the API
	// echo appends the document at index as a member; nil: this path never does.
	echo       func(w *writer, c *call, index int)
	alwaysEcho bool // whether or not return_documents asks for it
	// minTopN is the least that top_n may be; 0: it may be anything, and 0 or less means all.
	minTopN int
}

// The clients of Infinity and of vLLM send the same request to /rerank and want different documents in the answer; all
// accept an answer without. Clients that need documents have prefixes of their own.
var (
	shapeBare     = shape{version: "1"}
	shapeV1       = shape{version: "1", echo: echoObject}
	shapeV2       = shape{version: "2", echo: echoObject}
	shapeInfinity = shape{version: "1", echo: echoText, idPrefix: "infinity-", minTopN: 1}
	shapeVLLM     = shape{version: "1", echo: echoVLLM, idPrefix: "rerank-", alwaysEcho: true}
)

// Infinity has no fields of its own. Its clients send the same request to the same path as Cohere's and Jina's, but
// want a document as a string, not an object; so it has its own prefix.

// infinityDefault is the model name that Infinity's clients send for no model.
const infinityDefault = "default/not-specified"

// echoText appends a document as Infinity has it.
func echoText(w *writer, c *call, index int) {
	w.raw(`,"document":`).string(c.documents.texts[index])
}

// check validates the body as a whole.
func (s *shape) check(c *call) *failure {
	if f := checkRerank(c); f != nil {
		return f
	}
	if c.topNNotPositive && s.minTopN > 0 && !c.documents.ofTEI() {
		return failf(kindValidation, "`top_n` is 0 or less, want %d or more, or null", s.minTopN)
	}
	return nil
}

func checkRerank(c *call) *failure {
	switch {
	case c.documents.name == "inputs":
		return checkPredict(c)
	case !c.hasQuery:
		return failf(kindValidation, "`query` is missing, want a string")
	case c.documents.name == "":
		return failf(kindValidation, "`texts` is missing, want an array of strings, or `documents`, %s", wantDocuments)
	}
	if f := c.documents.need(c.documents.name, wantTexts); f != nil {
		return f
	}
	if c.query == "" {
		for i, text := range c.documents.texts {
			if text == "" {
				return failf(kindEmpty, "`query` and `%s[%d]` are both empty", c.documents.name, i)
			}
		}
	}
	return nil
}

func checkPredict(c *call) *failure {
	if f := c.documents.need("inputs", wantPairs); f != nil {
		return f
	}
	for i, text := range c.documents.texts {
		if text == "" && c.queries.texts[i] == "" {
			return failf(kindEmpty, "`inputs` cannot be empty, in entry %d as in the whole", i)
		}
	}
	return nil
}

// setScale sets the scale of the scores in an answer, for every dialect. A checkpoint may name Identity, as
// sentence-transformers 4 and newer write it for every reranker: then its own scores are logits, which vLLM returns.
// text-embeddings-inference, Infinity, Cohere and Jina answer from 0 to 1 for any checkpoint, and their clients have
// thresholds that rely on it. llama.cpp's paths take Jina's bodies and go with them.
//
//	raw_scores true, use_activation false       logits
//	texts, inputs                               the sigmoid for one label, softmax for several
//	/score, paths below /vllm, use_activation   the function that the checkpoint names
//	documents elsewhere                         the sigmoid
func setScale(c *call, vllm bool) {
	c.options.RawScores = c.rawScores || c.noActivation
	if c.documents.ofTEI() || !vllm && !c.activation {
		c.options.Scale = engine.ScaleProbability
	}
}

// rerank returns the runner of every path that reranks.
func (s *Server) rerank(shape *shape) runner {
	return func(ctx context.Context, model *served, c *call, w *writer) (engine.Stats, error) {
		if c.documents.name == "inputs" {
			return s.predict(ctx, model, c, w)
		}
		ranking, err := model.Rerank(ctx, c.query, c.documents.texts, c.options)
		if err != nil {
			return engine.Stats{}, err
		}
		if c.documents.name == "texts" {
			appendTEI(w, c, ranking)
		} else {
			s.appendResults(w, c, shape, model.name, ranking)
		}
		return ranking.Stats, nil
	}
}

// predict answers /predict.
func (s *Server) predict(ctx context.Context, model *served, c *call, w *writer) (engine.Stats, error) {
	scores, err := model.Score(ctx, c.pairs(), c.options)
	if err != nil {
		return engine.Stats{}, err
	}
	appendPredict(w, c, scores)
	return scores.Stats, nil
}

// score answers /score.
func (s *Server) score(ctx context.Context, model *served, c *call, w *writer) (engine.Stats, error) {
	if len(model.Info().Labels) != 1 {
		return engine.Stats{}, engine.ErrNotReranker
	}
	scores, err := model.Score(ctx, c.pairs(), c.options)
	if err != nil {
		return engine.Stats{}, err
	}
	s.appendScores(w, model.name, scores)
	return scores.Stats, nil
}

// appendResults appends the envelope. It keeps the order of the ranking, as appendTEI does.
func (s *Server) appendResults(w *writer, c *call, shape *shape, model string, ranking *engine.Ranking) {
	results := ranking.Results
	if c.topN > 0 && c.topN < len(results) {
		results = results[:c.topN]
	}
	w.raw(`{"id":"`).raw(shape.idPrefix).id(s).raw(`","model":`).string(model)
	w.raw(`,"object":"rerank","created":`).integer(int(s.now().Unix())).raw(`,"results":[`)
	for i, result := range results {
		if i > 0 {
			w.raw(",")
		}
		w.raw(`{"index":`).integer(result.Index).raw(`,"relevance_score":`).score(result.Score)
		if shape.echo != nil && (c.returnTexts || shape.alwaysEcho) {
			shape.echo(w, c, result.Index)
		}
		w.raw("}")
	}
	w.raw("],").usage(ranking.Stats.Tokens)
	w.raw(`,"meta":{"api_version":{"version":"`).raw(shape.version).raw(`"},"billed_units":{"search_units":1}}}`)
}
