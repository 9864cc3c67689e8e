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
	keys, err := NewKeys([]Key{{"anne", anneKey}, {"ben", benKey}})
	if err != nil {
		t.Fatal(err)
	}
	_, address = start(t, model, Config{Keys: keys, Logger: logger})
	return keys, address
}

// TestKeys asks with all sorts of headers, and looks at whose request the engine thinks it is.
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
	scraped := scrape(t, address)
	expect(t, scraped, `metalrank_http_requests_total{key="anne",path="/rerank",status="200"} 3`,
		`metalrank_http_requests_total{key="ben",path="/rerank",status="200"} 2`,
		`metalrank_http_requests_total{key="",path="/rerank",status="401"} 8`)
	for _, secret := range []string{anneKey, benKey} {
		if strings.Contains(log.String(), secret) || strings.Contains(strings.Join(scraped, "\n"), secret) {
			t.Errorf("a key is in the log or the metrics: %s", log.String())
		}
	}
}

// TestKeysGuard wants a key for whatever a model answers, and none for the rest.
func TestKeysGuard(t *testing.T) {
	s, err := New(only{&fakeRanker{}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, address := startWithKeys(t, &fakeRanker{}, nil)
	for path, methods := range s.routes {
		for method := range methods {
			got := send(t, address, method, request(method, path, ""))
			if want := method == http.MethodPost || path == "/info"; (got.status == 401) != want {
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
		if err := keys.Replace([]Key{{"new", fmt.Sprintf("%016d", i)}, {"anne", anneKey}}); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if old, now := ask(benKey), ask("0000000000000199"); old != 401 || now != 200 {
		t.Errorf("a key that was taken away: %d; a new one: %d", old, now)
	}
	for _, wrong := range [][]Key{nil, {{"x", "short"}}, {{"a", anneKey}, {"b", anneKey}}, {{"a b", anneKey}}} {
		if err := keys.Replace(wrong); err == nil || strings.Contains(err.Error(), anneKey) || ask(anneKey) != 200 {
			t.Errorf("%v was taken, or named, or replaced what was there: %v", wrong, err)
		}
	}
}

func TestReadKeys(t *testing.T) {
	got, err := ReadKeys(strings.NewReader("\n# who\r\n anne : " + anneKey + " \r\nben:" + benKey))
	if diff := cmp.Diff([]Key{{"anne", anneKey}, {"ben", benKey}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	const secret = "the-secret-itself"
	for _, c := range []struct{ text, want string }{
		{"anne:" + anneKey + "\n" + secret, "line 2 has no colon"},
		{secret + ":ben", "line 1: the key has 3 bytes, want 16 to 512"}, // the wrong way round
		{":" + secret, "line 1: the name has 0 bytes"},
		{"a/b:" + secret, "line 1: the name"},
		{"\n\na:" + secret + " and more", "line 3: the key has white space in it"},
		{"a:" + secret + "é", "line 1: the key has white space in it, or what isn't ASCII"},
		{"a:" + strings.Repeat(secret, 31), "line 1: the key has 527 bytes"},
		{"#\n" + strings.Repeat(secret, 100), "line 2 is longer than 1024 bytes"},
	} {
		if _, err := ReadKeys(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, []Key{{"anne", anneKey}}); strings.Contains(text, anneKey) {
			t.Errorf("%s prints a key: %s", format, text)
		}
	}
}

// FuzzReadKeys wants whatever is read to be fit for use.
func FuzzReadKeys(f *testing.F) {
	f.Add("anne:" + anneKey + "\n#\nben:" + benKey)
	f.Add("no colon")
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
			} else if name, ok := k.find([]byte(key.Key)); !ok || name != key.Name {
				t.Errorf("%q is not found again", text)
			}
		}
		if slices.Contains(keys, Key{}) {
			t.Errorf("%q gave an empty key", text)
		}
	})
}
