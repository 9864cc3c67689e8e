package weights

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// plainDecoder are the files of a decoder whose weights are never looked at.
func plainDecoder(more map[string]string) map[string][]byte {
	header := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	files := map[string][]byte{
		"model.safetensors": append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header+"\x00\x00\x00\x00"...),
		"config.json": []byte(`{"model_type":"qwen3","architectures":["Qwen3ForSequenceClassification"],"hidden_size":8,"head_dim":4,
			"num_attention_heads":2,"num_key_value_heads":1,"num_hidden_layers":1,"intermediate_size":8,"vocab_size":8,"num_labels":1}`),
	}
	for name, text := range more {
		files[name] = []byte(text)
	}
	return files
}

func promptOfFiles(t *testing.T, name string, more map[string]string) (*Prompt, error) {
	t.Helper()
	c, err := FromMemory(name, plainDecoder(more))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Prompt()
}

// filled is the text of a prompt.
func (p *Prompt) filled(instruction, query, document string) string {
	text := p.Before
	if i := p.Instruct; i != nil {
		if instruction == "" {
			instruction = i.Default
		}
		if instruction != "" {
			text += i.Before + instruction + i.After
		}
	}
	return text + p.BeforeQuery + query + p.Between + document + p.After
}

// Chat templates are read as Jinja renders them in transformers, or refused; see tools/model/golden/prompts.py.
func TestChatTemplatesAgainstTransformers(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "chat_templates.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Template    string  `json:"template"`
		Generation  bool    `json:"generation"`
		Instruction *string `json:"instruction"`
		Rendered    string  `json:"rendered"`
		Refused     bool    `json:"refused"`
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 20 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		template := &chatTemplate{file: "template", text: c.Template, generation: c.Generation}
		if !template.joinsPairs() {
			t.Errorf("%q is taken for a chat's", c.Template)
		}
		p, err := template.read()
		if c.Refused || err != nil {
			if (err != nil) != c.Refused {
				t.Errorf("%q: error %v, refused there: %t", c.Template, err, c.Refused)
			}
			continue
		}
		instruction := ""
		if c.Instruction != nil && p.Instruct != nil {
			instruction = *c.Instruction
		}
		if got := p.filled(instruction, "<the query>", "<the document>"); got != c.Rendered {
			t.Errorf("%q is read as\n%q, want\n%q", c.Template, got, c.Rendered)
		}
	}
}

const pairTemplate = `{{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("rank") }}: ` +
	`{{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }} / ` +
	`{{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}`

// The text comes from the files, and from the model's name where they have none.
func TestPromptSources(t *testing.T) {
	field := func(template string) string {
		data, err := json.Marshal(map[string]any{"chat_template": template})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	const chat = `{% for m in messages %}{{ m.content }}{% endfor %}`
	modules := map[string]string{
		"modules.json":                      `[{"type":"sentence_transformers.base.modules.transformer.Transformer","path":""}]`,
		"config_sentence_transformers.json": `{"model_type":"CrossEncoder","default_prompt_name":"p","prompts":{"p":"find the ferry"}}`,
		"sentence_bert_config.json": `{"transformer_task":"sequence-classification","module_output_name":"scores",
			"modality_config":{"message":{"method":"forward","method_output_name":"logits","format":"flat"}}}`,
		"chat_template.jinja": pairTemplate,
	}
	for _, c := range []struct {
		name, model string
		files       map[string]string
		want        string
	}{
		{"a file", "m", map[string]string{"chat_template.jinja": pairTemplate, "tokenizer_config.json": field("other")}, "rank: Q / D"},
		{"a field", "m", map[string]string{"tokenizer_config.json": field(pairTemplate)}, "rank: Q / D"},
		{"a named field", "m", map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"rag","template":"x"},{"name":"default","template":` +
			strings.TrimSuffix(strings.TrimPrefix(field(pairTemplate), `{"chat_template":`), "}") + `}]}`}, "rank: Q / D"},
		{"a default prompt", "m", modules, "find the ferry: Q / D"},
		{"a name", "mlx-community/Qwen3-Reranker-0.6B-4bit", map[string]string{"tokenizer_config.json": field(chat)},
			"<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the " +
				"answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant " +
				"passages that answer the query\n<Query>: Q\n<Document>: D<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"},
		{"the base model of a card", "m", map[string]string{"README.md": "---\nbase_model: nvidia/llama-nemotron-rerank-1b-v2\n---\n"},
			"question:Q \n \n passage:D"},
	} {
		p, err := promptOfFiles(t, c.model, c.files)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := p.filled("", "Q", "D"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, "want a chat_template.jinja beside it"},
		{"a chat", map[string]string{"tokenizer_config.json": field(chat)}, "want a chat_template.jinja beside it"},
		{"a loop", map[string]string{"chat_template.jinja": chat + `"query" "document"`}, "chat_template.jinja: {% for %} is not read"},
		{"a number", map[string]string{"tokenizer_config.json": `{"chat_template":7}`}, "chat_template: 7"},
	} {
		p, err := promptOfFiles(t, "m", c.files)
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, error %v, want one with %q", c.name, p, err, c.want)
		}
	}
}

// A prompt that says that texts go to a decoder without one is refused.
func TestDecoderOfPlainTexts(t *testing.T) {
	_, err := promptOfFiles(t, "qwen3-reranker", map[string]string{
		"modules.json":                      `[{"type":"sentence_transformers.base.modules.transformer.Transformer","path":""}]`,
		"config_sentence_transformers.json": `{"model_type":"CrossEncoder"}`,
		"sentence_bert_config.json":         `{"modality_config":{"text":{"method":"forward","method_output_name":"logits"}}}`,
	})
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "modality_config") {
		t.Errorf("error %v", err)
	}
}

// Templates are not trusted: one is read to a prompt of bounded size, or refused.
func FuzzChatTemplate(f *testing.F) {
	f.Add(pairTemplate, true)
	f.Add(`{%- set a = 'x' + 'y' -%}{% if not (a) and true or false is defined %}{#`, false)
	f.Add("{%- set q = messages|selectattr('role','==','query')|list -%}\n  {% if q %}{{+ (q|first).content ~ \"\\n\" }}{% else %}{% for x in y %}{% endfor %}{% endif +%}", false)
	f.Fuzz(func(t *testing.T, text string, generation bool) {
		p, err := (&chatTemplate{text: text, generation: generation}).read()
		if err == nil && len(p.filled("", "", "")) > maxTemplate {
			t.Errorf("a prompt of %d bytes", len(p.filled("", "", "")))
		}
	})
}
