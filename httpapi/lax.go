package httpapi

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Infinity, vLLM, Jina and Xinference read bodies with pydantic. It accepts more than true, false and whole numbers for
// a bool or an int, and their clients make use of it. Fields of these servers are read the same way here; a test has
// pydantic's own answers (2.14.4, lax mode). text-embeddings-inference accepts nothing of the kind.

// laxWords are the strings that are true or false, in any case.
var laxWords = map[string]bool{
	"1": true, "t": true, "true": true, "y": true, "yes": true, "on": true,
	"0": false, "f": false, "false": false, "n": false, "no": false, "off": false,
}

// laxBool reads a JSON value as pydantic reads a bool.
func laxBool(raw []byte) (value, ok bool) {
	switch raw[0] {
	case '"':
		word, err := jsontext.AppendUnquote(nil, raw)
		value, ok = laxWords[strings.ToLower(string(word))]
		return value, ok && err == nil
	case 't', 'f':
		return raw[0] == 't', true
	}
	number, err := strconv.ParseFloat(string(raw), 64)
	return number == 1, err == nil && (number == 0 || number == 1)
}

// laxInteger reads a JSON value as pydantic reads an int; ok is also false if the number is no int64.
func laxInteger(raw []byte) (value int64, ok bool) {
	switch raw[0] {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return 0, false
		}
		return integerOf(string(text))
	case 't':
		return 1, true
	case 'f':
		return 0, true
	}
	if value, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return value, true
	}
	if !bytes.ContainsAny(raw, ".eE") {
		return 0, false
	}
	number, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || number != math.Trunc(number) || math.Abs(number) >= 1<<63 {
		return 0, false
	}
	return int64(number), true
}

// integerOf reads a string as an integer. It may have white space round it, a sign, single underscores between digits,
// and zeros behind a point.
func integerOf(text string) (int64, bool) {
	text = strings.TrimFunc(text, unicode.IsSpace)
	if whole, zeros, is := strings.Cut(text, "."); is {
		if zeros == "" || strings.Trim(zeros, "0") != "" {
			return 0, false
		}
		text = whole
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '_' && (i == 0 || i+1 == len(text) || !isDigit(text[i-1]) || !isDigit(text[i+1])) {
			return 0, false
		}
	}
	value, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	return value, err == nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// lax reads the next value with one of the functions above. A value that they don't accept stays unread, for wrong to
// describe it.
func lax[T any](d *decoder, read func(raw []byte) (T, bool)) (value T, ok bool) {
	at := d.at
	if strings.IndexByte(`"-0123456789tf`, d.next()) < 0 {
		return value, false
	}
	raw, ok := d.skip(0)
	if ok {
		value, ok = read(raw)
	}
	if !ok {
		d.at = at
	}
	return value, ok
}
