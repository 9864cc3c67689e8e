package httpapi

// A server stops in three steps, each of which includes those before it: Leave, Retire, Shutdown. Cancel is for requests that
// Shutdown has waited for too long.

// Leave makes GET /readyz answer 503, so that a load balancer sends nobody new, and has answers ask their clients to close
// the connection and go elsewhere; all else goes on as before.
func (s *Server) Leave() { s.leaving.Store(true) }

// Retire closes the listeners. Connections that there are go on, each until its next answer: a client that keeps one and
// sends something now is answered, where Shutdown would close the connection under it.
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

// Cancel ends the requests under way, and those that still come: each is answered with 503. It may be called more than once.
func (s *Server) Cancel() { s.cancel() }

// Connections is how many are open.
func (s *Server) Connections() int { return int(s.open.Load()) }
