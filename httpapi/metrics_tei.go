package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/metalrank/metalrank/engine"
)

// teMetrics have the names and the meaning of text-embeddings-inference's metrics, except where Help says otherwise: it
// gives a time for each text, but here a request is the smallest unit with a time. Its te_predict_…duration, which are
// times of one text, have no counterpart. Buckets are its classic ones alone: native ones would cost each request more,
// and its dashboards don't use them.
type teMetrics struct {
	requests, successes            *prometheus.CounterVec // by method
	single, batch                  teCounters             // those of each method, looked up once
	failures                       *prometheus.CounterVec // by err
	predictions, predictSuccesses  prometheus.Counter
	total, tokenize, wait, compute prometheus.Histogram
	length, batchSize, batchTokens prometheus.Histogram
}

// The methods of a request. A request refused before it was read counts as a batch, as its method is not known.
const (
	teSingle = "single" // /predict with one pair
	teBatch  = "batch"
)

type teCounters struct{ requests, successes prometheus.Counter }

func (m *teMetrics) of(method string) teCounters {
	return teCounters{m.requests.WithLabelValues(method), m.successes.WithLabelValues(method)}
}

func newTEMetrics() teMetrics {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	classic := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	duration := func(name, help string) prometheus.Histogram {
		return classic(name, help, prometheus.ExponentialBuckets(1.5e-5, 1.5, 35))
	}
	amount := func(name, help string) prometheus.Histogram {
		return classic(name, help, prometheus.ExponentialBuckets(1, 2, 16))
	}
	m := teMetrics{
		requests:         counters("te_request_count", "Requests for scores that ended.", "method"),
		successes:        counters("te_request_success", "Requests that were answered with scores.", "method"),
		failures:         counters("te_request_failure", "Requests for scores that were refused or failed.", "err"),
		predictions:      prometheus.NewCounter(prometheus.CounterOpts{Name: "te_predict_count", Help: "Pairs in requests that were answered."}),
		predictSuccesses: prometheus.NewCounter(prometheus.CounterOpts{Name: "te_predict_success", Help: "The same: a request is answered whole or not at all."}),

		total:    duration("te_request_duration", "Seconds to answer a request."),
		tokenize: duration("te_request_tokenization_duration", "Seconds of tokenising all texts of a request."),
		wait:     duration("te_request_queue_duration", "Seconds from there until the first batch with a part of the request began."),
		compute:  duration("te_request_inference_duration", "Seconds from there until the last batch was done."),

		length:      amount("te_request_input_length", "Tokens of a pair: the mean of a request."),
		batchSize:   amount("te_batch_next_size", "Pairs of a batch."),
		batchTokens: amount("te_batch_next_tokens", "Tokens of a batch."),
	}
	m.single, m.batch = m.of(teSingle), m.of(teBatch)
	for _, err := range teFailures { // a counter that isn't there yet has no rate
		m.failures.WithLabelValues(err)
	}
	return m
}

func (m *teMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.requests, m.successes, m.failures, m.predictions, m.predictSuccesses, m.total, m.tokenize, m.wait, m.compute,
		m.length, m.batchSize, m.batchTokens,
	}
}

func (m *teMetrics) scored(c *call, stats engine.Stats, total time.Duration) {
	counters := &m.batch
	if c.documents.name == "inputs" && c.documents.isString {
		counters = &m.single
	}
	counters.requests.Inc()
	counters.successes.Inc()
	pairs := float64(c.scored())
	m.predictions.Add(pairs)
	m.predictSuccesses.Add(pairs)
	m.length.Observe(float64(stats.Tokens) / pairs)
	m.total.Observe(total.Seconds())
	m.tokenize.Observe(stats.Tokenize.Seconds())
	m.wait.Observe(stats.Wait.Seconds())
	m.compute.Observe(stats.Compute.Seconds())
}

// teFailures has the kinds that text-embeddings-inference counts; it does not count requests that can't be read.
var teFailures = map[kind]string{
	kindEmpty: "validation", kindValidation: "validation", kindTooLarge: "validation", kindTooMany: "batch_size",
	kindOverloaded: "overloaded", kindTokenizer: "tokenization", kindBackend: "inference", kindNotReranker: "model_type",
	kindGone: "dropped", kindDeadline: "dropped",
}

func (m *teMetrics) failed(f *failure) {
	if err, ok := teFailures[f.kind]; ok {
		m.batch.requests.Inc()
		m.failures.WithLabelValues(err).Inc()
	}
}
