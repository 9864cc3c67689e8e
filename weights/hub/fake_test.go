package hub

import (
	"crypto/sha1" //nolint:gosec // git names content by SHA-1
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	secret = "hf_secret"
)

// fakeHub plays the hub: its answers have the statuses and headers that huggingface_hub reads. Large files are on
// another host, behind a redirect, as LFS content is.
type fakeHub struct {
	*httptest.Server

	cdn   *httptest.Server
	files map[string]string

	mu     sync.Mutex
	gets   map[string]int                                              // guarded by mu; calls of content, by file
	ranges []string                                                    // guarded by mu
	leaks  int                                                         // guarded by mu; requests to the other host with a token
	fault  func(w http.ResponseWriter, r *http.Request, f string) bool // true: it has answered
}

func newHub(t *testing.T, files map[string]string) *fakeHub {
	t.Helper()
	h := &fakeHub{files: files, gets: map[string]int{}}
	h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		if r.Header.Get("Authorization") != "" {
			h.leaks++
		}
		h.mu.Unlock()
		h.content(w, r, strings.TrimPrefix(r.URL.Path, "/signed/"))
	}))
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.cdn.Close)
	t.Cleanup(h.Server.Close)
	return h
}

func isLarge(file string) bool { return strings.HasSuffix(file, ".safetensors") }

func etag(file, content string) string {
	if isLarge(file) {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	sum := sha1.Sum([]byte("blob " + strconv.Itoa(len(content)) + "\x00" + content)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

func (h *fakeHub) serve(w http.ResponseWriter, r *http.Request) {
	if h.fault != nil && h.fault(w, r, "") {
		return
	}
	const api, resolve = "/api/models/org/model/revision/", "/org/model/resolve/" + commit + "/"
	switch {
	case r.URL.Path == api+"main" || r.URL.Path == api+commit || r.URL.EscapedPath() == api+"refs%2Fpr%2F1":
		var siblings []map[string]string
		for name := range h.files {
			siblings = append(siblings, map[string]string{"rfilename": name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings, "id": "org/model"})
	case strings.HasPrefix(r.URL.Path, resolve):
		h.resolve(w, r, strings.TrimPrefix(r.URL.Path, resolve))
	default:
		w.Header().Set("X-Error-Code", "RevisionNotFound")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (h *fakeHub) resolve(w http.ResponseWriter, r *http.Request, file string) {
	content, ok := h.files[file]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	w.Header().Set("ETag", `"`+etag(file, content)+`"`)
	if isLarge(file) {
		w.Header().Set("X-Linked-Etag", `"`+etag(file, content)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(content)))
		w.Header().Set("ETag", `"of the redirect"`)
		http.Redirect(w, r, h.cdn.URL+"/signed/"+file, http.StatusFound)
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		return
	}
	h.content(w, r, file)
}

// content sends a file, or the range that was asked for.
func (h *fakeHub) content(w http.ResponseWriter, r *http.Request, file string) {
	h.mu.Lock()
	h.gets[file]++
	if v := r.Header.Get("Range"); v != "" {
		h.ranges = append(h.ranges, v)
	}
	h.mu.Unlock()
	if h.fault != nil && h.fault(w, r, file) {
		return
	}
	http.ServeContent(w, r, file, time.Time{}, strings.NewReader(h.files[file]))
}

// cut sends the first n bytes of the range that was asked for, and then breaks the connection.
func (h *fakeHub) cut(w http.ResponseWriter, r *http.Request, file string, n int) {
	content, from := h.files[file], 0
	if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, _ = strconv.Atoi(strings.TrimSuffix(v, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write([]byte(content[from:min(from+n, len(content))]))
	panic(http.ErrAbortHandler)
}

// count returns how often the content of a file was asked for.
func (h *fakeHub) count(file string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gets[file]
}
