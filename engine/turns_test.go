package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Earlier calls of one client don't keep another client's waiting, and weight counts.
func TestTurnsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns(1)
		held := &caller{client: "held"}
		if err := s.wait(t.Context(), held, 1); err != nil {
			t.Fatal(err)
		}
		var order []string // guarded by the one turn
		for _, c := range []struct {
			client string
			weight float64
			calls  int
		}{{"many", 1, 12}, {"few", 1, 2}, {"heavy", 2, 4}} {
			from := &caller{client: c.client, weight: c.weight}
			for range c.calls {
				go func() {
					if s.wait(t.Context(), from, 100) == nil {
						order = append(order, from.client)
						s.done(from)
					}
				}()
			}
			synctest.Wait()
		}
		s.done(held)
		synctest.Wait()
		count := func(n int) string {
			by := map[string]int{}
			for _, client := range order[:n] {
				by[client]++
			}
			return fmt.Sprint(by)
		}
		if len(order) != 18 {
			t.Fatalf("%d calls, want 18", len(order))
		}
		if got := count(8); got != "map[few:2 heavy:4 many:2]" {
			t.Errorf("the first 8 calls are %s: %v", got, order)
		}
	})
}

// A client's new request doesn't wait for all calls of its earlier ones.
func TestTurnsOfOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns(1)
		long := []*caller{{}, {}, {}}
		held := &caller{client: "held"}
		if err := s.wait(t.Context(), held, 1); err != nil {
			t.Fatal(err)
		}
		var order []*caller
		call := func(c *caller) {
			go func() {
				if s.wait(t.Context(), c, 100) == nil {
					order = append(order, c)
					s.done(c)
				}
			}()
		}
		for _, c := range long {
			for range 10 {
				call(c)
			}
		}
		synctest.Wait()
		late := &caller{}
		call(late)
		synctest.Wait()
		s.done(held)
		synctest.Wait()
		if at := slices.Index(order, late); len(order) != 31 || at < 0 || at > 3 {
			t.Errorf("of %d calls the new request has number %d", len(order), at)
		}
	})
}

func TestTurnsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns(1)
		first, second := &caller{client: "a"}, &caller{client: "b"}
		if err := s.wait(t.Context(), first, 1); err != nil {
			t.Fatal(err)
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- s.wait(ctx, second, 1) }()
		synctest.Wait()
		cancel(why)
		if err := <-failed; !errors.Is(err, why) {
			t.Errorf("a call whose context has ended: %v", err)
		}
		if err := s.wait(ctx, second, 1); !errors.Is(err, why) {
			t.Errorf("a context that has ended before: %v", err)
		}
		s.done(first)
		if len(s.clients) != 0 || s.free != 1 {
			t.Errorf("%d clients and room for %d calls are left, want 0 and 1", len(s.clients), s.free)
		}
	})
}

// No more calls than there is room for are under way at once, in any order of their ends.
func TestTurnsUnderLoad(t *testing.T) {
	const room = 3
	s := newTurns(room)
	var running atomic.Int32
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			c := &caller{client: fmt.Sprint(i % 7), weight: float64(1 + i%3)}
			for j := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%5 == 0 {
					go cancel()
				}
				if s.wait(ctx, c, 1+j) == nil {
					if n := running.Add(1); n > room {
						t.Errorf("%d calls at once", n)
					}
					running.Add(-1)
					s.done(c)
				}
				cancel()
			}
		})
	}
	group.Wait()
	if len(s.clients) != 0 || s.free != room {
		t.Errorf("%d clients and room for %d calls are left", len(s.clients), s.free)
	}
}
