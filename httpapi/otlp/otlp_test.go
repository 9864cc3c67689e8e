package otlp

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads a message by the protocol's own definitions; their reader refuses unknown fields. It decodes bytes as
// base64, where OTLP has hexadecimal digits for identifiers; undone here.
func parse(t *testing.T, body []byte) *v1.TracesData {
	t.Helper()
	message := &v1.TracesData{} // has the fields of ExportTraceServiceRequest
	if err := protojson.Unmarshal(body, message); err != nil {
		t.Fatalf("%v: %.500s", err, body)
	}
	asWritten := func(id []byte) []byte {
		if len(id) == 0 {
			return nil
		}
		return []byte(base64.StdEncoding.EncodeToString(id))
	}
	for _, r := range message.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				span.TraceId, span.SpanId, span.ParentSpanId = asWritten(span.GetTraceId()), asWritten(span.GetSpanId()), asWritten(span.GetParentSpanId())
			}
		}
	}
	return message
}

// collector answers with statuses, one after the other and the last for ever, and keeps the bodies that it gets.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int    // guarded by mu
	bodies   [][]byte // guarded by mu
	header   http.Header
}

func startCollector(t *testing.T, statuses ...int) *collector {
	t.Helper()
	c := &collector{statuses: statuses}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/base/v1/traces" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %s %s %v", err, r.Method, r.URL, r.Header)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		status := c.statuses[0]
		if len(c.statuses) > 1 {
			c.statuses = c.statuses[1:]
		}
		c.bodies, c.header = append(c.bodies, body), r.Header
		w.WriteHeader(status)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) exporter(t *testing.T, config Config) *Exporter {
	t.Helper()
	config.Endpoint = c.URL + "/base"
	e, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closeSoon(t *testing.T, e *Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestMessage sends spans of every kind, and reads them again by the protocol's definitions.
func TestMessage(t *testing.T) {
	c := startCollector(t, 200)
	e := c.exporter(t, Config{ServiceName: "ranker", Version: "v1", Headers: map[string]string{"X-Key": "secret"}})
	begin := time.Unix(1_700_000_000, 123456789)
	own := Context{Trace: TraceID{0xab, 15: 1}, Span: SpanID{7: 2}, Flags: Sampled, State: "a=b"}
	e.Send([]Span{
		{Context: own, Parent: SpanID{7: 9}, Name: "POST /rerank", Server: true, Start: begin, End: begin.Add(time.Second), Error: "Internal",
			Attributes: []Attribute{{"s", "text \" with\nescapes é"}, {"i", int64(-1 << 62)}, {"b", false}}},
		{Context: Context{Trace: own.Trace, Span: SpanID{3}}, Name: "decode", Start: begin, End: begin},
	})
	closeSoon(t, e)
	if len(c.bodies) != 1 || c.header.Get("X-Key") != "secret" || e.Dropped() != 0 {
		t.Fatalf("%d messages, header %v, %d dropped", len(c.bodies), c.header, e.Dropped())
	}
	text := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	want := &v1.TracesData{ResourceSpans: []*v1.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
			{Key: "service.name", Value: text("ranker")}, {Key: "service.version", Value: text("v1")},
		}},
		ScopeSpans: []*v1.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: scopeName},
			Spans: []*v1.Span{{
				TraceId: []byte("ab000000000000000000000000000001"), SpanId: []byte("0000000000000002"), ParentSpanId: []byte("0000000000000009"),
				TraceState: "a=b", Flags: 1, Name: "POST /rerank", Kind: v1.Span_SPAN_KIND_SERVER,
				StartTimeUnixNano: 1_700_000_000_123456789, EndTimeUnixNano: 1_700_000_001_123456789,
				Attributes: []*commonpb.KeyValue{
					{Key: "s", Value: text("text \" with\nescapes é")},
					{Key: "i", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -1 << 62}}},
					{Key: "b", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{}}},
				},
				Status: &v1.Status{Message: "Internal", Code: v1.Status_STATUS_CODE_ERROR},
			}, {
				TraceId: []byte("ab000000000000000000000000000001"), SpanId: []byte("0300000000000000"), Name: "decode",
				Kind: v1.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: 1_700_000_000_123456789, EndTimeUnixNano: 1_700_000_000_123456789,
			}},
		}},
	}}}
	if diff := cmp.Diff(proto.Message(want), proto.Message(parse(t, c.bodies[0])), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRetry sends a message again if the collector was too busy, and drops one that it refuses.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		statuses       []int
		messages, lost int
	}{
		{[]int{503, 200}, 2, 0}, {[]int{429, 503}, 2, 1}, {[]int{400}, 1, 1}, {[]int{202}, 1, 0},
	} {
		var log strings.Builder
		got := startCollector(t, c.statuses...)
		e := got.exporter(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		e.Send([]Span{{Name: "x"}})
		closeSoon(t, e)
		if len(got.bodies) != c.messages || e.Dropped() != int64(c.lost) || strings.Contains(log.String(), "spans not sent") != (c.lost > 0) {
			t.Errorf("%v: %d messages, %d dropped, log %s", c.statuses, len(got.bodies), e.Dropped(), log.String())
		}
	}
}

// TestFull drops spans and never waits while the collector does not answer.
func TestFull(t *testing.T) {
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer stuck.Close()
	defer close(release)
	e, err := New(Config{Endpoint: stuck.URL})
	if err != nil {
		t.Fatal(err)
	}
	const senders, each = 8, 2000
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for range each {
				e.Send([]Span{{Name: "x"}})
			}
		})
	}
	group.Wait()
	if lost := e.Dropped(); lost < senders*each-queueSpans-2*messageSpans || lost > senders*each-queueSpans {
		t.Errorf("%d of %d were dropped, %d have room", lost, senders*each, queueSpans)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("closed, and nothing was sent")
	}
}

// TestBatches sends the spans of many requests in few messages, unless time passes between the requests.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(Config{Endpoint: "http://collector"})
		if err != nil {
			t.Fatal(err)
		}
		var sent []int // spans, by message
		e.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				sent = append(sent, len(parse(t, body).GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()))
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, err
		})
		const spans = 3 * messageSpans
		for range spans / 4 {
			e.Send(slices.Repeat([]Span{{Name: "x", Start: time.Now(), End: time.Now()}}, 4))
		}
		time.Sleep(2 * sendInterval) // with nothing to send
		e.Send([]Span{{Name: "last", Start: time.Now(), End: time.Now()}})
		time.Sleep(2 * sendInterval)
		e.Send([]Span{{Name: "very last", Start: time.Now(), End: time.Now()}})
		closeSoon(t, e)
		if want := []int{messageSpans, messageSpans, messageSpans, 1, 1}; !slices.Equal(sent, want) {
			t.Errorf("messages of %v spans, want %v", sent, want)
		}
	})
}

// roundTripper is a transport without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestEndpoint(t *testing.T) {
	for base, want := range map[string]string{
		"http://localhost:4318": "http://localhost:4318/v1/traces", "https://c/otlp/": "https://c/otlp/v1/traces",
		"http://[::1]:1/v1/traces": "http://[::1]:1/v1/traces",
	} {
		if got, err := endpointOf(base); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", base, got, err, want)
		}
	}
	for base, want := range map[string]string{
		"": "no http", "localhost:4318": "no http", "http://": "no http", "http://localhost:4317": "gRPC", "http://a:b@c": "user",
		"ftp://c": "no http", "http://a b": "endpoint",
	} {
		if _, err := New(Config{Endpoint: base}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", base, err, want)
		}
	}
}

func TestParent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c, ok := ParseParent([]byte(good))
	if !ok || c.Trace.String() != "4bf92f3577b34da6a3ce929d0e0e4736" || c.Span.String() != "00f067aa0ba902b7" || c.Flags != 1 {
		t.Errorf("%t %+v", ok, c)
	}
	if got := string(c.AppendParent(nil)); got != good {
		t.Errorf("%s, want %s", got, good)
	}
	if _, ok := ParseParent([]byte("cc" + good[2:] + "-what-is-to-come")); !ok {
		t.Error("a later version is not taken")
	}
	for _, wrong := range []string{
		"", good[1:], good + "-x", "ff" + good[2:], "cc" + good[2:] + "x", strings.ToUpper(good), strings.Replace(good, "-", "_", 1),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		strings.Replace(good, "4b", "4g", 1),
	} {
		if c, ok := ParseParent([]byte(wrong)); ok {
			t.Errorf("%q was taken: %+v", wrong, c)
		}
	}
}

// FuzzParent wants every accepted header to be written as it was read.
func FuzzParent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x")
	f.Fuzz(func(t *testing.T, header string) {
		if c, ok := ParseParent([]byte(header)); ok && string(c.AppendParent(nil)) != "00"+header[2:parentLength] {
			t.Errorf("%q became %s", header, c.AppendParent(nil))
		}
	})
}
