package main

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// settings returns what "serve --check" prints, by flag: the value and where it comes from.
func settings(t *testing.T, args ...string) map[string][2]string {
	t.Helper()
	args = append([]string{"serve", "--check", "--log-format=json"}, args...)
	status, stdout, stderr := execute(t, t.Context(), "", args...)
	if status != 0 {
		t.Fatalf("%v: status %d: %s", args, status, stderr)
	}
	got := map[string][2]string{}
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "--") && len(fields) >= 3 {
			got[fields[0]] = [2]string{strings.Join(fields[1:len(fields)-1], " "), fields[len(fields)-1]}
		}
	}
	return got
}

// TestServeAsTEI starts with the flags and variables of text-embeddings-inference, and looks at what becomes of them.
func TestServeAsTEI(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	const secret = "a-secret-0123456789"
	for _, c := range []struct {
		name      string
		variables map[string]string
		args      []string
		want      map[string][2]string
	}{
		{"nothing", nil, []string{"--model", model}, map[string][2]string{
			"--listen": {"127.0.0.1:8080", "default"}, "--model": {model, "--model"}, "--max-body-bytes": {"2000000", "default"},
			"--auto-truncate": {"true", "default"}, "--max-concurrent-requests": {"512", "default"},
		}},
		{"flags", nil, []string{
			"--model-id", model, "--served-model-name=m", "--max-client-batch-size=5", "--payload-limit=777", "--port=81", "--hostname=::1",
			"--dtype=float32", "--cors-allow-origin=https://a", "--cors-allow-origin=https://b", "--otlp-endpoint=http://c:4318",
			"--otlp-service-name=s", "--no-auto-truncate", "--api-key", secret,
		}, map[string][2]string{
			"--model": {model, "--model"}, "--name": {"m", "--name"}, "--max-client-batch-size": {"5", "--max-client-batch-size"},
			"--max-body-bytes": {"777", "--max-body-bytes"}, "--listen": {"[::1]:81 --hostname,", "--port"},
			"--precision": {"fp32", "--dtype"}, "--cors-origin": {"[https://a https://b]", "--cors-origin"},
			"--otlp-endpoint": {"http://c:4318", "--otlp-endpoint"}, "--auto-truncate": {"false", "--auto-truncate"},
			"--api-key": {"(a secret)", "--api-key"},
		}},
		{"variables", map[string]string{
			"MODEL_ID": model, "PORT": "81", "HOSTNAME": "0.0.0.0", "MAX_BATCH_TOKENS": "900", "MAX_CONCURRENT_REQUESTS": "3", "PAYLOAD_LIMIT": "99",
			"AUTO_TRUNCATE": "false", "API_KEY": secret, "DTYPE": "float32", "CORS_ALLOW_ORIGIN": "https://a,https://b", "TOKENIZATION_WORKERS": "2",
		}, nil, map[string][2]string{
			"--model": {model, "MODEL_ID"}, "--listen": {"0.0.0.0:81 HOSTNAME,", "PORT"}, "--max-batch-tokens": {"900", "MAX_BATCH_TOKENS"},
			"--max-concurrent-requests": {"3", "MAX_CONCURRENT_REQUESTS"}, "--max-body-bytes": {"99", "PAYLOAD_LIMIT"},
			"--auto-truncate": {"false", "AUTO_TRUNCATE"}, "--precision": {"fp32", "DTYPE"}, "--cors-origin": {"[https://a https://b]", "CORS_ALLOW_ORIGIN"},
			"--tokenization-workers": {"2", "TOKENIZATION_WORKERS"},
		}},
		{"ours first", map[string]string{
			"METALRANK_MODEL": model, "MODEL_ID": "/nowhere", "PORT": "81", "METALRANK_MAX_BATCH_TOKENS": "800", "MAX_BATCH_TOKENS": "900",
		}, []string{"--listen=127.0.0.1:82"}, map[string][2]string{
			"--model": {model, "METALRANK_MODEL"}, "--listen": {"127.0.0.1:82", "--listen"}, "--max-batch-tokens": {"800", "METALRANK_MAX_BATCH_TOKENS"},
		}},
		{"a machine's name", map[string]string{"HOSTNAME": "0a1b2c3d4e5f"}, []string{"--model", model}, map[string][2]string{
			"--listen": {"127.0.0.1:8080", "default"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.variables {
				t.Setenv(name, value)
			}
			got := settings(t, c.args...)
			for flag, want := range c.want {
				if got[flag] != want {
					t.Errorf("%s: %q, want %q", flag, got[flag], want)
				}
			}
		})
	}
}

// TestServeAsTEIRefuses says why not, and which settings have no effect.
func TestServeAsTEIRefuses(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for arg, want := range map[string]string{
		"--pooling=cls": "--pooling (POOLING) is for embeddings", "--default-prompt=x": "for embeddings", "--dense-path=x": "for embeddings",
		"--port=70000": "--port is 70000", "--dtype=int4": "--dtype must be one of", "--revision=r": "--revision is of a model of the hub",
		"--otlp-endpoint=http://localhost:4317": "gRPC", "--cors-origin=nonsense": "CORSOrigins",
	} {
		status, _, stderr := execute(t, t.Context(), "", "serve", "--check", "--model", model, arg)
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", arg, status, stderr, want)
		}
	}
	if status, _, stderr := execute(t, t.Context(), "", "serve", "--model", model, "--listen=127.0.0.1:0", "--api-key=short"); status == 0 ||
		!strings.Contains(stderr, "the key has 5 bytes") {
		t.Errorf("a short key: status %d, %s", status, stderr)
	}
	status, _, stderr := execute(t, t.Context(), "", "serve", "--check", "--model", model, "--uds-path=/x", "--max-batch-requests=3", "--listen=:1", "--port=2")
	for _, want := range []string{"setting=--uds-path", "setting=--max-batch-requests", "setting=--port reason=\"--listen is set\""} {
		if status != 0 || !strings.Contains(stderr, want) {
			t.Errorf("status %d, %s, want %s", status, stderr, want)
		}
	}
}

// TestServeAsTEIRuns has the settings take effect on a server.
func TestServeAsTEIRuns(t *testing.T) {
	const key = "a-secret-0123456789"
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	t.Setenv("API_KEY", key)
	server := serve(t, "--listen=127.0.0.1:0", "--served-model-name=mine", "--prometheus-port", port)
	base := "http://" + server.await(t, serving)
	if with, without := ask(t, plainClient(), base, key), ask(t, plainClient(), base, ""); with != 200 || without != 401 {
		t.Errorf("status %d with the key, %d without", with, without)
	}
	server.await(t, "model=mine")
	for path, want := range map[string]int{"/metrics": 200, "/readyz": 200, "/debug/pprof/": 404} {
		response, err := plainClient().Get("http://127.0.0.1:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s on --prometheus-port: %d, want %d", path, response.StatusCode, want)
		}
	}
	response, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("/metrics beside --prometheus-port: %d", response.StatusCode)
	}
}

// TestDefaultsAreSaid wants the help of every flag without a value to say what that means.
func TestDefaultsAreSaid(t *testing.T) {
	_, stdout, _ := execute(t, t.Context(), "", "serve", "--help")
	for _, want := range []string{"Limits and scheduling", "Security", "Observability", "Listening", "Models", "As text-embeddings-inference", "--model-id", "--payload-limit"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the help has no %s", want)
		}
	}
	got := settings(t, "--model", checkpoint(t, weightstest.Tiny()))
	for _, flag := range []string{"--max-queue-tokens", "--token-cache-bytes", "--replicas", "--idle-after", "--cors-origin", "--otlp-endpoint"} {
		if value := got[flag][0]; value == "" || value == "-" || value == "0" {
			t.Errorf("%s: %q", flag, got[flag])
		}
	}
}
