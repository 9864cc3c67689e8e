package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/metalrank/metalrank/engine"
)

const minChunkBytes = 1 << 10

// Job is one input on its way, as the server keeps it.
type Job struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Spec    Spec      `json:"spec"`
	// The counts of the chunks and pairs submitted so far. A resumed submission continues after them.
	Chunks   int    `json:"chunks"`
	Pairs    int    `json:"pairs"`
	Digest   []byte `json:"digest,omitempty"`  // SHA-256 of the digest before the last chunk and that chunk's bytes
	Complete bool   `json:"complete"`          // all of the input has been submitted
	Repairs  int    `json:"repairs,omitempty"` // submissions with Repair
}

// ID differs between jobs of the same name, and changes when the job is repaired.
func (j *Job) ID() string { return fmt.Sprintf("%s %d %d", j.Name, j.Created.UnixNano(), j.Repairs) }

// Spec says how a job is cut and scored; it is fixed when the job is created. The zero value works.
type Spec struct {
	// ChunkTokens is about how many tokens a chunk has. 0: 16,384. Bounds: 64 to 1,048,576.
	ChunkTokens int `json:"chunk_tokens"`
	// MaxLength bounds the tokens that a pair counts for: models truncate longer ones. 0: 512. Bounds: 8 to 1,048,576.
	MaxLength int `json:"max_length"`
	// ChunkBytes bounds a chunk before it is compressed. 0: the server's max_payload, which Submit puts in.
	ChunkBytes int `json:"chunk_bytes"`
	// RawScores asks for logits, without the model's activation.
	RawScores bool `json:"raw_scores"`
	// Model, if not empty, is the only one that may score the job, as Worker.Model names it. Any may otherwise, but Collect
	// refuses results of different ones.
	Model string `json:"model,omitempty"`
	// AckWait is how long a chunk stays with a worker that gives no sign of life. 0: 30 s. Bounds: 1 s to 1 h.
	AckWait time.Duration `json:"ack_wait_ns"`
	// Tries is how often a chunk is given to a worker as a whole; after that the pair that kills workers is searched for.
	// 0: 3. Bounds: 1 to 100.
	Tries int `json:"tries"`
	// MaxQueued and MaxQueuedBytes bound the queue on the server; Submit waits while it is full. 0: 4,096 chunks and 1 GiB.
	MaxQueued      int   `json:"max_queued"`
	MaxQueuedBytes int64 `json:"max_queued_bytes"`
	// MaxPending is how many chunks all workers together may hold. 0: 1,024. Bounds: 1 to 65,536.
	MaxPending int `json:"max_pending"`
	// Replicas is how many servers of a cluster keep the job. 0: 1. Bounds: 1 to 5.
	Replicas int `json:"replicas"`
}

// bound is the range of one field of a Spec, least to most. Zero stands for whatZeroMeans.
type bound struct {
	field                      string
	value                      *int
	least, most, whatZeroMeans int
}

func (s *Spec) bounds() []bound {
	return []bound{
		{"ChunkTokens", &s.ChunkTokens, 64, 1 << 20, 16384},
		{"MaxLength", &s.MaxLength, 8, 1 << 20, 512},
		{"ChunkBytes", &s.ChunkBytes, minChunkBytes, maxChunkBytes, 1 << 20},
		{"Tries", &s.Tries, 1, 100, 3},
		{"MaxQueued", &s.MaxQueued, 1, 1 << 24, 4096},
		{"MaxPending", &s.MaxPending, 1, 1 << 16, 1024},
		{"Replicas", &s.Replicas, 1, 5, 1},
	}
}

// normalize replaces zeros by their defaults, and reports the first field that is out of its bounds.
func (s *Spec) normalize() error {
	for _, b := range s.bounds() {
		if *b.value == 0 {
			*b.value = b.whatZeroMeans
		}
		if *b.value < b.least || *b.value > b.most {
			return wrong(b.field, *b.value, "%d to %d, or 0 for %d", b.least, b.most, b.whatZeroMeans)
		}
	}
	if s.AckWait == 0 {
		s.AckWait = 30 * time.Second
	}
	if s.AckWait < time.Second || s.AckWait > time.Hour {
		return wrong("AckWait", s.AckWait, "1s to 1h, or 0 for 30s")
	}
	if s.MaxQueuedBytes == 0 {
		s.MaxQueuedBytes = 1 << 30
	}
	if s.MaxQueuedBytes < int64(s.ChunkBytes) {
		return wrong("MaxQueuedBytes", s.MaxQueuedBytes, "at least the %d bytes of a chunk", s.ChunkBytes)
	}
	return nil
}

// Validate reports the first field that is out of its bounds. A ChunkBytes of 0 depends on the server: Submit checks it.
func (s Spec) Validate() error {
	if s.ChunkBytes == 0 {
		s.ChunkBytes = minChunkBytes
	}
	return s.normalize()
}

func wrong(field string, value any, want string, args ...any) error {
	return &engine.ConfigError{Package: "bulk", Field: field, Value: value, Want: fmt.Sprintf(want, args...)}
}

// ErrNoJob marks the name of a job that is not there.
var ErrNoJob = errors.New("bulk: no such job")

// Job returns the job of a name. Errors: ErrNoJob, the server's.
func (c *Client) Job(ctx context.Context, name string) (*Job, error) {
	j, _, err := c.job(ctx, name)
	return j, err
}

// job returns a job and the revision of its entry.
func (c *Client) job(ctx context.Context, name string) (*Job, uint64, error) {
	if err := CheckName(name); err != nil {
		return nil, 0, err
	}
	entry, err := c.jobs.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNoJob, name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("bulk: job %s: %w", name, err)
	}
	j, err := decodeJob(entry.Value())
	if err != nil {
		return nil, 0, fmt.Errorf("%w: job %s: %w", errFormat, name, err)
	}
	return j, entry.Revision(), nil
}

// decodeJob reads a job. It refuses a field that this version doesn't know: a newer version wrote it, and the scores would be
// other ones without it.
func decodeJob(data []byte) (*Job, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	j := &Job{}
	return j, decoder.Decode(j)
}

// Jobs returns all jobs, the oldest first.
func (c *Client) Jobs(ctx context.Context) ([]*Job, error) {
	keys, err := c.jobs.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, fmt.Errorf("bulk: jobs: %w", err)
	}
	var jobs []*Job
	for _, key := range keys {
		j, err := c.Job(ctx, key)
		if errors.Is(err, ErrNoJob) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *Job) int { return a.Created.Compare(b.Created) })
	return jobs, nil
}

// create makes a job's streams, consumer and bucket on the server, as far as they are missing, and its entry last.
func (c *Client) create(ctx context.Context, j *Job) (err error) {
	s := &j.Spec
	if err := c.spread(ctx, s.Replicas); err != nil {
		return fmt.Errorf("bulk: %d replicas: %w", s.Replicas, err)
	}
	_, err = c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: workStream(j.Name), Subjects: []string{workSubject(j.Name, "*")}, Description: "metalrank bulk: chunks to be scored",
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxMsgs: int64(s.MaxQueued), MaxBytes: s.MaxQueuedBytes, Replicas: s.Replicas,
	})
	if err == nil {
		_, err = c.js.CreateOrUpdateConsumer(ctx, workStream(j.Name), jetstream.ConsumerConfig{
			Durable: consumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.AckWait, MaxDeliver: -1,
			MaxAckPending: s.MaxPending,
		})
	}
	if err == nil {
		_, err = c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: resultStream(j.Name), Subjects: []string{resultSubject(j.Name, "*")}, Description: "metalrank bulk: results",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
			Storage: jetstream.FileStorage, AllowDirect: s.Replicas == 1, Replicas: s.Replicas,
		})
	}
	if err == nil {
		_, err = c.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: isolationBucket(j.Name), Description: "metalrank bulk: chunks whose workers die", Replicas: s.Replicas,
		})
	}
	if err != nil {
		return fmt.Errorf("bulk: job %s: %w", j.Name, err)
	}
	value, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if _, err = c.jobs.Create(ctx, j.Name, value); err != nil {
		return fmt.Errorf("bulk: job %s: %w", j.Name, err)
	}
	return nil
}

// spread raises the replicas of the buckets of jobs and workers to at least replicas.
func (c *Client) spread(ctx context.Context, replicas int) error {
	for _, kv := range []jetstream.KeyValue{c.jobs, c.workers} {
		status, err := kv.Status(ctx)
		if err != nil {
			return err
		}
		config := status.Config()
		if config.Replicas >= replicas {
			continue
		}
		config.Replicas = replicas
		if _, err := c.js.UpdateKeyValue(ctx, config); err != nil {
			return err
		}
		if err := c.settled(ctx, "KV_"+config.Bucket, replicas); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until a stream that got more replicas is current on all of its servers that are up, a majority. Before
// that, the loss of the one server that had the stream loses all of it.
func (c *Client) settled(ctx context.Context, stream string, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		s, err := c.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		if cluster := s.CachedInfo().Cluster; cluster != nil && cluster.Leader != "" {
			current, up := 1, 1 // the leader
			for _, peer := range cluster.Replicas {
				if !peer.Offline {
					up++
				}
				if peer.Current && !peer.Offline {
					current++
				}
			}
			if current == up && current > replicas/2 {
				return nil
			}
		}
		if err := wait(ctx, pollInterval); err != nil {
			return fmt.Errorf("%s is not on as many servers after %v: %w", stream, settleTimeout, err)
		}
	}
}

// save records how far a submission is; it fails where another submitter has done so since revision.
func (c *Client) save(ctx context.Context, j *Job, revision uint64) (uint64, error) {
	value, err := json.Marshal(j)
	if err != nil {
		return 0, err
	}
	return c.jobs.Update(ctx, j.Name, value, revision)
}

// Remove deletes a job and all that the server keeps of it, results included. Workers give up its chunks.
func (c *Client) Remove(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	// The entry goes last: if this is interrupted, another Remove finds the entry and deletes the rest.
	_, _, err := c.job(ctx, name)
	if err != nil {
		return err
	}
	for _, stream := range []string{workStream(name), resultStream(name)} {
		if err := c.js.DeleteStream(ctx, stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("bulk: job %s: %w", name, err)
		}
	}
	err = c.js.DeleteKeyValue(ctx, isolationBucket(name))
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("bulk: job %s: %w", name, err)
	}
	return c.jobs.Purge(ctx, name)
}
