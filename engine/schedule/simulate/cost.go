package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Cost is how long a batch takes.
type Cost struct {
	// Fixed is the time of every batch, Token that of each of its tokens, and Pair that of each two tokens of one sequence,
	// in attention.
	Fixed, Token time.Duration
	Pair         float64 // nanoseconds
	// Jitter makes a batch take up to this part more or less.
	Jitter float64
	// Pack and PackToken are the host's time before a device can begin. It passes while the device runs the batch before,
	// if the policy hands over early enough.
	Pack, PackToken time.Duration
}

// typicalLength is the assumed length of the sequences of a full batch.
const typicalLength = 100

// FullBatch is the time of a batch of so many tokens.
func (c *Cost) FullBatch(tokens int) time.Duration {
	return c.Fixed + time.Duration(tokens)*c.Token + time.Duration(float64(tokens)*typicalLength*c.Pair)
}

// Rate is tokens a second, in full batches.
func (c *Cost) Rate(batchTokens int) float64 {
	return float64(batchTokens) / c.FullBatch(batchTokens).Seconds()
}

func (c *Cost) deviceTime(b *schedule.Batch, speed float64, random *rand.Rand) time.Duration {
	took := float64(c.Fixed) + float64(b.Tokens)*float64(c.Token)
	if c.Pair > 0 {
		for _, span := range b.Spans {
			for _, n := range span.Request.Lengths[span.From:span.To] {
				took += c.Pair * float64(n) * float64(n)
			}
		}
	}
	if c.Jitter > 0 {
		took *= 1 + c.Jitter*(2*random.Float64()-1)
	}
	return max(time.Duration(took/speed), 1)
}

func (c *Cost) packTime(b *schedule.Batch) time.Duration {
	return c.Pack + time.Duration(b.Tokens)*c.PackToken
}

// alone is how long a request takes on an idle device that has nothing else.
func (c *Cost) alone(r *Request, batchTokens int) time.Duration {
	batches := max((r.tokens+batchTokens-1)/batchTokens, 1)
	took := c.Pack + time.Duration(min(r.tokens, batchTokens))*c.PackToken
	return took + time.Duration(batches)*c.Fixed + time.Duration(r.tokens)*c.Token
}
