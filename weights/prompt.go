package weights

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json"
)

// Prompt is the text that a decoder reads: Before, the instruction with the text around it, BeforeQuery, the query, Between,
// the document, After.
type Prompt struct {
	Name                                string // of a known prompt, or that of the file with the template
	Before, BeforeQuery, Between, After string
	Instruct                            *Instruct // nil: it takes no instruction
	// Apart says that the text after the query, and that after the document, is tokenised by itself.
	Apart bool
	// Special says that the tokenizer's own special tokens go round the whole.
	Special bool
}

// Instruct is the part of a prompt with the instruction. The whole part is left out where the instruction is empty.
type Instruct struct {
	Before, After string
	Default       string // the instruction of calls that have none; may be empty
}

const (
	templateFile        = "chat_template.jinja"
	tokenizerConfigFile = "tokenizer_config.json"
	maxTemplate         = 64 << 10 // bytes of a chat template, and of a prompt
)

// knownPrompts are those of models whose files don't have them, by a part of the model's name in lower case.
var knownPrompts = []struct {
	name   string
	prompt Prompt
}{
	{"qwen3-reranker", qwen3Prompt},
	{"mxbai-rerank-base-v2", mxbaiPrompt},
	{"mxbai-rerank-large-v2", mxbaiPrompt},
	{"nemotron-rerank-1b-v2", nemotronPrompt},
	{"nv-rerankqa-1b-v2", nemotronPrompt},
}

var (
	// qwen3Prompt is that of the card of Qwen/Qwen3-Reranker-0.6B: prefix, format_instruction and suffix.
	qwen3Prompt = Prompt{
		Name: "Qwen3-Reranker",
		Before: "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct " +
			"provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n",
		Instruct: &Instruct{
			Before: "<Instruct>: ", After: "\n",
			Default: "Given a web search query, retrieve relevant passages that answer the query",
		},
		BeforeQuery: "<Query>: ", Between: "\n<Document>: ",
		After: "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
	}
	// mxbaiPrompt is that of mixedbread-ai/mxbai-rerank, mxbai_rerank/mxbai_rerank_v2.py, which tokenises the parts by
	// themselves.
	mxbaiPrompt = Prompt{
		Name: "mxbai-rerank-v2",
		Before: "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n" +
			"<|im_start|>user\n",
		Instruct:    &Instruct{Before: "instruction: ", After: "\n"},
		BeforeQuery: "query: ", Between: "\ndocument: ",
		After: "\nYou are a search relevance expert who evaluates how well documents match search queries. For each " +
			"query-document pair, carefully analyze the semantic relationship between them, then provide your binary " +
			"relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n",
		Apart: true,
	}
	// nemotronPrompt is that of the card of nvidia/llama-nemotron-rerank-1b-v2, whose tokenizer puts its first token before.
	nemotronPrompt = Prompt{Name: "llama-nemotron-rerank", BeforeQuery: "question:", Between: " \n \n passage:", Special: true}
)

// Prompt returns the text around query and document that a decoder was trained with: that of its chat template, if that has
// places for a query and a document, or else that of a model by its name. nil: the model is no decoder, and the tokenizer
// joins the texts. The error is [ErrUnsupported] or [ErrInvalid] where the text can't be known: no other text will do.
func (c *Checkpoint) Prompt() (*Prompt, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	if !familyOf(c.config.ModelType, "").decoder {
		return nil, nil
	}
	if c.pairSettings.PlainText {
		return nil, unsupportedf("%s: modality_config without \"message\": a decoder that gets texts without a prompt is not supported", sentenceFile)
	}
	template, err := c.chatTemplate()
	if err != nil {
		return nil, err
	}
	if template.joinsPairs() {
		p, err := template.read()
		if err != nil {
			return nil, unsupportedf("%s: %s; want a template of plain text and of the messages with the roles query, document and system",
				template.file, err)
		}
		if s := c.pairSettings.Prompt; s != "" {
			if p.Instruct == nil {
				return nil, unsupportedf("%s: prompts: a default prompt is a message with the role system, which %s leaves out",
					sentenceFile, template.file)
			}
			p.Instruct.Default = s
		}
		return p, nil
	}
	for _, known := range knownPrompts {
		if c.isCalled(known.name) {
			p := known.prompt
			if p.Instruct != nil {
				instruct := *p.Instruct
				p.Instruct = &instruct
			}
			return &p, nil
		}
	}
	return nil, unsupportedf("%s: %s is a decoder, and no file says what text it wants around query and document: want a %s beside "+
		`it with {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}, and the same for document`,
		c.src.place, quote(c.config.Architecture), templateFile)
}

// chatTemplate finds the template as transformers does: a file goes before the field.
func (c *Checkpoint) chatTemplate() (*chatTemplate, error) {
	t := &chatTemplate{file: templateFile, generation: c.pairSettings.generation}
	config, err := c.optionalFields(tokenizerConfigFile)
	if err != nil {
		return nil, err
	}
	t.tokens = map[string]string{}
	for _, name := range []string{"bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token"} {
		t.tokens[name] = config.token(name)
	}
	data, err := c.src.read(templateFile, maxTemplate)
	if err == nil {
		t.text = string(data)
		return t, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t.file = tokenizerConfigFile + ": chat_template"
	v, ok := config.get("chat_template")
	if !ok || config.err != nil {
		return t, config.err
	}
	if v.Kind() == '"' {
		t.text = config.text("chat_template", "")
		return t, config.err
	}
	var list []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if json.Unmarshal(v, &list) != nil {
		config.fail("chat_template", v, "a template, or a list of templates with names")
	}
	for _, named := range list {
		if named.Name == "default" {
			t.text = named.Template
		}
	}
	return t, config.err
}

// token reads the text of a special token, which may be in an object with its properties; "" if there is none.
func (f *fields) token(name string) string {
	v, ok := f.get(name)
	if !ok {
		return ""
	}
	if v.Kind() != '{' {
		return f.text(name, "")
	}
	var token struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(v, &token) != nil {
		f.fail(name, v, "a token")
	}
	return token.Content
}

// joinsPairs reports whether a template looks for the two texts of a pair. One of a chat does not.
func (t *chatTemplate) joinsPairs() bool {
	has := func(role string) bool {
		return strings.Contains(t.text, `"`+role+`"`) || strings.Contains(t.text, `'`+role+`'`)
	}
	return has(roleQuery) && has(roleDocument)
}
