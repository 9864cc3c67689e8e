package builtin

import (
	_ "embed"
	"fmt"

	"github.com/go-json-experiment/json"
)

//go:embed goldens.json
var goldensJSON []byte

// Golden is a pair of texts, with the tokens and the logit that transformers computes with the model's weights, in fp32,
// for the pair alone in a batch.
type Golden struct {
	Query    string  `json:"query"`
	Document string  `json:"document"`
	Tokens   int     `json:"n_tokens"`
	IDs      string  `json:"ids_sha256"` // the first 16 hexadecimal digits of the SHA-256 of the token ids, as "1,2,3"
	Logit    float64 `json:"logit"`
}

// Goldens returns the results that tools/model/golden recorded of the model, to check any machine against.
func Goldens() ([]Golden, error) {
	var recorded struct {
		Pairs []Golden `json:"pairs"`
	}
	if err := json.Unmarshal(goldensJSON, &recorded); err != nil {
		return nil, fmt.Errorf("builtin: goldens.json: %w", err)
	}
	return recorded.Pairs, nil
}
