package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// TestPublicMetrics shows the names of keys to clients with a key, and sums to all others.
func TestPublicMetrics(t *testing.T) {
	const alice, bob = "alice's-own-secret-key", "bob's-own-secret-key"
	keys, err := NewKeys([]Key{{Name: "alice", Key: alice}, {Name: "bob", Key: bob}})
	if err != nil {
		t.Fatal(err)
	}
	_, address := start(t, &fakeRanker{}, Config{Keys: keys})
	body := `{"query":"a","texts":["b"]}`
	for _, key := range []string{alice, bob, bob, "nobody's"} {
		send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON, "X-Api-Key: "+key))
	}
	metrics := func(extra ...string) string {
		return send(t, address, http.MethodGet, request(http.MethodGet, "/metrics", "", extra...)).body
	}
	for _, got := range []string{metrics(), metrics("X-Api-Key: wrong"), metrics("Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")} {
		if strings.Contains(got, "alice") || strings.Contains(got, "bob") || strings.Contains(got, clientMetricPrefix) {
			t.Errorf("names of keys, without a key:\n%s", got)
		}
	}
	expect(t, scrape(t, address), `metalrank_http_requests_total{key="",path="/rerank",status="200"} 3`, `metalrank_http_requests_total{key="",path="/rerank",status="401"} 1`)
	expect(t, scrape(t, address, "Authorization: Bearer "+alice), `metalrank_http_requests_total{key="bob",path="/rerank",status="200"} 2`, `metalrank_key_pairs_total{key="alice"} 1`)
}
