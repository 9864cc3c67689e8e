package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOffline(t *testing.T) {
	h := newHub(t, someFiles())
	s := settings(t, h)
	s.Offline = true
	n := Name{"org", "model", "main"}
	if _, err := s.Pull(t.Context(), n, nil, nil); !errors.Is(err, ErrNotCached) {
		t.Errorf("%v, want ErrNotCached", err)
	}
	if dir, err := pull(t.Context(), s, "org/model", nil); err != nil {
		t.Fatal(err)
	} else if again, err := s.Pull(t.Context(), n, nil, nil); err != nil || again != dir {
		t.Errorf("%s, %v", again, err)
	}
	ref := filepath.Join(s.Cache, "models--org--model", "refs", "main")
	if err := os.WriteFile(ref, []byte("../../elsewhere"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(n); err == nil || !strings.Contains(err.Error(), "want 40 hexadecimal digits") {
		t.Errorf("a ref that is a path: %v", err)
	}
}

// TestUnreachable: the cache is used where the hub doesn't answer or refuses, unless it answers that there is no such
// revision.
func TestUnreachable(t *testing.T) {
	h := newHub(t, someFiles())
	s, n := settings(t, h), Name{"org", "model", "main"}
	answer := func(status int, code string) {
		h.fault = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("X-Error-Code", code)
			w.WriteHeader(status)
			return true
		}
	}
	answer(404, "RepoNotFound")
	if _, err := s.Pull(t.Context(), n, nil, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("with nothing cached: %v", err)
	}
	h.fault = nil
	dir, err := pull(t.Context(), s, "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, want error) {
		t.Helper()
		var warned error
		again, err := s.Pull(t.Context(), n, nil, func(reason error) { warned = reason })
		if !errors.Is(err, want) || err == nil && (again != dir || warned == nil) {
			t.Errorf("%s: %s, %v, warned of %v", what, again, err, warned)
		}
	}
	answer(500, "")
	try("500", nil)
	answer(401, "GatedRepo")
	try("gated", nil)
	answer(404, "RevisionNotFound")
	try("no such revision", ErrNotFound)
	h.fault = nil
	h.Close()
	try("gone", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Pull(ctx, n, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
