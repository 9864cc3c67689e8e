package httpapi

import (
	"context"

	"github.com/metalrank/metalrank/engine"
)

// Model is what the server needs of a loaded model: an *engine.Model has it. Its methods are called from several
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

// Models are the models that a server has, by name. What Names returns doesn't change; the first is the one that
// answers requests that name none.
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

// Counters returns what the engine has done; it is always loaded.
func (s single) Counters() (counters engine.Counters, loaded bool) { return s.Engine.Counters(), true }
