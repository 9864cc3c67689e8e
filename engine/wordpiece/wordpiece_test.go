package wordpiece

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// testConfig has words in the way of BERT. The ids of added tokens are those that the library would give: in the vocabulary, or after it.
func testConfig() *Config {
	return &Config{
		Normalizer: Normalizer{CleanText: true, HandleChineseChars: true, StripAccents: true, Lowercase: true},
		Vocab:      map[string]uint32{"[UNK]": 0, "[SEP]": 1, "un": 2, "##aff": 3, "##able": 4, "cafe": 5, "\u6771": 6, "!": 7, "##i": 8},
		Unknown:    "[UNK]", Prefix: "##", MaxCharacters: 10,
		Added: []Added{{Content: "[SEP]", Special: true}, {Content: "[Q]", LStrip: true, RStrip: true}, {Content: "Caf\u00e9!", Normalized: true}},
	}
}

// cases are worked out by hand: the longest token first, spaces round Chinese characters, accents off.
var cases = []struct {
	text    string
	ids     []int32
	offsets []Offset
}{
	{"", nil, nil},
	{"unaffable UN", []int32{2, 3, 4, 2}, []Offset{{0, 2}, {2, 5}, {5, 9}, {10, 12}}},
	{"Caf\u00e9 \u6771un", []int32{5, 6, 2}, []Offset{{0, 5}, {6, 9}, {9, 11}}},
	{"cafe\u0301!", []int32{10}, []Offset{{0, 7}}},                   // the added token's normal form
	{"un [Q] !", []int32{2, 9, 7}, []Offset{{0, 2}, {2, 7}, {7, 8}}}, // with the spaces beside it
	{"un[SEP]un", []int32{2, 1, 2}, []Offset{{0, 2}, {2, 7}, {7, 9}}},
	{"unx unaffablei unaffableii", []int32{0, 2, 3, 4, 8, 0}, []Offset{{0, 3}, {4, 6}, {6, 9}, {9, 13}, {13, 14}, {15, 26}}},
}

func TestEncode(t *testing.T) {
	one, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if size := one.VocabSize(); size != 11 {
		t.Errorf("%d tokens, want 11", size)
	}
	for _, c := range cases {
		ids, offsets := one.Encode(c.text, true)
		if !slices.Equal(ids, c.ids) || !slices.Equal(offsets, c.offsets) {
			t.Errorf("%q: %d at %d, want %d at %d", c.text, ids, offsets, c.ids, c.offsets)
		}
	}
	config := testConfig()
	config.SpecialAsText = true
	if one, err = New(config); err != nil {
		t.Fatal(err)
	}
	if ids, _ := one.Encode("[SEP] [Q]", false); !slices.Equal(ids, []int32{0, 0, 0, 9}) {
		t.Errorf("special tokens as text: %d", ids)
	}
}

// A Tokenizer works for several goroutines at once.
func TestEncodeAtOnce(t *testing.T) {
	one, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				c := cases[(i+n)%len(cases)]
				if ids, _ := one.Encode(c.text, n%2 == 0); !slices.Equal(ids, c.ids) {
					t.Errorf("%q: %d, want %d", c.text, ids, c.ids)
				}
			}
		})
	}
	all.Wait()
}

// Tokenizers that would differ from the library are refused.
func TestRefused(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"lacks the unknown token": func(c *Config) { c.Unknown = "?" },
		"have one id":             func(c *Config) { c.Vocab["[Q]"] = 1 },
		"white space":             func(c *Config) { c.Added[1].Content = " q" },
		"no normal form":          func(c *Config) { c.Added[2].Content = "\u0301" },
	} {
		config := testConfig()
		change(config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
