package httpapi

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// AgentReport says to a load balancer, in the words of HAProxy's agent check, how much of its share this server should get:
// "up ready 100%" where nothing waits for a device, "drain" once the server is about to stop. It ends in a newline.
//
// The share is capacity / (capacity + what waits), where capacity is a batch of each model: 50 % where a batch waits, 10 %
// where nine do. It is never 0, since a server that is the least busy of several should be asked however busy it is.
func (s *Server) AgentReport() string {
	if s.leaving.Load() {
		return "up drain\n"
	}
	waiting, batches := 0., 0. // in batches
	for _, name := range s.names {
		model := s.models[name]
		batches++
		if counts, ok := model.Model.(counting); ok {
			if counters, loaded := counts.Counters(); loaded {
				waiting += float64(counters.QueueTokens) / float64(max(model.Info().MaxBatchTokens, 1))
			}
		}
	}
	return fmt.Sprintf("up ready %d%%\n", max(1, int(100*batches/(batches+waiting))))
}

// agentTimeout is for sending a report, which a connection's buffer takes at once.
const agentTimeout = time.Second

// ServeAgent gives everybody who connects to ln a report and hangs up, one after another, until ln is closed. It reads
// nothing, and asks for no keys.
func (s *Server) ServeAgent(ln net.Listener) error {
	accepting := &listener{Listener: ln, server: s} // these connections are no clients
	for {
		c, err := accepting.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("httpapi: agent on %s: %w", ln.Addr(), err)
		}
		if err := c.SetWriteDeadline(time.Now().Add(agentTimeout)); err == nil {
			_, _ = c.Write([]byte(s.AgentReport())) // who has left needs none
		}
		_ = c.Close()
	}
}
