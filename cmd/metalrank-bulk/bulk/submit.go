package bulk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/metalrank/metalrank/engine"
)

// Submission is one call of Submit.
type Submission struct {
	Job   string
	Spec  Spec
	Pairs iter.Seq2[engine.Pair, error] // the input, from its beginning
	// Repair submits again the chunks that the server has neither as work nor as a result, as after a disk was lost.
	Repair bool
	// OnProgress is called after each chunk, and when Submit begins to wait. May be nil.
	OnProgress func(SubmitProgress)
}

// SubmitProgress says how far a submission is.
type SubmitProgress struct {
	Chunks, Pairs int
	Skipped       int   // pairs of them that had been submitted before
	Waiting       error // why Submit waits: the server is away, or has no room; nil: it doesn't wait
}

// saveInterval is how often the job's entry is brought up to date.
const saveInterval = time.Second

// submitter is the state of one call of Submit.
type submitter struct {
	client   *Client
	s        Submission
	job      *Job
	revision uint64 // of the job's entry
	saved    time.Time
	done     Job // the part of the input that is read and submitted, now or before; only counts and digest
	before   Job // the job's entry before this run
}

// Submit cuts the pairs into chunks and hands them to the server; it waits while that has no room. If the job exists
// already, Submit resumes it where it ended; pairs and Spec must be the same. Errors: those of the pairs, ErrOtherInput,
// ctx's, the server's.
func (c *Client) Submit(ctx context.Context, s Submission) (*Job, error) {
	if err := CheckName(s.Job); err != nil {
		return nil, err
	}
	u := &submitter{client: c, s: s}
	if err := u.open(ctx); err != nil {
		return nil, err
	}
	cut := cutter{spec: &u.job.Spec}
	for p, err := range s.Pairs {
		if err != nil {
			return nil, errors.Join(err, u.save(ctx))
		}
		full, err := cut.add(p)
		if err == nil && full != nil {
			err = u.put(ctx, full)
		}
		if err != nil {
			return nil, err
		}
	}
	if last := cut.flush(); last != nil {
		if err := u.put(ctx, last); err != nil {
			return nil, err
		}
	}
	if u.done.Chunks < u.before.Chunks {
		return nil, u.other("it ends before")
	}
	u.job.Complete = true
	return u.job, u.save(ctx)
}

// ErrOtherInput marks a job that is resumed with other pairs, or another Spec.
var ErrOtherInput = errors.New("bulk: the job was begun with another input")

func (u *submitter) other(what string) error {
	return fmt.Errorf("%w: job %s has %d pairs in %d chunks so far, and this one %s",
		ErrOtherInput, u.job.Name, u.before.Pairs, u.before.Chunks, what)
}

// open finds the job, or creates it.
func (u *submitter) open(ctx context.Context) error {
	spec := u.s.Spec
	if spec.ChunkBytes == 0 {
		spec.ChunkBytes = int(min(u.client.conn.MaxPayload(), maxChunkBytes))
	}
	if err := spec.normalize(); err != nil {
		return err
	}
	err := u.find(ctx)
	if errors.Is(err, ErrNoJob) {
		j := &Job{Name: u.s.Job, Created: time.Now().UTC(), Spec: spec}
		err = persist(ctx, u.waits, func(ctx context.Context) error { return u.client.create(ctx, j) })
		if err == nil || isConflict(err) { // perhaps by an earlier try; its answer was lost
			err = u.findCreated(ctx)
		}
	}
	if err != nil {
		return err
	}
	if u.job.Spec != spec {
		return fmt.Errorf("%w: job %s was created with other settings: %+v, now %+v", ErrOtherInput, u.job.Name, u.job.Spec, spec)
	}
	u.before = *u.job
	if u.s.Repair {
		u.job.Repairs++
	}
	return nil
}

// find reads the job's entry.
func (u *submitter) find(ctx context.Context) error {
	return persist(ctx, u.waits, func(ctx context.Context) (err error) {
		u.job, u.revision, err = u.client.job(ctx, u.s.Job)
		return err
	})
}

// findCreated is find for an entry that exists. It repeats find, since a server of a cluster may not have the entry yet.
func (u *submitter) findCreated(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		err := u.find(ctx)
		if !errors.Is(err, ErrNoJob) {
			return err
		}
		if wait(ctx, pollInterval) != nil {
			return err
		}
	}
}

// waits reports that the submission waits for the server.
func (u *submitter) waits(err error) {
	u.tell(SubmitProgress{Chunks: u.done.Chunks, Pairs: u.done.Pairs, Waiting: err})
}

// put submits the next chunk, unless it was submitted before.
func (u *submitter) put(ctx context.Context, c *chunk) error {
	number, plain := u.done.Chunks, c.plain()
	digest := sha256.Sum256(append(bytes.Clone(u.done.Digest), plain...))
	u.done.Chunks, u.done.Pairs, u.done.Digest = number+1, u.done.Pairs+len(c.pairs), digest[:]
	old := number < u.before.Chunks
	if old && u.done.Chunks == u.before.Chunks && !bytes.Equal(u.done.Digest, u.before.Digest) {
		return u.other("differs from them")
	}
	if !old && u.before.Complete {
		return u.other("has more")
	}
	if !old || u.s.Repair {
		if err := u.publish(ctx, number, compress(plain), old); err != nil {
			return err
		}
	}
	skipped := min(u.done.Pairs, u.before.Pairs)
	u.tell(SubmitProgress{Chunks: u.done.Chunks, Pairs: u.done.Pairs, Skipped: skipped})
	if old {
		return nil
	}
	u.job.Chunks, u.job.Pairs, u.job.Digest = u.done.Chunks, u.done.Pairs, u.done.Digest
	if time.Since(u.saved) < saveInterval {
		return nil
	}
	return u.save(ctx)
}

func (u *submitter) tell(p SubmitProgress) {
	if u.s.OnProgress != nil {
		u.s.OnProgress(p)
	}
}

// publish puts a chunk into the stream of work. Within the server's duplicate window, the message's id keeps the chunk from
// being stored twice; after that it may be scored twice, but still has one result.
func (u *submitter) publish(ctx context.Context, number int, data []byte, old bool) error {
	key := chunkKey(number)
	if most := u.client.conn.MaxPayload(); int64(len(data)) > most-chunkRoom {
		return fmt.Errorf("bulk: pair %d, alone in its chunk, takes %d bytes compressed; the server's max_payload is %d",
			u.done.Pairs-1, len(data), most)
	}
	if old {
		there, err := u.client.hasChunk(ctx, u.job.Name, key)
		if there || err != nil {
			return err
		}
	}
	message := &nats.Msg{Subject: workSubject(u.job.Name, key), Data: data}
	options := []jetstream.PublishOpt{jetstream.WithExpectStream(workStream(u.job.Name))}
	if !old {
		options = append(options, jetstream.WithMsgID(u.job.Name+"/"+key))
	}
	err := u.client.publish(ctx, u.job.Name, u.waits, message, options...)
	if err != nil {
		return fmt.Errorf("bulk: job %s, chunk %d: %w", u.job.Name, number, err)
	}
	return nil
}

// hasChunk says whether the server has a chunk, as work or as a result.
func (c *Client) hasChunk(ctx context.Context, job, key string) (bool, error) {
	// In this order: the result is stored before the work is deleted.
	for _, place := range []struct{ stream, subject string }{
		{workStream(job), workSubject(job, key)}, {resultStream(job), resultSubject(job, key)},
	} {
		err := persist(ctx, nil, func(ctx context.Context) error {
			s, err := c.stream(ctx, place.stream)
			if err == nil {
				_, err = s.GetLastMsgForSubject(ctx, place.subject)
			}
			return err
		})
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, fmt.Errorf("bulk: job %s, chunk %s: %w", job, key, err)
		}
	}
	return false, nil
}

// save brings the job's entry up to date.
func (u *submitter) save(ctx context.Context) error {
	err := persist(ctx, nil, func(ctx context.Context) error {
		revision, err := u.client.save(ctx, u.job, u.revision)
		if isConflict(err) { // perhaps by an earlier try; its answer was lost
			var there *Job
			if there, revision, err = u.client.job(ctx, u.job.Name); err == nil && !there.same(u.job) {
				return fmt.Errorf("%w by another submission", errConflict)
			}
		}
		if err == nil {
			u.revision = revision
		}
		return err
	})
	u.saved = time.Now()
	if err != nil {
		return fmt.Errorf("bulk: job %s: %w", u.job.Name, err)
	}
	return nil
}

// same says whether two entries of a job are equal.
func (j *Job) same(other *Job) bool {
	return j.Spec == other.Spec && j.Created.Equal(other.Created) && j.Chunks == other.Chunks && j.Pairs == other.Pairs &&
		bytes.Equal(j.Digest, other.Digest) && j.Complete == other.Complete && j.Repairs == other.Repairs
}
