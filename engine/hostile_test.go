package engine

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// hostile are parts of a tokenizer.json with values that contradict each other or are unexpected.
func hostile() map[string][]string {
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	charsmap := func(trie uint32, data string) string {
		return base64.StdEncoding.EncodeToString(append(binary.LittleEndian.AppendUint32(nil, trie), data...))
	}
	precompiled := func(charsmap string) string {
		return fmt.Sprintf(`{"type":"Precompiled","precompiled_charsmap":%q}`, charsmap)
	}
	sequence := func(n int) string {
		return nested(n, `{"type":"Sequence","normalizers":[`, `{"type":"Lowercase"}`, `]}`)
	}
	noise := strings.Repeat("\x01\x83\xfe\x10\x00\x80\xff\x7f", 50)
	return map[string][]string{
		"normalizer": {
			precompiled("AAAA"), precompiled(""), precompiled("????"), precompiled(charsmap(400, noise+"abc\x00")),
			precompiled(charsmap(4, noise)), precompiled(charsmap(1<<31, noise)), precompiled(charsmap(3, "\xff\xff\xff\xff")),
			precompiled(charsmap(400, noise+"\xff\xfe\xfd")), precompiled(charsmap(0, "a")),
			`{"type":"\u0000zz"}`, `{"type":"Replace","pattern":{"String":"a"},"content":"\u0000"}`,
			`{"type":"Replace","pattern":{"String":""},"content":"zz"}`, `{"type":"Replace","pattern":{"Regex":""},"content":"zz"}`,
			`{"type":"Replace","pattern":{"Regex":"(((("},"content":""}`, `{"type":"Replace","pattern":{"Regex":"(?<=q)(a*)*(a*)*(a*)*\\3x"},"content":""}`,
			`{"type":"Replace","pattern":{"Regex":"` + strings.Repeat("(", 1<<17) + `"},"content":""}`,
			`{"type":"Replace","pattern":{"Regex":"` + strings.Repeat("(?=", 1<<16) + `a` + strings.Repeat(")", 1<<16) + `"},"content":""}`,
			`{"type":"Replace","pattern":{"Regex":"` + strings.Repeat("(?:", 50) + `a` + strings.Repeat("){99}", 50) + `"},"content":""}`,
			`{"type":"Replace","pattern":{"Regex":"((?=a)a{999999999}){999999999}"},"content":""}`,
			`{"type":"Replace","pattern":{"Regex":"[[[[[[[["},"content":""}`, `{"type":"Replace","pattern":{"Regex":"\\p{Nope}|\\k<x>|\\99"},"content":""}`,
			`{"type":"Replace","pattern":7,"content":""}`, `{"type":"Replace"}`,
			`{"type":"Strip","strip_left":1,"strip_right":null}`, `{"type":"Prepend","prepend":""}`, `{"type":"Prepend","prepend":"\u0000"}`,
			`{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"."},"content":"é"},{"type":"Strip","strip_left":true,"strip_right":true},{"type":"NFKC"},{"type":"Prepend","prepend":"東京"},{"type":"StripAccents"},{"type":"Nmt"}]}`,
			`{"type":"BertNormalizer","clean_text":"x"}`, `{"type":"BertNormalizer"}`, `{"type":"ByteLevel"}`, `{"type":"Nope"}`, `7`, `[]`, `"x"`, `{}`,
			sequence(3), sequence(400), sequence(5000), `{"type":"Sequence","normalizers":[]}`, `{"type":"Sequence"}`,
		},
		"pre_tokenizer": {
			`{"type":"FixedLength","length":0}`, `{"type":"FixedLength","length":-1}`, `{"type":"FixedLength","length":18446744073709551615}`,
			`{"type":"Split","pattern":{"Regex":""},"behavior":"Isolated","invert":false}`, `{"type":"Split","pattern":{"String":""},"behavior":"Removed","invert":true}`,
			`{"type":"Split","pattern":{"Regex":"(((("},"behavior":"Isolated","invert":false}`, `{"type":"Split","pattern":{"Regex":"."},"behavior":"Nope","invert":false}`,
			`{"type":"Split","pattern":{"Regex":"(a+)+\\1\\1x$|(?=(a+)+b)c"},"behavior":"Isolated","invert":false}`,
			`{"type":"Split","pattern":{"Regex":"(?=.)"},"behavior":"MergedWithPrevious","invert":true}`,
			`{"type":"Split","pattern":{"Regex":"\\G|(?<!a)|\\K"},"behavior":"Contiguous","invert":false}`,
			`{"type":"ByteLevel","add_prefix_space":3}`, `{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`,
			`{"type":"Metaspace","replacement":"","prepend_scheme":"always"}`, `{"type":"Metaspace","replacement":"ab","prepend_scheme":"always"}`,
			`{"type":"Metaspace","replacement":"\u0000","prepend_scheme":"first","split":true}`, `{"type":"Metaspace","replacement":"▁","prepend_scheme":"nope"}`,
			`{"type":"CharDelimiterSplit","delimiter":""}`, `{"type":"CharDelimiterSplit","delimiter":"\u0000"}`, `{"type":"Digits","individual_digits":9}`,
			`{"type":"Punctuation","behavior":"x"}`, `{"type":"UnicodeScripts"}`, `{"type":"Whitespace"}`, `{"type":"Nope"}`, `3`,
			nested(300, `{"type":"Sequence","pretokenizers":[`, `{"type":"Whitespace"}`, `]}`),
		},
		"model": {
			`{"type":"WordPiece","vocab":{},"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100}`,
			`{"type":"WordPiece","vocab":{"a":0},"unk_token":"nope","continuing_subword_prefix":"##","max_input_chars_per_word":0}`,
			`{"type":"WordPiece","vocab":{"a":4294967295,"b":2147483653,"\u0000":7,"":8,"[UNK]":2},"unk_token":"[UNK]","continuing_subword_prefix":"","max_input_chars_per_word":1152921504606846976}`,
			`{"type":"WordPiece","vocab":{"a":-1},"unk_token":"a"}`, `{"type":"WordPiece","vocab":{"a":1e30}}`, `{"type":"WordPiece"}`,
			`{"type":"WordPiece","vocab":{"a":1,"a":1,"b":1},"unk_token":"a","continuing_subword_prefix":"##","max_input_chars_per_word":100}`,
			`{"type":"Unigram","unk_id":5,"vocab":[["a",-1.0]],"byte_fallback":false}`, `{"type":"Unigram","unk_id":null,"vocab":[["a",-1.0]],"byte_fallback":false}`,
			`{"type":"Unigram","unk_id":0,"vocab":[],"byte_fallback":false}`, `{"type":"Unigram","unk_id":0,"vocab":[["",0.0],["",0.0]],"byte_fallback":true}`,
			`{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",1e308],["aa",-1e308],["b",1e999]],"byte_fallback":true}`,
			`{"type":"Unigram","unk_id":18446744073709551615,"vocab":[["a",0]]}`, `{"type":"Unigram","unk_id":0,"vocab":[["\u0000",0],["a\u0000",0]]}`,
			`{"type":"BPE","vocab":{"a":0,"b":1},"merges":[["a","b"]],"dropout":1.5}`, `{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a"]}`,
			`{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}`, `{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]],"unk_token":"zz"}`,
			`{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"],["a","b"],["b","ab"]],"unk_token":"a","fuse_unk":true,"byte_fallback":true}`,
			`{"type":"BPE","vocab":{"a":0,"##b":1,"ab":2},"merges":[["a","##b"]],"continuing_subword_prefix":"##########","end_of_word_suffix":"東"}`,
			`{"type":"BPE","vocab":{"é":0,"b":1},"merges":[["é","b"]],"continuing_subword_prefix":"x"}`, `{"type":"BPE","vocab":{},"merges":[],"cache_capacity":18446744073709551615}`,
			`{"type":"WordLevel","vocab":{"a":0},"unk_token":"zz"}`, `{"type":"WordLevel","vocab":{},"unk_token":""}`, `{"type":"Nope"}`, `null`, `7`,
		},
		"decoder": {
			`{"type":"WordPiece","prefix":7}`, `{"type":"Metaspace","replacement":"","prepend_scheme":"always"}`, `{"type":"Strip","content":"","start":18446744073709551615,"stop":0}`,
			`{"type":"CTC"}`, `{"type":"Replace","pattern":{"Regex":"(("},"content":""}`, `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}`, `3`,
		},
		"post_processor": {
			`{"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{}}`, `{"type":"TemplateProcessing","single":"$Z","pair":"$A","special_tokens":{"a":{"id":"a","ids":[],"tokens":[]}}}`,
			`{"type":"BertProcessing","sep":["[SEP]",4294967295],"cls":["[CLS]",-1]}`, `{"type":"RobertaProcessing","sep":["</s>",2],"cls":["<s>",0],"trim_offsets":9}`,
			`{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`, `{"type":"Sequence","processors":[]}`,
		},
		"added_tokens": {
			`[{"id":4294967295,"content":"a","single_word":false,"lstrip":true,"rstrip":true,"normalized":true,"special":false}]`,
			`[{"id":0,"content":"","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}]`,
			`[{"id":3,"content":"\u0000","single_word":true,"lstrip":true,"rstrip":true,"normalized":true,"special":true}]`,
			`[{"id":-3,"content":"a"}]`, `[7]`, `{}`, `"x"`,
		},
		"truncation": {`{"direction":"Nope"}`, `{"direction":"Right","max_length":0,"strategy":"LongestFirst","stride":18446744073709551615}`},
		"padding":    {`{"strategy":{"Fixed":18446744073709551615},"direction":"Left","pad_id":0,"pad_type_id":0,"pad_token":"x"}`},
		"version":    {`"2.0"`, `7`, `"\u0000"`},
	}
}

// TestHostileTokenizers: any tokenizer.json is refused, or texts are encoded or refused; nothing ends the process.
func TestHostileTokenizers(t *testing.T) {
	notShort(t)
	texts := []string{
		"", "a", "aaaaaaaaaaaaaaaaaaaab", "a b c", "\u0000a\u0000", "東京 ﷺ é\u0301 \u200d\U0001F469\u200d\U0001F467", "\xff\xfe",
		strings.Repeat("a", 5000), strings.Repeat("ab ", 2000),
	}
	for _, family := range []string{"electra", "xlm_roberta", "roberta"} {
		base := map[string][]byte{}
		dir := filepath.Join("testdata", "families", family)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if base[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		// Classes of transformers would put their own normaliser in place of the file's.
		base[tokenizerConfigFile] = []byte(`{"tokenizer_class":"PreTrainedTokenizerFast"}`)
		opened := 0
		for part, values := range hostile() {
			for _, value := range values {
				var file map[string]jsontext.Value
				if err := json.Unmarshal(base[tokenizerJSON], &file); err != nil {
					t.Fatal(err)
				}
				file[part] = jsontext.Value(`"HERE"`) // not the value: a writer of JSON would refuse some
				data, err := json.Marshal(file)
				if err != nil {
					t.Fatal(err)
				}
				files := maps.Clone(base)
				files[tokenizerJSON] = bytes.Replace(data, []byte(`"HERE"`), []byte(value), 1)
				if encodeHostile(t, files, texts) {
					opened++
				}
			}
		}
		t.Logf("%s: %d open", family, opened)
	}
}

// encodeHostile says whether the tokenizer opens.
func encodeHostile(t *testing.T, files map[string][]byte, texts []string) bool {
	t.Helper()
	checkpoint, err := weights.FromMemory("hostile", files)
	if err != nil {
		t.Fatal(err)
	}
	defer checkpoint.Close()
	tokenizer, err := openTokenizer(checkpoint, false)
	if err != nil {
		if strings.Contains(err.Error(), "\x00") {
			t.Errorf("%q", err)
		}
		return false
	}
	for _, text := range texts {
		_, _ = tokenizer.call(t.Context(), &caller{}, clean(text))
		_, _ = tokenizer.encodeWith(t.Context(), &caller{}, clean(text), withTexts|withOffsets)
	}
	if err := tokenizer.close(); err != nil {
		t.Error(err)
	}
	return true
}

// TestBounds: parts that would make gigabytes or minutes of a text are refused, parts in use are not.
func TestBounds(t *testing.T) {
	replace := func(pattern, content string) string {
		return fmt.Sprintf(`{"type":"Replace","pattern":%s,"content":%q}`, pattern, content)
	}
	sequence := func(key string, all ...string) string {
		return fmt.Sprintf(`{"type":"Sequence",%q:[%s]}`, key, strings.Join(all, ","))
	}
	many := func(n int, one string) []string { return strings.Split(strings.Repeat(one+"\n", n-1)+one, "\n") }
	charsmap := func(n int) string {
		return fmt.Sprintf(`{"type":"Precompiled","precompiled_charsmap":%q}`,
			base64.StdEncoding.EncodeToString([]byte("\x04\x00\x00\x00trie"+strings.Repeat("x", n)+"\x00y\x00")))
	}
	for _, c := range []struct {
		normalizer, preTokenizer string
		ok                       bool
	}{
		{`null`, `null`, true},
		{replace(`{"String":"a"}`, strings.Repeat("b ", 500)), `null`, true},
		{replace(`{"String":"a"}`, strings.Repeat("b ", 50_000)), `null`, false},
		{replace(`{"String":"`+strings.Repeat("a", 100)+`"}`, strings.Repeat("b ", 50_000)), `null`, true},
		{replace(`{"String":""}`, strings.Repeat("b", 2000)), `null`, false},
		{replace(`{"Regex":"x*"}`, strings.Repeat("b", 2000)), `null`, false},
		{sequence("normalizers", many(10, replace(`{"String":"a"}`, "aa"))...), `null`, true},
		{sequence("normalizers", many(11, replace(`{"String":"a"}`, "aa"))...), `null`, false},
		{sequence("normalizers", charsmap(33), replace(`{"Regex":" {2,}"}`, " ")), `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}`, true},
		{charsmap(2000), `null`, false},
		{`null`, sequence("pretokenizers", many(11, `{"type":"ByteLevel"}`)...), false},
		{`{"type":"Prepend","prepend":"` + strings.Repeat("p", 5000) + `"}`, `null`, false},
	} {
		err := checkBounds(map[string]jsontext.Value{"normalizer": jsontext.Value(c.normalizer), "pre_tokenizer": jsontext.Value(c.preTokenizer)})
		if (err == nil) != c.ok {
			t.Errorf("%.100s, %.100s: %v", c.normalizer, c.preTokenizer, err)
		}
	}
	deep := jsontext.Value(strings.Repeat(`{"type":"Sequence","normalizers":[`, 17) + `{"type":"Lowercase"}` + strings.Repeat(`]}`, 17))
	if err := checkBounds(map[string]jsontext.Value{"normalizer": deep}); err == nil {
		t.Error("17 sequences in each other are taken")
	}
	for most, ok := range map[string]bool{"100": true, "1000": true, "1001": false, "1152921504606846976": false} {
		model := jsontext.Value(`{"type":"WordPiece","max_input_chars_per_word":` + most + `}`)
		if err := checkBounds(map[string]jsontext.Value{"model": model}); (err == nil) != ok {
			t.Errorf("words of %s characters: %v", most, err)
		}
	}
}
