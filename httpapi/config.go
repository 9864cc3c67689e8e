package httpapi

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/engine/trace"
	"github.com/metalrank/metalrank/httpapi/otlp"
)

// Config sets limits. The zero value works: 0 in a field stands for its default.
type Config struct {
	// MaxBodyBytes is the largest request body, in bytes, before and after decompressing. Default 16,000,000: MaxTexts
	// documents of 4,096 tokens, to which Cohere cuts them, have about as many. Bounds: 1 to 1 GiB. All bodies of
	// requests in flight together, with their decompressed and decoded forms, have six times as much memory, or 64 MiB
	// if that is more.
	MaxBodyBytes int
	// MaxTexts is how many texts one request may have. Default 1000, the most that Cohere advises its clients to
	// send: the 32 of text-embeddings-inference is too few for their requests in practice. Bounds: 1 to 1,000,000.
	MaxTexts int
	// MaxQueryCharacters is how long a query may be, in code points. Default 122,880, Infinity's limit for any text.
	// Bounds: 1 to 2^30.
	MaxQueryCharacters int
	// MaxTextCharacters is how long a document may be, in code points. Default 2,000,000: long documents are cut by the
	// model, so the body's limit comes first. Bounds: 1 to 2^30.
	MaxTextCharacters int
	// AnyModel answers requests for a model that isn't served from the first model, instead of refusing them: for
	// clients with a fixed model name.
	AnyModel bool
	// AlwaysTruncate cuts texts that are too long even where a request forbids it.
	AlwaysTruncate bool
	// NoAutoTruncate refuses texts that are too long, instead of cutting them, where a body in
	// text-embeddings-inference's dialect doesn't ask for one or the other.
	NoAutoTruncate bool
	// TooLargeStatus refuses too many texts and too long ones with 413, as text-embeddings-inference did before 1.9,
	// instead of 422.
	TooLargeStatus bool
	// OverloadedStatus refuses requests under overload with 503 instead of 429: for load balancers that try another
	// server only after a 503.
	OverloadedStatus bool
	// MaxConcurrentRequests is how many rerank requests may be in flight at once; one more is refused with 429. Default
	// 512. Bounds: 1 to 65,536. Unlike in text-embeddings-inference a request counts once, however many texts it has.
	MaxConcurrentRequests int
	// MaxConnections is how many connections may be open; one more is answered with 503 and closed. Each takes some 15
	// KB of memory while idle. Default 10,000. Bounds: 1 to 1,000,000.
	MaxConnections int
	// ReadTimeout is the time from the first byte of a request to the last of its body. Default 30 s.
	// Bounds, for all three timeouts: 1 ms to 24 h.
	ReadTimeout time.Duration
	// WriteTimeout is the time to send a response, from when it is ready. Default 30 s. Scoring has no timeout.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request. Default 75 s: more than the 60 s after which
	// common proxies close one, so that the proxy closes it and not the server, and no request meets a closed connection.
	IdleTimeout time.Duration
	// Keys are the API keys. All paths that need a model require one; /health, /metrics, /docs and their like do not.
	// nil: no path requires a key.
	Keys *Keys
	// CORSOrigins are the origins (SCHEME://HOST[:PORT]) of pages that may use the server from a browser; * is all of them.
	// nil: none.
	CORSOrigins []string
	// TLS makes the server speak HTTPS. nil: plain HTTP.
	TLS *tls.Config
	// Metrics are the server's metrics. nil: it makes its own.
	Metrics *Metrics
	// PrivateMetrics leaves /metrics to an Admin.
	PrivateMetrics bool
	// Trace records traces for an Admin's /debug/trace; the models must have the same recorder. nil: none are recorded.
	Trace *trace.Recorder
	// LogLinesDropped returns how many lines of the log were lost so far, for /metrics. nil: /metrics leaves it out.
	LogLinesDropped func() int64
	// Version, Commit and CommitDate (RFC 3339) tell which source the server was built from, in GET /info and /metrics.
	Version, Commit, CommitDate string
	// AccessLogShare is the share of requests that are logged at info level instead of debug. Bounds: 0 to 1.
	AccessLogShare float64
	// Tracer gets spans of the requests with a traceparent that says that they are recorded. nil: none are sent;
	// answers and the log have the traceparent all the same. The caller closes it, after Shutdown.
	Tracer *otlp.Exporter
	// TraceShare is the share of other requests, those without a traceparent, that Tracer gets spans of. Bounds: 0 to 1.
	TraceShare float64
	// Logger gets errors, and a line for each request. No texts and no keys are logged. nil: nothing is logged.
	Logger *slog.Logger
}

const (
	defaultMaxBodyBytes          = 16_000_000
	defaultMaxTexts              = 1000
	defaultMaxQueryCharacters    = 122_880
	defaultMaxTextCharacters     = 2_000_000
	defaultMaxConcurrentRequests = 512
	defaultMaxConnections        = 10_000
	defaultReadTimeout           = 30 * time.Second
	defaultWriteTimeout          = 30 * time.Second
	defaultIdleTimeout           = 75 * time.Second

	maxMaxBodyBytes          = 1 << 30
	maxMaxTexts              = 1_000_000
	maxMaxCharacters         = 1 << 30
	maxMaxConcurrentRequests = 1 << 16
	maxMaxConnections        = 1_000_000
	minTimeout               = time.Millisecond
	maxTimeout               = 24 * time.Hour
)

// Validate reports the first field that is out of its bounds.
func (c Config) Validate() error {
	for _, f := range []struct {
		name     string
		got, max int
	}{
		{"MaxBodyBytes", c.MaxBodyBytes, maxMaxBodyBytes},
		{"MaxTexts", c.MaxTexts, maxMaxTexts},
		{"MaxQueryCharacters", c.MaxQueryCharacters, maxMaxCharacters},
		{"MaxTextCharacters", c.MaxTextCharacters, maxMaxCharacters},
		{"MaxConcurrentRequests", c.MaxConcurrentRequests, maxMaxConcurrentRequests},
		{"MaxConnections", c.MaxConnections, maxMaxConnections},
	} {
		if f.got < 0 || f.got > f.max {
			return wrong(f.name, f.got, "0 (the default) or 1 to %d", f.max)
		}
	}
	for _, f := range []struct {
		name string
		got  time.Duration
	}{{"ReadTimeout", c.ReadTimeout}, {"WriteTimeout", c.WriteTimeout}, {"IdleTimeout", c.IdleTimeout}} {
		if f.got != 0 && (f.got < minTimeout || f.got > maxTimeout) {
			return wrong(f.name, f.got, "0 (the default) or %v to %v", minTimeout, maxTimeout)
		}
	}
	if _, err := newCORS(c.CORSOrigins); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		got  float64
	}{{"AccessLogShare", c.AccessLogShare}, {"TraceShare", c.TraceShare}} {
		if !(f.got >= 0 && f.got <= 1) {
			return wrong(f.name, f.got, "0 to 1")
		}
	}
	return nil
}

func wrong(field string, value any, want string, args ...any) error {
	return &engine.ConfigError{Package: "httpapi", Field: field, Value: value, Want: fmt.Sprintf(want, args...)}
}

// WithDefaults replaces each 0 by the field's default.
func (c Config) WithDefaults() Config {
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, defaultMaxBodyBytes)
	c.MaxTexts = cmp.Or(c.MaxTexts, defaultMaxTexts)
	c.MaxQueryCharacters = cmp.Or(c.MaxQueryCharacters, defaultMaxQueryCharacters)
	c.MaxTextCharacters = cmp.Or(c.MaxTextCharacters, defaultMaxTextCharacters)
	c.MaxConcurrentRequests = cmp.Or(c.MaxConcurrentRequests, defaultMaxConcurrentRequests)
	c.MaxConnections = cmp.Or(c.MaxConnections, defaultMaxConnections)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, defaultReadTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, defaultWriteTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}
