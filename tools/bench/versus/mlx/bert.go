package mlx

// LayerWeights are a BERT layer's: matrices [out, in], all in half.
type LayerWeights struct {
	Query, Key, Value, Output, Up, Down                         Array
	QueryBias, KeyBias, ValueBias, OutputBias, UpBias, DownBias Array
	Gamma1, Beta1, Gamma2, Beta2                                Array
}

// Layer is one encoder layer, norms last, over x [batch, length, heads·d] with mask [batch, length] to be added; f is the
// inner size of the feed-forward part: 17 dispatches.
func (r *Runner) Layer(x Array, w LayerWeights, mask Array, batch, length, heads, d, f int, eps float32) Array {
	t, h := batch*length, heads*d
	q := r.Linear(x, w.Query, w.QueryBias, t, h, h)
	k := r.Linear(x, w.Key, w.KeyBias, t, h, h)
	v := r.Linear(x, w.Value, w.ValueBias, t, h, h)
	context := r.Attention(q, k, v, &mask, batch, length, heads, d)
	y := r.Add(x, r.Linear(context, w.Output, w.OutputBias, t, h, h), t*h)
	x = r.LayerNorm(y, w.Gamma1, w.Beta1, t, h, eps)
	y = r.GELU(r.Linear(x, w.Up, w.UpBias, t, f, h), t*f)
	y = r.Add(x, r.Linear(y, w.Down, w.DownBias, t, h, f), t*h)
	return r.LayerNorm(y, w.Gamma2, w.Beta2, t, h, eps)
}

// EmbeddingWeights are three tables and a layer norm.
type EmbeddingWeights struct {
	Words, Positions, Types, Gamma, Beta Array
}

// Embed is the sum of three gathers, normalised; ids, positions and types are int32 [t].
func (r *Runner) Embed(w EmbeddingWeights, ids, positions, types Array, t, h, vocabulary, maxPositions, typeCount int, eps float32) Array {
	y := r.Add(r.Gather(w.Positions, positions, t, maxPositions, h), r.Gather(w.Words, ids, t, vocabulary, h), t*h)
	y = r.Add(y, r.Gather(w.Types, types, t, typeCount, h), t*h)
	return r.LayerNorm(y, w.Gamma, w.Beta, t, h, eps)
}

// Head is classifier(tanh(pooler(x[:, 0]))) of x [batch, length, h] to one logit each. x[:, 0] is a view.
func (r *Runner) Head(x, pooler, poolerBias, classifier, classifierBias Array, batch, length, h int) Array {
	y := r.linear(matrix{Array: x, ld: length * h}, pooler, poolerBias, batch, h, h)
	return r.Linear(r.Tanh(y, batch*h), classifier, classifierBias, batch, 1, h)
}
