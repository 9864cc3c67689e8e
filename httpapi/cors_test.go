package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

const (
	page     = "https://page.example"
	fromPage = "Origin: " + page
)

func preflight(t *testing.T, address, path, origin string) reply {
	t.Helper()
	return send(t, address, http.MethodOptions, request(http.MethodOptions, path, "", "Origin: "+origin,
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type"))
}

// TestCORSOff allows no page to read answers.
func TestCORSOff(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	checkRefusal(t, preflight(t, address, "/rerank", page), 405, "MethodNotAllowed")
	got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON, fromPage))
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control") {
			t.Errorf("header %s: %s", name, got.header.Get(name))
		}
	}
}

// TestCORS lets pages of the allowed origins read answers and refusals, asks for no key in a preflight, and allows no
// other page.
func TestCORS(t *testing.T) {
	keys, err := NewKeys([]Key{{Name: "anne", Key: anneKey}})
	if err != nil {
		t.Fatal(err)
	}
	_, address := start(t, &fakeRanker{}, Config{Keys: keys, MaxBodyBytes: 100, CORSOrigins: []string{"http://localhost:3000", page}})
	got := preflight(t, address, "/rerank/", page)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": page, "Access-Control-Allow-Methods": "POST", "Vary": "Origin", "Access-Control-Max-Age": "7200",
	} {
		if got.status != 204 || got.body != "" || got.header.Get(name) != want {
			t.Errorf("preflight: %d %q, %s: %q, want %q", got.status, got.body, name, got.header.Get(name), want)
		}
	}
	allowed := strings.ToLower(got.header.Get("Access-Control-Allow-Headers"))
	for _, name := range []string{"authorization", "content-type", "x-api-key", "traceparent"} {
		if !strings.Contains(allowed, name) {
			t.Errorf("a page may not send %s: %s", name, allowed)
		}
	}
	if got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("a browser may add credentials")
	}
	const body = `{"query":"a","texts":["a"]}`
	for _, c := range []struct {
		body, origin, key, want string
		status                  int
	}{
		{body, page, anneKey, page, 200},
		{body, "HTTP://LOCALHOST:3000", anneKey, "HTTP://LOCALHOST:3000", 200},
		{body, page, "wrong", page, 401},
		{strings.Repeat(" ", 101), page, anneKey, page, 413},
		{body, "https://page.example.evil", anneKey, "", 200},
		{body, "http://page.example", anneKey, "", 200}, // another scheme
		{body, "null", anneKey, "", 200},
		{body, "", anneKey, "", 200},
	} {
		got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", c.body, typeJSON, "Origin: "+c.origin, "X-API-Key: "+c.key))
		if got.status != c.status || got.header.Get("Access-Control-Allow-Origin") != c.want || !strings.Contains(got.header.Get("Vary"), "Origin") {
			t.Errorf("%s with %s: %d %v, want %d and %q", c.origin, c.key, got.status, got.header, c.status, c.want)
		}
	}
	for path, origin := range map[string]string{"/rerank": "https://page.example.evil", "/nowhere": page} {
		if got := preflight(t, address, path, origin); got.status < 400 || got.header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s from %s: %d %v", path, origin, got.status, got.header)
		}
	}
	framed := request(http.MethodOptions, "/rerank", "", fromPage, "Access-Control-Request-Method: POST", "X: a\r\n b")
	if got := send(t, address, http.MethodOptions, framed); got.status != 400 {
		t.Errorf("a preflight with a continued header line: %d %s", got.status, got.body)
	}
	if got := send(t, address, http.MethodOptions, request(http.MethodOptions, "/rerank", "", fromPage)); got.status != 405 {
		t.Errorf("OPTIONS that is no preflight: %d", got.status)
	}
}

// TestCORSAny lets every page read. The header is the same for all pages, so there is no Vary.
func TestCORSAny(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{CORSOrigins: []string{"*"}})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/info", "", fromPage))
	if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Vary") != "" {
		t.Errorf("%v", got.header)
	}
	if !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "X-Request-Id") {
		t.Errorf("a page can't read the request's id: %v", got.header)
	}
}

func TestCORSOrigins(t *testing.T) {
	for _, wrong := range []string{"", "page.example", "https://", "https://a/", "https://a?b", "https://u@a", "null", "https://a b"} {
		if _, err := New(only{&fakeRanker{}}, Config{CORSOrigins: []string{wrong}}); err == nil || !strings.Contains(err.Error(), "CORSOrigins") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
