package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/engine/trace"
)

// Pair is one query with one document, or one text alone.
type Pair struct {
	Query, Document string
	// NoQuery scores Document by itself, as classifiers of single texts do. Query is not used.
	NoQuery bool
}

// Options of one call. The zero value truncates on the right and applies the model's activation.
type Options struct {
	RawScores  bool  // scores are logits; Scale is ignored
	Scale      Scale // of scores. Default: the checkpoint's activation
	Truncation Truncation
	// Instruction takes the place of Config.Instruction for this call. A model whose prompt has no place for one returns
	// ErrNoInstruction. Empty: Config.Instruction, or else the model's own. Bounds: 4,096 bytes.
	Instruction string
	// MaxQueryTokens and MaxDocumentTokens cut the query, and each document, to so many tokens before they are joined.
	// 0: no limit but the pair's.
	MaxQueryTokens, MaxDocumentTokens int
	// MaxPairTokens cuts each pair to so many tokens, special ones included, as a smaller Config.MaxLength would. 0: no limit
	// but that. Bounds: 8 to 2^31-1.
	MaxPairTokens int
	// Client names the client. Clients share the model fairly, however many requests each has. It may be empty.
	Client string
	// ClientWeight is the client's share relative to other clients, and Weight the call's share relative to the client's
	// other calls. 0: 1. Bounds: 1/16 to 16.
	ClientWeight, Weight float64
}

const maxWeight = 16

// MaxInstructionBytes bounds an instruction. It is encoded with each call.
const MaxInstructionBytes = 4 << 10

// validate reports the first field that is out of its bounds.
func (o *Options) validate() error {
	for _, f := range []struct {
		name string
		got  int
	}{{"MaxQueryTokens", o.MaxQueryTokens}, {"MaxDocumentTokens", o.MaxDocumentTokens}} {
		if f.got < 0 || f.got > math.MaxInt32 {
			return &ValueError{Field: f.name, Value: float64(f.got), Min: 0, Max: math.MaxInt32}
		}
	}
	if o.MaxPairTokens != 0 && (o.MaxPairTokens < minMaxLength || o.MaxPairTokens > math.MaxInt32) {
		return &ValueError{Field: "MaxPairTokens", Value: float64(o.MaxPairTokens), Min: minMaxLength, Max: math.MaxInt32}
	}
	if n := len(o.Instruction); n > MaxInstructionBytes {
		return &ValueError{Field: "Instruction", Value: float64(n), Min: 0, Max: MaxInstructionBytes}
	}
	for _, f := range []struct {
		name string
		got  float64
	}{{"ClientWeight", o.ClientWeight}, {"Weight", o.Weight}} {
		if f.got != 0 && !(f.got >= 1./maxWeight && f.got <= maxWeight) {
			return &ValueError{Field: f.name, Value: f.got, Min: 1. / maxWeight, Max: maxWeight}
		}
	}
	return nil
}

// Scores are the results of Score.
type Scores struct {
	Labels []string  // [C]; one for a reranker
	Values []float64 // [n, C], row by row, in the order of the pairs
	Stats  Stats
}

// Row returns the scores of pair i, in the order of Labels.
func (s *Scores) Row(i int) []float64 {
	c := len(s.Labels)
	return s.Values[i*c : (i+1)*c]
}

// Ranking is the result of Rerank.
type Ranking struct {
	Results []Result // best first; equal scores keep the order of the documents
	Stats   Stats
}

// Result is the score of one document.
type Result struct {
	Index int // of the document, from 0
	Score float64
}

// Stats are the costs of one call.
type Stats struct {
	Tokens      int           // scored, special tokens included
	SavedTokens int           // of these, computed only once for several pairs: a prompt and a query that they share
	Operations  float64       // floating-point operations that they took, by the model's shape
	Tokenize    time.Duration // wall time of tokenising
	Wait        time.Duration // from there until the first batch with a part of the call began
	Compute     time.Duration // from there until the last was done
	Batches     int           // that the call was spread over
	FirstBatch  uint64        // BatchStats.ID of the first
}

// Score scores every pair. It keeps to a deadline of ctx: a call that is estimated to miss it is refused with an
// *OverloadError, and a call that can no longer meet it is not computed. Errors: ErrClosed, ErrTokenizer, ErrBackend, a
// *NonFiniteError, an *OverloadError, a *LengthError, a *ValueError, ctx's.
func (e *Engine) Score(ctx context.Context, pairs []Pair, options Options) (*Scores, error) {
	timer := e.config.Trace.Request()
	logits, stats, err := e.logits(ctx, pairs, &options, timer)
	if err != nil {
		return nil, err
	}
	scores := &Scores{Labels: e.labels, Values: widen(logits), Stats: stats}
	for i := range pairs {
		e.scaled(scores.Row(i), &options)
	}
	timer.End(len(pairs), stats.Tokens, stats.SavedTokens)
	return scores, nil
}

// Rerank scores every document against the query and sorts them. Errors: as Score's, and ErrNotReranker.
func (e *Engine) Rerank(ctx context.Context, query string, documents []string, options Options) (*Ranking, error) {
	if len(e.labels) != 1 {
		return nil, ErrNotReranker
	}
	pairs := make([]Pair, len(documents))
	for i, document := range documents {
		pairs[i] = Pair{Query: query, Document: document}
	}
	timer := e.config.Trace.Request()
	logits, stats, err := e.logits(ctx, pairs, &options, timer)
	if err != nil {
		return nil, err
	}
	ranking := &Ranking{Results: make([]Result, len(documents)), Stats: stats}
	values := widen(logits)
	for i := range values {
		e.scaled(values[i:i+1], &options)
		ranking.Results[i] = Result{Index: i, Score: values[i]}
	}
	// By logit and not by score: the activation may map different logits to equal scores.
	slices.SortStableFunc(ranking.Results, func(a, b Result) int {
		switch x, y := logits[a.Index], logits[b.Index]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	timer.End(len(pairs), stats.Tokens, stats.SavedTokens)
	return ranking, nil
}

// logits tokenises and has the scheduler run the forward passes; the result is [n, C].
func (e *Engine) logits(ctx context.Context, pairs []Pair, options *Options, timer *trace.RequestTimer) ([]float32, Stats, error) {
	if err := options.validate(); err != nil {
		return nil, Stats{}, err
	}
	if most := e.config.MaxClientBatch; most > 0 && len(pairs) > most {
		return nil, Stats{}, &ValueError{Field: "pairs", Value: float64(len(pairs)), Max: float64(most)}
	}
	expected := e.estimateTokens(pairs, options)
	if err := e.enter(options.Client, expected); err != nil {
		return nil, Stats{}, err
	}
	logits, stats, err := e.schedule(ctx, pairs, options, expected, timer)
	e.exit(err)
	return logits, stats, err
}

func (e *Engine) schedule(
	ctx context.Context, pairs []Pair, options *Options, expected int, timer *trace.RequestTimer,
) ([]float32, Stats, error) {
	var stats Stats
	begin := time.Now()
	sequences, err := e.encode(ctx, pairs, options)
	e.learn(pairs, sequences)
	e.unreserve(options.Client, expected)
	if err != nil {
		return nil, stats, err
	}
	stats.Tokenize = time.Since(begin)
	timer.Tokenised()
	logits := make([]float32, len(sequences)*len(e.labels))
	j := e.newJob(sequences, logits)
	j.timer = timer
	j.request.Client, j.request.ClientWeight, j.request.Weight = options.Client, options.ClientWeight, options.Weight
	if deadline, ok := ctx.Deadline(); ok {
		j.request.Deadline = e.dispatcher.at(deadline)
	}
	if err := e.dispatcher.run(ctx, e, j, &stats); err != nil {
		return nil, stats, err
	}
	for i := range sequences {
		stats.Tokens += len(sequences[i].ids)
	}
	if bad := e.nonFinite(logits, e.backendInfo.Load().DType); bad != nil {
		return nil, stats, bad
	}
	return logits, stats, nil
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// observedPairs is how many pairs Observe scores at a time, which keeps a call below the limits of the queue.
const observedPairs = 64

// Observe scores pairs on the reference backend, whichever backend config names, and calls f with the inputs of the model's
// linear layers. f is called from one goroutine at a time, and must not keep the rows.
func Observe(ctx context.Context, config Config, pairs []Pair, f func(layers []string, rows []float64, width int)) (err error) {
	config.Backend, config.Precision, config.Replicas = BackendReference, "", 1
	config.wrap = func(b backend.Backend) (backend.Backend, error) {
		r, ok := b.(*reference.Backend)
		if !ok {
			panic("BUG: engine: the reference backend is another")
		}
		r.Observe(f)
		return b, nil
	}
	e, err := Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for len(pairs) > 0 {
		n := min(observedPairs, len(pairs))
		if _, err := e.Score(ctx, pairs[:n], Options{RawScores: true}); err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}
