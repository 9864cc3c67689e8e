package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

const hubCommit = "0123456789abcdef0123456789abcdef01234567"

// cachedModel puts a checkpoint where "metalrank pull org/tiny" would.
func cachedModel(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	repository := filepath.Join(home, "hub", "models--org--tiny")
	if err := weightstest.Write(filepath.Join(repository, "snapshots", hubCommit), weightstest.Tiny()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(repository, "refs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repository, "refs", "main"), []byte(hubCommit), 0o644); err != nil {
		t.Fatal(err)
	}
	return home
}

// A name of the hub can be given wherever a model's folder can.
func TestModelOfTheHub(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", "")
	t.Setenv("HF_HOME", cachedModel(t))
	t.Setenv("HF_HUB_OFFLINE", "1")
	for _, args := range [][]string{
		{"info", "--model", "org/tiny"},
		{"info", "--model", "org/tiny@" + hubCommit},
		{"convert", "org/tiny", filepath.Join(t.TempDir(), "made"), "--dtype=bf16"},
	} {
		if status, _, stderr := execute(t, t.Context(), "", args...); status != 0 {
			t.Errorf("%v: status %d: %s", args, status, stderr)
		}
	}
	status, stdout, stderr := execute(t, t.Context(), "", "pull", "org/tiny")
	if want := filepath.Join("models--org--tiny", "snapshots", hubCommit) + "\n"; status != 0 || !strings.HasSuffix(stdout, want) {
		t.Errorf("pull, offline: status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	for _, args := range [][]string{{"info", "--model", "org/other"}, {"pull", "org/other"}} {
		status, _, stderr := execute(t, t.Context(), "", args...)
		if status != exitFailed || !strings.Contains(stderr, "not in the cache: org/other") {
			t.Errorf("%v: status %d, stderr %q", args, status, stderr)
		}
	}
	if _, _, stderr := execute(t, t.Context(), "", "info", "--model", "org/other"); !strings.Contains(stderr, `"metalrank pull org/other" fetches it`) {
		t.Errorf("stderr %q", stderr)
	}
}

func TestPullErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_ENDPOINT", server.URL)
	status, stdout, stderr := execute(t, t.Context(), "", "pull", "org/private")
	if status != exitFailed || stdout != "" || !strings.Contains(stderr, "set HF_TOKEN") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	if status, _, stderr := execute(t, t.Context(), "", "pull", "private"); status != exitUsage || !strings.Contains(stderr, "want OWNER/MODEL") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}
