package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestAdmin has metrics and profiles on a listener of their own, and nowhere else.
func TestAdmin(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{PrivateMetrics: true})
	admin := s.NewAdmin(AdminConfig{Profiles: true})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- admin.Serve(ln) }()
	get := func(address, path string) reply {
		t.Helper()
		return send(t, address, http.MethodGet, request(http.MethodGet, path, "", "Connection: close"))
	}
	private := ln.Addr().String()
	rerank(t, address, `{"query":"a","texts":["b"]}`)
	expect(t, scrape(t, private), `metalrank_http_requests_total{key="",path="/rerank",status="200"} 1`)
	if got := get(private, "/debug/pprof/goroutine?debug=1"); got.status != 200 || !strings.Contains(got.body, "goroutine profile") {
		t.Errorf("%d %s", got.status, got.body)
	}
	checkRefusal(t, get(private, "/rerank"), 404, "NotFound")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		checkRefusal(t, get(address, path), 404, "NotFound")
	}
	if _, ok := readDocument(t, address).Paths["/metrics"]; ok {
		t.Error("the OpenAPI document has /metrics, which is elsewhere")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	checkRefusal(t, get(private, "/readyz"), 503, "Unhealthy")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := admin.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestRequestID has an id in every answer: the client's, unless that is none.
func TestRequestID(t *testing.T) {
	var log lockedBuffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	_, address := start(t, &fakeRanker{}, Config{Logger: logger, AccessLogShare: 1, MaxBodyBytes: 100})
	long := strings.Repeat("x", maxRequestIDBytes)
	for id, want := range map[string]string{
		"abc-1": "abc-1", long: long, "": "ID", "a b": "ID", long + "x": "ID", "caf\xe9": "ID",
	} {
		for _, body := range []string{`{"query":"a","texts":["b"]}`, `{`, strings.Repeat(" ", 101)} {
			got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON, headerRequestID+": "+id))
			if value := got.header.Get(headerRequestID); value != want {
				t.Errorf("%q, body %q: the answer has id %q, want %q", id, body, value, want)
			}
		}
	}
	until(t, "not every request has a line", func() bool { return strings.Count(log.String(), `"msg":"request"`) >= 18 }) // written after the answer
	if text := log.String(); strings.Count(text, `"level":"INFO","msg":"request"`) != 18 || strings.Count(text, `"requestID":"abc-1"`) != 3 {
		t.Errorf("log: %s", text)
	}
}

// TestAccessLogShare has lines for about the share of requests that is asked for.
func TestAccessLogShare(t *testing.T) {
	var log lockedBuffer
	_, address := start(t, &fakeRanker{}, Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), AccessLogShare: 0.5})
	const requests = 400
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range requests {
		response, err := client.Get("http://" + address + "/health")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if n := strings.Count(log.String(), "msg=request"); n < requests/4 || n > requests*3/4 { // ten standard deviations
		t.Errorf("%d lines for %d requests", n, requests)
	}
	for _, share := range []float64{-1, 1.5} {
		if _, err := New(only{&fakeRanker{}}, Config{AccessLogShare: share}); err == nil || !strings.Contains(err.Error(), "AccessLogShare") {
			t.Errorf("share %g: %v", share, err)
		}
	}
}
