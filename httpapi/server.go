// Package httpapi serves a ranker over HTTP, in the dialect of text-embeddings-inference: POST /rerank, GET /health
// and GET /info.
//
// It knows nothing of tokens or models: what it decodes goes to the Ranker, and what comes back is encoded.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// Ranker is what the server needs of an *engine.Engine. Its methods are called from several goroutines at once.
type Ranker interface {
	Rerank(ctx context.Context, query string, documents []string, options engine.Options) (*engine.Ranking, error)
	Info() engine.Info
}

// Server answers HTTP requests. Its methods may be called from several goroutines at once.
type Server struct {
	ranker      Ranker
	config      Config
	logger      *slog.Logger
	routes      routes
	places      chan struct{} // one for each rerank request under way
	info        []byte        // the answer to GET /info, which never changes
	computeType string
	http        fasthttp.Server

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu
	drained   chan struct{}  // guarded by mu; made by the first Shutdown, closed when nothing is left to answer
	serving   sync.WaitGroup // calls of Serve; Add only with mu held and drained nil
}

// New returns a Server that answers from ranker, which must outlive it.
func New(ranker Ranker, config Config) (*Server, error) {
	if ranker == nil {
		return nil, errors.New("httpapi: New needs a Ranker")
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	model := ranker.Info()
	info, err := encodeInfo(&model, &config)
	if err != nil {
		return nil, err
	}
	s := &Server{
		ranker: ranker, config: config, logger: config.Logger, info: info, computeType: model.Backend.Name,
		places: make(chan struct{}, config.MaxConcurrentRequests),
	}
	s.routes = routes{
		"/rerank": {fasthttp.MethodPost: s.rerank},
		"/health": {fasthttp.MethodGet: s.health},
		"/info":   {fasthttp.MethodGet: s.showInfo},
	}
	s.configureHTTP()
	return s, nil
}

func (s *Server) configureHTTP() {
	s.http = fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.unreadable,
		ExpectHandler:                s.expect,
		Logger:                       printfLogger{s.logger},
		MaxRequestBodySize:           s.config.MaxBodyBytes,
		ReadTimeout:                  s.config.ReadTimeout,
		WriteTimeout:                 s.config.WriteTimeout,
		IdleTimeout:                  s.config.IdleTimeout,
		ReadBufferSize:               maxHeaderBytes,
		CloseOnShutdown:              true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
	}
}

// maxHeaderBytes bounds a request's line and headers: fasthttp reads them into one buffer of this size. Its own
// default of 4 KiB refuses browsers that carry many cookies for localhost.
const maxHeaderBytes = 16 << 10

// Serve answers what ln accepts until Shutdown, whereupon it returns nil, or until ln fails. It closes ln. Requests
// may still be under way when it returns: Shutdown waits for them.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.drained != nil {
		s.mu.Unlock()
		return ln.Close()
	}
	s.listeners = append(s.listeners, ln)
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()

	err := s.http.Serve(&listener{Listener: ln, logger: s.logger})
	_ = ln.Close() // does nothing where Shutdown has closed it
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.drained == nil {
		return fmt.Errorf("httpapi: accept on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting connections, answers every request that was accepted, and closes idle connections. It
// waits for that until ctx ends; the answering goes on regardless, and a further call waits again.
//
// Work under way isn't cancelled: that is for whoever closes the ranker, after this.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.drained == nil {
		s.drained = make(chan struct{})
		for _, ln := range s.listeners {
			_ = ln.Close() // a listener that can't be closed has failed already
		}
		go s.drain(s.drained)
	}
	drained := s.drained
	s.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("httpapi: shutdown: %w, with %d connections open", ctx.Err(), s.http.GetOpenConnectionsCount())
	}
}

// drain gives fasthttp a context that never ends: where one ends early, fasthttp forgets that it is stopping, lets
// connections go on and answers the next Shutdown at once.
func (s *Server) drain(done chan<- struct{}) {
	s.serving.Wait() // else fasthttp could miss a listener that Serve is about to hand it
	if err := s.http.Shutdown(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.logger.Error("shutdown failed", "error", err)
	}
	close(done)
}

// printfLogger carries what fasthttp reports to the log. Connections that clients broke off are their business, and
// a client must not be able to fill the log with them.
type printfLogger struct{ logger *slog.Logger }

// Printf implements fasthttp.Logger.
func (l printfLogger) Printf(format string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "error when serving connection") {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "http", "message", fmt.Sprintf(format, args...))
}
