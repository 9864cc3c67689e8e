package httpapi

import "github.com/metalrank/metalrank/engine"

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
	if c.list.ofTEI() || !vllm && !c.activation {
		c.options.Scale = engine.ScaleProbability
	}
}
