package main

import (
	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
)

// The texts are such that their order is not that of their scores, and that they need escapes and more than ASCII.
const query = "how do I remove limescale from a kettle?"

var documents = []string{
	"A kettle hole is a pond left behind where a block of ice melted.",
	"Limescale dissolves in a mild acid: fill the kettle with water and vinegar, boil, wait an hour, rinse.",
	"Opening hours: nine to six, \"Sundays\" closed.\n",
	"Hard water carries calcium and magnesium – that is what limescale is made of.",
	"Der Wasserkocher wird mit Essig entkalkt. 水垢は酢で取れます。",
}

// encodeCase returns the JSON that clients/case.py reads.
func encodeCase(ranking *engine.Ranking) (string, error) {
	c := struct {
		Query     string   `json:"query"`
		Documents []string `json:"documents"`
		Ranking   [][2]any `json:"ranking"` // index and score
	}{Query: query, Documents: documents}
	for _, r := range ranking.Results {
		c.Ranking = append(c.Ranking, [2]any{r.Index, r.Score})
	}
	data, err := json.Marshal(c)
	return string(data), err
}
