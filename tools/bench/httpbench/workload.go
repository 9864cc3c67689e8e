package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/go-json-experiment/json"
)

// workload is one request, sent over and over.
type workload struct {
	name, path string
	body       string
}

const seed = 9

func workloads() []workload {
	random := rand.New(rand.NewPCG(seed, seed))
	return []workload{
		{"TEI, 8 × 100 words", "/rerank", body(random, "texts", 8, 100, "abcdefghijklmnopqrstuvwxyz")},
		{"Cohere, 8 × 100 words", "/v2/rerank", body(random, "documents", 8, 100, "abcdefghijklmnopqrstuvwxyz")},
		{"TEI, 8 × 100, not ASCII", "/rerank", body(random, "texts", 8, 100, "äöüßéабвгдежз")},
		{"TEI, 100 × 100 words", "/rerank", body(random, "texts", 100, 100, "abcdefghijklmnopqrstuvwxyz")},
		{"TEI, 1 × 10 words", "/rerank", body(random, "texts", 1, 10, "abcdefghijklmnopqrstuvwxyz")},
	}
}

// body is a request with random words of two to ten letters, and here and there characters that JSON escapes.
func body(random *rand.Rand, field string, texts, words int, letters string) string {
	alphabet := []rune(letters)
	text := func(words int) string {
		var b strings.Builder
		for i := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			for range 2 + random.IntN(9) {
				b.WriteRune(alphabet[random.IntN(len(alphabet))])
			}
			if i%40 == 39 {
				b.WriteString("\n\"")
			}
		}
		return b.String()
	}
	all := make([]string, texts)
	for i := range all {
		all[i] = text(words)
	}
	data, err := json.Marshal(map[string]any{"query": text(8), field: all}, json.Deterministic(true))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(data)
}

// script returns the Lua script by which wrk sends the request.
func (w *workload) script() string {
	var quoted strings.Builder
	for _, c := range []byte(w.body) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&quoted, "\\%03d", c)
		} else {
			quoted.WriteByte(c)
		}
	}
	return "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = \"" + quoted.String() + "\"\n"
}
