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
	gate    *gate
	size    int
	workers sync.WaitGroup
}

// task is one worker's part of a chunk.
type task struct {
	call            *call
	chunk           *chunk
	member, members int
	blocks          bool // it runs blocks of the call's, and not a part of the chunk
}

func newPool(workers []*scratch, gate *gate) *pool {
	p := &pool{tasks: make(chan task), turn: make(chan struct{}, 1), gate: gate, size: len(workers)}
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
	if c.batch.Urgent {
		p.gate.beginUrgent()
		defer func() { p.gate.endUrgent(c.plan.cost()) }()
	}
	if c.plan.inBlocks {
		return p.runBlocks(ctx, c)
	}
	defer c.running.Wait()
	for i := range c.plan.chunks {
		if err := p.handOut(ctx, c, &c.plan.chunks[i], c.plan.members(c.plan.chunks[i].tokens)); err != nil {
			return err
		}
		if c.plan.byRows {
			c.running.Wait() // the next chunk uses the same keys and values
		}
	}
	return nil
}

// runBlocks takes all chunks of a call through the stages of the pass. A worker ends its task when no block of the stage is
// left, or an urgent call should go first; that is also when it is noticed that ctx has ended.
func (p *pool) runBlocks(ctx context.Context, c *call) error {
	b := c.blocks
	if err := b.acquire(ctx); err != nil {
		return err
	}
	defer b.release()
	if !c.batch.Urgent {
		p.gate.beginLong()
		defer p.gate.endLong()
	}
	c.done = ctx.Done()
	for i := range c.plan.chunks {
		b.take(c, &c.plan.chunks[i])
		for stage := range b.stages {
			if stage > 0 && b.packs {
				b.begin(stage, true)
				if err := p.runStage(ctx, c); err != nil {
					return err
				}
			}
			b.begin(stage, false)
			if err := p.runStage(ctx, c); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// runStage runs the blocks of the stage that has begun.
func (p *pool) runStage(ctx context.Context, c *call) error {
	for ; c.blocks.left(); c.running.Wait() {
		if !c.batch.Urgent {
			p.gate.pass()
		}
		if err := p.handOut(ctx, c, c.blocks.chunk, p.size); err != nil {
			c.running.Wait()
			return err
		}
	}
	return nil
}

// handOut gives a chunk to so many workers.
func (p *pool) handOut(ctx context.Context, c *call, chunk *chunk, members int) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.running.Add(1)
	select {
	case p.tasks <- task{c, chunk, 0, members, c.plan.inBlocks}:
	case <-ctx.Done():
		c.running.Done()
		return ctx.Err()
	}
	for i := 1; i < members; i++ {
		c.running.Add(1)
		p.tasks <- task{c, chunk, i, members, c.plan.inBlocks}
	}
	return nil
}

// close ends the workers once they are idle.
func (p *pool) close() {
	close(p.tasks)
	p.workers.Wait()
}
