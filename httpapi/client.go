package httpapi

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// client is the owner of the API keys of one name. It outlasts their replacement, so that its requests in flight
// still count.
type client struct {
	name    string
	slots   slots // of its requests
	refused atomic.Int64
	pairs   atomic.Int64
	tokens  atomic.Int64
	mega    atomic.Int64 // floating-point operations, in millions
	bytes   int64        // of bodies; guarded by the mu of the server's budget
}

// clientLimits is a client's limits; it belongs to the current keys.
type clientLimits struct {
	concurrency int     // requests in flight; 0: no limit of its own
	share       float64 // of a model, as a multiple of the others'; 0: 1
}

// grant is the client and the limits of a request's API key.
type grant struct {
	*client
	clientLimits
}

// grantValue is the context key of the *grant.
const grantValue = "access"

// grantOf returns the grant of a request, or nil if it needed no key.
func grantOf(ctx *fasthttp.RequestCtx) *grant {
	g, _ := ctx.UserValue(grantValue).(*grant)
	return g
}

// clientOf returns the name of the API key that a request came with, or "" if it needed no key: all such requests count
// as one client's.
func clientOf(ctx *fasthttp.RequestCtx) string {
	if g := grantOf(ctx); g != nil {
		return g.name
	}
	return ""
}

// enter takes one of the client's slots; leave gives it back. If g is nil, there is no limit.
func (g *grant) enter() *failure {
	if g == nil {
		return nil
	}
	limit := g.concurrency
	if limit == 0 {
		limit = maxMaxConcurrentRequests
	}
	if g.slots.acquire(limit) {
		return nil
	}
	g.refused.Add(1)
	return failf(kindOverloaded, "%d requests with API keys of %q are under way, which is their limit", limit, g.name)
}

func (g *grant) leave() {
	if g != nil {
		g.slots.release()
	}
}

// scored counts the pairs and tokens that a model scored for the client.
func (g *grant) scored(c *call, stats engine.Stats) {
	if g != nil {
		g.pairs.Add(int64(c.scored()))
		g.tokens.Add(int64(stats.Tokens))
		g.mega.Add(int64(math.Round(stats.Operations / 1e6)))
	}
}

// clientMetricPrefix begins the names of clientMetrics.
const clientMetricPrefix = "metalrank_key_"

// clientMetrics exist once for each name of API keys.
var clientMetrics = []struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*client) float64
}{
	{clientMetricPrefix + "requests_under_way", "Requests with API keys of that name that wait or are computed.", prometheus.GaugeValue,
		func(c *client) float64 { return float64(c.slots.used.Load()) }},
	{clientMetricPrefix + "requests_refused_total", "Requests refused because too many of that name were under way.", prometheus.CounterValue,
		func(c *client) float64 { return float64(c.refused.Load()) }},
	{clientMetricPrefix + "pairs_total", "Pairs scored for API keys of that name.", prometheus.CounterValue,
		func(c *client) float64 { return float64(c.pairs.Load()) }},
	{clientMetricPrefix + "tokens_total", "Tokens in those pairs.", prometheus.CounterValue,
		func(c *client) float64 { return float64(c.tokens.Load()) }},
	{clientMetricPrefix + "operations_total", "Floating-point operations that those pairs took, by the models' shapes.", prometheus.CounterValue,
		func(c *client) float64 { return 1e6 * float64(c.mega.Load()) }},
}

// clientCollector collects clientMetrics for each client of keys.
type clientCollector struct {
	keys *Keys
	rows []*prometheus.Desc // of clientMetrics
}

func newClientCollector(keys *Keys) *clientCollector {
	c := &clientCollector{keys: keys}
	for i := range clientMetrics {
		c.rows = append(c.rows, prometheus.NewDesc(clientMetrics[i].name, clientMetrics[i].help, []string{keyLabel}, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *clientCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, row := range c.rows {
		descs <- row
	}
}

// Collect implements prometheus.Collector.
func (c *clientCollector) Collect(metrics chan<- prometheus.Metric) {
	for name, owner := range c.keys.current.Load().clients {
		for i := range clientMetrics {
			metrics <- prometheus.MustNewConstMetric(c.rows[i], clientMetrics[i].kind, clientMetrics[i].value(owner), name)
		}
	}
}
