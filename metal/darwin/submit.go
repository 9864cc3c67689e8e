package darwin

import (
	"runtime/cgo"

	"github.com/metalrank/metalrank/metal"
)

// submission is a submitted list: its flat form, and the resources that it holds until it has ended. A device reuses
// submissions, with their memory and their handle.
type submission struct {
	device   *device
	handle   cgo.Handle // of this submission; C's name for it
	pending  *pending
	commands []command
	held     []*resource
	unheld   []*resource // those of held that have no other holder, to be released
}

// Submit implements metal.Device. It costs one call into C, and no allocation once the device has seen a list of this
// length.
func (d *device) Submit(list *metal.CommandList) (metal.Pending, error) {
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer d.release()
	d.submitMu.Lock()
	defer d.submitMu.Unlock()
	s, err := d.record(list)
	if err != nil {
		return nil, err
	}
	pending := s.pending // s may be reused for another list as soon as native has it
	if err := d.native.submit(s.commands, list.Arguments, s.handle); err != nil {
		failure := execError(err)
		s.end(metal.Timing{}, failure)
		return nil, failure
	}
	return pending, nil
}

// record flattens a list, and holds the resources that it names.
func (d *device) record(list *metal.CommandList) (*submission, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost != nil {
		return nil, d.lost
	}
	d.lists++
	s := d.takeSubmission()
	for i := range list.Commands {
		if err := s.add(&list.Commands[i]); err != nil {
			for _, r := range s.held {
				r.dropLocked() // its owner still holds it
			}
			d.putSubmission(s)
			return nil, err
		}
	}
	s.pending = d.takePending()
	d.active++
	return s, nil
}

// takeSubmission, putSubmission and takePending are called with mu held.
func (d *device) takeSubmission() *submission {
	if n := len(d.free); n > 0 {
		s := d.free[n-1]
		d.free = d.free[:n-1]
		return s
	}
	s := &submission{device: d}
	s.handle = cgo.NewHandle(s)
	return s
}

func (d *device) putSubmission(s *submission) {
	clear(s.held) // drops the pointers to resources that may be released
	clear(s.unheld)
	s.commands, s.held, s.unheld, s.pending = s.commands[:0], s.held[:0], s.unheld[:0], nil
	d.free = append(d.free, s)
}

func (d *device) takePending() *pending {
	if len(d.pending) == 0 {
		d.pending = make([]pending, pendingChunk)
	}
	p := &d.pending[0]
	d.pending = d.pending[1:]
	return p
}

// add appends one command, with mu held.
func (s *submission) add(from *metal.Command) error {
	p, ok := from.Pipeline.(*pipeline)
	if !ok {
		return metal.ErrForeign
	}
	if err := s.hold(&p.resource); err != nil {
		return err
	}
	s.commands = append(s.commands, command{
		pipeline:          p.address,
		threadgroupMemory: from.ThreadgroupMemory,
		argumentsOffset:   from.ArgumentsOffset,
		argumentsSize:     from.ArgumentsSize,
		argumentsIndex:    from.ArgumentsIndex,
		groups:            [3]uint32{from.Groups.X, from.Groups.Y, from.Groups.Z},
		threads:           [3]uint32{from.Threads.X, from.Threads.Y, from.Threads.Z},
	})
	to := &s.commands[len(s.commands)-1]
	if from.Barrier {
		to.barrier = 1
	}
	for i := range from.Buffers {
		if from.Buffers[i].Buffer == nil {
			continue
		}
		b, ok := from.Buffers[i].Buffer.(*buffer)
		if !ok {
			return metal.ErrForeign
		}
		if err := s.hold(&b.resource); err != nil {
			return err
		}
		to.buffers[i] = binding{buffer: b.address, offset: uint64(from.Buffers[i].OffsetBytes)}
	}
	return nil
}

// hold keeps r alive until the list has ended, with mu held.
func (s *submission) hold(r *resource) error {
	if r.device != s.device {
		return metal.ErrForeign
	}
	if r.list == s.device.lists {
		return nil
	}
	if r.closed.Load() {
		return metal.ErrClosed
	}
	r.list = s.device.lists
	r.holders++
	s.held = append(s.held, r)
	return nil
}

// completed ends the list that a handle stands for. err is nil or the error of its command buffer; times are in
// seconds on the device's clock. It is called once for each list, from any thread.
func completed(list cgo.Handle, err error, start, end float64) {
	s, ok := list.Value().(*submission)
	if !ok {
		panic("BUG: the handle of a completed list is something else's")
	}
	if err != nil {
		s.end(timingOf(start, end), execError(err))
		return
	}
	s.end(timingOf(start, end), nil)
}

// end releases the resources that only the list still held, then wakes the callers of Wait, then puts s back.
func (s *submission) end(timing metal.Timing, failure *metal.ExecError) {
	d := s.device
	d.mu.Lock()
	for _, r := range s.held {
		if r.dropLocked() {
			s.unheld = append(s.unheld, r)
		}
	}
	if failure != nil && failure.Lost && d.lost == nil {
		d.lost = failure
	}
	d.mu.Unlock()
	for _, r := range s.unheld {
		r.release()
	}
	if failure != nil {
		s.pending.end(timing, failure)
	} else {
		s.pending.end(timing, nil)
	}
	d.mu.Lock()
	d.putSubmission(s)
	d.releaseLocked()
	d.mu.Unlock()
}
