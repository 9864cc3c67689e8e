package weights

// qwen2Family and qwen3Family are Qwen's decoders. Rerankers of theirs are mxbai-rerank-v2 and Qwen3-Reranker.
var (
	qwen2Family = qwenFamily("qwen2", "Qwen2", (*fields).qwen2)
	qwen3Family = qwenFamily("qwen3", "Qwen3", (*fields).qwen3)
)

func qwenFamily(modelType, class string, settings func(*fields, *Config) architecture) family {
	q := decoderFamily(modelType, class, settings)
	q.gguf = ggufQwen(modelType)
	return q
}

func (f *fields) qwen2(c *Config) architecture {
	f.onlyFullAttention(c.Layers)
	d := f.decoder(c, qwenHeads, 0)
	d.causal, d.padding = f.trueOr("is_causal"), f.padding()
	d.qkvBias = true
	return d
}

// padding reads the id of the token that ...ForSequenceClassification of transformers skips at the end of a sequence, in a text,
// too (GenericForSequenceClassification of modeling_layers.py); none where it is not stated or negative.
func (f *fields) padding() []int32 {
	if id := f.wholeFrom("pad_token_id", -1, -maxVocab, maxVocab); id >= 0 {
		return []int32{int32(id)}
	}
	return nil
}

// qwenHeads is num_key_value_heads of a config without it.
const qwenHeads = 32

func (f *fields) qwen3(c *Config) architecture {
	f.onlyFullAttention(c.Layers)
	f.notNull("head_dim", "a whole number")
	d := f.decoder(c, qwenHeads, 128)
	d.causal, d.padding = f.trueOr("is_causal"), f.padding()
	d.headNorms = true
	d.qkvBias = f.flag("attention_bias")
	d.outputBias = d.qkvBias
	return d
}
