// Package otlp sends spans to a collector: OTLP 1.x over HTTP, in JSON, to /v1/traces.
//
// It is our own because OpenTelemetry's exporter adds 8.6 MB to a binary of 9 MB, most of it gRPC, which a sender over
// HTTP doesn't need. A test reads its messages by the protocol's own definitions.
//
// It knows nothing of requests: the caller gives a span its meaning.
package otlp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Config says where spans go. Its zero value needs an Endpoint.
type Config struct {
	// Endpoint is the collector's base address, such as http://localhost:4318; unless its path ends in /v1/traces, that is
	// added.
	Endpoint string
	// Headers go with every message, for a collector that asks for a key.
	Headers map[string]string
	// ServiceName and Version describe the sender. Default: DefaultServiceName, and none.
	ServiceName, Version string
	// Logger gets errors of sending, once a minute at most. nil: nothing is logged.
	Logger *slog.Logger
}

// DefaultServiceName is the service of spans where Config names none.
const DefaultServiceName = "metalrank"

const (
	tracesPath = "/v1/traces"
	grpcPort   = "4317"

	queueSpans   = 4096            // that wait to be sent; further ones are dropped
	messageSpans = 512             // in a message
	sendInterval = 2 * time.Second // after which a message goes that isn't full
	sendTimeout  = 10 * time.Second
	maxPause     = 30 * time.Second // that a collector may ask for
	logInterval  = time.Minute
)

// Exporter sends spans in the background. Its methods may be called from several goroutines at once.
type Exporter struct {
	endpoint string
	headers  map[string]string
	resource resource
	logger   *slog.Logger
	client   *http.Client
	spans    chan []Span
	closing  chan struct{}
	stop     context.CancelFunc // aborts the sending
	done     chan struct{}
	closed   atomic.Bool
	waiting  atomic.Int64 // spans
	dropped  atomic.Int64 // spans
	logged   time.Time    // used by run alone
}

// New returns an Exporter, which the caller closes.
func New(config Config) (*Exporter, error) {
	endpoint, err := endpointOf(config.Endpoint)
	if err != nil {
		return nil, err
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("otlp: http.DefaultTransport has been replaced")
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Exporter{
		endpoint: endpoint, headers: config.Headers, logger: cmp.Or(config.Logger, slog.New(slog.DiscardHandler)),
		resource: resource{Attributes: []attribute{{"service.name", value{String: new(cmp.Or(config.ServiceName, DefaultServiceName))}}}},
		client:   &http.Client{Timeout: sendTimeout, Transport: transport.Clone()},
		// Every request's spans come as one slice of at least one.
		spans: make(chan []Span, queueSpans), closing: make(chan struct{}), stop: stop, done: make(chan struct{}),
	}
	if config.Version != "" {
		e.resource.Attributes = append(e.resource.Attributes, attribute{"service.version", value{String: &config.Version}})
	}
	go e.run(ctx)
	return e, nil
}

// endpointOf returns the address for messages.
func endpointOf(base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return "", fmt.Errorf("otlp: endpoint: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("otlp: endpoint %q is no http:// or https:// address", base)
	case u.User != nil:
		return "", errors.New("otlp: the endpoint has a user in it: send keys as headers")
	case u.Port() == grpcPort:
		return "", fmt.Errorf("otlp: endpoint %q has the port of OTLP over gRPC; spans are sent over HTTP, for which collectors have 4318", base)
	}
	if !strings.HasSuffix(u.Path, tracesPath) {
		u.Path = strings.TrimSuffix(u.Path, "/") + tracesPath
	}
	return u.String(), nil
}

// Send hands over the spans of a request; they belong to the Exporter from then on. It never waits: if the collector is too
// slow, or is not there, spans are dropped.
func (e *Exporter) Send(spans []Span) {
	n := int64(len(spans))
	if n == 0 {
		return
	}
	if e.closed.Load() || e.waiting.Add(n) > queueSpans {
		e.waiting.Add(-n)
		e.dropped.Add(n)
		return
	}
	e.spans <- spans // there is room: it has at least one span for each place
}

// Dropped returns how many spans have been lost so far.
func (e *Exporter) Dropped() int64 { return e.dropped.Load() }

// Close sends the waiting spans, until ctx ends. No Send may follow.
func (e *Exporter) Close(ctx context.Context) error {
	if !e.closed.Swap(true) {
		close(e.closing)
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.stop()
		<-e.done
		return fmt.Errorf("otlp: close: %w", ctx.Err())
	}
}

// run collects messages and sends them.
func (e *Exporter) run(ctx context.Context) {
	defer close(e.done)
	defer e.client.CloseIdleConnections()
	defer e.stop()
	tick := time.NewTicker(sendInterval)
	defer tick.Stop()
	var message []Span
	flush := func() {
		if len(message) > 0 {
			e.deliver(ctx, message)
			message = nil
		}
	}
	add := func(spans []Span) {
		e.waiting.Add(-int64(len(spans)))
		if message = append(message, spans...); len(message) >= messageSpans {
			flush()
		}
	}
	for {
		select {
		case spans := <-e.spans:
			add(spans)
		case <-tick.C:
			flush()
		case <-e.closing:
			for len(e.spans) > 0 {
				add(<-e.spans)
			}
			flush()
			return
		}
	}
}

// deliver sends a message, and once more if post returns a pause.
func (e *Exporter) deliver(ctx context.Context, spans []Span) {
	body, err := encode(&e.resource, spans)
	if err != nil {
		e.lost(spans, err)
		return
	}
	pause, err := e.post(ctx, body)
	if err != nil && pause > 0 {
		select {
		case <-time.After(pause):
			_, err = e.post(ctx, body)
		case <-e.closing:
			_, err = e.post(ctx, body)
		case <-ctx.Done():
		}
	}
	if err != nil {
		e.lost(spans, err)
	}
}

// post sends a message once. pause is the time until a retry; 0: no retry.
func (e *Exporter) post(ctx context.Context, body []byte) (pause time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range e.headers {
		request.Header.Set(name, value)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return time.Second, err
	}
	defer response.Body.Close()
	const enough = 64 << 10 // lets the connection be used again
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, enough))
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // the specification's four
		pause = time.Second
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			pause = min(maxPause, time.Duration(seconds)*time.Second)
		}
	}
	return pause, fmt.Errorf("the collector answers %s", response.Status)
}

func (e *Exporter) lost(spans []Span, err error) {
	e.dropped.Add(int64(len(spans)))
	if now := time.Now(); now.Sub(e.logged) >= logInterval {
		e.logged = now
		e.logger.Warn("spans not sent", "spans", len(spans), "endpoint", e.endpoint, "dropped", e.Dropped(), "error", err)
	}
}
