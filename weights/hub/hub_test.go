package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
