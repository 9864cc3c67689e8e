package engine

import (
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/engine/trace"
)

// job is a request on its way through the scheduler. Jobs are used again: a request costs no memory but that of its tokens
// and its results.
//
// From dispatcher.submit on, all but logits is guarded by the dispatcher's lock.
type job struct {
	engine    *Engine
	request   schedule.Request
	sequences []sequence // [n]
	logits    []float32  // [n, C]; a batch writes the rows that it has run
	ended     time.Duration
	timer     *trace.RequestTimer // nil as a rule
	err       error
	settled   bool          // done was sent
	left      bool          // nobody waits for it: it is put back once the scheduler holds nothing of it
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

// newJob returns a job for sequences, of which logits [n, C] is to hold the result.
func (e *Engine) newJob(sequences []sequence, logits []float32) *job {
	j, _ := e.dispatcher.jobs.Get().(*job) // nor there
	j.engine, j.sequences, j.logits = e, sequences, logits
	for _, s := range sequences {
		j.request.Lengths = append(j.request.Lengths, int32(len(s.ids)))
	}
	return j
}

// settle tells whoever waits that the job is done, or has failed with err.
func (j *job) settle(err error) {
	if j.settled {
		return
	}
	j.settled, j.err = true, err
	j.done <- struct{}{}
}

// release puts the job back, now or when the scheduler holds nothing of it.
func (j *job) release() {
	j.left = true
	if j.request.Idle() {
		j.recycle()
	}
}

func (j *job) recycle() {
	j.request.Reset()
	select {
	case <-j.done: // nobody had waited for it
	default:
	}
	d := j.engine.dispatcher
	*j = job{request: j.request, done: j.done}
	j.request.Value = j
	d.jobs.Put(j)
}
