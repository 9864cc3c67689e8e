package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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

func TestPullShards(t *testing.T) {
	files := map[string]string{
		"config.json": "{}", "a.safetensors": "first", "b.safetensors": "second",
		"model.safetensors.index.json": `{"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"a.safetensors"}}`,
	}
	h := newHub(t, files)
	dir, err := pull(t.Context(), settings(t, h), "org/model", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, dir, h, slices.Sorted(maps.Keys(files)))
	for _, bad := range []string{"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", `a\b.safetensors`, "c:x.bin", "x.py", ""} {
		if _, err := parseShards(fmt.Appendf(nil, `{"weight_map":{"x":%q}}`, bad)); err == nil {
			t.Errorf("shard %q is taken", bad)
		}
	}
}

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

func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"org/model":               {"org", "model", "main"},
		"A-b.c/x_y@v1.0":          {"A-b.c", "x_y", "v1.0"},
		"org/model@refs/pr/1":     {"org", "model", "refs/pr/1"},
		"org/model@" + commit:     {"org", "model", commit},
		"cross-encoder/ms-L-6-v2": {"cross-encoder", "ms-L-6-v2", "main"},
	} {
		if got, err := ParseName(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", "model", "a/b/c", "../model", "org/..", "org/model@../x", "org/model@a//b", "org/mo--del", "org/model@", "org/.git",
		"org/model@a/.b", "org/model@x/", "/model", "org/", "org/mo del", "org/model@\n", "org/" + strings.Repeat("x", 97),
	} {
		if got, err := ParseName(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, got)
		}
	}
}

// TestFromEnvironment has the values of huggingface_hub 2.4.0: constants.py and get_token under each environment.
func TestFromEnvironment(t *testing.T) {
	home := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(".cache/huggingface/token", "hf_default\n")
	write("h/token", " hf_of\r\n_home \n")
	write("elsewhere", "hf_elsewhere")
	at := func(path string) string { return filepath.Join(home, filepath.FromSlash(path)) }
	const endpoint = "https://huggingface.co"
	usual := Settings{endpoint, at(".cache/huggingface/hub"), "hf_default", false}
	with := func(change func(*Settings)) Settings { s := usual; change(&s); return s }
	cache := func(path string) Settings { return with(func(s *Settings) { s.Cache = path }) }
	token := func(token string) Settings { return with(func(s *Settings) { s.Token = token }) }
	for env, want := range map[string]Settings{
		"":                                           usual,
		"HF_ENDPOINT=http://mirror/":                 with(func(s *Settings) { s.Endpoint = "http://mirror" }),
		"HF_HOME=~/h":                                {endpoint, at("h/hub"), "hf_of_home", false},
		"HF_HOME=$HOME/h":                            {endpoint, at("h/hub"), "hf_of_home", false},
		"HF_HOME=${HOME}/h XDG_CACHE_HOME=/x":        {endpoint, at("h/hub"), "hf_of_home", false},
		"XDG_CACHE_HOME=/x":                          {endpoint, filepath.FromSlash("/x/huggingface/hub"), "", false},
		"XDG_CACHE_HOME=~/x":                         {endpoint, at("x/huggingface/hub"), "", false},
		"HF_HUB_CACHE=/c":                            cache("/c"),
		"HF_HUB_CACHE=~/c":                           cache(at("c")),
		"HF_HUB_CACHE=/c/$NONE/${NONE}":              cache("/c/$NONE/${NONE}"),
		"HF_HUB_CACHE=/c/~":                          cache("/c/~"),
		"HUGGINGFACE_HUB_CACHE=~/old":                cache(at("old")),
		"HUGGINGFACE_HUB_CACHE=/old HF_HUB_CACHE=/c": cache("/c"),
		"HUGGINGFACE_HUB_CACHE=/old HF_HOME=~/h":     {endpoint, "/old", "hf_of_home", false},
		"HF_TOKEN=a":                                 token("a"),
		"HUGGING_FACE_HUB_TOKEN=b":                   token("b"),
		"HF_TOKEN=a HUGGING_FACE_HUB_TOKEN=b":        token("a"),
		"HF_TOKEN=\n":                                usual,
		"HF_TOKEN_PATH=~/elsewhere":                  token("hf_elsewhere"),
		"HF_TOKEN_PATH=~/none":                       token(""),
		"HF_TOKEN_PATH=~/h":                          token(""),
		"HF_TOKEN_PATH=~/elsewhere HF_TOKEN=a":       token("a"),
		"HF_TOKEN=a HF_HUB_DISABLE_IMPLICIT_TOKEN=1": token(""),
		"HF_HUB_OFFLINE=yes":                         with(func(s *Settings) { s.Offline = true }),
		"HF_HUB_OFFLINE=0":                           usual,
		"TRANSFORMERS_OFFLINE=1":                     with(func(s *Settings) { s.Offline = true }),
		"TRANSFORMERS_OFFLINE=1 HF_HUB_OFFLINE=0":    usual,
	} {
		pairs := map[string]string{"HOME": home}
		for pair := range strings.SplitSeq(env, " ") {
			name, value, _ := strings.Cut(pair, "=")
			pairs[name] = value
		}
		if got := FromEnvironment(func(key string) string { return pairs[key] }); got != want {
			t.Errorf("%s: %+v, want %+v", env, got, want)
		}
	}
	if _, err := newClient(Settings{Endpoint: "ftp://x"}); err == nil {
		t.Error("an ftp endpoint is taken")
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

// FuzzAnswers: any answer of the hub is an error, or names that stay in their folder.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"config.json"}]}`))
	f.Add([]byte(`{"weight_map":{"x":"a.safetensors","y":"../b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if sha, _, err := parseInfo(data); err == nil && !commitPattern.MatchString(sha) {
			t.Errorf("commit %q", sha)
		}
		shards, err := parseShards(data)
		for _, s := range shards {
			if err == nil && (filepath.Base(s) != s || !fs.ValidPath(s)) {
				t.Errorf("shard %q", s)
			}
		}
	})
}

// The error names the files that can't be fetched, with the files that are wanted.
func TestChooseWeights(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{"README.md"}, "a/b@ has no config.json"},
		{[]string{"adapter_config.json", "adapter_model.safetensors"}, "a/b@ is an adapter (PEFT), want a whole model"},
		{[]string{"adapter_config.json", "config.json", "model.safetensors"}, "a/b@ is an adapter (PEFT), want a whole model"},
		{[]string{"config.json"}, "pytorch_model.bin.index.json"},
		{[]string{"config.json", "onnx/model.onnx", "tf_model.h5"}, `what it has, "onnx/model.onnx", "tf_model.h5", is not fetched`},
	} {
		_, err := chooseWeights(Name{Owner: "a", Model: "b"}, c.files)
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want a part %q", c.files, err, c.want)
		}
	}
}

// Every file that changes scores is fetched; the page lists them by its headings, and the names of the Transformer's file.
func TestFilesThatCountAreFetched(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "checkpoint-fields.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("(?m)^## `(.+)`$|`(sentence_[^`]+_config.json)`").FindAllSubmatch(page, -1)
	if len(names) < 15 {
		t.Errorf("%d files, want at least 15", len(names))
	}
	for _, name := range names {
		if file := string(name[1]) + string(name[2]); !slices.Contains(besideWeights, file) {
			t.Errorf("%s is not fetched", file)
		}
	}
}
