package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"context"
	"sync"
)

// pool is a fixed set of workers, each a goroutine with scratch of its own that is asleep until there is work.
type pool struct {
	tasks   chan task
	turn    chan struct{} // held while a chunk's tasks are handed out
	workers sync.WaitGroup
}

// task is one worker's part of a chunk.
type task struct {
	call            *call
	chunk           *chunk
	member, members int
}

func newPool(workers []*scratch) *pool {
	p := &pool{tasks: make(chan task), turn: make(chan struct{}, 1)}
	for _, s := range workers {
		p.workers.Go(func() {
			for t := range p.tasks {
				t.call.run(s, t)
				t.call.running.Done()
			}
		})
	}
	return p
}

// run hands out all chunks of a call's plan and waits for their tasks. It stops when ctx ends.
//
// The members of a team wait for each other, so that no other tasks may come between theirs: workers take tasks in order,
// and a team that is complete before the next one begins always gets its workers.
func (p *pool) run(ctx context.Context, c *call) error {
	defer c.running.Wait()
	for i := range c.plan.chunks {
		if err := p.handOut(ctx, c, &c.plan.chunks[i]); err != nil {
			return err
		}
		if c.plan.byRows {
			c.running.Wait() // the next chunk uses the same keys and values
		}
	}
	return nil
}

func (p *pool) handOut(ctx context.Context, c *call, chunk *chunk) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	members := c.plan.members(chunk.tokens)
	c.running.Add(1)
	select {
	case p.tasks <- task{c, chunk, 0, members}:
	case <-ctx.Done():
		c.running.Done()
		return ctx.Err()
	}
	for i := 1; i < members; i++ {
		c.running.Add(1)
		p.tasks <- task{c, chunk, i, members}
	}
	return nil
}

// close ends the workers once they are idle.
func (p *pool) close() {
	close(p.tasks)
	p.workers.Wait()
}
