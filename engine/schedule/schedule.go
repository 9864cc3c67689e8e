// Package schedule decides which sequences run next, on which device.
//
// A Queue holds the requests of one model. A Device takes batches from the queues that are attached to it. Requests are
// served in the order in which weighted sharing would finish them (fair sojourn protocol; RATIONALE.md, "Scheduling"). A client
// that is ahead of its share by more than a burst waits for the others. Models take turns, batch by batch.
//
// Everything here is a state machine: it has no goroutine, no lock and no clock. Its caller holds a lock and gives the
// time, on any clock that doesn't go back. The engine drives it with a real one, and simulate with one of its own: the same
// code decides in both.
//
// The package must not know texts, tokens' values, backends or scores.
package schedule

import (
	"errors"
	"fmt"
	"time"
)

// ErrOverloaded is matched by an *OverloadError.
var ErrOverloaded = errors.New("schedule: overloaded")

// OverloadError says that nothing of a request was accepted, since it would have gone over a limit.
type OverloadError struct {
	Limit      string // the limit's name, as in Limits
	Value, Max int    // the value that the request would have made, and the limit
	// RetryAfter is when there should be room, at the recent rate; 0 when nothing has run yet.
	RetryAfter time.Duration
}

// Error implements error.
func (e *OverloadError) Error() string {
	return fmt.Sprintf("schedule: overloaded: %s would be %d, the limit is %d", e.Limit, e.Value, e.Max)
}

// Is makes errors.Is(err, ErrOverloaded) hold.
func (e *OverloadError) Is(target error) bool { return target == ErrOverloaded }

// SharedQueueTime is how long the waiting work of a model may take that shares a device, where Limits have no other.
const SharedQueueTime = time.Minute

// Limits bound a Queue. BatchTokens, QueueTokens and Requests are at least 1.
type Limits struct {
	// BatchTokens is how many tokens a batch has at most, unless a single sequence has more. Batches that would take longer
	// than a quarter of a second have less, but not below 512.
	BatchTokens int
	// QueueTokens is how many tokens may wait. A request that has more by itself is accepted while no tokens wait.
	QueueTokens int
	// QueueTime is how long the waiting work may take, at the recent rate and as the devices are shared now, with the same
	// exception. 0: SharedQueueTime while other models have a place on the devices, and otherwise no limit.
	QueueTime time.Duration
	// Requests is how many requests may be under way, from Enter to Leave.
	Requests int
	// Pair is the work of attention that two tokens of a sequence cause, as a part of all other work of a token: a sequence
	// of n tokens is n + Pair n² of work.
	Pair float64
	// Unit is the work of a token without attention, in floating-point operations. A model that hasn't run on a device is
	// expected to take the time for them that the others there take. 0: its first batches are expected to take none.
	Unit float64
	// MaxWait is how long a batch that isn't full waits for more requests while its device is idle. 0: not at all.
	MaxWait time.Duration
}
