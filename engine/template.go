package engine

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// pairTemplate is how a query and a document become one sequence: for BERT, [CLS] query [SEP] document [SEP]
// with types 0 0 0 1 1.
type pairTemplate struct {
	pieces   []piece
	specials int // special tokens in all
}

// piece is one special token, or all tokens of one text.
type piece struct {
	source source
	id     int32 // of the special token
	typeID int32
}

type source uint8

const (
	special source = iota
	query
	document
)

// assemble joins the tokens of a query and of a document.
func (t *pairTemplate) assemble(q, d []int32) sequence {
	length := len(q) + len(d) + t.specials
	s := sequence{ids: make([]int32, 0, length), types: make([]int32, 0, length)}
	for _, piece := range t.pieces {
		switch piece.source {
		case special:
			s.ids = append(s.ids, piece.id)
		case query:
			s.ids = append(s.ids, q...)
		case document:
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
	IDs []int64 `json:"ids"`
}

// parsePairTemplate reads the post_processor of a tokenizer.json.
func parsePairTemplate(data jsontext.Value) (*pairTemplate, error) {
	if len(data) == 0 || data.Kind() == 'n' {
		return nil, errors.New("tokenizer.json: no post_processor, so how a pair is put together is not known")
	}
	var p postProcessor
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
	}
	var (
		t   *pairTemplate
		err error
	)
	switch p.Type {
	case "TemplateProcessing":
		t, err = p.template()
	case "BertProcessing":
		t, err = p.fixed(bertPair)
	case "RobertaProcessing":
		t, err = p.fixed(robertaPair)
	case "Sequence":
		return parseSequence(p.Processors)
	default:
		err = fmt.Errorf("type %q is not supported (TemplateProcessing, BertProcessing, RobertaProcessing and Sequence are)", p.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
	}
	return t, t.check()
}

func (p *postProcessor) template() (*pairTemplate, error) {
	t := &pairTemplate{}
	for i, part := range p.Pair {
		switch {
		case part.Sequence != nil && (part.Sequence.ID == "A" || part.Sequence.ID == "B"):
			from := query
			if part.Sequence.ID == "B" {
				from = document
			}
			if err := t.add(from, 0, part.Sequence.TypeID); err != nil {
				return nil, err
			}
		case part.SpecialToken != nil:
			token, ok := p.SpecialTokens[part.SpecialToken.ID]
			if !ok || len(token.IDs) == 0 {
				return nil, fmt.Errorf("pair names the special token %q, which special_tokens lacks", part.SpecialToken.ID)
			}
			for _, id := range token.IDs {
				if err := t.add(special, id, part.SpecialToken.TypeID); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("pair[%d] is neither a special token nor sequence A or B", i)
		}
	}
	return t, nil
}

// parseSequence finds the one of several processors that adds tokens; ByteLevel only moves offsets.
func parseSequence(processors []jsontext.Value) (*pairTemplate, error) {
	var adding []jsontext.Value
	for _, data := range processors {
		var p postProcessor
		if err := json.Unmarshal(data, &p); err != nil {
			return nil, fmt.Errorf("tokenizer.json: post_processor: %w", err)
		}
		switch p.Type {
		case "ByteLevel":
		case "Sequence": // never written, and deep nesting would cost a stack
			return nil, errors.New("tokenizer.json: post_processor: a Sequence in a Sequence is not supported")
		default:
			adding = append(adding, data)
		}
	}
	if len(adding) != 1 {
		return nil, fmt.Errorf("tokenizer.json: post_processor: Sequence has %d processors that add tokens, want 1", len(adding))
	}
	return parsePairTemplate(adding[0])
}

// A fixedPair is a template that is a type by itself: the pieces of a pair by "cls", "sep", "query" or "document".
type fixedPair []struct {
	piece  string
	typeID int64
}

var (
	bertPair    = fixedPair{{"cls", 0}, {"query", 0}, {"sep", 0}, {"document", 1}, {"sep", 1}}
	robertaPair = fixedPair{{"cls", 0}, {"query", 0}, {"sep", 0}, {"sep", 0}, {"document", 0}, {"sep", 0}}
)

func (p *postProcessor) fixed(pair fixedPair) (*pairTemplate, error) {
	cls, err := tokenAndID(p.Cls)
	if err != nil {
		return nil, fmt.Errorf("cls: %w", err)
	}
	sep, err := tokenAndID(p.Sep)
	if err != nil {
		return nil, fmt.Errorf("sep: %w", err)
	}
	t := &pairTemplate{}
	for _, part := range pair {
		from, id := special, int64(0)
		switch part.piece {
		case "cls":
			id = cls
		case "sep":
			id = sep
		case "query":
			from = query
		case "document":
			from = document
		}
		if err := t.add(from, id, part.typeID); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// tokenAndID reads the id of ["[SEP]", 102].
func tokenAndID(data jsontext.Value) (int64, error) {
	var (
		both  []jsontext.Value
		token string
		id    int64
	)
	if err := json.Unmarshal(data, &both); err != nil || len(both) != 2 {
		return 0, errors.New("want a token and its id")
	}
	if err := json.Unmarshal(both[0], &token); err != nil {
		return 0, fmt.Errorf("token: %w", err)
	}
	if err := json.Unmarshal(both[1], &id); err != nil {
		return 0, fmt.Errorf("id: %w", err)
	}
	return id, nil
}

func (t *pairTemplate) add(from source, id, typeID int64) error {
	if id < 0 || id > math.MaxInt32 || typeID < 0 || typeID > math.MaxInt32 {
		return fmt.Errorf("id %d with type %d is out of range", id, typeID)
	}
	if from == special {
		t.specials++
	}
	t.pieces = append(t.pieces, piece{source: from, id: int32(id), typeID: int32(typeID)})
	return nil
}

// withoutTypes makes all types 0, for models that have none.
func (t *pairTemplate) withoutTypes() {
	for i := range t.pieces {
		t.pieces[i].typeID = 0
	}
}

// check wants each text once, and few enough special tokens to leave room for both.
func (t *pairTemplate) check() error {
	var texts [3]int
	for _, p := range t.pieces {
		texts[p.source]++
	}
	if texts[query] != 1 || texts[document] != 1 {
		return fmt.Errorf("tokenizer.json: post_processor: pair has sequence A %d times and B %d times, want each once",
			texts[query], texts[document])
	}
	if most := minMaxLength - 2; t.specials > most {
		return fmt.Errorf("tokenizer.json: post_processor: pair has %d special tokens, the limit is %d", t.specials, most)
	}
	return nil
}
