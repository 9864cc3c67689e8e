package httpapi

import (
	"context"

	"github.com/metalrank/metalrank/engine"
)

// Model is what the server needs of a loaded model. Its methods are called from several goroutines at once, and may
// keep the texts they are given for as long as they like.
type Model interface {
	// Rerank scores every document against the query and sorts them, best first.
	Rerank(ctx context.Context, query string, documents []string, options engine.Options) (*engine.Ranking, error)
	// Score scores pairs; the result has their order.
	Score(ctx context.Context, pairs []engine.Pair, options engine.Options) (*engine.Scores, error)
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
