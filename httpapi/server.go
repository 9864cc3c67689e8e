// Package httpapi serves models over HTTP, in the dialects of text-embeddings-inference, Cohere, Jina, Infinity, vLLM and
// llama.cpp: each has a file with its fields and its answers, and all are read by one decoder.
//
// It knows nothing of tokens or weights: it decodes requests for a Model, and encodes the results.
package httpapi

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Server answers HTTP requests. Its methods may be called from several goroutines at once.
type Server struct {
	models     map[string]*served
	names      []string // of models; the first answers requests that name none
	config     Config
	limits     limits
	logger     *slog.Logger
	routes     routes
	metrics    *Metrics
	openAPI    []byte   // the answer to GET /openapi.json
	home, docs htmlPage // those to GET / and /docs
	slots      slots    // of requests in flight that a model answers
	unpackers  *unpackers
	budget     *budget      // of bodies
	answers    answerBudget // of answers to /tokenize
	now        func() time.Time
	begun      time.Time
	appendID   func([]byte) []byte // appends the id of a request or of an answer
	watch      watcher
	cors       *cors
	leaving    atomic.Bool     // GET /readyz says no
	life       context.Context // of all requests in flight; ended by Cancel
	cancel     context.CancelFunc
	open       atomic.Int64 // connections
	trimmer    trimmer
	logLimit   lineLimit // of errors in the log
	http       fasthttp.Server

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu
	retired   bool           // guarded by mu; accepts no more connections
	drained   chan struct{}  // guarded by mu; made by the first Shutdown, closed when nothing is left to answer
	serving   sync.WaitGroup // calls of Serve; Add only with mu held and retired false
}

// served is a model and its properties that don't change. All others in its Info may: its files may have changed when it is
// loaded again.
type served struct {
	Model
	name        string
	computeType []byte
}

// New returns a Server that answers from models, which must outlive it.
func New(models Models, config Config) (*Server, error) {
	if models == nil || len(models.Names()) == 0 {
		return nil, errors.New("httpapi: New needs a model")
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.WithDefaults()
	s := &Server{
		models: map[string]*served{}, names: models.Names(), config: config, logger: config.Logger,
		limits: limits{config.MaxTexts, config.MaxQueryCharacters, config.MaxTextCharacters},
		now:    time.Now, begun: time.Now(), appendID: appendRandomID,
		unpackers: newUnpackers(),
	}
	s.life, s.cancel = context.WithCancel(context.Background())
	s.budget = newBudget(config.MaxBodyBytes, &s.trimmer)
	for _, name := range s.names {
		model, ok := models.Model(name)
		if !ok {
			return nil, fmt.Errorf("httpapi: there is no model %q, though it is among the names", name)
		}
		s.models[name] = &served{model, name, []byte(model.Info().Backend.Name)}
	}
	var err error
	if s.cors, err = newCORS(config.CORSOrigins); err != nil {
		return nil, err
	}
	if s.openAPI, err = encodeOpenAPI(&config); err != nil {
		return nil, err
	}
	if s.docs, err = newDocs(s.openAPI); err != nil {
		return nil, err
	}
	if s.home, err = newHome(&config); err != nil {
		return nil, err
	}
	s.routes = s.newRoutes()
	if s.metrics = config.Metrics; s.metrics == nil {
		s.metrics = NewMetrics()
	}
	if err := s.metrics.adopt(s); err != nil {
		return nil, fmt.Errorf("httpapi: Metrics: %w", err)
	}
	s.configureHTTP()
	return s, nil
}

// appendRandomID appends a UUID of version 4. It tells requests apart and keeps no secret.
func appendRandomID(b []byte) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64()&^0xf000|0x4000)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()&^(3<<62)|1<<63)
	b = hex.AppendEncode(b, id[:4])
	for _, part := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), part)
	}
	return b
}

func (s *Server) configureHTTP() {
	s.http = fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.unreadable,
		ExpectHandler:                s.expect,
		Logger:                       printfLogger{s.logger, &s.logLimit},
		StreamRequestBody:            true, // so that handlers read bodies, once the headers are accepted
		MaxRequestBodySize:           1,    // all that fasthttp reads of a body before that
		ReadTimeout:                  s.config.ReadTimeout,
		WriteTimeout:                 s.config.WriteTimeout,
		IdleTimeout:                  s.config.IdleTimeout,
		ReadBufferSize:               maxHeaderBytes,
		Concurrency:                  unlimited,
		CloseOnShutdown:              true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
	}
}

// unlimited is more connections than there can be: the listener has a limit of its own, and fasthttp would refuse those
// above its limit in plain text.
const unlimited = 1 << 30

// maxHeaderBytes bounds a request's line and headers: fasthttp reads them into one buffer of this size. Its own
// default of 4 KiB refuses browsers that carry many cookies for localhost.
const maxHeaderBytes = 16 << 10

// Serve answers the connections of ln until Shutdown, when it returns nil, or until ln fails. It closes ln. Requests
// may still be in flight when it returns: Shutdown waits for them.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.retired {
		s.mu.Unlock()
		return ln.Close()
	}
	s.listeners = append(s.listeners, ln)
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()

	var accepting net.Listener = &listener{Listener: ln, server: s, most: int64(s.config.MaxConnections)}
	if s.config.TLS != nil { // round our listener, which needs the connection itself
		accepting = tls.NewListener(accepting, s.config.TLS)
	}
	err := s.http.Serve(framedListener{accepting})
	_ = ln.Close() // does nothing where Shutdown has closed it
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.retired {
		return fmt.Errorf("httpapi: accept on %s: %w", ln.Addr(), err)
	}
	return nil
}

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

// Shutdown stops accepting connections, answers every request that was accepted, and closes idle connections. It
// waits for that until ctx ends; the answering goes on regardless, and a further call waits again.
//
// Requests in flight aren't cancelled: Cancel does that.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Retire()
	s.mu.Lock()
	if s.drained == nil {
		s.drained = make(chan struct{})
		go s.drain(s.drained)
	}
	drained := s.drained
	s.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("httpapi: shutdown: %w, with %d connections open", ctx.Err(), s.Connections())
	}
}

// drain shuts fasthttp down with a context that never ends: if one ends early, fasthttp forgets that it is stopping, lets
// connections go on and answers the next Shutdown at once.
func (s *Server) drain(done chan<- struct{}) {
	s.serving.Wait() // else fasthttp could miss a listener that Serve is about to hand it
	if err := s.http.Shutdown(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.logger.Error("shutdown failed", "error", err)
	}
	close(done)
}
