package engine

import (
	"cmp"
	"context"
	"sync"
)

// turns shares the calls of the tokenizer library among clients, by start-time fair queueing: the next call goes to the
// client that has been served least for its weight, and to the least served of its requests. A new client or request starts
// at the level of the last one that began a call. So a long text, which takes many calls, delays another request by about
// one call.
type turns struct {
	mu         sync.Mutex
	free       int                    // calls that may begin; guarded by mu
	startLevel float64                // served of the last client to begin a call; guarded by mu
	clients    map[string]*turnClient // with calls waiting or under way; guarded by mu
}

// turnClient is the service that a client has got. All is guarded by the lock of its turns.
type turnClient struct {
	served     float64 // bytes by weight
	startLevel int     // caller.served of the last of its requests to begin a call
	waiting    []*turn
	calls      int // waiting or under way
}

// caller is the request that a call is for.
type caller struct {
	client string
	weight float64 // 0: 1
	served int     // bytes; guarded by the lock of the turns
	known  bool    // it has waited before; guarded likewise
}

// turn is one call that waits.
type turn struct {
	caller *caller
	bytes  int
	begin  chan struct{} // closed when the call may begin
}

func newTurns(calls int) *turns { return &turns{free: calls, clients: map[string]*turnClient{}} }

// wait returns when a call for so many bytes may begin, or with ctx's error. The caller calls done after it.
func (s *turns) wait(ctx context.Context, c *caller, bytes int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	t := &turn{caller: c, bytes: bytes, begin: make(chan struct{})}
	s.mu.Lock()
	client := s.clients[c.client]
	if client == nil {
		client = &turnClient{served: s.startLevel, startLevel: c.served}
		s.clients[c.client] = client
	}
	if !c.known {
		c.known, c.served = true, client.startLevel
	}
	client.calls++
	client.waiting = append(client.waiting, t)
	s.start()
	s.mu.Unlock()
	select {
	case <-t.begin:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range client.waiting {
		if client.waiting[i] == t {
			client.waiting = append(client.waiting[:i], client.waiting[i+1:]...)
			s.leave(c)
			return context.Cause(ctx)
		}
	}
	s.free++ // it was admitted just as ctx ended
	s.leave(c)
	s.start()
	return context.Cause(ctx)
}

// done ends a call.
func (s *turns) done(c *caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	s.leave(c)
	s.start()
}

// leave ends a call, and forgets a client that has no others. A client that comes back starts as a new one.
func (s *turns) leave(c *caller) {
	client := s.clients[c.client]
	if client.calls--; client.calls == 0 {
		delete(s.clients, c.client)
	}
}

// start lets calls begin while there is room.
func (s *turns) start() {
	for s.free > 0 {
		var next *turnClient
		for _, c := range s.clients {
			if len(c.waiting) > 0 && (next == nil || c.served < next.served) {
				next = c
			}
		}
		if next == nil {
			return
		}
		s.startLevel = max(s.startLevel, next.served)
		least := 0
		for i, t := range next.waiting {
			if t.caller.served < next.waiting[least].caller.served {
				least = i
			}
		}
		t := next.waiting[least]
		next.waiting = append(next.waiting[:least], next.waiting[least+1:]...)
		next.startLevel = max(next.startLevel, t.caller.served)
		t.caller.served += t.bytes
		next.served += float64(t.bytes) / cmp.Or(t.caller.weight, 1)
		s.free--
		close(t.begin)
	}
}
