package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// textTemplate is how a query and a document, or a document alone, become one sequence: for BERT, [CLS] query [SEP]
// document [SEP] with types 0 0 0 1 1, or [CLS] document [SEP].
type textTemplate struct {
	pieces   []piece
	specials int // special tokens in all
}

// piece is one special token, or all tokens of one text.
type piece struct {
	source source
	id     int32  // of the special token
	name   string // likewise
	typeID int32
}

type source uint8

const (
	special source = iota
	query
	document
)

// assemble joins the tokens of a query and of a document. Where the template is of a document alone, there is no query.
func (t *textTemplate) assemble(q, d []int32) sequence {
	length := len(q) + len(d) + t.specials
	s := sequence{ids: make([]int32, 0, length), types: make([]int32, 0, length)}
	for _, piece := range t.pieces {
		switch piece.source {
		case special:
			s.ids = append(s.ids, piece.id)
		case query:
			s.ids = append(s.ids, q...)
		case document:
			s.prefix = len(s.ids)
			s.ids = append(s.ids, d...)
		}
		for len(s.types) < len(s.ids) {
			s.types = append(s.types, piece.typeID)
		}
	}
	return s
}

// postProcessor is the part of tokenizer.json's post_processor that says how a pair is put together, in the forms of
// BERT and its relatives (processors/{template,bert,roberta,sequence}.rs of the Rust tokenizers library).
type postProcessor struct {
	Type          string                      `json:"type"`
	Single        []templatePiece             `json:"single"`
	Pair          []templatePiece             `json:"pair"`
	SpecialTokens map[string]templateSpecials `json:"special_tokens"`
	Sep           jsontext.Value              `json:"sep"` // ["[SEP]", 102]
	Cls           jsontext.Value              `json:"cls"`
	Processors    []jsontext.Value            `json:"processors"` // of a Sequence
}

type templatePiece struct {
	SpecialToken *templateRef `json:"SpecialToken"`
	Sequence     *templateRef `json:"Sequence"`
}

type templateRef struct {
	ID     string `json:"id"`
	TypeID int64  `json:"type_id"`
}

type templateSpecials struct {
	IDs    []int64  `json:"ids"`
	Tokens []string `json:"tokens"`
}

// bare is the template of a text alone to which the tokenizer adds nothing.
var bare = textTemplate{pieces: []piece{{source: document}}}

// errNoPair is the error of a tokenizer.json that adds no tokens. A pair's texts would run into each other.
var errNoPair = errors.New("tokenizer.json: no post_processor that adds tokens, so how a pair is put together is not known")

// parseTemplates reads the post_processor of a tokenizer.json. single is nil where the file has no usable template for a
// text alone, and pair where it adds no tokens at all.
func parseTemplates(data jsontext.Value) (pair, single *textTemplate, err error) {
	if len(data) == 0 || data.Kind() == 'n' {
		return nil, &bare, nil
	}
	var p postProcessor
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
	}
	switch p.Type {
	case "TemplateProcessing":
		pair, single, err = p.templates()
	case "BertProcessing":
		pair, single, err = p.fixed(bertPair)
	case "RobertaProcessing":
		pair, single, err = p.fixed(robertaPair)
	case "Sequence":
		return parseSequence(p.Processors)
	case "ByteLevel": // moves offsets
		return nil, &bare, nil
	default:
		err = fmt.Errorf("type %q is not supported (TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel and Sequence are)", p.Type)
	}
	if err == nil {
		err = pair.check("pair", 1)
	}
	if single != nil && single.check("single", 0) != nil {
		single = nil // optional: a reranker needs pairs only
	}
	if err != nil {
		return nil, nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
	}
	return pair, single, nil
}

func (p *postProcessor) templates() (pair, single *textTemplate, err error) {
	if pair, err = p.template("pair", p.Pair, query); err != nil || len(p.Single) == 0 {
		return pair, nil, err
	}
	if single, err = p.template("single", p.Single, document); err != nil {
		single = nil // optional: a reranker needs pairs only
	}
	return pair, single, nil
}

// template reads the pieces of one template; first is the source of sequence A.
func (p *postProcessor) template(name string, pieces []templatePiece, first source) (*textTemplate, error) {
	t := &textTemplate{}
	for i, part := range pieces {
		switch {
		case part.Sequence != nil && (part.Sequence.ID == "A" || part.Sequence.ID == "B"):
			from := first
			if part.Sequence.ID == "B" {
				from = document
			}
			if err := t.add(from, 0, "", part.Sequence.TypeID); err != nil {
				return nil, err
			}
		case part.SpecialToken != nil:
			token, ok := p.SpecialTokens[part.SpecialToken.ID]
			if !ok || len(token.IDs) == 0 {
				return nil, fmt.Errorf("%s names the special token %q, which special_tokens lacks", name, part.SpecialToken.ID)
			}
			for i, id := range token.IDs {
				name := part.SpecialToken.ID
				if i < len(token.Tokens) {
					name = token.Tokens[i]
				}
				if err := t.add(special, id, name, part.SpecialToken.TypeID); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("%s[%d] is neither a special token nor sequence A or B", name, i)
		}
	}
	return t, nil
}

// parseSequence finds the one of several processors that adds tokens; ByteLevel only moves offsets.
func parseSequence(processors []jsontext.Value) (pair, single *textTemplate, err error) {
	var adding []jsontext.Value
	for _, data := range processors {
		var p postProcessor
		if err := json.Unmarshal(data, &p); err != nil {
			return nil, nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
		}
		switch p.Type {
		case "ByteLevel":
		case "Sequence": // never written, and deep nesting would cost a stack
			return nil, nil, errors.New("tokenizer.json: post_processor: a Sequence in a Sequence is not supported")
		default:
			adding = append(adding, data)
		}
	}
	switch {
	case len(adding) == 0:
		return nil, &bare, nil
	case len(adding) > 1:
		return nil, nil, fmt.Errorf("tokenizer.json: post_processor: Sequence has %d processors that add tokens, want 1", len(adding))
	}
	return parseTemplates(adding[0])
}

// A fixedPair is a template that the type of the processor implies; its pieces are "cls", "sep", "query" or "document".
type fixedPair []struct {
	piece  string
	typeID int64
}

var (
	bertPair    = fixedPair{{"cls", 0}, {"query", 0}, {"sep", 0}, {"document", 1}, {"sep", 1}}
	robertaPair = fixedPair{{"cls", 0}, {"query", 0}, {"sep", 0}, {"sep", 0}, {"document", 0}, {"sep", 0}}
	fixedSingle = fixedPair{{"cls", 0}, {"document", 0}, {"sep", 0}} // of both
)

func (p *postProcessor) fixed(pieces fixedPair) (pair, single *textTemplate, err error) {
	cls, err := readSpecial(p.Cls)
	if err != nil {
		return nil, nil, fmt.Errorf("cls: %w", err)
	}
	sep, err := readSpecial(p.Sep)
	if err != nil {
		return nil, nil, fmt.Errorf("sep: %w", err)
	}
	if pair, err = pieces.template(cls, sep); err != nil {
		return nil, nil, err
	}
	single, err = fixedSingle.template(cls, sep)
	return pair, single, err
}

func (pair fixedPair) template(cls, sep specialToken) (*textTemplate, error) {
	t := &textTemplate{}
	for _, part := range pair {
		from, token := special, specialToken{}
		switch part.piece {
		case "cls":
			token = cls
		case "sep":
			token = sep
		case "query":
			from = query
		case "document":
			from = document
		}
		if err := t.add(from, token.id, token.name, part.typeID); err != nil {
			return nil, err
		}
	}
	return t, nil
}

type specialToken struct {
	name string
	id   int64
}

// readSpecial reads ["[SEP]", 102].
func readSpecial(data jsontext.Value) (token specialToken, err error) {
	var both []jsontext.Value
	if err := json.Unmarshal(data, &both); err != nil || len(both) != 2 {
		return token, errors.New("want a token and its id")
	}
	if err := json.Unmarshal(both[0], &token.name); err != nil {
		return token, fmt.Errorf("token: %w", err)
	}
	if err := json.Unmarshal(both[1], &token.id); err != nil {
		return token, fmt.Errorf("id: %w", err)
	}
	return token, nil
}

func (t *textTemplate) add(from source, id int64, name string, typeID int64) error {
	if id < 0 || id > math.MaxInt32 || typeID < 0 || typeID > math.MaxInt32 {
		return fmt.Errorf("id %d with type %d is out of range", id, typeID)
	}
	if from == special {
		t.specials++
	}
	t.pieces = append(t.pieces, piece{source: from, id: int32(id), name: name, typeID: int32(typeID)})
	return nil
}

// withoutTypes makes all types 0, for models that have none.
func (t *textTemplate) withoutTypes() {
	if t == nil {
		return
	}
	for i := range t.pieces {
		t.pieces[i].typeID = 0
	}
}

// fits returns an error if the model lacks embeddings of the special tokens or of the types.
func (t *textTemplate) fits(config weights.Config) error {
	if t == nil {
		return nil
	}
	for _, p := range t.pieces {
		switch {
		case p.source == special && int(p.id) >= config.VocabSize:
			return fmt.Errorf("special token %d, the model has %d tokens (vocab_size)", p.id, config.VocabSize)
		case p.source == special && int(p.id) == config.PositionOffset-1:
			return fmt.Errorf("special token %d is the padding of config.json (pad_token_id), which has no position", p.id)
		case int(p.typeID) >= config.TypeVocab:
			return fmt.Errorf("token type %d, the model has %d (type_vocab_size): leave \"token_type_ids\" out of "+
				"model_input_names in tokenizer_config.json if it was trained without", p.typeID, config.TypeVocab)
		}
	}
	return nil
}

// check returns an error unless the template has one document, that many queries, and few enough special tokens to leave
// room for both.
func (t *textTemplate) check(name string, queries int) error {
	var texts [3]int
	for _, p := range t.pieces {
		texts[p.source]++
	}
	switch {
	case queries == 0 && texts != [3]int{special: t.specials, document: 1}:
		return fmt.Errorf("%s has sequence A or B %d times, want sequence A once", name, texts[query]+texts[document])
	case queries == 1 && (texts[query] != 1 || texts[document] != 1):
		return fmt.Errorf("%s has sequence A %d times and B %d times, want each once", name, texts[query], texts[document])
	}
	if most := minMaxLength - 2; t.specials > most {
		return fmt.Errorf("%s has %d special tokens, the limit is %d", name, t.specials, most)
	}
	return nil
}
