package main

import (
	"net/http"
	"strings"
	"testing"
)

const wrkOutput = `Running 3s test @ http://127.0.0.1:1/rerank
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   702.20us    0.92ms  21.01ms   91.36%
  Latency Distribution
     50%  425.00us
     75%    0.90ms
     99%    4.49ms
  160303 requests in 3.00s, 32.41MB read
Requests/sec:  53434.35
Transfer/sec:     10.80MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkOutput)
	if want := (measurement{rate: 53434.35, requests: 160303, p50: 425}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := parseWrk(strings.Replace(wrkOutput, "425.00us", "1.50ms", 1)); err != nil || got.p50 != 1500 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, broken := range []string{
		"", strings.Replace(wrkOutput, "Requests/sec", "x", 1), strings.Replace(wrkOutput, "50%", "51%", 1),
		wrkOutput + "  Non-2xx or 3xx responses: 5\n", wrkOutput + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
	} {
		if _, err := parseWrk(broken); err == nil {
			t.Errorf("no error for %q", broken)
		}
	}
}

// TestServers wants both servers to answer every workload alike.
func TestServers(t *testing.T) {
	for _, w := range workloads() {
		s, err := startServers(t.Context(), &w)
		if err != nil {
			t.Fatal(err)
		}
		want := string(s.answer)
		s.ours = s.bare
		if _, err := s.ask(t.Context(), &w); err != nil || string(s.answer) != want || len(want) < 20 {
			t.Errorf("%s: %v; bare: %s\nours: %s", w.name, err, s.answer, want)
		}
		http.DefaultClient.CloseIdleConnections()
		s.stop()
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("%g", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("%g", got)
	}
}
