package engine

import (
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/engine/trace"
)

// job is a request on its way through the scheduler. Jobs are reused: a request allocates memory only for its tokens and
// its results.
//
// From dispatcher.submit on, all but logits is guarded by the dispatcher's lock, until the job is settled without an error:
// then it is idle, and the caller's.
type job struct {
	engine    *Engine
	request   schedule.Request
	sequences []sequence // [n]
	logits    []float32  // [n, C]; a batch writes the rows that it has run
	ended     time.Duration
	timer     *trace.RequestTimer // nil unless it is recorded
	err       error
	settled   bool          // done was sent, or the caller stopped waiting
	abandoned bool          // no caller waits for it: it is recycled once the scheduler holds nothing of it
	done      chan struct{} // has room for one
}

func makeJob() any {
	j := &job{done: make(chan struct{}, 1)}
	j.request.Value = j
	return j
}

func jobOf(r *schedule.Request) *job {
	j, _ := r.Value.(*job) // nothing else is put there
	return j
}

// newJob returns a job for sequences; its batches write their results to logits [n, C].
func (e *Engine) newJob(sequences []sequence, logits []float32) *job {
	j, _ := e.dispatcher.jobs.Get().(*job) // nothing else is put there, either
	j.engine, j.sequences, j.logits = e, sequences, logits
	shares := e.sharesPrefixes()
	for i, s := range sequences {
		j.request.Lengths = append(j.request.Lengths, int32(len(s.ids)))
		if shares {
			j.request.Shared = append(j.request.Shared, int32(shared(sequences, i)))
		}
	}
	return j
}

// settle tells the waiting caller that the job is done, or has failed with err.
func (j *job) settle(err error) {
	if j.settled {
		return
	}
	j.settled, j.err = true, err
	j.done <- struct{}{}
}

// release recycles a job that has failed, now or when the scheduler holds nothing of it.
func (j *job) release() {
	j.abandoned = true
	if j.request.Idle() {
		j.recycle()
	}
}

func (j *job) recycle() {
	j.request.Reset()
	select {
	case <-j.done: // settled, but no caller received it
	default:
	}
	d := j.engine.dispatcher
	*j = job{request: j.request, done: j.done}
	j.request.Value = j
	d.jobs.Put(j)
}
