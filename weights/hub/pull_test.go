package hub

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// someFiles returns the files of a repository: those that are fetched, and others.
func someFiles() map[string]string {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 300_000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	return map[string]string{
		"config.json": `{"model_type": "bert"}`, "tokenizer.json": strings.Repeat("t", 5000), "README.md": "",
		"model.safetensors": string(random), "pytorch_model.bin": "never", "onnx/model.onnx": "never", "flax_model.msgpack": "never",
	}
}

var wanted = []string{"README.md", "config.json", "model.safetensors", "tokenizer.json"}

func settings(t *testing.T, h *fakeHub) Settings {
	t.Helper()
	return Settings{Endpoint: h.URL, Cache: filepath.Join(t.TempDir(), "hub"), Token: secret}
}

// pull is Settings.Pull without the waits between attempts.
func pull(ctx context.Context, s Settings, name string, progress func(done, total int64)) (string, error) {
	n, err := ParseName(name)
	if err != nil {
		return "", err
	}
	c, err := newClient(s)
	if err != nil {
		return "", err
	}
	c.wait = time.Millisecond
	return c.pull(ctx, n, progress)
}

// wantSnapshot compares a snapshot with the files of the hub.
func wantSnapshot(t *testing.T, dir string, h *fakeHub, names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || string(data) != h.files[e.Name()] {
			t.Errorf("%s: %d bytes, %v", e.Name(), len(data), err)
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("files %q, want %q", got, names)
	}
}

// TestPull: the cache is laid out as huggingface_hub does, files that are there are not fetched again, and the token
// stays with its host.
func TestPull(t *testing.T) {
	h := newHub(t, someFiles())
	s := settings(t, h)
	var done, total atomic.Int64
	dir, err := pull(t.Context(), s, "org/model", func(d, n int64) { done.Store(max(d, done.Load())); total.Store(n) })
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(s.Cache, "models--org--model", "snapshots", commit); dir != want {
		t.Errorf("folder %s, want %s", dir, want)
	}
	wantSnapshot(t, dir, h, wanted)
	if done.Load() != total.Load() || total.Load() != 300_000+5000+22 {
		t.Errorf("progress %d of %d", done.Load(), total.Load())
	}
	target, err := os.Readlink(filepath.Join(dir, "model.safetensors"))
	if want := filepath.Join("..", "..", "blobs", etag("model.safetensors", h.files["model.safetensors"])); err != nil || target != want {
		t.Errorf("link to %s, %v, want %s", target, err, want)
	}
	ref, err := os.ReadFile(filepath.Join(s.Cache, "models--org--model", "refs", "main"))
	if err != nil || string(ref) != commit {
		t.Errorf("refs/main is %q, %v", ref, err)
	}
	for _, name := range []string{"org/model", "org/model@main", "org/model@" + commit} {
		n, err := ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := s.Find(n); err != nil || found != dir {
			t.Errorf("Find(%s) = %s, %v", name, found, err)
		}
	}
	if _, err := pull(t.Context(), s, "org/model@refs/pr/1", nil); err != nil {
		t.Error(err)
	}
	for file, n := range h.gets {
		if n != 1 {
			t.Errorf("%s was fetched %d times", file, n)
		}
	}
	if h.leaks != 0 {
		t.Errorf("the token went to another host %d times", h.leaks)
	}
}

// Several pulls at once share one download.
func TestPullTogether(t *testing.T) {
	h := newHub(t, someFiles())
	s := settings(t, h)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			dir, err := pull(t.Context(), s, "org/model", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if data, err := os.ReadFile(filepath.Join(dir, "model.safetensors")); err != nil || string(data) != h.files["model.safetensors"] {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		})
	}
	group.Wait()
	if n := h.count("model.safetensors"); n != 1 {
		t.Errorf("the weights were fetched %d times", n)
	}
}

// TestNoLinks: on a file system without symbolic links the snapshot has the files, none is fetched twice, and a cache
// that was copied without links is used, too.
func TestNoLinks(t *testing.T) {
	h := newHub(t, someFiles())
	c, err := newClient(settings(t, h))
	if err != nil {
		t.Fatal(err)
	}
	c.symlink = func(string, string) error { return &os.LinkError{Op: "symlink", Err: syscall.EOPNOTSUPP} }
	for range 2 {
		dir, err := c.pull(t.Context(), Name{"org", "model", "main"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) == 0 {
			t.Fatal(entries, err)
		}
		for _, e := range entries {
			if data, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(data) != h.files[e.Name()] || !e.Type().IsRegular() {
				t.Errorf("%s: %v, %d bytes, %v", e.Name(), e.Type(), len(data), err)
			}
			if n := h.count(e.Name()); n > 1 {
				t.Errorf("%s was fetched %d times", e.Name(), n)
			}
		}
	}
}

// A head in modules of its own is fetched with the model: the settings of each module, and its weights in one form.
func TestPullModules(t *testing.T) {
	files := someFiles()
	files["modules.json"] = `[{"path":"","type":"Transformer"},{"path":"1_Pooling","type":"Pooling"},{"path":"2_Dense","type":"Dense"},{"path":"3_Dense"}]`
	files["1_Pooling/config.json"], files["2_Dense/config.json"], files["3_Dense/config.json"] = "{}", `{"in_features":1}`, `{"in_features":2}`
	files["2_Dense/model.safetensors"], files["2_Dense/pytorch_model.bin"], files["3_Dense/pytorch_model.bin"] = "two", "never", "three"
	h := newHub(t, files)
	dir, err := pull(t.Context(), settings(t, h), "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"1_Pooling/config.json": "{}", "2_Dense/config.json": `{"in_features":1}`, "2_Dense/model.safetensors": "two",
		"3_Dense/config.json": `{"in_features":2}`, "3_Dense/pytorch_model.bin": "three",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v, want %q", name, data, err, want)
		}
	}
	if h.gets["2_Dense/pytorch_model.bin"] != 0 {
		t.Error("both forms of a module's weights were fetched")
	}
	for _, modules := range []string{`[{"path":"../x"}]`, `[{"path":"a/b"}]`, `{}`} {
		files["modules.json"] = modules
		h := newHub(t, files)
		if _, err := pull(t.Context(), settings(t, h), "org/model", nil); err == nil || !strings.Contains(err.Error(), "modules.json") {
			t.Errorf("%s: error %v", modules, err)
		}
	}
}
