package bulk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

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
