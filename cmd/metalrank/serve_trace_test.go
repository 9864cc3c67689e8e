package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestServeTraces wants a request's spans sent, at the latest when the server stops, with the headers in the variable.
func TestServeTraces(t *testing.T) {
	var sent atomic.Value
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("X-Key") != "secret=1" {
			t.Errorf("%v %v", err, r.Header)
		}
		sent.Store(string(body))
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", " x-key = secret=1 ,")
	server := serve(t, "--listen=127.0.0.1:0", "--otlp-endpoint", collector.URL, "--otlp-service-name=ranker")
	if status := ask(t, plainClient(), "http://"+server.await(t, serving), ""); status != 200 {
		t.Errorf("status %d", status)
	}
	server.stop()
	server.awaitEnd(t)
	text, _ := sent.Load().(string)
	for _, want := range []string{`"ranker"`, `"POST /rerank"`, `"decode"`, `"tokenise"`, `"queue"`, `"batch"`, `"respond"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s was sent: %s", want, text)
		}
	}
	if _, err := readHeaders("x-key"); err == nil || strings.Contains(err.Error(), "x-key") {
		t.Errorf("%v", err)
	}
}
