package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// svgNamespace is a name and no address: no request goes to it.
const svgNamespace = "http://www.w3.org/2000/svg"

// TestHomeNegotiation wants GET / to be a page for browsers, and to stay an empty answer for programs.
func TestHomeNegotiation(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	for accept, page := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/json, */*;q=0.5": false, "text/plain": false, "text/*": false,
		"application/json, text/plain, */*": false, "text/html;q=0": false, "text/html;q=0.0, */*": false, "text/html;q=x": false,
		"text/html;q=0.8, application/json": false, "texthtml": false,
		"text/html": true, "TEXT/HTML ; charset=utf-8; q=0.1": true, "application/json, text/html": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": true,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := send(t, address, method, request(method, "/", "", "Accept: "+accept))
			html := strings.HasPrefix(got.header.Get("Content-Type"), "text/html")
			if got.status != 200 || html != page || got.header.Get("Vary") != "Accept" || (got.body != "") != (page && method == http.MethodGet) {
				t.Errorf("%s, Accept %q: %d %v, %d bytes", method, accept, got.status, got.header, len(got.body))
			}
		}
	}
	if got := rerank(t, address, `{"query":"a","texts":["a"]}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// maxPageBytes is the most bytes of the page: it is for a look at a server, and not an application.
const maxPageBytes = 40_000

// TestPagePolicies wants the policy of each page to allow its own style and script and nothing else, and the page to
// be whole.
func TestPagePolicies(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	for path, scripts := range map[string]int{"/": 1, "/docs": 0} {
		got := send(t, address, http.MethodGet, request(http.MethodGet, path, "", "Accept: text/html"))
		policy := got.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in %q", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for element, want := range map[string]int{"style": 1, "script": scripts} {
			inline := regexp.MustCompile(`(?s)<`+element+`\b[^>]*>(.*?)</`+element+`>`).FindAllStringSubmatch(got.body, -1)
			if len(inline) != want || strings.Count(policy, element+"-src") != want {
				t.Errorf("%s: %d of %s, want %d; policy %q", path, len(inline), element, want, policy)
			}
			for _, one := range inline {
				hash := sha256.Sum256([]byte(one[1]))
				if source := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(policy, source) {
					t.Errorf("%s: no %s in %q", path, source, policy)
				}
			}
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got.header.Get(name), want)
			}
		}
		checkSelfContained(t, path, got.body)
	}
}

func checkSelfContained(t *testing.T, path, html string) {
	t.Helper()
	if path == "/" && len(html) > maxPageBytes {
		t.Errorf("%s has %d bytes, want %d at most", path, len(html), maxPageBytes)
	}
	rest := strings.ReplaceAll(html, svgNamespace, "")
	for _, not := range []string{"http:", "https:", "//cdn", " style=", " onclick=", "innerHTML", "{{"} {
		if strings.Contains(rest, not) {
			t.Errorf("%s has %q in it", path, not)
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
		t.Errorf("%s is not whole", path)
	}
}

// TestHomeSettings wants the page to know whether a key is asked for, and whether it can read metrics.
func TestHomeSettings(t *testing.T) {
	keys, err := NewKeys([]Key{{Name: "a", Key: "a-secret-of-sixteen"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, `data-keys="none" data-metrics="public"`},
		{Config{Keys: keys}, `data-keys="wanted" data-metrics="public"`},
		{Config{PrivateMetrics: true}, `data-keys="none" data-metrics="private"`},
	} {
		_, address := start(t, &fakeRanker{}, c.config)
		got := send(t, address, http.MethodGet, request(http.MethodGet, "/", "", "Accept: text/html"))
		if got.status != 200 || !strings.Contains(got.body, c.want) || strings.Contains(got.body, "a-secret") {
			t.Errorf("%d, no %s in the page", got.status, c.want)
		}
	}
}

// TestProse wants text in backquotes to become code, and all markup to be escaped.
func TestProse(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a < b": "a &lt; b", "with `texts`, an array": "with <code>texts</code>, an array", "`<b>`": "<code>&lt;b&gt;</code>",
	} {
		if got := string(prose(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
