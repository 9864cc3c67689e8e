package workload

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/daulet/tokenizers"

	"github.com/metalrank/metalrank/weights/builtin"
)

// SpecialTokens is the number of tokens that the model puts round a pair: [CLS] query [SEP] document [SEP].
const SpecialTokens = 3

// Counter counts tokens as the embedded model's tokenizer makes them. It is not for several goroutines at once.
type Counter struct {
	tokenizer *tokenizers.Tokenizer
	words     map[string]int
}

// tokenizerJSON is read once: the model that it comes with is decompressed for it.
var tokenizerJSON = sync.OnceValues(func() ([]byte, error) {
	checkpoint, err := builtin.Open()
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	data, err := checkpoint.File("tokenizer.json")
	return bytes.Clone(data), err
})

// NewCounter loads the tokenizer. The caller closes the Counter.
func NewCounter() (*Counter, error) {
	data, err := tokenizerJSON()
	if err != nil {
		return nil, err
	}
	tokenizer, err := tokenizers.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("workload: tokenizer.json: %w", err)
	}
	return &Counter{tokenizer: tokenizer, words: map[string]int{}}, nil
}

// Close frees the tokenizer.
func (c *Counter) Close() error { return c.tokenizer.Close() }

// Text counts the tokens of a text, without special tokens.
func (c *Counter) Text(text string) int {
	ids, _ := c.tokenizer.Encode(text, false)
	return len(ids)
}

// word counts the tokens of the text between two spaces. BERT splits at white space first, so that a text's count is
// the sum of its words'.
func (c *Counter) word(word string) int {
	n, found := c.words[word]
	if !found {
		n = c.Text(word)
		c.words[word] = n
	}
	return n
}

// Pair counts the tokens of a pair, special tokens included.
func (c *Counter) Pair(query, document string) int {
	return c.Text(query) + c.Text(document) + SpecialTokens
}
