package bulk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// die closes a worker's connection, as kill -9 does: nothing that the worker does afterwards reaches the server.
func die(ctx context.Context, c *Client) error {
	c.conn.Close()
	<-ctx.Done()
	return ctx.Err()
}

func TestChunkOfDeadWorkerIsGivenToAnother(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(40)
	submitter := connect(t, url)
	spec := small()
	spec.Tries = 3
	submit(t, submitter, "a", pairs, spec)
	doomed := connect(t, url)
	taken := make(chan struct{}, 100)
	stop := work(t, doomed, &Worker{Scorer: &scorer{before: func(ctx context.Context, _ []engine.Pair) error {
		taken <- struct{}{}
		return die(ctx, doomed)
	}}})
	<-taken
	_ = stop() // its connection is gone
	finish(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, submitter, "a", pairs)
}

// beating is a chunk's message that records the worker's signs of life.
type beating struct {
	jetstream.Msg

	beats []time.Time
}

// InProgress implements jetstream.Msg.
func (b *beating) InProgress() error {
	b.beats = append(b.beats, time.Now())
	return nil
}

// A worker that takes longer than AckWait keeps its chunk by signs of life, of which two in a row may be lost.
func TestSlowWorkerGivesSignsOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ackWait, takes = time.Second, 10 * time.Second
		message, last := &beating{}, time.Now()
		stop := (&Worker{}).keepAlive(&task{job: &Job{Spec: Spec{AckWait: ackWait}}, message: message})
		time.Sleep(takes)
		synctest.Wait()
		stop()
		for _, beat := range append(message.beats, time.Now()) {
			if gap := beat.Sub(last); gap > ackWait/3 {
				t.Errorf("no sign of life for %v, of the %v that the server waits", gap, ackWait)
			}
			last = beat
		}
		n := len(message.beats)
		time.Sleep(takes)
		if len(message.beats) != n {
			t.Errorf("%d signs of life after its end", len(message.beats)-n)
		}
	})
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

// Workers die of two pairs; these are found and set aside, and all others are scored.
func TestPairsThatKillAreSetAside(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(16)
	bad := []int{1, 9}
	submitter := connect(t, url)
	submit(t, submitter, "a", pairs, small())
	var deaths atomic.Int64
	for range 40 {
		c, err := Connect(t.Context(), Connection{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &Worker{Client: c, Name: fmt.Sprint("victim", deaths.Load()), Model: "hash", UntilDone: true, InFlight: 2, Log: t.Logf}
		w.Scorer = &scorer{before: func(ctx context.Context, some []engine.Pair) error {
			for _, i := range bad {
				if slices.Contains(some, pairs[i]) {
					deaths.Add(1)
					cancel()
					return die(ctx, c)
				}
			}
			return nil
		}}
		_ = w.Run(ctx) // an error if it died
		alive := ctx.Err() == nil
		cancel()
		c.Close()
		if alive {
			break
		}
	}
	m := collect(t, submitter, "a", pairs, bad...)
	if reason := m.failed[1]; !strings.Contains(reason, "died of it") || !strings.Contains(reason, "victim") {
		t.Errorf("the reason is %q", reason)
	}
	s, err := submitter.Status(t.Context(), "a")
	if err != nil || len(s.Aside) != 2 || s.Aside[0].Index != 1 || s.Aside[1].Index != 9 {
		t.Errorf("set aside: %+v, %v", s, err)
	}
}

var errBad = errors.New("a bad pair")

func TestPairsThatFailAreSetAside(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(100)
	bad := []int{0, 17, 18, 99}
	c := connect(t, url)
	spec := small()
	spec.ChunkTokens = 500
	submit(t, c, "a", pairs, spec)
	finish(t, c, &Worker{Scorer: &scorer{before: func(_ context.Context, some []engine.Pair) error {
		for _, i := range bad {
			if slices.Contains(some, pairs[i]) {
				return errBad
			}
		}
		return nil
	}}})
	m := collect(t, c, "a", pairs, bad...)
	if m.failed[17] != errBad.Error() {
		t.Errorf("the reason is %q", m.failed[17])
	}
}

// An engine that fails on everything sets nothing aside: its worker ends, and another does the work.
func TestBrokenEngineEndsItsWorker(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(30)
	c := connect(t, url)
	spec := small()
	spec.Tries = 3
	submit(t, c, "a", pairs, spec)
	broken := &Worker{Client: connect(t, url), Name: "broken", Model: "hash", Log: t.Logf, Scorer: &scorer{
		before: func(context.Context, []engine.Pair) error { return engine.ErrBackend },
	}}
	if err := broken.Run(t.Context()); !errors.Is(err, ErrBroken) {
		t.Errorf("the broken worker ended with %v", err)
	}
	finish(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
}

func TestSubmissionIsTakenUp(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(300)
	c := connect(t, url)
	cutOff := errors.New("cut off")
	first := func(yield func(engine.Pair, error) bool) {
		for i, p := range pairs {
			if i == 150 {
				yield(engine.Pair{}, cutOff)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
	if _, err := c.Submit(t.Context(), Submission{Job: "a", Spec: small(), Pairs: first}); !errors.Is(err, cutOff) {
		t.Fatalf("%v, want %v", err, cutOff)
	}
	j, err := c.Job(t.Context(), "a")
	if err != nil || j.Complete || j.Pairs < 140 || j.Pairs > 150 {
		t.Fatalf("after it was cut off: %+v, %v", j, err)
	}
	// After kill -9 the entry counts fewer chunks than the stream: these are published again, and have one result each.
	j.Chunks, j.Pairs, j.Digest = 0, 0, nil
	_, revision, err := c.job(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.save(t.Context(), j, revision); err != nil {
		t.Fatal(err)
	}
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	submit(t, c, "a", pairs, small()) // all of it again

	other := slices.Clone(pairs)
	other[5].Document = "another"
	for name, s := range map[string]Submission{
		"another pair": {Job: "a", Spec: small(), Pairs: each(other)},
		"more":         {Job: "a", Spec: small(), Pairs: each(append(slices.Clone(pairs), other...))},
		"fewer":        {Job: "a", Spec: small(), Pairs: each(pairs[:100])},
		"other chunks": {Job: "a", Spec: Spec{}, Pairs: each(pairs)},
	} {
		if _, err := c.Submit(t.Context(), s); !errors.Is(err, ErrOtherInput) {
			t.Errorf("%s: %v, want %v", name, err, ErrOtherInput)
		}
	}
	collect(t, c, "a", pairs)
}

// A submission waits while the server has MaxQueued chunks, and goes on when workers have made room.
func TestSubmissionWaitsForRoom(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(60)
	c := connect(t, url)
	spec := small()
	spec.MaxQueued, spec.MaxPending = 3, 2
	waiting := make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), Submission{Job: "a", Spec: spec, Pairs: each(pairs), OnProgress: func(p SubmitProgress) {
			if p.Waiting != nil {
				waiting <- struct{}{}
			}
		}})
		done <- err
	}()
	<-waiting
	// The first wait may be for a server that is slow to answer, before there is anything.
	until(t, "3 chunks do not wait", func() bool {
		s, err := c.Status(t.Context(), "a")
		if err != nil || s.Waiting > 3 {
			t.Fatalf("%+v, %v, want 3 chunks waiting", s, err)
		}
		return s.Waiting == 3
	})
	stop := work(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	if err := errors.Join(<-done, stop()); err != nil {
		t.Error(err)
	}
}

func TestCollectionIsTakenUp(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(100)
	c := connect(t, url)
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	m := &memory{most: 42}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: m}); !errors.Is(err, errFull) {
		t.Fatalf("%v, want %v", err, errFull)
	}
	if m.mark.Pairs > 42 || m.mark.Pairs < 30 {
		t.Fatalf("marked %+v", m.mark)
	}
	m.most, m.scores = 0, m.scores[:m.mark.Pairs]
	if _, err := c.Collect(t.Context(), Collection{Job: "a", From: m.mark, Output: m}); err != nil {
		t.Fatal(err)
	}
	compare(t, m, pairs)
}

func TestServerIsRestarted(t *testing.T) {
	t.Parallel()
	address, store := freeAddress(t), t.TempDir()
	s := serverAt(t, address, store, "")
	url := s.URL()
	pairs := somePairs(400)
	c, worker := connect(t, url), connect(t, url)
	submit(t, c, "a", pairs, small())
	begun, down := make(chan struct{}), make(chan struct{})
	scored := &scorer{}
	scored.before = func(context.Context, []engine.Pair) error {
		if scored.calls.Load() == 10 {
			close(begun)
			<-down
		}
		return nil
	}
	stop := work(t, worker, &Worker{Scorer: scored, InFlight: 1})
	restarted := make(chan interface{ Close() }, 1)
	go func() {
		<-begun
		s.Close()
		for c.conn.IsConnected() || worker.conn.IsConnected() {
			time.Sleep(time.Millisecond)
		}
		close(down) // while the worker has a result to publish
		restarted <- serverAt(t, address, store, "")
	}()
	collect(t, c, "a", pairs)
	if err := stop(); err != nil {
		t.Error(err)
	}
	c.Close()
	worker.Close()
	(<-restarted).Close()
}

func TestLostChunkIsPutInAgain(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(50)
	c := connect(t, url)
	submit(t, c, "a", pairs, small())
	s, err := c.stream(t.Context(), workStream("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: &memory{}}); !errors.Is(err, ErrLost) {
		t.Fatalf("%v, want %v", err, ErrLost)
	}
	if _, err := c.Submit(t.Context(), Submission{Job: "a", Spec: small(), Pairs: each(pairs), Repair: true}); err != nil {
		t.Fatal(err)
	}
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
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
