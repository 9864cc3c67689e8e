package httpapi

import (
	"context"

	"github.com/metalrank/metalrank/engine"
)

// Model is the server's view of a loaded model: an *engine.Model is one. Its methods are called from several
// goroutines at once, and may keep the texts they are given for as long as they like.
type Model interface {
	// Rerank scores every document against the query and sorts them, best first.
	Rerank(ctx context.Context, query string, documents []string, options engine.Options) (*engine.Ranking, error)
	// Score scores pairs; the result has their order.
	Score(ctx context.Context, pairs []engine.Pair, options engine.Options) (*engine.Scores, error)
	// Tokenize returns the tokens of one text, with the special ones round it if asked for.
	Tokenize(ctx context.Context, text string, specialTokens bool, options engine.Options) ([]engine.Token, error)
	Info() engine.Info
}

// Models are the models that a server has, by name. The result of Names doesn't change; its first answers requests that
// name no model.
type Models interface {
	Model(name string) (Model, bool)
	Names() []string
}

// Single makes Models of one engine.
func Single(e *engine.Engine) Models { return single{e} }

type single struct{ *engine.Engine }

// Model implements Models.
func (s single) Model(name string) (Model, bool) { return s, name == s.Engine.Info().Model }

// Names implements Models.
func (s single) Names() []string { return []string{s.Engine.Info().Model} }

// Counters returns the engine's counters; it is always loaded.
func (s single) Counters() (counters engine.Counters, loaded bool) { return s.Engine.Counters(), true }
