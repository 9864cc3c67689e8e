package bulk

import (
	"fmt"

	"github.com/metalrank/metalrank/engine"
)

// cutter cuts pairs into chunks. The cuts depend on the pairs and the Spec alone, so that a resumed submission makes the
// same chunks.
type cutter struct {
	spec   *Spec
	pairs  []engine.Pair // of the chunk that is being filled
	first  int           // index of its first pair
	tokens int           // an estimate of theirs
	bytes  int           // an estimate of theirs, before compression
}

// estimateTokens estimates the tokens of a pair: an English word piece is some four bytes. It only sizes chunks; a worker's
// engine packs batches by true lengths. So submitting needs no tokenizer.
func estimateTokens(p engine.Pair, most int) int {
	const bytesPerToken, specials = 4, 3
	return min((len(p.Query)+len(p.Document))/bytesPerToken+specials, most)
}

// add takes a pair. If it doesn't fit into the current chunk, add returns that chunk and begins the next one with the pair.
func (c *cutter) add(p engine.Pair) (*chunk, error) {
	before := ""
	if n := len(c.pairs); n > 0 {
		before = c.pairs[n-1].Query
	}
	tokens, size := estimateTokens(p, c.spec.MaxLength), plainSize(p, before)
	if size > maxChunkBytes-chunkRoom {
		return nil, fmt.Errorf("bulk: pair %d has %d bytes, the limit is %d", c.first+len(c.pairs), size, maxChunkBytes-chunkRoom)
	}
	var full *chunk
	if len(c.pairs) > 0 && (c.tokens+tokens > c.spec.ChunkTokens || c.bytes+size > c.spec.ChunkBytes-chunkRoom ||
		len(c.pairs) == maxChunkPairs) {
		full = c.flush()
		size = plainSize(p, "")
	}
	c.pairs = append(c.pairs, p)
	c.tokens += tokens
	c.bytes += size
	return full, nil
}

// chunkRoom is the bytes reserved in a message besides its pairs: headers, the subject, and zstd's overhead on
// incompressible data.
const chunkRoom = 1 << 9

// flush returns the pairs so far as a chunk, or nil if there are none.
func (c *cutter) flush() *chunk {
	if len(c.pairs) == 0 {
		return nil
	}
	full := &chunk{first: c.first, pairs: c.pairs}
	*c = cutter{spec: c.spec, first: c.first + len(c.pairs)}
	return full
}
