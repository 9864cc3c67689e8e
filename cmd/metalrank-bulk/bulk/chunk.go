package bulk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/metalrank/metalrank/engine"
)

// chunk is a run of pairs of a job.
type chunk struct {
	first int // index of the first pair, in the job
	pairs []engine.Pair
}

const (
	maxChunkBytes = 64 << 20 // decompressed; also limits messages from the server
	maxChunkPairs = 4096
	chunkMagic    = "MRC1"
	resultMagic   = "MRR1"
)

// A message on the wire is a zstd frame with a checksum, of
//
//	chunk   "MRC1" first count, then for each pair: query+1, query, text, text
//	result  "MRR1" first count labels model, count·labels scores, failed, then for each failed pair: place, reason
//
// where numbers are uvarints, a text is its length and its bytes, and a score is a little-endian float64. For a query the
// length plus one is written, and 0 stands for the query of the pair before. Place counts from the first pair.

// errFormat marks bytes that are not of this format, or damaged.
var errFormat = errors.New("bulk: not a message of this format")

// coder returns an encoder and a decoder for whole messages, which may be used by several goroutines at once.
var coder = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("BUG: bulk: zstd: " + err.Error())
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxChunkBytes), zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic("BUG: bulk: zstd: " + err.Error())
	}
	return encoder, decoder
})

func compress(plain []byte) []byte {
	encoder, _ := coder()
	return encoder.EncodeAll(plain, nil)
}

func decompress(data []byte) ([]byte, error) {
	_, decoder := coder()
	plain, err := decoder.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	return plain, nil
}

// plainSize estimates the bytes of a pair in a chunk, where the pair in front of it has the query before.
func plainSize(p engine.Pair, before string) int {
	size := len(p.Document) + 2*binary.MaxVarintLen32
	if p.Query != before {
		size += len(p.Query)
	}
	return size
}

// encode returns the chunk's message.
func (c *chunk) encode() []byte { return compress(c.plain()) }

// plain returns the bytes that encode compresses; unlike encode's, they are the same for all versions of the compressor.
func (c *chunk) plain() []byte {
	b := append([]byte(nil), chunkMagic...)
	b = binary.AppendUvarint(b, uint64(c.first))
	b = binary.AppendUvarint(b, uint64(len(c.pairs)))
	for i, p := range c.pairs {
		if i > 0 && p.Query == c.pairs[i-1].Query {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, uint64(len(p.Query))+1)
			b = append(b, p.Query...)
		}
		b = appendText(b, p.Document)
	}
	return b
}

func decodeChunk(data []byte) (*chunk, error) {
	plain, err := decompress(data)
	if err != nil {
		return nil, err
	}
	r := reader{unread: plain}
	r.magic(chunkMagic)
	c := &chunk{first: r.number(math.MaxInt)}
	count := r.number(maxChunkPairs)
	for i := 0; i < count && r.err == nil; i++ {
		var p engine.Pair
		switch length := r.number(len(r.unread) + 1); {
		case length > 0:
			p.Query = string(r.bytes(length - 1))
		case i > 0:
			p.Query = c.pairs[i-1].Query
		default:
			r.fail("the first pair has no query")
		}
		p.Document = r.text()
		c.pairs = append(c.pairs, p)
	}
	if count == 0 {
		r.fail("no pairs")
	}
	return c, r.end()
}

// result is the outcome of a chunk: scores, and the pairs that failed.
type result struct {
	first  int // index of the chunk's first pair, in the job
	count  int // of pairs
	labels int
	model  string    // that scored them, as Worker.Model names it
	scores []float64 // [count, labels]; zeros for a pair that failed
	failed []failure // by place
}

// failure is a pair that has no score.
type failure struct {
	place  int // from the chunk's first pair
	reason string
}

const maxLabels = 1 << 16

func (r *result) row(place int) []float64 { return r.scores[place*r.labels : (place+1)*r.labels] }

func (r *result) encode() []byte {
	b := append([]byte(nil), resultMagic...)
	for _, n := range []int{r.first, r.count, r.labels} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendText(b, r.model)
	for _, s := range r.scores {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s))
	}
	b = binary.AppendUvarint(b, uint64(len(r.failed)))
	for _, f := range r.failed {
		b = binary.AppendUvarint(b, uint64(f.place))
		b = appendText(b, f.reason)
	}
	return compress(b)
}

func decodeResult(data []byte) (*result, error) {
	plain, err := decompress(data)
	if err != nil {
		return nil, err
	}
	r := reader{unread: plain}
	r.magic(resultMagic)
	got := &result{first: r.number(math.MaxInt), count: r.number(maxChunkPairs), labels: r.number(maxLabels), model: r.text()}
	raw := r.bytes(8 * got.count * got.labels)
	got.scores = make([]float64, len(raw)/8)
	for i := range got.scores {
		got.scores[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	failures, before := r.number(got.count), -1
	for i := 0; i < failures && r.err == nil; i++ {
		f := failure{place: r.number(got.count - 1), reason: r.text()}
		if f.place <= before {
			r.fail("failures out of order")
		}
		before = f.place
		got.failed = append(got.failed, f)
	}
	return got, r.end()
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// reader parses a message; after the first error it returns zeros.
type reader struct {
	unread []byte
	err    error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errFormat, what)
	}
	r.unread = nil
}

func (r *reader) magic(want string) {
	if string(r.bytes(len(want))) != want {
		r.fail("it does not begin with " + want)
	}
}

// number reads a number from 0 to most.
func (r *reader) number(most int) int {
	n, size := binary.Uvarint(r.unread)
	if size <= 0 || n > uint64(max(most, 0)) {
		r.fail("a number is out of bounds")
		return 0
	}
	r.unread = r.unread[size:]
	return int(n)
}

func (r *reader) bytes(length int) []byte {
	if length > len(r.unread) {
		r.fail("it ends early")
		return nil
	}
	b := r.unread[:length]
	r.unread = r.unread[length:]
	return b
}

func (r *reader) text() string { return string(r.bytes(r.number(len(r.unread)))) }

func (r *reader) end() error {
	if r.err == nil && len(r.unread) > 0 {
		r.fail("it goes on after its end")
	}
	return r.err
}
