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
		c.list.name, c.first.name = "inputs", "inputs"
		if pairs[0].Kind() == '"' {
			whole, err := json.Marshal(pairs)
			if err != nil {
				return nil
			}
			pairs, c.list.alone = []jsontext.Value{whole}, true
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
			c.first.texts, c.list.texts = append(c.first.texts, texts[0]), append(c.list.texts, texts[1])
			c.single = append(c.single, alone)
		}
		for len(c.single) > 0 && !c.single[len(c.single)-1] { // a false at the end says nothing
			c.single = c.single[:len(c.single)-1]
		}
		if len(c.single) == 0 {
			c.single = nil
		}
		c.first.entries, c.list.entries = len(pairs), len(pairs)
		options := generalOptions{
			Model: general.Model, RawScores: general.RawScores, Truncate: general.Truncate, Direction: general.Direction,
		}
		if !options.apply(c) || len(pairs) > fuzzLimits.texts {
			return nil
		}
		return c
	})
}
