package httpapi

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func FuzzPredict(f *testing.F) {
	fuzzForm(f, predictForm, checkPredict, []string{
		`{"inputs":["a","b"]}`, `{"inputs":[["a","b"],["c","d"]],"truncate":false,"raw_scores":true,"truncation_direction":"Left"}`,
		`{"inputs":"a"}`, `{"inputs":[]}`, `{"inputs":[[]]}`, `{"inputs":[["a"]]}`, `{"inputs":["a",["b","c"]]}`, `{"inputs":[ "a" , "b" ]}`,
		`{"inputs":[["a","b"],["a"],["a","b"],["a","b"],1]}`, `{"inputs":["a","b","c"]}`, `{"inputs":["a"]}`, `{"inputs":[["a","b"],["c"],["d","e"]]}`, `{"inputs":""}`, `{"inputs":[null,"a"]}`,
	}, func(body []byte) *call {
		var general struct {
			Inputs    jsontext.Value `json:"inputs"`
			Model     *string        `json:"model"`
			RawScores jsontext.Value `json:"raw_scores"`
			Truncate  *bool          `json:"truncate"`
			Direction *string        `json:"truncation_direction"`
		}
		if json.Unmarshal(body, &general) != nil {
			return nil
		}
		var pairs []jsontext.Value
		if general.Inputs.Kind() == '"' {
			pairs = []jsontext.Value{general.Inputs}
		} else if json.Unmarshal(general.Inputs, &pairs) != nil || len(pairs) == 0 {
			return nil
		}
		c := &call{}
		c.documents.name, c.queries.name = "inputs", "inputs"
		if pairs[0].Kind() == '"' {
			whole, err := json.Marshal(pairs)
			if err != nil {
				return nil
			}
			pairs, c.documents.isString = []jsontext.Value{whole}, true
		}
		for _, pair := range pairs {
			texts, ok := generalTexts(pair)
			if !ok || len(texts) > 2 {
				return nil
			}
			alone := len(texts) == 1
			if alone {
				texts = []string{"", texts[0]}
			}
			if texts[0] == "" && texts[1] == "" {
				return nil
			}
			c.queries.texts, c.documents.texts = append(c.queries.texts, texts[0]), append(c.documents.texts, texts[1])
			c.noQuery = append(c.noQuery, alone)
		}
		for len(c.noQuery) > 0 && !c.noQuery[len(c.noQuery)-1] { // a false at the end says nothing
			c.noQuery = c.noQuery[:len(c.noQuery)-1]
		}
		if len(c.noQuery) == 0 {
			c.noQuery = nil
		}
		c.queries.entries, c.documents.entries = len(pairs), len(pairs)
		options := generalOptions{
			Model: general.Model, RawScores: general.RawScores, Truncate: general.Truncate, Direction: general.Direction,
		}
		if !options.apply(c) || len(pairs) > fuzzLimits.texts {
			return nil
		}
		return c
	})
}
