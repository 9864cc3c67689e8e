package hub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A download that is cut again and again is resumed where it broke, in the same call and in a later one.
func TestPullResumes(t *testing.T) {
	h := newHub(t, someFiles())
	s := settings(t, h)
	h.fault = func(w http.ResponseWriter, r *http.Request, file string) bool {
		if file == "model.safetensors" && r.Header.Get("Range") != "bytes=240000-" {
			h.cut(w, r, file, 60_000)
		}
		return false
	}
	dir, err := pull(t.Context(), s, "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, dir, h, wanted)
	if want := []string{"bytes=60000-", "bytes=120000-", "bytes=180000-", "bytes=240000-"}; !slices.Equal(h.ranges, want) {
		t.Errorf("ranges %q, want %q", h.ranges, want)
	}

	s = settings(t, h) // an empty cache
	h.ranges = nil
	ctx, cancel := context.WithCancel(t.Context())
	h.fault = func(w http.ResponseWriter, r *http.Request, file string) bool {
		if file == "model.safetensors" {
			h.cut(w, r, file, 100_000)
		}
		return false
	}
	if _, err := pull(ctx, s, "org/model", func(done, _ int64) {
		if done > 150_000 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Find(Name{"org", "model", "main"}); !errors.Is(err, ErrNotCached) {
		t.Errorf("half of it is found: %v", err)
	}
	h.fault = nil
	before := len(h.ranges)
	if dir, err = pull(t.Context(), s, "org/model", nil); err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, dir, h, wanted)
	if len(h.ranges) != before+1 {
		t.Errorf("ranges %q", h.ranges)
	}
}

// A download starts again if the server does not resume it at the end of the file.
func TestPullStartsAgain(t *testing.T) {
	for name, fault := range map[string]func(h *fakeHub, w http.ResponseWriter, r *http.Request) bool{
		"no ranges": func(h *fakeHub, w http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Range")
			return false
		},
		"416": func(_ *fakeHub, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		},
		"other range": func(h *fakeHub, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", "bytes 0-299999/300000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(h.files["model.safetensors"]))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, someFiles())
			var first atomic.Bool
			h.fault = func(w http.ResponseWriter, r *http.Request, file string) bool {
				if file != "model.safetensors" {
					return false
				}
				if first.CompareAndSwap(false, true) {
					h.cut(w, r, file, 70_000)
				}
				return fault(h, w, r)
			}
			dir, err := pull(t.Context(), settings(t, h), "org/model", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantSnapshot(t, dir, h, wanted)
		})
	}
}

func TestPullErrors(t *testing.T) {
	status := func(code int, header ...string) func(*fakeHub, http.ResponseWriter, string) bool {
		return func(_ *fakeHub, w http.ResponseWriter, _ string) bool {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(code)
			return true
		}
	}
	onWeights := func(f func(h *fakeHub, w http.ResponseWriter)) func(*fakeHub, http.ResponseWriter, string) bool {
		return func(h *fakeHub, w http.ResponseWriter, file string) bool {
			if file != "model.safetensors" {
				return false
			}
			f(h, w)
			return true
		}
	}
	for _, c := range []struct {
		name, pull string
		fault      func(*fakeHub, http.ResponseWriter, string) bool
		want       string
		kind       error
	}{
		{"401", "org/model", status(401), "no such repository, or a private one: set HF_TOKEN", ErrDenied},
		{"403", "org/model", status(403), "the token does not allow this", ErrDenied},
		{"gated", "org/model", status(403, "X-Error-Code", "GatedRepo"), "is gated: ask for access", ErrDenied},
		{"404", "org/other", nil, "no such revision", ErrNotFound},
		{"500", "org/model", status(500), "500 Internal Server Error (5 attempts)", nil},
		{"teapot", "org/model", status(418), "418", nil},
		{"not JSON", "org/model", func(_ *fakeHub, w http.ResponseWriter, _ string) bool {
			_, _ = w.Write([]byte("<html>"))
			return true
		}, "list of files: ", nil},
		{"no commit", "org/model", func(_ *fakeHub, w http.ResponseWriter, _ string) bool {
			_, _ = w.Write([]byte(`{"sha": "../../evil", "siblings": []}`))
			return true
		}, `commit "../../evil", want 40 hexadecimal digits`, nil},
		{"wrong content", "org/model", onWeights(func(h *fakeHub, w http.ResponseWriter) {
			_, _ = w.Write([]byte(strings.Repeat("x", 300_000)))
		}), "model.safetensors: hash ", ErrDamaged},
		{"longer", "org/model", onWeights(func(h *fakeHub, w http.ResponseWriter) {
			_, _ = w.Write([]byte(h.files["model.safetensors"] + "more"))
		}), "longer than announced", ErrDamaged},
		{"always cut", "org/model", onWeights(func(h *fakeHub, w http.ResponseWriter) {
			panic(http.ErrAbortHandler)
		}), "(5 attempts)", nil},
		{"bad name", "model", nil, `name "model", want OWNER/MODEL`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, someFiles())
			if c.fault != nil {
				h.fault = func(w http.ResponseWriter, _ *http.Request, file string) bool { return c.fault(h, w, file) }
			}
			s := settings(t, h)
			_, err := pull(t.Context(), s, c.pull, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the token is in the error: %v", err)
			}
			if _, err := s.Find(Name{"org", "model", "main"}); !errors.Is(err, ErrNotCached) {
				t.Errorf("it is found after the failure: %v", err)
			}
		})
	}
}

// A server that is busy for a moment is asked again.
func TestPullRetries(t *testing.T) {
	h := newHub(t, someFiles())
	var mu sync.Mutex
	asked := map[string]int{}
	h.fault = func(w http.ResponseWriter, r *http.Request, file string) bool {
		mu.Lock()
		defer mu.Unlock()
		request := r.Method + r.URL.Path + file
		if asked[request]++; asked[request] > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	dir, err := pull(t.Context(), settings(t, h), "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, dir, h, wanted)
}
