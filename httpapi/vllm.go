package httpapi

import (
	"unicode/utf8"

	"github.com/metalrank/metalrank/engine"
)

// vLLM: /rerank with options of its own, and /score, which scores pairs of texts in their order.

var vllmFields = form{
	{"use_activation", readUseActivation},
	side("truncation_side", map[string]bool{"left": true, "right": false}, `"left" or "right"`),
	count("max_tokens_per_query", func(c *call) *int { return &c.options.MaxQueryTokens }),
	{truncatePromptTokens, readPairTokens},
	{"instruction", readInstruction},
}

// readUseActivation tells true and false from neither: a body with one of them is vLLM's.
func readUseActivation(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	value, ok := lax(d, laxBool)
	if !ok {
		return d.wrong(name, wantTruth)
	}
	d.activation, d.noActivation = value, !value
	return true
}

// maxInstruction is the most characters of an instruction, which the engine takes whichever they are.
const maxInstruction = engine.MaxInstructionBytes / utf8.UTFMax

// readInstruction reads a text for the model's prompt. An empty one stands for the model's own.
func readInstruction(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	if d.next() != '"' {
		return d.wrong(name, "a string")
	}
	value, characters, ok := d.string()
	if ok && characters > maxInstruction {
		return d.refuse("`%s` has %d characters, the limit is %d", name, characters, maxInstruction)
	}
	d.options.Instruction = value
	return ok
}

// truncatePromptTokens is how many tokens of each pair are kept.
const truncatePromptTokens = "truncate_prompt_tokens"

// readPairTokens reads a limit. -1 is the model's own limit, and so none.
func readPairTokens(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	value, ok := d.integer(-1)
	if !ok {
		return d.wrong(name, "a whole number from -1 to 2147483647")
	}
	if value > 0 {
		d.options.MaxPairTokens = int(value)
	}
	return true
}

// scorePairs are the names of the two sides of /score.
var scorePairs = [...]struct{ first, second string }{
	{"text_1", "text_2"}, {"queries", "documents"}, {"queries", "items"}, {"data_1", "data_2"},
}

// scoreForm is the body of /score.
var scoreForm = append(form{
	scoreSide("text_1", firstSide), scoreSide("text_2", secondSide),
	scoreSide("queries", firstSide), scoreSide("documents", secondSide), scoreSide("items", secondSide),
	scoreSide("data_1", firstSide), scoreSide("data_2", secondSide),
	modelField,
	priorityField,
	count("max_tokens_per_doc", func(c *call) *int { return &c.options.MaxDocumentTokens }),
}, vllmFields...)

func firstSide(c *call) *list  { return &c.queries }
func secondSide(c *call) *list { return &c.documents }

// scoreSide makes a field with one side of the pairs; null counts as absent.
func scoreSide(name string, of func(*call) *list) field {
	side := textOrTexts(name, of)
	return field{name, func(d *decoder, name string) bool {
		return d.literal("null") || side.read(d, name)
	}}
}

const wantTexts = "a string or an array of strings"

// checkScore wants two sides that go together: one text with many, or as many as there are on the other side.
func checkScore(c *call) *failure {
	first, second := &c.queries, &c.documents
	if first.name == "" && second.name == "" {
		return failf(kindValidation, "`text_1` and `text_2` are missing, want each %s", wantTexts)
	}
	for _, names := range scorePairs {
		if first.name != "" && first.name != names.first || second.name != "" && second.name != names.second {
			continue
		}
		if f := first.need(names.first, wantTexts); f != nil {
			return f
		}
		if f := second.need(names.second, wantTexts); f != nil {
			return f
		}
		if first.entries != 1 && first.entries != second.entries {
			return failf(kindValidation, "`%s` has %d entries and `%s` %d, want 1 or as many", first.name, first.entries,
				second.name, second.entries)
		}
		return nil
	}
	return failf(kindValidation, "`%s` does not go with `%s`", first.name, second.name)
}

// pairs joins the two sides.
func (c *call) pairs() []engine.Pair {
	pairs := make([]engine.Pair, len(c.documents.texts))
	for i, text := range c.documents.texts {
		query := c.queries.texts[0]
		if len(c.queries.texts) > 1 {
			query = c.queries.texts[i]
		}
		pairs[i] = engine.Pair{Query: query, Document: text, NoQuery: i < len(c.noQuery) && c.noQuery[i]}
	}
	return pairs
}

// appendScores appends the answer to /score.
func (s *Server) appendScores(w *writer, model string, scores *engine.Scores) {
	w.raw(`{"id":"score-`).id(s).raw(`","object":"list","created":`).integer(int(s.now().Unix()))
	w.raw(`,"model":`).string(model).raw(`,"data":[`)
	for i, score := range scores.Values {
		if i > 0 {
			w.raw(",")
		}
		w.raw(`{"index":`).integer(i).raw(`,"object":"score","score":`).score(score).raw("}")
	}
	w.raw("],").usage(scores.Stats.Tokens).raw("}")
}

// echoVLLM appends a document as vLLM has it, in every answer.
func echoVLLM(w *writer, c *call, index int) {
	w.raw(`,"document":{"text":`).string(c.documents.texts[index]).raw(`,"multi_modal":null}`)
}
