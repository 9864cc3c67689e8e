package httpapi

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// AgentReport tells a load balancer, in the format of HAProxy's agent check, the percentage of its share that this
// server should get: "up ready 100%" while nothing waits for a device, "up drain" once the server is about to stop. It
// ends in a newline.
//
// The percentage is capacity / (capacity + queue depth), with a capacity of one batch for each model: 50 % with one
// batch in the queue, 10 % with nine. Batches of several models count by the time that they take. It is never 0: the least
// busy of several servers should get requests even when all are busy.
func (s *Server) AgentReport() string {
	if s.leaving.Load() {
		return "up drain\n"
	}
	type queue struct {
		batches float64       // that wait
		each    time.Duration // 0: not known
	}
	queues, slowest := make([]queue, len(s.names)), time.Duration(0)
	for i, name := range s.names {
		model := s.models[name]
		if counts, ok := model.Model.(counting); ok {
			if counters, loaded := counts.Counters(); loaded {
				queues[i] = queue{float64(counters.QueueTokens) / float64(max(model.Info().MaxBatchTokens, 1)), counters.BatchTime}
				slowest = max(slowest, counters.BatchTime)
			}
		}
	}
	waiting, capacity := 0., 0. // in batches of the slowest model
	for _, q := range queues {
		each := 1.
		if q.each > 0 {
			each = q.each.Seconds() / slowest.Seconds()
		}
		waiting += each * q.batches
		capacity += each
	}
	return fmt.Sprintf("up ready %d%%\n", max(1, int(100*capacity/(capacity+waiting))))
}

// agentTimeout bounds the sending of a report, which a connection's buffer takes at once.
const agentTimeout = time.Second

// ServeAgent sends a report to each connection of ln and closes it, one connection after another, until ln is closed.
// It reads nothing, and asks for no keys.
func (s *Server) ServeAgent(ln net.Listener) error {
	accepting := &listener{Listener: ln, server: s} // these connections do not count as clients
	for {
		c, err := accepting.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("httpapi: agent on %s: %w", ln.Addr(), err)
		}
		if err := c.SetWriteDeadline(time.Now().Add(agentTimeout)); err == nil {
			_, _ = c.Write([]byte(s.AgentReport())) // a client that has left needs no report
		}
		_ = c.Close()
	}
}
