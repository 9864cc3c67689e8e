package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/metalrank/metalrank/engine"
)

// counting is a Model with counters, such as an *engine.Model.
type counting interface {
	// Counters returns the counters of the loaded model, and whether it is loaded.
	Counters() (counters engine.Counters, loaded bool)
}

// modelMetric is a metric of every model.
type modelMetric struct {
	name, help string
	outcome    string // a label; "": none
	kind       prometheus.ValueType
	value      func(*engine.Counters) float64
}

const (
	requestsHelp = "Requests that ended, by outcome. All counters of a model begin anew when it is loaded again."
	requestsName = "metalrank_model_requests_total"
)

// modelMetrics come from a model's counters. Ratios are left to the reader: the fill of batches is rate(tokens) /
// (rate(batches) * batch_token_limit), the share of time that devices are busy rate(device_busy_seconds).
var modelMetrics = []modelMetric{
	{requestsName, requestsHelp, "answered", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Requests) }},
	{requestsName, requestsHelp, "refused", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Refused) }},
	{requestsName, requestsHelp, "cancelled", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Cancelled) }},
	{requestsName, requestsHelp, "expired", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Expired) }},
	{requestsName, requestsHelp, "failed", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Failed) }},
	{"metalrank_model_requests_under_way", "Requests that wait or are computed.", "", prometheus.GaugeValue,
		func(c *engine.Counters) float64 { return float64(c.UnderWay) }},
	{"metalrank_model_queue_tokens", "Tokens that wait for a device.", "", prometheus.GaugeValue,
		func(c *engine.Counters) float64 { return float64(c.QueueTokens) }},
	{"metalrank_model_queue_seconds", "Time that devices take for these, as models share them now; 0 before the first batch.", "",
		prometheus.GaugeValue, func(c *engine.Counters) float64 { return c.QueueTime.Seconds() }},
	{"metalrank_model_pairs_total", "Pairs scored.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.Pairs) }},
	{"metalrank_model_tokens_total", "Tokens computed for those pairs.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.Tokens) }},
	{"metalrank_model_saved_tokens_total", "Tokens of those pairs that were not computed again: of a prompt and a query that pairs of a batch share.",
		"", prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.SavedTokens) }},
	{"metalrank_model_operations_total", "Floating-point operations that those pairs took, by the model's shape.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return c.Operations }},
	{"metalrank_model_batches_total", "Batches that ran, failed ones included.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.Batches) }},
	{"metalrank_model_batches_failed_total", "Batches that failed.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.FailedBatches) }},
	{"metalrank_model_device_busy_seconds_total", "Time that devices had batches of the model, all devices together.", "",
		prometheus.CounterValue, func(c *engine.Counters) float64 { return c.Busy.Seconds() }},
	{"metalrank_model_backend_reopened_total", "Times that a backend was opened again after it had failed.", "",
		prometheus.CounterValue, func(c *engine.Counters) float64 { return float64(c.Reopened) }},
	{"metalrank_model_token_cache_hits_total", "Texts whose tokens were in the cache.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.CacheHits) }},
	{"metalrank_model_token_cache_misses_total", "Texts whose tokens were not.", "", prometheus.CounterValue,
		func(c *engine.Counters) float64 { return float64(c.CacheMisses) }},
	{"metalrank_model_token_cache_bytes", "Memory that the cache holds.", "", prometheus.GaugeValue,
		func(c *engine.Counters) float64 { return float64(c.CacheBytes) }},
}

// modelCollector reads the counters of a server's models when it is asked to.
type modelCollector struct {
	models                         []*served
	rows                           []*prometheus.Desc // of modelMetrics
	loaded, limit, info, teWaiting *prometheus.Desc
	fallback                       *prometheus.Desc
	build                          prometheus.Metric
}

func newModelCollector(s *Server) *modelCollector {
	of := []string{"model"}
	c := &modelCollector{
		loaded: prometheus.NewDesc("metalrank_model_loaded", "1 where the model is in memory, 0 where it waits to be asked for.", of, nil),
		limit:  prometheus.NewDesc("metalrank_model_batch_token_limit", "Tokens that a batch may have.", of, nil),
		info: prometheus.NewDesc("metalrank_model_info", "What the model runs on.",
			[]string{"model", "backend", "device", "dtype"}, nil),
		fallback: prometheus.NewDesc("metalrank_model_backend_fallback",
			"1 where the CPU computes because the GPU failed or lacks kernels for the model, which the log and metalrank info explain.", of, nil),
		teWaiting: prometheus.NewDesc("te_queue_size",
			"Requests that wait or are computed. text-embeddings-inference counts texts that wait.", nil, nil),
		build: prometheus.MustNewConstMetric(prometheus.NewDesc("metalrank_build_info", "The version, and the commit with its date.", nil,
			prometheus.Labels{"version": s.config.Version, "commit": s.config.Commit, "date": s.config.CommitDate}), prometheus.GaugeValue, 1),
	}
	for _, name := range s.names {
		c.models = append(c.models, s.models[name])
	}
	for i := range modelMetrics {
		row := &modelMetrics[i]
		var labels prometheus.Labels
		if row.outcome != "" {
			labels = prometheus.Labels{"outcome": row.outcome}
		}
		c.rows = append(c.rows, prometheus.NewDesc(row.name, row.help, of, labels))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *modelCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range append([]*prometheus.Desc{c.loaded, c.limit, c.info, c.fallback, c.teWaiting, c.build.Desc()}, c.rows...) {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *modelCollector) Collect(metrics chan<- prometheus.Metric) {
	set := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metric, err := prometheus.NewConstMetric(desc, kind, value, labels...)
		if err != nil { // a name that isn't UTF-8
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		metrics <- metric
	}
	underWay := 0
	for _, model := range c.models {
		info := model.Info()
		set(c.info, prometheus.GaugeValue, 1, model.name, info.Backend.Name, info.Backend.Device, info.Backend.DType)
		set(c.limit, prometheus.GaugeValue, float64(info.MaxBatchTokens), model.name)
		fallen := 0.
		if info.Fallback != "" {
			fallen = 1
		}
		set(c.fallback, prometheus.GaugeValue, fallen, model.name)
		counts, ok := model.Model.(counting)
		if !ok {
			continue
		}
		counters, loaded := counts.Counters()
		if !loaded {
			set(c.loaded, prometheus.GaugeValue, 0, model.name)
			continue
		}
		set(c.loaded, prometheus.GaugeValue, 1, model.name)
		underWay += counters.UnderWay
		for i := range modelMetrics {
			set(c.rows[i], modelMetrics[i].kind, modelMetrics[i].value(&counters), model.name)
		}
	}
	set(c.teWaiting, prometheus.GaugeValue, float64(underWay))
	metrics <- c.build
}
