package bulk

import (
	"fmt"

	"github.com/metalrank/metalrank/engine"
)

// cutter cuts pairs into chunks. Where it cuts depends on the pairs and the Spec alone, so that a submission that is taken
// up again makes the same chunks.
type cutter struct {
	spec   *Spec
	pairs  []engine.Pair // of the chunk that is being filled
	first  int           // index of its first pair
	tokens int           // that they have, about
	bytes  int           // that they take before compression, about
}

// estimateTokens is about how many tokens a pair has: an English word piece is some four bytes. It only sizes chunks, and a
// worker's engine packs batches by true lengths, so that submitting needs no tokenizer.
func estimateTokens(p engine.Pair, most int) int {
	const bytesPerToken, specials = 4, 3
	return min((len(p.Query)+len(p.Document))/bytesPerToken+specials, most)
}

// add takes a pair, and returns a chunk if one is full without it.
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

// chunkRoom is what a message has besides its pairs: headers, the subject, and what zstd adds to what it can't compress.
const chunkRoom = 1 << 9

// flush returns what there is as a chunk, or nil.
func (c *cutter) flush() *chunk {
	if len(c.pairs) == 0 {
		return nil
	}
	full := &chunk{first: c.first, pairs: c.pairs}
	*c = cutter{spec: c.spec, first: c.first + len(c.pairs)}
	return full
}
