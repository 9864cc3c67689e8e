package httpapi

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/metalrank/metalrank/engine"
)

// countingRanker has the counters that a test sets.
type countingRanker struct {
	fakeRanker
	counters engine.Counters
	unloaded bool
}

func (r *countingRanker) Counters() (engine.Counters, bool) { return r.counters, !r.unloaded }

// scrape returns the lines of GET /metrics; extra are header lines.
func scrape(t *testing.T, address string, extra ...string) []string {
	t.Helper()
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/metrics", "", extra...))
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %v: %s", got.status, got.header, got.body)
	}
	return strings.Split(got.body, "\n")
}

// expect wants all of lines among those of a scrape.
func expect(t *testing.T, scraped []string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if slices.Contains(scraped, line) {
			continue
		}
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		var have []string
		for _, s := range scraped {
			if strings.HasPrefix(s, name) {
				have = append(have, s)
			}
		}
		t.Errorf("no %q; there are %q", line, have)
	}
}

// TestMetricsOfModels wants every counter of the engine under its name, and none of a model that isn't loaded.
func TestMetricsOfModels(t *testing.T) {
	ranker := &countingRanker{counters: engine.Counters{
		Requests: 1, Refused: 2, Cancelled: 3, Expired: 4, Failed: 5, Pairs: 6, Tokens: 7, Batches: 8, FailedBatches: 9, Reopened: 10,
		Busy: 11500 * time.Millisecond, UnderWay: 12, QueueTokens: 13, CacheHits: 14, CacheMisses: 15, CacheBytes: 16, SavedTokens: 17, Operations: 18e15,
		QueueTime: 19500 * time.Millisecond,
	}}
	_, address := start(t, ranker, Config{Version: "v1", Commit: "c0ffee", CommitDate: "2026-11-29T12:00:00Z"})
	const of = `{model="tiny-reranker"}`
	expect(t, scrape(t, address),
		`metalrank_model_requests_total{model="tiny-reranker",outcome="answered"} 1`,
		`metalrank_model_requests_total{model="tiny-reranker",outcome="refused"} 2`,
		`metalrank_model_requests_total{model="tiny-reranker",outcome="cancelled"} 3`,
		`metalrank_model_requests_total{model="tiny-reranker",outcome="expired"} 4`,
		`metalrank_model_requests_total{model="tiny-reranker",outcome="failed"} 5`,
		`metalrank_model_pairs_total`+of+` 6`, `metalrank_model_tokens_total`+of+` 7`, `metalrank_model_saved_tokens_total`+of+` 17`,
		`metalrank_model_operations_total`+of+` 1.8e+16`, `metalrank_model_queue_seconds`+of+` 19.5`,
		`metalrank_model_batches_total`+of+` 8`, `metalrank_model_batches_failed_total`+of+` 9`,
		`metalrank_model_backend_reopened_total`+of+` 10`, `metalrank_model_device_busy_seconds_total`+of+` 11.5`,
		`metalrank_model_requests_under_way`+of+` 12`, `te_queue_size 12`, `metalrank_model_queue_tokens`+of+` 13`,
		`metalrank_model_token_cache_hits_total`+of+` 14`, `metalrank_model_token_cache_misses_total`+of+` 15`,
		`metalrank_model_token_cache_bytes`+of+` 16`, `metalrank_model_loaded`+of+` 1`,
		`metalrank_model_batch_token_limit`+of+` 4096`, `metalrank_build_info{commit="c0ffee",date="2026-11-29T12:00:00Z",version="v1"} 1`, `metalrank_model_backend_fallback`+of+` 0`,
		`metalrank_model_info{backend="fake",device="a test",dtype="float32",model="tiny-reranker"} 1`,
	)
	ranker.unloaded = true
	scraped := scrape(t, address)
	expect(t, scraped, `metalrank_model_loaded`+of+` 0`, `te_queue_size 0`)
	if slices.ContainsFunc(scraped, func(s string) bool { return strings.HasPrefix(s, "metalrank_model_tokens_total") }) {
		t.Error("a model that isn't loaded has counters")
	}
}

// TestMetricsOfRequests counts requests of all sorts.
func TestMetricsOfRequests(t *testing.T) {
	metrics := NewMetrics()
	_, address := start(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		switch q {
		case "busy":
			return nil, &engine.OverloadError{Limit: "requests"}
		case "fail":
			return nil, engine.ErrBackend
		case "several":
			return nil, engine.ErrNotReranker
		case "gone":
			return nil, context.Canceled
		}
		return rankByWords(q, d, o), nil
	}}, Config{MaxTexts: 3, MaxBodyBytes: 200, Metrics: metrics})
	for _, body := range []string{
		`{"query":"a","texts":["b c","a"]}`, `{"query":"a","texts":["b"]}`, `{"query":"busy","texts":["b"]}`,
		`{"query":"fail","texts":["b"]}`, `{"query":"several","texts":["b"]}`, `{"query":"gone","texts":["b"]}`,
		`{"query":"a","texts":["b","c","d","e"]}`, `{"query":"a","texts":[]}`, `{"query":7,"texts":["b"]}`, `{`,
		strings.Repeat(" ", 201),
	} {
		rerank(t, address, body)
	}
	post(t, address, "/rerank/", `{"query":"a","documents":["b"]}`)
	post(t, address, "/predict", `{"inputs":["a","b"]}`)
	post(t, address, "/tokenize", `{"inputs":"a"}`)
	for _, path := range []string{"/nowhere", "/else%22where"} {
		send(t, address, http.MethodGet, request(http.MethodGet, path, ""))
	}
	metrics.ObserveBatch(engine.BatchStats{Tokens: 300, Sequences: 5})
	scraped := scrape(t, address)
	expect(t, scraped,
		`metalrank_http_requests_total{key="",path="/rerank",status="200"} 3`,
		`metalrank_http_requests_total{key="",path="/rerank",status="413"} 1`,
		`metalrank_http_requests_total{key="",path="/rerank",status="422"} 2`,
		`metalrank_http_requests_total{key="",path="/rerank",status="429"} 1`,
		`metalrank_http_requests_total{key="",path="/tokenize",status="200"} 1`,
		`metalrank_http_requests_total{key="",path="other",status="404"} 2`,
		`metalrank_http_request_duration_seconds_count{path="/rerank"} 11`, // and not the body that was too long
		`te_request_count{method="batch"} 10`, `te_request_count{method="single"} 1`,
		`te_request_success{method="batch"} 3`, `te_request_success{method="single"} 1`,
		`te_request_failure{err="validation"} 2`, `te_request_failure{err="batch_size"} 1`,
		`te_request_failure{err="overloaded"} 1`, `te_request_failure{err="inference"} 1`,
		`te_request_failure{err="model_type"} 1`, `te_request_failure{err="dropped"} 1`,
		`te_request_failure{err="tokenization"} 0`, `te_predict_count 5`, `te_predict_success 5`,
		`te_request_duration_count 4`, `te_request_tokenization_duration_sum 0.006`, `te_request_queue_duration_count 4`,
		`te_batch_next_size_sum 5`, `te_batch_next_tokens_sum 300`,
	)
	for _, line := range scraped {
		if !strings.HasPrefix(line, "#") && strings.Contains(line, "where") {
			t.Errorf("a client has made a label: %s", line)
		}
	}
}

// TestNativeHistograms asks for metrics like a Prometheus that wants native histograms.
func TestNativeHistograms(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	rerank(t, address, `{"query":"a","texts":["b"]}`)
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/metrics", "",
		"Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.3"))
	decoder := expfmt.NewDecoder(strings.NewReader(got.body), expfmt.ResponseFormat(got.header))
	native := map[string]bool{}
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v: %v", got.header, err)
		}
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); h != nil && len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 0 {
				native[family.GetName()] = true
			}
		}
	}
	if name := "metalrank_http_request_duration_seconds"; !native[name] {
		t.Errorf("%s has no native buckets; %v have", name, slices.Sorted(maps.Keys(native)))
	}
}

// TestMetricsBelongToOne refuses Metrics that another server has.
func TestMetricsBelongToOne(t *testing.T) {
	metrics := NewMetrics()
	if _, err := New(only{&fakeRanker{}}, Config{Metrics: metrics}); err != nil {
		t.Fatal(err)
	}
	if _, err := New(only{&fakeRanker{}}, Config{Metrics: metrics}); err == nil || !strings.Contains(err.Error(), "Metrics") {
		t.Errorf("a second server: %v", err)
	}
}

// TestReady checks that a leaving server is not ready for new requests, but still healthy.
func TestReady(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{})
	for _, leaving := range []bool{false, true} {
		for _, path := range []string{"/health", "/healthz", "/livez", "/readyz"} {
			got := send(t, address, http.MethodGet, request(http.MethodGet, path, ""))
			if path == "/readyz" && leaving {
				checkRefusal(t, got, 503, "Unhealthy")
			} else if got.status != 200 || got.body != "" {
				t.Errorf("leaving %t: %s: %d %q", leaving, path, got.status, got.body)
			}
		}
		s.Leave()
	}
	checkAlive(t, address)
}
