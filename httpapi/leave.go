package httpapi

// A server stops in three steps: Leave, Retire, Shutdown. Each includes those before it. Cancel is for requests that
// Shutdown has waited for too long.

// Leave makes GET /readyz answer 503, so that a load balancer sends no new clients. Answers then ask their clients to
// close the connection and go elsewhere. All else goes on as before.
func (s *Server) Leave() { s.leaving.Store(true) }

// Retire closes the listeners. Open connections go on, each until its next answer: a client that keeps one and sends a
// request now is answered, where Shutdown would close the connection under it.
func (s *Server) Retire() {
	s.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired {
		return
	}
	s.retired = true
	for _, ln := range s.listeners {
		_ = ln.Close() // a listener that can't be closed has failed already
	}
}

// Cancel ends the requests in flight, and those that still come: each is answered with 503. It may be called more
// than once.
func (s *Server) Cancel() { s.cancel() }

// Connections returns the number of open connections.
func (s *Server) Connections() int { return int(s.open.Load()) }
