package httpapi

import (
	"context"
	"fmt"
	"time"

	"github.com/metalrank/metalrank/engine"
)

// Model is what the server needs of a loaded model. Its methods are called from several goroutines at once, and may
// keep the texts they are given for as long as they like.
type Model interface {
	// Rerank scores every document against the query and sorts them, best first.
	Rerank(ctx context.Context, query string, documents []string, options Options) (*engine.Ranking, error)
	// Score scores pairs; the result has their order.
	Score(ctx context.Context, pairs []engine.Pair, options Options) (*engine.Scores, error)
	// Tokenize returns the tokens of one text, with the special ones round it if asked for.
	Tokenize(ctx context.Context, text string, specialTokens bool) ([]engine.Token, error)
	Info() engine.Info
}

// Models are the models that a server has, by name. What Names returns doesn't change; the first is the one that
// answers requests that name none.
type Models interface {
	Model(name string) (Model, bool)
	Names() []string
}

// Options are the engine's, with what the dialects have besides.
type Options struct {
	engine.Options
	MaxDocumentTokens int // cuts documents alone, before pairs are cut; 0: no limit
	MaxQueryTokens    int // likewise the query
	Priority          int //  smaller goes first; 0 unless the client says otherwise
	Client            string
}

// OverloadError is what a Model returns when it has too much to do; RetryAfter is when it expects to have less.
type OverloadError struct {
	Limit      string // what there is too much of: "tokens are waiting"
	Value, Max int
	RetryAfter time.Duration
}

// Error implements error.
func (e *OverloadError) Error() string {
	return fmt.Sprintf("the server is overloaded: %d %s, the limit is %d", e.Value, e.Limit, e.Max)
}

// Single makes Models of one.
func Single(model Model) Models { return single{model, []string{model.Info().Model}} }

type single struct {
	model Model
	names []string
}

// Model implements Models.
func (s single) Model(name string) (Model, bool) { return s.model, name == s.names[0] }

// Names implements Models.
func (s single) Names() []string { return s.names }

// FromEngine makes a Model of an engine.
func FromEngine(e *engine.Engine) Model { return engineModel{e} }

type engineModel struct{ *engine.Engine }

// Rerank implements Model.
func (m engineModel) Rerank(ctx context.Context, query string, documents []string, options Options) (*engine.Ranking, error) {
	if err := m.check(options); err != nil {
		return nil, err
	}
	return m.Engine.Rerank(ctx, query, documents, options.Options)
}

// Score implements Model.
func (m engineModel) Score(ctx context.Context, pairs []engine.Pair, options Options) (*engine.Scores, error) {
	if err := m.check(options); err != nil {
		return nil, err
	}
	return m.Engine.Score(ctx, pairs, options.Options)
}

// unsupportedError refuses an option that would change scores and that the model doesn't have.
type unsupportedError struct {
	option string
	got    int
	limit  int
}

func (e *unsupportedError) Error() string {
	return fmt.Sprintf("the model cuts %s at its own limit only: got %d, want 0 or at least %d", e.option, e.got, e.limit)
}

// check refuses limits that bind: one of MaxLength or more never does, since the pair is cut to that in any case.
func (m engineModel) check(options Options) error {
	limit := m.Info().MaxLength
	for _, o := range []struct {
		name  string
		value int
	}{{"documents", options.MaxDocumentTokens}, {"queries", options.MaxQueryTokens}} {
		if o.value != 0 && o.value < limit {
			return &unsupportedError{o.name, o.value, limit}
		}
	}
	return nil
}
