package httpapi

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// Metrics are the metrics of GET /metrics. Requests are counted as they end, batches if engine.Config.OnBatch calls
// ObserveBatch; models are read at each request for metrics. text-embeddings-inference's names (te_…) stand beside our own
// (metalrank_…). One belongs to one Server.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec   // by path, status and key
	duration *prometheus.HistogramVec // by path
	te       teMetrics
	paths    map[string]*pathMetrics // of a server; isn't changed while that serves
	other    *pathMetrics            // of all unknown paths together: their number has no bound
}

// pathMetrics counts the requests to a path.
type pathMetrics struct {
	label    string
	duration prometheus.Observer
	scores   bool // a POST asks a model for scores
	latest   atomic.Pointer[requestCounter]
}

// requestCounter counts the requests to a path that had one status and one key. Most requests count towards the same
// one as the request before: looking it up by its labels takes longer than counting.
type requestCounter struct {
	status int
	client string
	prometheus.Counter
}

// NewMetrics returns Metrics that have counted nothing.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "metalrank_http_requests_total",
			Help: "Requests by path, status and the name of the API key, which is empty where none is asked for.",
		}, []string{"path", "status", keyLabel}),
		duration: prometheus.NewHistogramVec(histogram("metalrank_http_request_duration_seconds",
			"Time from the last byte of a request to its answer, by path.", secondsBuckets), []string{"path"}),
		te: newTEMetrics(),
	}
	m.registry.MustRegister(m.requests, m.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.te.all()...)
	m.other = m.newPath("other")
	return m
}

// secondsBuckets are those of OpenTelemetry's http.server.request.duration.
var secondsBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// histogram has native buckets, each at most a tenth wider than the one below, for scrapers that ask for them, and
// classic ones for all others.
func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}
}

func (m *Metrics) newPath(label string) *pathMetrics {
	return &pathMetrics{label: label, duration: m.duration.WithLabelValues(label)}
}

// adopt registers the paths and the models of a server.
func (m *Metrics) adopt(s *Server) error {
	m.paths = map[string]*pathMetrics{}
	for path, methods := range s.routes {
		p := m.newPath(path)
		p.scores = methods[fasthttp.MethodPost] != nil && path != "/tokenize"
		m.paths[path] = p
	}
	if s.config.Keys != nil {
		if err := m.registry.Register(newClientCollector(s.config.Keys)); err != nil {
			return err
		}
	}
	if tracer := s.config.Tracer; tracer != nil {
		dropped := prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "metalrank_trace_spans_dropped_total", Help: "Spans that could not be sent.",
		}, func() float64 { return float64(tracer.Dropped()) })
		if err := m.registry.Register(dropped); err != nil {
			return err
		}
	}
	if lost := s.config.LogLinesDropped; lost != nil {
		dropped := prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "metalrank_log_lines_dropped_total", Help: "Lines of the log that could not be written, its reader being too slow or gone.",
		}, func() float64 { return float64(lost()) })
		if err := m.registry.Register(dropped); err != nil {
			return err
		}
	}
	return m.registry.Register(newModelCollector(s))
}

// ObserveBatch counts a batch; it is for engine.Config.OnBatch.
func (m *Metrics) ObserveBatch(b engine.BatchStats) {
	m.te.batchSize.Observe(float64(b.Sequences))
	m.te.batchTokens.Observe(float64(b.Tokens))
}

func (m *Metrics) path(ctx *fasthttp.RequestCtx) *pathMetrics {
	if p, ok := m.paths[string(pattern(ctx.Path()))]; ok {
		return p
	}
	return m.other
}

// ended counts a request with the status that its response has.
func (m *Metrics) ended(ctx *fasthttp.RequestCtx, f *failure) {
	p := m.path(ctx)
	p.duration.Observe(time.Since(readAt(ctx)).Seconds())
	m.count(ctx, p)
	if f != nil && p.scores && ctx.IsPost() {
		m.te.failed(f)
	}
}

// unread counts a request that was refused before all of it was read. Its duration is left out: it depends on the client.
func (m *Metrics) unread(ctx *fasthttp.RequestCtx) { m.count(ctx, m.path(ctx)) }

func (m *Metrics) count(ctx *fasthttp.RequestCtx, p *pathMetrics) {
	status, client := ctx.Response.StatusCode(), clientOf(ctx)
	counter := p.latest.Load()
	if counter == nil || counter.status != status || counter.client != client {
		counter = &requestCounter{status, client, m.requests.WithLabelValues(p.label, strconv.Itoa(status), client)}
		p.latest.Store(counter)
	}
	counter.Inc()
}

// showMetrics answers GET /metrics with all metrics, in Prometheus's text format or, for a scraper that asks for it to
// get native histograms, as protobuf.
func (s *Server) showMetrics(ctx *fasthttp.RequestCtx) *failure {
	families, err := s.metrics.registry.Gather()
	if err != nil {
		return internalFailure(err)
	}
	return writeMetrics(ctx, families)
}

// writeMetrics answers with families.
func writeMetrics(ctx *fasthttp.RequestCtx, families []*dto.MetricFamily) *failure {
	accept := http.Header{fasthttp.HeaderAccept: {string(ctx.Request.Header.Peek(fasthttp.HeaderAccept))}}
	format := expfmt.NegotiateAccept(accept, expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeTextPlain))
	w := newWriter()
	defer w.free()
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return internalFailure(err)
		}
	}
	ctx.Response.Header.SetContentType(string(format))
	setBody(ctx, w.buffer)
	return nil
}
