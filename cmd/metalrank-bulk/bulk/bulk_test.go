package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/metalrank/metalrank/engine"
)

func TestWorkersShareAJob(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(500)
	submitter := connect(t, url)
	j := submit(t, submitter, "a", pairs, small())
	if !j.Complete || j.Pairs != len(pairs) || j.Chunks < 50 {
		t.Fatalf("submitted: %+v", j)
	}
	scorers := make([]*scorer, 3)
	var all sync.WaitGroup
	all.Add(len(scorers))
	for i := range scorers {
		begun := sync.OnceFunc(all.Done)
		scorers[i] = &scorer{before: func(context.Context, []engine.Pair) error {
			begun()
			all.Wait() // or one worker might do all before the others are up
			return nil
		}}
		stop := work(t, connect(t, url), &Worker{Name: fmt.Sprint("worker", i), Scorer: scorers[i]})
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	collect(t, submitter, "a", pairs)
	for i, s := range scorers {
		if s.calls.Load() == 0 {
			t.Errorf("worker %d had nothing to do", i)
		}
	}
	s, err := submitter.Status(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Finished() || s.Done != j.Chunks || s.PairsDone() != len(pairs) || s.Waiting != 0 {
		t.Errorf("status %+v", s)
	}
	var workers []WorkerStatus
	until(t, "not every worker reports", func() bool {
		workers, err = submitter.Workers(t.Context())
		return err != nil || len(workers) == 3
	})
	if err != nil || workers[0].Name != "worker0" || workers[0].Model != "hash" {
		t.Errorf("workers %+v, %v", workers, err)
	}
	if err := submitter.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := submitter.Status(t.Context(), "a"); !errors.Is(err, ErrNoJob) {
		t.Errorf("status of a job that was removed: %v", err)
	}
}

// A chunk that is in the stream twice, as when a submission is repeated after the server forgot the ids, changes nothing;
// neither does a second result.
func TestDuplicatesChangeNothing(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(20)
	c := connect(t, url)
	j := submit(t, c, "a", pairs, small())
	for number := range j.Chunks {
		// Published again as it is in the stream, without the id.
		s, err := c.stream(t.Context(), workStream("a"))
		if err != nil {
			t.Fatal(err)
		}
		there, err := s.GetLastMsgForSubject(t.Context(), workSubject("a", chunkKey(number)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.js.PublishMsg(t.Context(), &nats.Msg{Subject: there.Subject, Data: there.Data}); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	// A late worker with other scores.
	w := &Worker{Client: c, Log: t.Logf}
	late := &result{first: 0, count: 1, labels: 1, model: "late", scores: []float64{0.5}}
	if err := w.publish(t.Context(), &task{job: j, number: 0}, late); err != nil {
		t.Errorf("a late result: %v", err)
	}
	_, err := c.js.PublishMsg(t.Context(), &nats.Msg{Subject: resultSubject("a", "0"), Data: late.encode()})
	if err == nil {
		t.Error("the server took a second result of a chunk")
	}
	collect(t, c, "a", pairs)
	s, err := c.Status(t.Context(), "a")
	if err != nil || s.Done != j.Chunks {
		t.Errorf("%d results of %d chunks: %v", s.Done, j.Chunks, err)
	}
}

func TestModelsAreNotMixed(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(20)
	c := connect(t, url)
	j := submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	// The last chunk's result becomes one of another model.
	key := resultSubject("a", chunkKey(j.Chunks-1))
	results, err := c.stream(t.Context(), resultStream("a"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.result(t.Context(), "a", j.Chunks-1)
	if err != nil {
		t.Fatal(err)
	}
	last, err := decodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	last.model = "other"
	if err := results.Purge(t.Context(), jetstream.WithPurgeSubject(key)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.PublishMsg(t.Context(), &nats.Msg{Subject: key, Data: last.encode()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: &memory{}}); !errors.Is(err, ErrMixed) {
		t.Errorf("%v, want %v", err, ErrMixed)
	}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: &memory{}, Mixed: true}); err != nil {
		t.Error(err)
	}
	spec := small()
	spec.Model = "hash"
	submit(t, c, "b", pairs, spec)
	stranger := &scorer{}
	finish(t, connect(t, url), &Worker{Scorer: stranger, Model: "other"}) // ends once it finds no job for its model
	if stranger.calls.Load() != 0 {
		t.Errorf("a worker of another model scored %d times", stranger.calls.Load())
	}
	if _, err := c.Collect(t.Context(), Collection{Job: "b", Output: &memory{}, NoWait: true}); !errors.Is(err, ErrUnfinished) {
		t.Errorf("%v, want %v", err, ErrUnfinished)
	}
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "b", pairs)
}

// A job that is removed while a worker scores it doesn't stop the worker.
func TestJobIsRemovedUnderWay(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(30)
	c := connect(t, url)
	submit(t, c, "a", pairs, small())
	removed := make(chan struct{})
	var once sync.Once
	stop := work(t, connect(t, url), &Worker{InFlight: 1, Scorer: &scorer{before: func(ctx context.Context, _ []engine.Pair) error {
		once.Do(func() {
			if err := c.Remove(ctx, "a"); err != nil {
				t.Error(err)
			}
			close(removed)
		})
		return nil
	}}})
	<-removed
	submit(t, c, "b", pairs, small())
	collect(t, c, "b", pairs)
	submit(t, c, "a", pairs, small()) // another job of the same name
	collect(t, c, "a", pairs)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
