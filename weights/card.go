package weights

import (
	"bytes"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Card holds the YAML front matter of a model's README.md, under the keys of the Hugging Face hub
// (huggingface.co/docs/hub/model-cards). Absent fields are empty. No field is verified.
type Card struct {
	License     string // an SPDX-like id in lower case, or "other"
	LicenseName string // with "other"
	LicenseLink string
	BaseModel   []string
	Languages   []string
	PipelineTag string // "text-ranking"
	Library     string // "sentence-transformers"
}

const (
	cardFile     = "README.md"
	maxCardBytes = 16 << 20
	// An entry is a line or a short list. Nesting costs the YAML parser quadratic time (64,000 open brackets: 18 s),
	// so it is bounded before parsing.
	maxEntryBytes    = 16 << 10
	maxEntryBrackets = 64
)

// Card reads the front matter of README.md; the zero Card if there is no such file, or no front matter in it. The
// error is [ErrInvalid] where an entry that Card has a field for is not a string or a list of strings.
func (c *Checkpoint) Card() (Card, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return Card{}, ErrClosed
	}
	readme, err := c.src.read(cardFile, maxCardBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Card{}, nil
	} else if err != nil {
		return Card{}, err
	}
	return parseCard(readme)
}

// parseCard reads the entries that it needs, one by one. The rest of a front matter (evaluation tables can have a
// megabyte) is never parsed, so it costs nothing and its errors do not matter.
func parseCard(readme []byte) (Card, error) {
	var card Card
	lists := map[string]*[]string{"base_model": &card.BaseModel, "language": &card.Languages}
	texts := map[string]*string{
		"license": &card.License, "license_name": &card.LicenseName, "license_link": &card.LicenseLink,
		"pipeline_tag": &card.PipelineTag, "library_name": &card.Library,
	}
	seen := map[string]bool{}
	for key, entry := range frontMatterEntries(frontMatter(readme)) {
		list, text := lists[key], texts[key]
		if list == nil && text == nil {
			continue
		}
		values, err := parseEntry(entry)
		if err == nil && seen[key] {
			err = textError("appears twice")
		}
		if err != nil {
			return Card{}, invalidf("%s: %s: %s", cardFile, key, shorten(err.Error()))
		}
		seen[key] = true
		if list != nil {
			*list = values
		} else {
			*text = strings.Join(values, ", ") // a model under two licences lists them
		}
	}
	return card, nil
}

// frontMatter returns the text between the two lines of three dashes, as huggingface_hub finds it (REGEX_YAML_BLOCK in
// repocard.py): white space may come before the first.
func frontMatter(readme []byte) string {
	text := strings.ReplaceAll(string(bytes.TrimSpace(readme)), "\r\n", "\n")
	text, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return ""
	}
	block, _, ok := strings.Cut("\n"+text+"\n", "\n---\n")
	if !ok {
		return ""
	}
	return block
}

// frontMatterEntries yields the entries of a block mapping: key, and all lines up to the next key. A key stands in the
// first column; further lines of an entry are indented, are list items, or close a bracket.
func frontMatterEntries(block string) iter.Seq2[string, string] {
	return func(yield func(key, entry string) bool) {
		key, start, at := "", 0, 0
		for line := range strings.Lines(block) {
			name, _, isKey := strings.Cut(line, ":")
			if isKey && !strings.ContainsAny(line[:1], " \t-#]}") {
				if key != "" && !yield(key, block[start:at]) {
					return
				}
				key, start = strings.Trim(name, " \t\"'"), at
			}
			at += len(line)
		}
		if key != "" {
			yield(key, block[start:])
		}
	}
}

// parseEntry parses "key: value" and returns the value: one string, or the strings of a list, or nothing for null.
func parseEntry(entry string) ([]string, error) {
	if len(entry) > maxEntryBytes || strings.Count(entry, "[")+strings.Count(entry, "{") > maxEntryBrackets {
		return nil, textError("too large, want at most " + sizeText(maxEntryBytes))
	}
	if !utf8.ValidString(entry) {
		return nil, textError("not UTF-8")
	}
	file, err := parser.ParseBytes([]byte(entry), 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n") // the rest quotes the source
		return nil, textError("not valid YAML: " + first)
	}
	if len(file.Docs) == 0 {
		return nil, textError("not valid YAML")
	}
	value, ok := onlyValue(file.Docs[0].Body)
	if !ok {
		return nil, textError("want one value")
	}
	if list, ok := value.(*ast.SequenceNode); ok {
		var all []string
		for _, item := range list.Values {
			s, ok := scalar(item)
			if !ok {
				return nil, textError("want a list of strings")
			}
			all = append(all, s)
		}
		return all, nil
	}
	if value == nil || value.Type() == ast.NullType {
		return nil, nil
	}
	s, ok := scalar(value)
	if !ok {
		return nil, textError("want a string or a list of strings")
	}
	return []string{s}, nil
}

// onlyValue returns the value of a mapping with one key.
func onlyValue(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) == 1 {
			return n.Values[0].Value, true
		}
	case *ast.MappingValueNode:
		return n.Value, true
	}
	return nil, false
}

// scalar returns a scalar as it was written; other nodes (mappings, aliases, tags) are not followed.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}
