package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi/otlp"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
	recorded    = "traceparent: 00-" + traceID + "-" + parentID + "-01"
	notRecorded = "traceparent: 00-" + traceID + "-" + parentID + "-00"
)

// sentSpan has the fields of a sent span that tests look at; package otlp's own tests read all of them.
type sentSpan struct {
	TraceID    string `json:"traceId"`
	SpanID     string `json:"spanId"`
	Parent     string `json:"parentSpanId"`
	State      string `json:"traceState"`
	Name       string `json:"name"`
	Kind       int    `json:"kind"`
	Start      int64  `json:"startTimeUnixNano,string"`
	End        int64  `json:"endTimeUnixNano,string"`
	Attributes []struct {
		Key   string `json:"key"`
		Value struct {
			String string `json:"stringValue"`
			Int    string `json:"intValue"`
		} `json:"value"`
	} `json:"attributes"`
	Status struct {
		Code int `json:"code"`
	} `json:"status"`
}

func (s *sentSpan) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String + a.Value.Int
		}
	}
	return ""
}

// traced starts a server that sends spans; stop ends it and returns them.
func traced(t *testing.T, model Model, config Config) (address string, stop func() []sentSpan) {
	t.Helper()
	var (
		mu    sync.Mutex
		spans []sentSpan
	)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []sentSpan `json:"spans"`
				} `json:"scopeSpans"`
			} `json:"resourceSpans"`
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &message)
		}
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		spans = append(spans, message.ResourceSpans[0].ScopeSpans[0].Spans...)
	}))
	tracer, err := otlp.New(otlp.Config{Endpoint: collector.URL})
	if err != nil {
		t.Fatal(err)
	}
	config.Tracer = tracer
	s, address := start(t, model, config)
	return address, func() []sentSpan {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := tracer.Close(ctx); err != nil {
			t.Error(err)
		}
		collector.Close()
		mu.Lock()
		defer mu.Unlock()
		return spans
	}
}

// TestTrace wants the span of a client's request, and in it one for each step, one after the other.
func TestTrace(t *testing.T) {
	const step = 2 * time.Millisecond
	var log lockedBuffer
	address, stop := traced(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		if q == "fail" {
			return nil, engine.ErrBackend
		}
		time.Sleep(3 * step)
		ranking := rankByWords(q, d, o)
		ranking.Stats = engine.Stats{Tokens: 7, SavedTokens: 3, Tokenize: step, Wait: step, Compute: step, Batches: 2, FirstBatch: 5}
		return ranking, nil
	}}, Config{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	const body = `{"query":"a","texts":["a","b"]}`
	got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON, recorded, "tracestate: a=b", "X-Request-Id: me"))
	answered := got.header.Get("Traceparent")
	send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON, notRecorded))
	send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON))
	send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", strings.Replace(body, `"a"`, `"fail"`, 1), typeJSON, recorded))
	send(t, address, http.MethodGet, request(http.MethodGet, "/nowhere", "", recorded))

	spans := stop()
	if len(spans) != 6+2+1 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	whole := spans[0]
	if want := "00-" + traceID + "-" + whole.SpanID + "-01"; answered != want || whole.SpanID == parentID {
		t.Errorf("the answer has traceparent %s, want %s", answered, want)
	}
	if whole.TraceID != traceID || whole.Parent != parentID || whole.Name != "POST /rerank" || whole.Kind != 2 || whole.State != "a=b" || whole.Status.Code != 0 {
		t.Errorf("%+v", whole)
	}
	for key, want := range map[string]string{
		"http.request.method": "POST", "http.route": "/rerank", "http.response.status_code": "200", "metalrank.model": "tiny-reranker",
		"metalrank.texts": "2", "metalrank.request_id": "me", "error.type": "",
	} {
		if got := whole.attribute(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if !strings.Contains(log.String(), `"traceID":"`+traceID+`","spanID":"`+whole.SpanID) {
		t.Errorf("the log has no such span: %s", log.String())
	}
	at := whole.Start
	for i, name := range []string{"decode", "tokenise", "queue", "batch", "respond"} {
		s := spans[1+i]
		if s.Name != name || s.TraceID != traceID || s.Parent != whole.SpanID || s.Kind != 1 || s.Start != at || s.End < s.Start || s.End > whole.End {
			t.Errorf("%+v, want %s of %s from %d, to %d at most", s, name, whole.SpanID, at, whole.End)
		}
		if i > 0 && i < 4 && s.End-s.Start != int64(step) {
			t.Errorf("%s took %d ns, want %v", name, s.End-s.Start, step)
		}
		at = s.End
	}
	if at != whole.End || spans[2].attribute("metalrank.tokens") != "7" || spans[4].attribute("metalrank.batches") != "2" || spans[4].attribute("metalrank.first_batch") != "5" ||
		spans[4].attribute("metalrank.saved_tokens") != "3" {
		t.Errorf("%+v", spans)
	}
	failed, decode, lost := spans[6], spans[7], spans[8]
	if failed.attribute("error.type") != "Backend" || failed.attribute("http.response.status_code") != "424" || decode.Name != "decode" || decode.Parent != failed.SpanID {
		t.Errorf("%+v %+v", failed, decode)
	}
	if lost.Name != "GET" || lost.attribute("http.route") != "" || lost.attribute("error.type") != "NotFound" || lost.Status.Code != 0 {
		t.Errorf("%+v", lost)
	}
}

// TestTraceShare records a share of the requests without a traceparent.
func TestTraceShare(t *testing.T) {
	for share, want := range map[float64]int{0: 0, 1: 20} {
		address, stop := traced(t, &fakeRanker{}, Config{TraceShare: share})
		seen := map[string]bool{}
		for range 20 {
			got := send(t, address, http.MethodGet, request(http.MethodGet, "/health", "")).header.Get("Traceparent")
			if len(got) != 55 || !strings.HasSuffix(got, "-0"+strconv.Itoa(int(share))) {
				t.Errorf("traceparent %q", got)
			}
			seen[got] = true
		}
		if spans := stop(); len(spans) != want || len(seen) != 20 {
			t.Errorf("share %g: %d spans, want %d; %d traces", share, len(spans), want, len(seen))
		}
	}
}

// TestTraceparent wants a traceparent to be passed on without a Tracer, unless it is invalid.
func TestTraceparent(t *testing.T) {
	var log lockedBuffer
	_, address := start(t, &fakeRanker{}, Config{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for header, want := range map[string]string{recorded: strings.TrimPrefix(recorded, "traceparent: "), "traceparent: 00-x": "", "X: y": ""} {
		got := send(t, address, http.MethodGet, request(http.MethodGet, "/health", "", header))
		if got.header.Get("Traceparent") != want {
			t.Errorf("%s: answered with %q", header, got.header.Get("Traceparent"))
		}
	}
	if strings.Count(log.String(), `"traceID":"`+traceID+`"`) != 1 || strings.Count(log.String(), "traceID") != 1 {
		t.Errorf("%s", log.String())
	}
}
