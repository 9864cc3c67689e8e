package weights

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// chatTemplate is a template in Jinja's language, as transformers reads it (render_jinja_template in
// utils/chat_template_utils.py of 5.23: trim_blocks and lstrip_blocks are on). Of the language, only text, {% set %},
// {% if %} and expressions of messages by their roles are read. Anything else is an error: a prompt is read exactly, or not at
// all.
type chatTemplate struct {
	file, text string
	generation bool              // add_generation_prompt
	tokens     map[string]string // special tokens by name

	values map[string]templateValue
	blocks []templateBlock // {% if %} that are open
	parts  []promptPart    // the outcome so far
}

// promptPart is literal text, or a place for a text of a call.
type promptPart struct {
	text  string // literal; of the instruction's place, the default
	place string // roleQuery, roleDocument or roleSystem; "": literal
}

// The roles of messages that sentence-transformers gives to the texts of a pair (base/modality.py in 6.2.0): the prompt is
// the system's.
const (
	roleQuery    = "query"
	roleDocument = "document"
	roleSystem   = "system"
)

// templateBlock is an {% if %}.
type templateBlock struct {
	on    bool // this branch is rendered
	taken bool // a branch was
	outer bool // the text around it is rendered
	other bool // a {% for %} or the like, in text that isn't rendered
}

// read evaluates the template, and makes a prompt of the outcome.
func (t *chatTemplate) read() (*Prompt, error) {
	text := strings.TrimSuffix(t.text, "\n") // keep_trailing_newline is off
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(text), maxTemplate)
	}
	if strings.ContainsRune(text, '\r') {
		return nil, errors.New("it has a carriage return")
	}
	none := truth(false) // transformers' None for what a call does not have
	t.values = map[string]templateValue{
		"messages": {kind: valueMessages}, "add_generation_prompt": truth(t.generation), "tools": none, "documents": none,
	}
	for name, token := range t.tokens {
		if token != "" {
			t.values[name] = literal(token)
		}
	}
	lineStart := true
	for text != "" {
		at := tagStart.FindStringIndex(text)
		if at == nil {
			t.write(text)
			break
		}
		i := at[0]
		tag, err := readTag(text[i:])
		if err != nil {
			return nil, err
		}
		t.write(tag.trimBefore(text[:i], lineStart))
		text = text[i+tag.bytes:]
		lineStart = tag.rest(&text)
		if err := t.apply(tag); err != nil {
			return nil, err
		}
	}
	if len(t.blocks) > 0 {
		return nil, errors.New("an {% if %} has no end")
	}
	return promptOf(t.parts, t.file)
}

var tagStart = regexp.MustCompile(`\{[{%#]`)

// templateTag is {{ … }}, {% … %} or {# … #}.
type templateTag struct {
	kind        byte // '{', '%' or '#'
	body        string
	first, last byte // '-', '+' or 0: the sign at the beginning and at the end
	bytes       int
}

// readTag reads the tag that text begins with.
func readTag(text string) (*templateTag, error) {
	tag := &templateTag{kind: text[1]}
	end := map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[tag.kind]
	at := 2
	quote := byte(0)
	for ; ; at++ {
		if at+1 >= len(text) {
			return nil, fmt.Errorf("%.40q has no end", text)
		}
		switch b := text[at]; {
		case quote != 0 && b == '\\':
			at++
			continue
		case quote != 0:
			if b == quote {
				quote = 0
			}
			continue
		case tag.kind != '#' && (b == '"' || b == '\''):
			quote = b
			continue
		}
		if text[at:at+2] == end {
			break
		}
	}
	tag.body, tag.bytes = text[2:at], at+2
	if tag.body != "" && strings.IndexByte("-+", tag.body[0]) >= 0 {
		tag.first, tag.body = tag.body[0], tag.body[1:]
	}
	if n := len(tag.body); n > 0 && strings.IndexByte("-+", tag.body[n-1]) >= 0 {
		tag.last, tag.body = tag.body[n-1], tag.body[:n-1]
	}
	return tag, nil
}

// trimBefore removes white space before the tag, as Jinja's lexer does. lineStart: text begins where a line does.
func (tag *templateTag) trimBefore(text string, lineStart bool) string {
	switch {
	case tag.first == '-':
		return strings.TrimRightFunc(text, unicode.IsSpace)
	case tag.first == '+' || tag.kind == '{':
		return text
	}
	line := strings.LastIndexByte(text, '\n') + 1
	if (line > 0 || lineStart) && strings.TrimFunc(text[line:], unicode.IsSpace) == "" {
		return text[:line]
	}
	return text
}

// rest removes white space after the tag, and reports whether a line begins there.
func (tag *templateTag) rest(text *string) bool {
	before := *text
	switch {
	case tag.last == '-':
		*text = strings.TrimLeftFunc(before, unicode.IsSpace)
	case tag.last == 0 && tag.kind != '{':
		*text = strings.TrimPrefix(before, "\n")
	}
	return strings.HasSuffix(before[:len(before)-len(*text)], "\n")
}

// rendered reports whether the text at this place is.
func (t *chatTemplate) rendered() bool {
	return len(t.blocks) == 0 || t.blocks[len(t.blocks)-1].on
}

func (t *chatTemplate) write(text string) {
	if text != "" && t.rendered() {
		t.parts = append(t.parts, promptPart{text: text})
	}
}

// apply evaluates a tag.
func (t *chatTemplate) apply(tag *templateTag) error {
	switch {
	case tag.kind == '#':
		return nil
	case tag.kind == '{':
		if !t.rendered() {
			return nil
		}
		value, err := t.evaluate(tag.body)
		if err != nil {
			return err
		}
		parts, err := value.printed()
		t.parts = append(t.parts, parts...)
		return err
	}
	rest := strings.TrimSpace(tag.body)
	word := rest
	if i := strings.IndexFunc(rest, unicode.IsSpace); i > 0 {
		word, rest = rest[:i], rest[i+1:]
	}
	switch word {
	case "if", "elif", "else", "endif":
		return t.branch(word, rest)
	case "for", "macro", "call", "filter", "generation":
		if t.rendered() {
			return fmt.Errorf("{%% %s %%} is not read", word)
		}
		t.blocks = append(t.blocks, templateBlock{other: true})
		return nil
	case "endfor", "endmacro", "endcall", "endfilter", "endgeneration":
		return t.end(true)
	}
	if !t.rendered() {
		return nil
	}
	if word != "set" {
		return fmt.Errorf("{%% %.40s %%} is not read", word)
	}
	name, body, ok := strings.Cut(rest, "=")
	if name = strings.TrimSpace(name); !ok || !isName(name) {
		return fmt.Errorf("{%% set %.40s %%} is not read", rest)
	}
	value, err := t.evaluate(body)
	t.values[name] = value
	return err
}

// branch evaluates {% if %} and what belongs to it.
func (t *chatTemplate) branch(word, condition string) error {
	if word == "if" {
		outer := t.rendered()
		t.blocks = append(t.blocks, templateBlock{outer: outer, taken: !outer})
	}
	if word == "endif" {
		return t.end(false)
	}
	if len(t.blocks) == 0 {
		return fmt.Errorf("{%% %s %%} without an {%% if %%}", word)
	}
	b := &t.blocks[len(t.blocks)-1]
	if b.other { // not rendered
		return nil
	}
	b.on = false
	if b.taken {
		return nil
	}
	if word == "else" {
		b.on, b.taken = true, true
		return nil
	}
	holds, err := t.holds(condition)
	b.on, b.taken = holds, holds
	return err
}

// end closes the innermost block. other: a {% for %} or the like.
func (t *chatTemplate) end(other bool) error {
	if n := len(t.blocks); n > 0 && t.blocks[n-1].other == other {
		t.blocks = t.blocks[:n-1]
		return nil
	}
	return errors.New("a block ends that has not begun")
}

// promptOf makes a prompt of the outcome: text around an instruction, a query and a document, each once at most.
func promptOf(parts []promptPart, file string) (*Prompt, error) {
	p := &Prompt{Name: file}
	text := &p.BeforeQuery
	size := 0
	var seen string
	for _, part := range parts {
		switch size += len(part.text); {
		case size > maxTemplate:
			return nil, fmt.Errorf("a prompt of over %d bytes", maxTemplate)
		case part.place == "":
			*text += part.text
		case part.place == roleSystem && seen == "":
			p.Before, p.BeforeQuery, p.Instruct = p.BeforeQuery, "", &Instruct{Default: part.text}
		case part.place == roleQuery && (seen == "" || seen == roleSystem):
			text = &p.Between
		case part.place == roleDocument && seen == roleQuery:
			text = &p.After
		default:
			return nil, fmt.Errorf("the message of the role %s comes after that of %s; want system, query and document in this order, each once",
				part.place, seen)
		}
		if part.place != "" {
			seen = part.place
		}
	}
	if seen != roleDocument {
		return nil, errors.New("it does not render both the query and the document")
	}
	return p, nil
}
