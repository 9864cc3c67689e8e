package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine"
)

const (
	anneKey = "sk-anne-0123456789"
	benKey  = "sk-ben-/+=:9876543210"
)

func startWithKeys(t *testing.T, model Model, logger *slog.Logger) (keys *Keys, address string) {
	t.Helper()
	keys, err := NewKeys([]Key{{Name: "anne", Key: anneKey}, {Name: "ben", Key: benKey}})
	if err != nil {
		t.Fatal(err)
	}
	_, address = start(t, model, Config{Keys: keys, Logger: logger})
	return keys, address
}

// TestKeys sends all sorts of headers, and checks the client that the engine gets.
func TestKeys(t *testing.T) {
	var client string
	var log lockedBuffer
	_, address := startWithKeys(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		client = o.Client
		return rankByWords(q, d, o), nil
	}}, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, c := range []struct{ header, client string }{
		{"Authorization: Bearer " + anneKey, "anne"},
		{"authorization: bearer  " + benKey, "ben"},
		{"Authorization: " + anneKey, "anne"}, // as LlamaIndex sends it
		{"X-API-Key: " + benKey, "ben"},
		{"X-Api-Key: nobody\r\nAuthorization: Bearer " + anneKey, "anne"}, // of a proxy that has keys of its own
		{"Authorization: Bearer " + anneKey + "0", ""},
		{"Authorization: Bearer " + anneKey[1:], ""},
		{"Authorization: Bearer anne", ""},
		{"Authorization: Basic " + anneKey, ""},
		{"Authorization: Bearer", ""},
		{"Authorization: ", ""},
		{"X-API-Key: " + strings.Repeat("x", 4000), ""},
		{"X-Nothing: 1", ""},
	} {
		client = ""
		got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON, c.header))
		if c.client == "" {
			checkRefusal(t, got, 401, "Unauthorized")
			if got.header.Get("WWW-Authenticate") != `Bearer realm="metalrank"` {
				t.Errorf("%s: %v", c.header, got.header)
			}
		} else if got.status != 200 {
			t.Errorf("%s: %d %s", c.header, got.status, got.body)
		}
		if client != c.client {
			t.Errorf("%s: the engine's client is %q, want %q", c.header, client, c.client)
		}
	}
	scraped := scrape(t, address, "X-API-Key: "+anneKey)
	expect(t, scraped, `metalrank_http_requests_total{key="anne",path="/rerank",status="200"} 3`,
		`metalrank_http_requests_total{key="ben",path="/rerank",status="200"} 2`,
		`metalrank_http_requests_total{key="",path="/rerank",status="401"} 8`)
	for _, secret := range []string{anneKey, benKey} {
		if strings.Contains(log.String(), secret) || strings.Contains(strings.Join(scraped, "\n"), secret) {
			t.Errorf("a key is in the log or the metrics: %s", log.String())
		}
	}
}

// TestKeysGuard wants every path that a model answers to require a key, and no other path.
func TestKeysGuard(t *testing.T) {
	s, err := New(only{&fakeRanker{}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, address := startWithKeys(t, &fakeRanker{}, nil)
	for path, methods := range s.routes {
		for method := range methods {
			got := send(t, address, method, request(method, path, ""))
			if want := method == http.MethodPost || path == "/info" || strings.Contains(path, "/models"); (got.status == 401) != want {
				t.Errorf("%s %s without a key: %d, want 401: %t", method, path, got.status, want)
			}
		}
	}
	// The document says so.
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/openapi.json", ""))
	if strings.Count(got.body, `"security":[{"Bearer":[]},{"XAPIKey":[]}]`) < 15 || strings.Contains(got.body, "$SECURITY") {
		t.Error("the OpenAPI document doesn't ask for keys")
	}
}

// TestReplaceKeys replaces keys under load: no request with a key that is there before and after is refused.
func TestReplaceKeys(t *testing.T) {
	keys, address := startWithKeys(t, &fakeRanker{}, nil)
	ask := func(key string) int {
		return send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON, "X-API-Key: "+key)).status
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if status := ask(anneKey); status != 200 {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	for i := range 200 {
		if err := keys.Replace([]Key{{Name: "new", Key: fmt.Sprintf("%016d", i)}, {Name: "anne", Key: anneKey}}); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if old, now := ask(benKey), ask("0000000000000199"); old != 401 || now != 200 {
		t.Errorf("a key that was taken away: %d; a new one: %d", old, now)
	}
	for _, wrong := range [][]Key{
		nil, {{Name: "x", Key: "short"}}, {{Name: "a", Key: anneKey}, {Name: "b", Key: anneKey}}, {{Name: "a b", Key: anneKey}},
		{{Name: "a", Key: anneKey, Concurrency: -1}}, {{Name: "a", Key: anneKey, Share: 17}},
		{{Name: "a", Key: anneKey, Concurrency: 1}, {Name: "a", Key: benKey, Concurrency: 2}},
	} {
		if err := keys.Replace(wrong); err == nil || strings.Contains(err.Error(), anneKey) || ask(anneKey) != 200 {
			t.Errorf("%v was taken, or named, or replaced what was there: %v", wrong, err)
		}
	}
}

func TestReadKeys(t *testing.T) {
	got, err := ReadKeys(strings.NewReader("\n# who\r\n anne : " + anneKey + " \r\nben:" + benKey + "\tshare=.5  concurrency=8"))
	if diff := cmp.Diff([]Key{{Name: "anne", Key: anneKey}, {Name: "ben", Key: benKey, Concurrency: 8, Share: .5}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	const secret = "the-secret-itself"
	for _, c := range []struct{ text, want string }{
		{"anne:" + anneKey + "\n" + secret, "line 2: no colon"},
		{secret + ":ben", "line 1: the key has 3 bytes, want 16 to 512"}, // the wrong way round
		{":" + secret, "line 1: the name has 0 bytes"},
		{"a/b:" + secret, "line 1: the name"},
		{"\n\na:" + secret + " and more", "line 3: the key has white space in it"},
		{"a:" + secret + " concurrency=x", "line 1: concurrency has a value that is no number above 0"},
		{"a:" + secret + " concurrency=0", "line 1: concurrency has a value that is no number above 0"},
		{"a:" + secret + " concurrency=70000", "line 1: concurrency is 70000, want 1 to 65536"},
		{"a:" + secret + " share=NaN", "line 1: share is NaN, want 1/16 to 16"},
		{"a:" + secret + " share=20", "line 1: share is 20, want 1/16 to 16"},
		{"a:" + secret + "é", "line 1: the key has white space in it, or what isn't ASCII"},
		{"a:" + strings.Repeat(secret, 31), "line 1: the key has 527 bytes"},
		{"#\n" + strings.Repeat(secret, 100), "line 2 is longer than 1024 bytes"},
	} {
		if _, err := ReadKeys(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, []Key{{Name: "anne", Key: anneKey}}); strings.Contains(text, anneKey) {
			t.Errorf("%s prints a key: %s", format, text)
		}
	}
}

// TestKeyLimits refuses a request over the limit of a name, with any key of the name, and no other name's. Replaced
// limits apply at once, and count the requests in flight.
func TestKeyLimits(t *testing.T) {
	const otherKey = "sk-anne-other-0123456789"
	limited := func(concurrency int) []Key {
		return []Key{
			{Name: "anne", Key: anneKey, Concurrency: concurrency, Share: 4}, {Name: "anne", Key: otherKey}, {Name: "ben", Key: benKey},
		}
	}
	keys, err := NewKeys(limited(2))
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan engine.Options), make(chan struct{})
	_, address := start(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		entered <- o
		<-release
		return rankByWords(q, d, o), nil
	}}, Config{Keys: keys})
	ask := func(key string) reply {
		return send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a","b"]}`, typeJSON, "X-API-Key: "+key))
	}
	var group sync.WaitGroup
	begin := func(key, name string, share float64) {
		t.Helper()
		group.Go(func() {
			if got := ask(key); got.status != 200 {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		})
		if o := <-entered; o.Client != name || o.ClientWeight != share {
			t.Errorf("the engine's client is %q with weight %g, want %q with %g", o.Client, o.ClientWeight, name, share)
		}
	}
	refused := func(key, want string) {
		t.Helper()
		got := ask(key)
		checkRefusal(t, got, 429, "Overloaded")
		if !strings.Contains(got.body, want) || got.header.Get("Retry-After") != "1" {
			t.Errorf("%v %s, want %q", got.header, got.body, want)
		}
	}
	begin(anneKey, "anne", 4)
	begin(otherKey, "anne", 4)
	refused(anneKey, `2 requests with API keys of \"anne\" are under way, which is their limit`)
	refused(otherKey, "2 requests")
	begin(benKey, "ben", 0)
	if err := keys.Replace(limited(3)); err != nil {
		t.Fatal(err)
	}
	begin(anneKey, "anne", 4)
	refused(anneKey, "3 requests")
	expect(t, scrape(t, address, "X-API-Key: "+anneKey), `metalrank_key_requests_under_way{key="anne"} 3`, `metalrank_key_requests_under_way{key="ben"} 1`)
	close(release)
	group.Wait()
	expect(t, scrape(t, address, "X-API-Key: "+anneKey), `metalrank_key_requests_under_way{key="anne"} 0`, `metalrank_key_requests_refused_total{key="anne"} 3`,
		`metalrank_key_requests_refused_total{key="ben"} 0`, `metalrank_key_pairs_total{key="anne"} 6`, `metalrank_key_tokens_total{key="anne"} 6`, `metalrank_key_operations_total{key="anne"} 2.1e+10`,
		`metalrank_http_requests_total{key="anne",path="/rerank",status="429"} 3`)
}

// FuzzReadKeys wants every key that is read to be valid.
func FuzzReadKeys(f *testing.F) {
	f.Add("anne:" + anneKey + "\n#\nben:" + benKey)
	f.Add("no colon")
	f.Add("anne:" + anneKey + " concurrency=3 share=1e1")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ReadKeys(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, key := range keys {
			if err := key.check(); err != nil {
				t.Errorf("%q was read: %v", text, err)
			}
			if k, err := NewKeys([]Key{key}); err != nil {
				t.Error(err)
			} else if a, ok := k.find([]byte(key.Key)); !ok || a.name != key.Name {
				t.Errorf("%q is not found again", text)
			}
		}
		if slices.Contains(keys, Key{}) {
			t.Errorf("%q gave an empty key", text)
		}
	})
}
