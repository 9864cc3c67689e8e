package weights

// llamaFamily is Llama with attention in both directions and a head over the mean of all rows, as in
// llama-nemotron-rerank-1b-v2. It is custom code (llama_bidirectional_model.py of that model, and of NeMo Automodel 0.5).
var llamaFamily = func() family {
	l := decoderFamily("llama_bidirec", "LlamaBidirectional", (*fields).llama)
	l.defaults = map[string]int{
		"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
		"num_attention_heads": 32, "max_position_embeddings": 2048,
	}
	return l
}()

func (f *fields) llama(c *Config) architecture {
	d := f.decoder(c, 0, 0)
	d.causal = false
	if f.flag("is_causal") && f.err == nil {
		f.err = unsupportedf("%s: is_causal: true, want false: the published code reads in both directions", f.file)
	}
	d.qkvBias, d.blockBias = f.flag("attention_bias"), f.flag("mlp_bias")
	d.outputBias = d.qkvBias
	pools := map[string]Pool{"avg": PoolMean, "last": PoolLast, "cls": PoolFirst}
	name := f.text("pooling", "avg")
	pool, ok := pools[name]
	if !ok && f.err == nil {
		f.err = unsupportedf("%s: pooling: %s, want \"avg\", \"last\" or \"cls\"", f.file, quote(name))
	}
	d.pool, d.temperature = pool, float32(f.positive("temperature", 1))
	return d
}
