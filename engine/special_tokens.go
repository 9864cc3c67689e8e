package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// tokenEntry is an added token in the files, one that is found in a text before the text is split: AddedToken of the Rust
// library.
type tokenEntry struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"` // absent: true unless special
	Special    bool   `json:"special"`
}

// namedTokens are the special tokens that have names (SPECIAL_TOKENS_ATTRIBUTES), in transformers' order.
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// maxAddedTokens bounds added tokens; the largest tokenizers in use have a few thousand.
const maxAddedTokens = 1 << 16

// parseToken reads a token that is a string, or an object with its properties.
func parseToken(key string, data jsontext.Value) (tokenEntry, error) {
	token := tokenEntry{}
	var err error
	switch data.Kind() {
	case '"':
		token.Special = true
		err = json.Unmarshal(data, &token.Content)
	case '{':
		err = json.Unmarshal(data, &token)
	default:
		return token, fmt.Errorf("%s: %.80s, want a token", key, data)
	}
	if err != nil {
		return token, fmt.Errorf("%s: %w", key, err)
	}
	return token, nil
}

// named returns the special tokens by name: the class's, overridden by those of the files, and those by their entries among
// known.
func (t *tokenizerFiles) named(known map[string]tokenEntry) (map[string]tokenEntry, error) {
	all := map[string]tokenEntry{}
	for name, content := range t.class.tokens {
		all[name] = tokenEntry{Content: content, Special: true}
	}
	for key, value := range t.fields {
		if !strings.HasSuffix(key, "_token") || value.Kind() != '"' && value.Kind() != '{' {
			if _, needed := all[key]; needed || value.Kind() != 'n' && slices.Contains(namedTokens, key) {
				return nil, fmt.Errorf("%s: %s: %.80s, want a token", tokenizerConfigFile, key, value)
			}
			continue
		}
		token, err := parseToken(key, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tokenizerConfigFile, err)
		}
		all[key] = token
	}
	for _, name := range namedTokens {
		if token, ok := all[name]; ok {
			if _, needed := t.class.tokens[name]; needed && token.Content == "" {
				return nil, fmt.Errorf("%s: %s: empty, want a token", tokenizerConfigFile, name)
			}
			if whole, ok := known[token.Content]; ok {
				all[name] = whole
			}
		}
	}
	return all, nil
}

// extras returns the special tokens that have no names, and puts those that are in an object of names into named.
func (t *tokenizerFiles) extras(named map[string]tokenEntry) ([]tokenEntry, error) {
	key := "extra_special_tokens"
	if v := string(t.fields[key]); v == "" || v == "null" || v == "[]" || v == "{}" {
		key = "additional_special_tokens" // its name until transformers 4
	}
	if err := t.namedExtras("model_specific_special_tokens", named); err != nil {
		return nil, err
	}
	var extras []tokenEntry
	switch value := t.fields[key]; value.Kind() {
	case '[':
		var list []jsontext.Value
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", tokenizerConfigFile, key, err)
		}
		for _, item := range list {
			token, err := parseToken(key, item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tokenizerConfigFile, err)
			}
			extras = append(extras, token)
		}
	case '{':
		if err := t.namedExtras(key, named); err != nil {
			return nil, err
		}
	default: // none are listed, unless by an empty list
		for _, content := range t.class.extras {
			extras = append(extras, tokenEntry{Content: content, Special: true})
		}
	}
	return extras, nil
}

// namedExtras puts the special tokens of an object of names into named.
func (t *tokenizerFiles) namedExtras(key string, named map[string]tokenEntry) error {
	value := t.fields[key]
	if len(value) == 0 || value.Kind() == 'n' {
		return nil
	}
	byName := map[string]jsontext.Value{}
	if err := json.Unmarshal(value, &byName); err != nil {
		return fmt.Errorf("%s: %s: %w", tokenizerConfigFile, key, err)
	}
	for name, item := range byName {
		token, err := parseToken(key, item)
		if err != nil {
			return fmt.Errorf("%s: %w", tokenizerConfigFile, err)
		}
		named[name] = token
	}
	return nil
}

// decoded returns the added tokens in the order of their ids: those of added_tokens_decoder, or those of
// added_tokens.json, overridden by those of tokenizer.json.
func (t *tokenizerFiles) decoded(file []tokenEntry) ([]tokenEntry, error) {
	byID := maps.Clone(t.decoder)
	if byID != nil {
		for _, token := range file {
			byID[token.ID] = token
		}
	} else {
		byID = map[int]tokenEntry{}
		for key, token := range t.config.AddedTokensDecoder {
			id, err := strconv.Atoi(key)
			if err != nil || token == nil {
				return nil, fmt.Errorf("%s: added_tokens_decoder: %.80q, want ids and tokens", tokenizerConfigFile, key)
			}
			byID[id] = *token
		}
	}
	var all []tokenEntry
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		all = append(all, byID[id])
	}
	return all, nil
}

// addTokens adds tokens as TokenizersBackend.__init__ does, and returns the special ones by name.
func (t *tokenizerFiles) addTokens() (map[string]tokenEntry, error) {
	var file []tokenEntry
	if data := t.tokenizer["added_tokens"]; len(data) > 0 {
		if err := json.Unmarshal(data, &file); err != nil {
			return nil, fmt.Errorf("%s: added_tokens: %w", tokenizerJSON, err)
		}
	}
	tokens, err := t.decoded(file)
	if err != nil {
		return nil, err
	}
	known := map[string]tokenEntry{}
	for _, token := range tokens {
		known[token.Content] = token
	}
	named, err := t.named(known)
	if err != nil {
		return nil, err
	}
	extras, err := t.extras(named)
	if err != nil {
		return nil, err
	}
	isNamed := map[string]bool{}
	for _, name := range append(slices.Clone(namedTokens), slices.Sorted(maps.Keys(named))...) {
		if token, ok := named[name]; ok {
			isNamed[token.Content] = true
			extras = slices.Insert(extras, len(isNamed)-1, token)
		}
	}
	if t.class.build == nil { // the file's tokens stay
		t.added = file
	}
	if err := t.readVocab(tokens, extras, file); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, token := range t.added {
		seen[token.Content] = true
	}
	for _, token := range tokens {
		seen[token.Content] = true
	}
	for _, token := range extras {
		if !seen[token.Content] {
			seen[token.Content] = true
			tokens = append(tokens, token)
		}
	}
	for _, token := range tokens {
		token.Special = token.Special || isNamed[token.Content]
		if err := t.add(token); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(t.added, func(a, b tokenEntry) int { return cmp.Compare(a.ID, b.ID) })
	t.tokenizer["added_tokens"], err = json.Marshal(t.added)
	return named, err
}

// add adds a token, or changes one that is there, as the Rust library does.
func (t *tokenizerFiles) add(token tokenEntry) error {
	if token.Content == "" {
		return nil
	}
	if token.Normalized == nil {
		normalized := !token.Special
		token.Normalized = &normalized
	}
	if i := slices.IndexFunc(t.added, func(a tokenEntry) bool { return a.Content == token.Content }); i >= 0 {
		token.ID = t.added[i].ID
		t.added[i] = token
		return nil
	}
	if len(t.added) >= maxAddedTokens {
		return fmt.Errorf("more than %d added tokens", maxAddedTokens)
	}
	id, ok := t.vocab[token.Content]
	if !ok {
		id = t.vocabSize
		for _, a := range t.added {
			id = max(id, a.ID+1)
		}
	}
	token.ID = id
	t.added = append(t.added, token)
	return nil
}

// tokenID returns the id of a special token. All of them have been added before.
func (t *tokenizerFiles) tokenID(content string) int {
	i := slices.IndexFunc(t.added, func(a tokenEntry) bool { return a.Content == content })
	return t.added[i].ID
}

// readVocab looks tokens up in the vocabulary of the model, {token: id} or [[token, score], ...], in one pass.
func (t *tokenizerFiles) readVocab(lists ...[]tokenEntry) error {
	wanted := map[string]bool{}
	for _, list := range lists {
		for _, token := range list {
			wanted[token.Content] = true
		}
	}
	t.vocab = map[string]int{}
	dec := jsontext.NewDecoder(bytes.NewReader(t.model["vocab"]), jsontext.AllowDuplicateNames(true))
	open, err := dec.ReadToken()
	list := err == nil && open.Kind() == '['
	for err == nil && dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		var name string
		id := t.vocabSize
		if list {
			name, err = readPiece(dec)
		} else if err = json.UnmarshalDecode(dec, &name); err == nil {
			err = json.UnmarshalDecode(dec, &id)
		}
		if wanted[name] {
			t.vocab[name] = id
		}
		t.vocabSize++
	}
	if err != nil {
		return fmt.Errorf("%s: model: vocab: %w", tokenizerJSON, err)
	}
	return nil
}

// readPiece reads [token, score], and returns the token.
func readPiece(dec *jsontext.Decoder) (string, error) {
	var pair []jsontext.Value
	if err := json.UnmarshalDecode(dec, &pair); err != nil {
		return "", err
	}
	if len(pair) != 2 {
		return "", errors.New("want a token and its score")
	}
	var name string
	err := json.Unmarshal(pair[0], &name)
	return name, err
}
