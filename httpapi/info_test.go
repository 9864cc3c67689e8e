package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestInfo(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 64, Version: "1.2.3", Commit: "c0ffee", CommitDate: "2026-11-29T12:00:00Z"})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/info", ""))
	want := fmt.Sprintf(`{"model_id":"tiny-reranker","model_sha":null,"model_dtype":"float32",`+
		`"served_model_name":"tiny-reranker","model_type":{"reranker":{"id2label":{"0":"LABEL_0"},"label2id":{"LABEL_0":0}}},`+
		`"max_concurrent_requests":512,"max_input_length":512,"max_batch_tokens":4096,"max_batch_requests":null,`+
		`"max_client_batch_size":64,"auto_truncate":true,"tokenization_workers":%d,"version":"1.2.3","sha":"c0ffee",`+
		`"docker_label":null,"commit_date":"2026-11-29T12:00:00Z","backend":{"name":"fake","device":"a test"}}`, runtime.GOMAXPROCS(0))
	if got.status != 200 || got.body != want || got.header.Get("Content-Type") != contentTypeJSON {
		t.Errorf("got %d %s\nwant 200 %s", got.status, got.body, want)
	}
}

func TestInfoClassifier(t *testing.T) {
	_, address := start(t, &fakeRanker{labels: []string{"no", "maybe", "yes"}}, Config{})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/info", ""))
	want := `"model_type":{"classifier":{"id2label":{"0":"no","1":"maybe","2":"yes"},"label2id":{"maybe":1,"no":0,"yes":2}}}`
	if !strings.Contains(got.body, want) {
		t.Errorf("got %s\nwant a part %s", got.body, want)
	}
}

func TestHealth(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	for _, c := range []struct{ method, path string }{
		{"GET", "/health"}, {"HEAD", "/health"}, {"GET", "/health/"}, {"HEAD", "/info"}, {"GET", "/health?x"},
	} {
		got := send(t, address, c.method, request(c.method, c.path, ""))
		if got.status != 200 || got.body != "" || got.header.Get("Server") != "" {
			t.Errorf("%s %s: %d %q, Server %q", c.method, c.path, got.status, got.body, got.header.Get("Server"))
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string // the error, or a part of it
	}{
		{Config{}, ""},
		{Config{MaxBodyBytes: 1 << 30, MaxTexts: 1, MaxConcurrentRequests: 1 << 16, ReadTimeout: time.Millisecond}, ""},
		{Config{MaxBodyBytes: -1}, "httpapi: MaxBodyBytes is -1, want 0 (the default) or 1 to 1073741824"},
		{Config{MaxTexts: 1_000_001}, "MaxTexts is 1000001"},
		{Config{MaxConcurrentRequests: 1 << 17}, "MaxConcurrentRequests is 131072"},
		{Config{ReadTimeout: -1}, "ReadTimeout is -1ns, want 0 (the default) or 1ms to 24h0m0s"},
		{Config{WriteTimeout: time.Microsecond}, "WriteTimeout is 1µs"},
		{Config{IdleTimeout: 25 * time.Hour}, "IdleTimeout is 25h0m0s"},
	} {
		_, err := New(only{&fakeRanker{}}, c.config)
		if err == nil && c.want == "" {
			continue
		}
		if err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
	if _, err := New(nil, Config{}); err == nil {
		t.Error("New took no ranker")
	}
	if got := (Config{Logger: slog.Default()}).WithDefaults(); got.Logger != slog.Default() ||
		got.MaxBodyBytes != 16_000_000 || got.MaxTexts != 1000 || got.MaxConcurrentRequests != 512 {
		t.Errorf("defaults: %+v", got)
	}
}
