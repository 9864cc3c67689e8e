package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/httpapi"
)

// constantModel is a model that scores without looking: documents keep their order.
type constantModel struct{}

func (constantModel) Info() engine.Info {
	return engine.Info{
		Model: "nothing", Labels: []string{"LABEL_0"}, MaxLength: 512, MaxBatchTokens: 16384,
		Backend: backend.Info{Name: "none"},
	}
}

// Model and Names make it the only model.
func (m constantModel) Model(name string) (httpapi.Model, bool) { return m, name == "nothing" }
func (constantModel) Names() []string                           { return []string{"nothing"} }

func (constantModel) Rerank(_ context.Context, _ string, documents []string, _ engine.Options) (*engine.Ranking, error) {
	ranking := &engine.Ranking{Results: make([]engine.Result, len(documents))}
	for i := range documents {
		ranking.Results[i] = engine.Result{Index: i, Score: 0.98765432109876543 / float64(i+1)}
	}
	return ranking, nil
}

var errOnlyReranks = errors.New("this model only reranks")

func (constantModel) Score(context.Context, []engine.Pair, engine.Options) (*engine.Scores, error) {
	return nil, errOnlyReranks
}

func (constantModel) Tokenize(context.Context, string, bool, engine.Options) ([]engine.Token, error) {
	return nil, errOnlyReranks
}

// servers are the two that are compared.
type servers struct {
	bare, ours net.Addr
	answer     []byte // the body that both answer with
	stops      []func()
}

func (s *servers) stop() {
	for _, stop := range s.stops {
		stop()
	}
}

// startServers starts ours, asks it once, and starts a bare handler with that answer.
func startServers(ctx context.Context, w *workload) (*servers, error) {
	s := &servers{}
	server, err := httpapi.New(constantModel{}, httpapi.Config{})
	if err != nil {
		return nil, err
	}
	if s.ours, err = s.listen(ctx, server.Serve, server.Shutdown); err != nil {
		return nil, err
	}
	header, err := s.ask(ctx, w)
	if err != nil {
		s.stop()
		return nil, err
	}
	answer := s.answer // the field may change when ask is called again
	bare := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			if !bytes.HasPrefix(ctx.PostBody(), []byte("{")) {
				ctx.SetStatusCode(fasthttp.StatusBadRequest)
				return
			}
			for name, values := range header {
				ctx.Response.Header.SetCanonical([]byte(name), []byte(values[0]))
			}
			ctx.SetBody(answer)
		},
		ReadBufferSize: 16 << 10, MaxRequestBodySize: 2_000_000, NoDefaultServerHeader: true,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second,
	}
	if s.bare, err = s.listen(ctx, bare.Serve, bare.ShutdownWithContext); err != nil {
		s.stop()
	}
	return s, err
}

func (s *servers) listen(ctx context.Context, serve func(net.Listener) error, shutdown func(context.Context) error) (net.Addr, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = serve(listener) }() // wrk notices a failure
	s.stops = append(s.stops, func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = shutdown(within)
	})
	return listener.Addr(), nil
}

// ask gets the answer to the workload from our server, with its headers.
func (s *servers) ask(ctx context.Context, w *workload) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.ours.String()+w.path, bytes.NewReader([]byte(w.body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if s.answer, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, s.answer)
	}
	header := response.Header
	header.Del("Date") // fasthttp sets these itself
	header.Del("Content-Length")
	return header, nil
}
