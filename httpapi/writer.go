package httpapi

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON. The caller follows its grammar; the first error stays.
type writer struct {
	buffer  []byte
	err     error
	release func() // gives back the answer's part of a budget; nil: none
}

// writers keeps buffers for the next answer.
var writers = sync.Pool{New: func() any { return &writer{buffer: make([]byte, 0, 4<<10)} }}

// keepWriter is the largest buffer, in bytes, that is kept for the next answer.
const keepWriter = 1 << 20

func newWriter() *writer {
	w, ok := writers.Get().(*writer)
	if !ok {
		panic("BUG: the pool holds writers alone")
	}
	w.buffer, w.err = w.buffer[:0], nil
	return w
}

// free puts the writer back into the pool: nothing may use it any more.
func (w *writer) free() {
	if w.release != nil {
		w.release()
		w.release = nil
	}
	if cap(w.buffer) <= keepWriter {
		writers.Put(w)
	}
}

func (w *writer) raw(s string) *writer {
	w.buffer = append(w.buffer, s...)
	return w
}

// id appends a new id of s.
func (w *writer) id(s *Server) *writer {
	w.buffer = s.appendID(w.buffer)
	return w
}

func (w *writer) integer(i int) *writer {
	w.buffer = strconv.AppendInt(w.buffer, int64(i), 10)
	return w
}

func (w *writer) string(s string) *writer {
	var err error
	w.buffer, err = jsontext.AppendQuote(w.buffer, s)
	w.err = cmp.Or(w.err, err)
	return w
}

var errNotFinite = errors.New("a score is not a finite number")

// score appends a number with as many digits as it takes to read it back, in the form of ECMA-262, 6.1.6.1.20, as
// encoding/json does.
func (w *writer) score(x float64) *writer {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		w.err = cmp.Or(w.err, errNotFinite)
		return w
	}
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		w.buffer = strconv.AppendFloat(w.buffer, x, 'e', -1, 64)
		if n := len(w.buffer); w.buffer[n-4] == 'e' && w.buffer[n-3] == '-' && w.buffer[n-2] == '0' { // e-07 is e-7
			w.buffer[n-2] = w.buffer[n-1]
			w.buffer = w.buffer[:n-1]
		}
		return w
	}
	w.buffer = strconv.AppendFloat(w.buffer, x, 'f', -1, 64)
	return w
}

// usage appends the tokens of a call; all are of prompts.
func (w *writer) usage(tokens int) *writer {
	return w.raw(`"usage":{"prompt_tokens":`).integer(tokens).raw(`,"total_tokens":`).integer(tokens).raw("}")
}

// descending returns the order that sorts x, largest first; equal ones keep their order.
func descending(x []float64) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[b], x[a]) })
	return order
}
