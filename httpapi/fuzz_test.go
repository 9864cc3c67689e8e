package httpapi

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// Every form is decoded twice: by our decoder, and by go-json-experiment into a struct, followed by a plain version of
// the rules. Both must accept the same bodies and find the same values in them.

var fuzzLimits = limits{texts: 4, queryCharacters: 40, textCharacters: 50}

// fuzzForm adds seeds, and compares the decoder of a form with oracle, which returns nil for bodies to be refused.
func fuzzForm(f *testing.F, form form, check func(*call) *failure, seeds []string, oracle func([]byte) *call) {
	f.Helper()
	for _, body := range append(seeds,
		``, ` `, `[]`, `null`, `{}`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":null,"c":0}]}}`, `{"a":[1.5e+3,-0,true,false,"\u0000"]}`,
		"{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"a":"\ud83d\ude00 \"\\\/\b\f\n\r\t"}`, `{"a":01}`, `{"a":tru}`, `{"a":"\x"}`, `{} x`,
		`{"a`+strings.Repeat(`","a`, 9)+`":1}`, `{"model":"m","model":"n"}`, `{"raw_scores":1}`, `{"mod\u0065l":"m","model":"n"}`,
	) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, failure := decode(body, form, fuzzLimits)
		if failure == nil {
			failure = check(got)
		}
		want := oracle(body)
		if failure != nil {
			if want != nil {
				t.Fatalf("%q: refused: %s", body, failure.message)
			}
			checkRefused(t, body, failure)
			return
		}
		if want == nil {
			t.Fatalf("%q: accepted", body)
		}
		got.characters, got.queryCharacters, got.hasQuery = 0, 0, false
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(call{}, list{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q: (-general +ours)\n%s", body, diff)
		}
	})
}

// checkRefused wants a 4xx with JSON, and calls no valid JSON malformed.
func checkRefused(t *testing.T, body []byte, failure *failure) {
	t.Helper()
	var response fasthttp.Response
	failure.write(&response)
	if status := response.StatusCode(); status < 400 || status >= 500 || !jsontext.Value(response.Body()).IsValid() {
		t.Fatalf("%q: %d %s, want a 4xx with JSON", body, status, response.Body())
	}
	if failure.kind == kindMalformed && jsontext.Value(body).IsValid() {
		t.Fatalf("%q is valid JSON: %s", body, failure.message)
	}
}

// generalOptions are the options that a form may have. Pointers tell null and absence from a value.
type generalOptions struct {
	Model             *string        `json:"model"`
	RawScores         jsontext.Value `json:"raw_scores"`
	ReturnText        *bool          `json:"return_text"`
	ReturnDocuments   jsontext.Value `json:"return_documents"`
	Truncate          *bool          `json:"truncate"`
	Truncation        jsontext.Value `json:"truncation"`
	Direction         *string        `json:"truncation_direction"`
	Side              *string        `json:"truncation_side"`
	UseActivation     jsontext.Value `json:"use_activation"`
	TopN              jsontext.Value `json:"top_n"`
	MaxTokensPerDoc   jsontext.Value `json:"max_tokens_per_doc"`
	MaxDocLength      jsontext.Value `json:"max_doc_length"`
	MaxTokensPerQuery jsontext.Value `json:"max_tokens_per_query"`
	PromptTokens      jsontext.Value `json:"truncate_prompt_tokens"`
	Instruction       *string        `json:"instruction"`
	Priority          jsontext.Value `json:"priority"`
}

// apply puts the options into c, and returns false if one of them is invalid. The values that pydantic accepts as
// booleans and numbers have a test of their own.
func (o *generalOptions) apply(c *call) bool {
	ok := true
	is := func(of *bool, value bool) bool { return of != nil && *of == value }
	there := func(of jsontext.Value) bool { return of != nil && of.Kind() != 'n' }
	truth := func(of jsontext.Value, value bool) bool {
		if !there(of) {
			return false
		}
		if of.Kind() == '{' || of.Kind() == '[' {
			ok = false
			return false
		}
		got, taken := laxBool(of)
		ok = ok && taken
		return got == value
	}
	number := func(low, high int64, of jsontext.Value) (n int64) {
		if !there(of) {
			return 0
		}
		if of.Kind() == '{' || of.Kind() == '[' {
			ok = false
			return 0
		}
		n, taken := laxInteger(of)
		ok = ok && taken && low <= n && n <= high
		return n
	}
	limit := func(to *int, of ...jsontext.Value) {
		for _, value := range of {
			if n := int(number(0, math.MaxInt32, value)); n != 0 && (*to == 0 || n < *to) {
				*to = n
			}
		}
	}
	word := func(of *string, left, right []string) {
		if of != nil {
			ok = ok && (slices.Contains(left, *of) || slices.Contains(right, *of))
			c.left = c.left || slices.Contains(left, *of)
		}
	}
	if o.Model != nil {
		c.model = *o.Model
	}
	if o.Instruction != nil {
		c.options.Instruction = *o.Instruction
		ok = ok && utf8.RuneCountInString(*o.Instruction) <= maxInstruction
	}
	c.rawScores = truth(o.RawScores, true)
	c.activation, c.noActivation = truth(o.UseActivation, true), truth(o.UseActivation, false)
	c.returnTexts = is(o.ReturnText, true) || truth(o.ReturnDocuments, true)
	c.truncation = is(o.Truncate, true)
	c.noTruncation = is(o.Truncate, false) || truth(o.Truncation, false)
	word(o.Direction, []string{"Left", "left"}, []string{"Right", "right"})
	word(o.Side, []string{"left"}, []string{"right"})
	top := number(math.MinInt32, math.MaxInt32, o.TopN)
	c.topN, c.topNNotPositive = int(max(0, top)), there(o.TopN) && top <= 0
	limit(&c.options.MaxDocumentTokens, o.MaxTokensPerDoc, o.MaxDocLength)
	limit(&c.options.MaxQueryTokens, o.MaxTokensPerQuery)
	c.options.MaxPairTokens = int(max(0, number(-1, math.MaxInt32, o.PromptTokens)))
	if p := number(math.MinInt32, math.MaxInt32, o.Priority); there(o.Priority) {
		c.options.Weight = math.Pow(2, -float64(min(4, max(-4, p))))
	}
	switch {
	case c.noTruncation:
		c.options.Truncation = engine.TruncateNever
	case c.left:
		c.options.Truncation = engine.TruncateLeft
	}
	if c.documents.ofTEI() && there(o.RawScores) && o.RawScores.Kind() != 't' && o.RawScores.Kind() != 'f' {
		return false
	}
	return ok
}

// generalTexts reads an array of strings; none may be null or too long.
func generalTexts(value jsontext.Value) ([]string, bool) {
	var texts []*string
	if value.Kind() != '[' || json.Unmarshal(value, &texts) != nil {
		return nil, false
	}
	var all []string
	for _, text := range texts {
		if text == nil || utf8.RuneCountInString(*text) > fuzzLimits.textCharacters {
			return nil, false
		}
		all = append(all, *text)
	}
	return all, 1 <= len(all) && len(all) <= fuzzLimits.texts
}

// generalSide reads one string or several.
func generalSide(name string, value jsontext.Value) (list, bool) {
	if value.Kind() != '"' {
		texts, ok := generalTexts(value)
		return list{name: name, texts: texts, entries: len(texts)}, ok
	}
	var text string
	ok := json.Unmarshal(value, &text) == nil && utf8.RuneCountInString(text) <= fuzzLimits.textCharacters
	return list{name: name, texts: []string{text}, entries: 1, isString: true}, ok
}

// FuzzRerank has the bodies of text-embeddings-inference, Cohere, Jina, Infinity, vLLM and llama.cpp: they are one form.
func FuzzRerank(f *testing.F) {
	fuzzForm(f, rerankForm, checkRerank, []string{
		`{"query":"What is Deep Learning?","texts":["Deep Learning is not...","Deep learning is..."]}`,
		`{"query":"a","texts":["b",""],"truncate":false,"truncation_direction":"left","raw_scores":true,"return_text":true}`,
		`{"query":"\u00e9\ud83d\ude00","texts":["\"\\\/\b\f\n\r\t"],"x":{"y":[1e5,null,{}]},"truncate":null}`,
		`{"query":"","texts":[""]}`, `{"query":"a","texts":[]}`, `{"query":"a","texts":["a","b","c","d","e"]}`,
		`{"model":"m","query":"a","documents":["b",{"text":"c","x":[1]}],"top_n":2,"return_documents":true,"max_tokens_per_doc":9,"priority":-1}`,
		`{"query":"a","documents":[{"a":1,"b":"c","d":true,"e":null}],"rank_fields":["b","a","e","z"],"max_chunks_per_doc":null}`,
		`{"query":"a","documents":["b"],"truncation":false,"max_doc_length":5,"use_activation":false,"truncation_side":"left"}`,
		`{"query":"a","documents":["b"],"top_n":"2.0","return_documents":"YES","raw_scores":1.0,"priority":true,"truncation":"off"}`,
		`{"query":"a","texts":["b"],"top_n":" +1_0 ","return_documents":0,"raw_scores":"t"}`, `{"query":"a","documents":["b"],"top_n":-1e0}`,
		`{"query":"a","documents":["b"],"texts":["b"]}`, `{"query":1}`, `{"texts":[null]}`, `{"query":"a","documents":[{"text":{}}]}`,
	}, func(body []byte) *call {
		var general struct {
			generalOptions
			Query      *string          `json:"query"`
			Texts      jsontext.Value   `json:"texts"`
			Documents  []jsontext.Value `json:"documents"`
			RankFields []*string        `json:"rank_fields"`
		}
		// A null field is refused where null is not allowed; a nil slice doesn't show whether the field is there.
		var fields map[string]jsontext.Value
		if json.Unmarshal(body, &general) != nil || json.Unmarshal(body, &fields) != nil || general.Query == nil ||
			utf8.RuneCountInString(*general.Query) > fuzzLimits.queryCharacters {
			return nil
		}
		c := &call{query: *general.Query}
		for _, field := range general.RankFields {
			if field == nil || slices.Contains(c.rankFields, *field) || len(c.rankFields) == maxRankFields {
				return nil
			}
			c.rankFields = append(c.rankFields, *field)
		}
		_, hasTexts := fields["texts"]
		_, hasDocuments := fields["documents"]
		ok := hasTexts != hasDocuments
		if hasTexts {
			c.documents.name = "texts"
			if c.documents.texts, ok = generalTexts(general.Texts); hasDocuments {
				return nil
			}
		} else if ok = ok && generalDocuments(c, general.Documents); !ok {
			return nil
		}
		c.documents.entries = len(c.documents.texts)
		if !general.apply(c) || !ok || (c.query == "" && slices.Contains(c.documents.texts, "")) {
			return nil
		}
		return c
	})
}

// generalDocuments reads strings and objects.
func generalDocuments(c *call, documents []jsontext.Value) bool {
	c.documents.name = "documents"
	for i, document := range documents {
		var (
			text   string
			values map[string]jsontext.Value
			lines  []string
		)
		switch document.Kind() {
		case '"':
			if json.Unmarshal(document, &text) != nil {
				return false
			}
		case '{':
			if json.Unmarshal(document, &values) != nil {
				return false
			}
			fields := c.rankFields
			if len(fields) == 0 {
				fields = []string{"text"}
			}
			for _, field := range fields {
				value, is := values[field]
				switch kind := value.Kind(); {
				case !is || kind == 'n':
				case kind == '"':
					var line string
					if json.Unmarshal(value, &line) != nil {
						return false
					}
					lines = append(lines, line)
				case kind == '{' || kind == '[':
					return false
				default:
					lines = append(lines, string(value))
				}
			}
			if len(lines) == 0 {
				return false
			}
			text = strings.Join(lines, "\n")
			if c.documents.objects == nil {
				c.documents.objects = map[int]string{}
			}
			c.documents.objects[i] = string(document)
		default:
			return false
		}
		if utf8.RuneCountInString(text) > fuzzLimits.textCharacters {
			return false
		}
		c.documents.texts = append(c.documents.texts, text)
	}
	return 1 <= len(documents) && len(documents) <= fuzzLimits.texts
}

func FuzzScore(f *testing.F) {
	fuzzForm(f, scoreForm, checkScore, []string{
		`{"text_1":"a","text_2":["b","c"]}`, `{"queries":["a","b"],"documents":["b","c"],"use_activation":false}`,
		`{"queries":"a","items":"b","priority":1,"max_tokens_per_doc":2}`, `{"data_1":["a"],"data_2":["b"],"model":"m","data_2":1}`,
		`{"text_1":"a","text_2":"b","instruction":"c"}`,
		`{"text_1":"a","documents":"b"}`, `{"text_1":["a","b"],"text_2":"c"}`, `{"text_1":null,"data_1":"a","data_2":"b"}`, `{"text_1":[]}`,
	}, func(body []byte) *call {
		var general struct {
			Text1     jsontext.Value `json:"text_1"`
			Text2     jsontext.Value `json:"text_2"`
			Queries   jsontext.Value `json:"queries"`
			Documents jsontext.Value `json:"documents"`
			Items     jsontext.Value `json:"items"`
			Data1     jsontext.Value `json:"data_1"`
			Data2     jsontext.Value `json:"data_2"`

			Model             *string        `json:"model"`
			Side              *string        `json:"truncation_side"`
			UseActivation     jsontext.Value `json:"use_activation"`
			MaxTokensPerDoc   jsontext.Value `json:"max_tokens_per_doc"`
			MaxTokensPerQuery jsontext.Value `json:"max_tokens_per_query"`
			PromptTokens      jsontext.Value `json:"truncate_prompt_tokens"`
			Instruction       *string        `json:"instruction"`
			Priority          jsontext.Value `json:"priority"`
		}
		if json.Unmarshal(body, &general) != nil {
			return nil
		}
		sides := map[string]jsontext.Value{
			"text_1": general.Text1, "text_2": general.Text2, "queries": general.Queries, "documents": general.Documents,
			"items": general.Items, "data_1": general.Data1, "data_2": general.Data2,
		}
		maps.DeleteFunc(sides, func(_ string, value jsontext.Value) bool { return value == nil || value.Kind() == 'n' })
		c := &call{}
		for _, names := range scorePairs {
			if sides[names.first] == nil || sides[names.second] == nil || len(sides) != 2 {
				continue
			}
			var ok, okToo bool
			c.queries, ok = generalSide(names.first, sides[names.first])
			c.documents, okToo = generalSide(names.second, sides[names.second])
			options := generalOptions{
				Model: general.Model, Side: general.Side, UseActivation: general.UseActivation, Priority: general.Priority,
				MaxTokensPerDoc: general.MaxTokensPerDoc, MaxTokensPerQuery: general.MaxTokensPerQuery,
				PromptTokens: general.PromptTokens, Instruction: general.Instruction,
			}
			if !ok || !okToo || !options.apply(c) || (len(c.queries.texts) != 1 && len(c.queries.texts) != len(c.documents.texts)) {
				return nil
			}
			return c
		}
		return nil
	})
}

func FuzzTokenize(f *testing.F) {
	fuzzForm(f, tokenizeForm, checkTokenize, []string{
		`{"inputs":"a"}`, `{"inputs":["a","b"],"add_special_tokens":false,"prompt_name":null}`, `{"inputs":null}`, `{"inputs":[]}`,
	}, func(body []byte) *call {
		var general struct {
			Inputs  jsontext.Value `json:"inputs"`
			Special *bool          `json:"add_special_tokens"`
			Model   *string        `json:"model"`
		}
		if json.Unmarshal(body, &general) != nil {
			return nil
		}
		c := &call{noSpecialTokens: general.Special != nil && !*general.Special}
		if general.Model != nil {
			c.model = *general.Model
		}
		var ok bool
		if c.documents, ok = generalSide("inputs", general.Inputs); !ok {
			return nil
		}
		return c
	})
}
