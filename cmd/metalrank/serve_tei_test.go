package main

import (
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// settings returns the output of "serve --check", by flag: the value and where it comes from.
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

// TestServeAsTEI starts with the flags and variables of text-embeddings-inference, and checks the settings.
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
			"--listen": {"127.0.0.1:8080", "default"}, "--model": {model, "--model"}, "--max-body-bytes": {"16000000", "default"},
			"--auto-truncate": {"true", "default"}, "--max-concurrent-requests": {"512", "default"},
		}},
		{"flags", nil, []string{
			"--model-id", model, "--served-model-name=m", "--max-client-batch-size=5", "--payload-limit=777", "--port=81", "--hostname=::1",
			"--dtype=float32", "--cors-allow-origin=https://a", "--cors-allow-origin=https://b", "--otlp-endpoint=http://c:4318",
			"--otlp-service-name=s", "--no-auto-truncate", "--api-key", secret,
		}, map[string][2]string{
			"--model": {model, "--model"}, "--name": {"m", "--name"}, "--max-client-batch-size": {"5", "--max-client-batch-size"},
			"--max-body-bytes": {"777", "--max-body-bytes"}, "--listen": {"[::1]:81 --hostname,", "--port"},
			"--precision": {"fp32", "--dtype"}, "--cors-origin": {"https://a,https://b", "--cors-origin"},
			"--otlp-endpoint": {"http://c:4318", "--otlp-endpoint"}, "--auto-truncate": {"false", "--auto-truncate"},
			"--api-key": {"(a secret)", "--api-key"},
		}},
		{"variables", map[string]string{
			"MODEL_ID": model, "PORT": "81", "HOSTNAME": "0.0.0.0", "MAX_BATCH_TOKENS": "900", "MAX_CONCURRENT_REQUESTS": "3", "PAYLOAD_LIMIT": "99",
			"AUTO_TRUNCATE": "false", "API_KEY": secret, "DTYPE": "float32", "CORS_ALLOW_ORIGIN": "https://a,https://b", "TOKENIZATION_WORKERS": "2",
		}, nil, map[string][2]string{
			"--model": {model, "MODEL_ID"}, "--listen": {"0.0.0.0:81 HOSTNAME,", "PORT"}, "--max-batch-tokens": {"900", "MAX_BATCH_TOKENS"},
			"--max-concurrent-requests": {"3", "MAX_CONCURRENT_REQUESTS"}, "--max-body-bytes": {"99", "PAYLOAD_LIMIT"},
			"--auto-truncate": {"false", "AUTO_TRUNCATE"}, "--precision": {"fp32", "DTYPE"}, "--cors-origin": {"https://a,https://b", "CORS_ALLOW_ORIGIN"},
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

// TestServeAsTEIRefuses wants the reasons for refused settings, and a log of those without an effect.
func TestServeAsTEIRefuses(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for arg, want := range map[string]string{
		"--pooling=cls": "--pooling (POOLING) is for embeddings", "--default-prompt=x": "for embeddings", "--dense-path=x": "for embeddings",
		"--port=70000": "--port is 70000", "--dtype=int4": "--dtype must be one of", "--revision=r": "--revision is of a model of the hub",
		"--otlp-endpoint=http://localhost:4317": "gRPC", "--cors-origin=nonsense": `--cors-origin is "nonsense", want SCHEME://HOST`,
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

// TestServeAsTEIRuns wants the settings to take effect on a server.
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

// TestDefaultsAreSaid wants the help of every command to name the default of each number, time and choice.
func TestDefaultsAreSaid(t *testing.T) {
	parser, err := kong.New(&command{}, kong.Vars{"version": ""}, modelflags.Vars())
	if err != nil {
		t.Fatal(err)
	}
	numbers := 0
	for _, command := range parser.Model.Leaves(true) {
		for _, flag := range command.Flags {
			kind := flag.Target.Kind()
			isNumber := kind != reflect.Bool && (flag.Target.CanInt() || flag.Target.CanUint() || flag.Target.CanFloat())
			if isNumber {
				numbers++
			}
			if flag.Group != nil && strings.HasPrefix(flag.Group.Title, "As ") {
				continue // another name of a flag
			}
			shown := flag.HasDefault && flag.PlaceHolder == "" || strings.Contains(flag.Help, "Default: ")
			if !shown && !flag.Required && kind != reflect.Bool && (isNumber || flag.HasDefault) {
				t.Errorf("%s: the help of --%s doesn't name its default", command.FullPath(), flag.Name)
			}
		}
	}
	if numbers < 20 {
		t.Errorf("%d flags are numbers, want at least 20", numbers)
	}
}

// TestHelpHasGroups wants the titles of groups, and other names of flags, in the help.
func TestHelpHasGroups(t *testing.T) {
	_, stdout, _ := execute(t, t.Context(), "", "serve", "--help")
	for _, want := range []string{"Limits and scheduling", "Security", "Observability", "Listening", "Models", "As text-embeddings-inference", "--model-id", "--payload-limit"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the help has no %s", want)
		}
	}
}

// TestCheckResolves wants --check to print the values in effect, also for settings without a value.
func TestCheckResolves(t *testing.T) {
	t.Setenv("METALRANK_IDLE_AFTER", "5m")
	model := checkpoint(t, weightstest.Tiny())
	got := settings(t, "--model", model, "--max-batch-tokens=100", "--also=b="+model, "--weight=b=0.5")
	for flag, want := range map[string][2]string{
		"--model": {model, "--model"}, "--name": {"tiny", "default"}, "--also": {"b=" + model, "--also"}, "--weight": {"b=0.5;tiny=1", "--weight"},
		"--backend": {"cpu", "METALRANK_BACKEND"}, "--precision": {"fp32", "default"}, "--max-length": {"16", "default"},
		"--max-batch-tokens": {"100", "--max-batch-tokens"}, "--max-queue-tokens": {"25600", "default"}, "--max-client-batch-size": {"1000", "default"},
		"--token-cache-bytes": {"33554432", "default"}, "--replicas": {"1", "default"}, "--max-wait": {"0s", "default"}, "--max-queue-time": {"0s", "default"},
		"--idle-after": {"5m0s", "METALRANK_IDLE_AFTER"}, "--read-timeout": {"30s", "default"}, "--idle-timeout": {"1m15s", "default"},
		"--drain-timeout": {"30s", "default"}, "--drain-delay": {"0s", "default"}, "--cors-origin": {"-", "default"}, "--otlp-endpoint": {"-", "default"},
		"--otlp-service-name": {"metalrank", "default"}, "--overloaded-status": {"429", "default"}, "--trace-share": {"1", "default"},
	} {
		if got[flag] != want {
			t.Errorf("%s: %q, want %q", flag, got[flag], want)
		}
	}
	for flag, row := range got {
		if strings.Contains(row[0], " ") {
			t.Errorf("%s: %q is prose", flag, row)
		}
	}
}

// TestUselessFlags wants flags without an effect beside others refused, and such variables logged.
func TestUselessFlags(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	for want, args := range map[string][]string{
		"--trace-share: it has no effect without --otlp-endpoint":       {"--trace-share=0.5"},
		"--otlp-service-name: it has no effect without --otlp-endpoint": {"--otlp-service-name=x"},
		"--precision and --dtype set the same":                          {"--precision=fp32", "--dtype=float16"},
		"--log-format and --json-output set the same":                   {"--log-format=text", "--json-output"},
		"--huggingface-hub-cache has no effect":                         {"--huggingface-hub-cache=/x"},
		"x is set twice, to a and to b":                                 {"--also=x=a", "--also=x=b"},
		"--weight x=0: want a number, 1/16 to 16":                       {"--weight=x=0"},
		"--weight x=much: want a number":                                {"--weight=x=much"},
		`--weight: "x": want NAME=VALUE`:                                {"--weight=x"},
		"--weight x: there is no such model":                            {"--weight=x=2"},
	} {
		status, _, stderr := execute(t, t.Context(), "", append([]string{"serve", "--check", "--model", model}, args...)...)
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, stderr %q, want %q", args, status, stderr, want)
		}
	}
	t.Setenv("OTEL_SERVICE_NAME", "x")
	t.Setenv("METALRANK_PRECISION", "bf16")
	t.Setenv("DTYPE", "float32")
	t.Setenv("METALRANK_LISTEN", "127.0.0.1:1")
	status, stdout, stderr := execute(t, t.Context(), "", "serve", "--check", "--model", model, "--dtype=float32", "--port=2")
	for _, want := range []string{"setting=OTEL_SERVICE_NAME", "setting=METALRANK_PRECISION", "setting=METALRANK_LISTEN"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %s in %s", want, stderr)
		}
	}
	if text := strings.Join(strings.Fields(stdout), " "); status != 0 || !strings.Contains(text, "--listen 127.0.0.1:2 --port") {
		t.Errorf("status %d, %s: a flag counts more than a variable\n%s", status, stderr, stdout)
	}
}

// TestWrongValues wants errors to name the flag, the value, the allowed values, and the variable that it comes from.
func TestWrongValues(t *testing.T) {
	model := checkpoint(t, weightstest.Tiny())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for arg, want := range map[string]string{
		"--listen=nowhere":                  `--listen is "nowhere", want HOST:PORT, unix:PATH or fd:N`,
		"--listen=:70000":                   `--listen is ":70000", want HOST:PORT`,
		"--listen=unix:":                    `--listen is "unix:", want HOST:PORT`,
		"--listen=fd:x":                     `--listen is "fd:x", want HOST:PORT`,
		"--admin-listen=nowhere":            `--admin-listen is "nowhere", want HOST:PORT`,
		"--agent-listen=nowhere":            `--agent-listen is "nowhere", want HOST:PORT`,
		"--listen=" + taken.Addr().String(): "--listen " + taken.Addr().String() + ": bind: address",
		"--listen=fd:999":                   "--listen fd:999: not a listening socket: ",
		"--api-key=":                        "--api-key is empty",
		"--api-key-file=":                   "--api-key-file is empty",
		"--tls-key=":                        "--tls-key is empty",
		"--cors-origin=":                    "--cors-origin is empty",
		"--drain-timeout=30":                `--drain-timeout: "30" is no duration, want a number with its unit`,
		"--max-length=3":                    "--max-length is 3, want 0 (the checkpoint's) or at least 8",
		"--max-length=9999":                 "--max-length is 9999, want at most 16",
		"--precision=fp8":                   `--precision is "fp8", want one of fp32, fp16, bf16, int8`,
		"--max-batch-tokens=-1":             "--max-batch-tokens is -1, want 0 (4096) or 1 to",
		"--max-queue-tokens=-1":             "--max-queue-tokens is -1, want 0 (256 batches) or 1 to",
		"--max-concurrent-requests=-1":      "--max-concurrent-requests is -1, want",
		"--max-client-batch-size=-1":        "--max-client-batch-size is -1, want",
		"--max-body-bytes=-1":               "--max-body-bytes is -1, want",
		"--max-connections=-1":              "--max-connections is -1, want",
		"--max-wait=1h":                     "--max-wait is 1h0m0s, want 0 to 10s",
		"--max-queue-time=25h":              "--max-queue-time is 25h0m0s, want 0 (a minute where models share devices) to 24h0m0s",
		"--replicas=100":                    "--replicas is 100, want",
		"--idle-after=-1s":                  "--idle-after is -1s, want 0 or more",
		"--drain-timeout=-1s":               "--drain-timeout is -1s, want 0 or more",
		"--read-timeout=-1s":                "--read-timeout is -1s, want",
		"--access-log-share=2":              "--access-log-share is 2, want 0 to 1",
		"--trace-share=2":                   "--trace-share is 2, want 0 to 1",
		"--max-batch-tokens=many":           `--max-batch-tokens: expected a valid 64 bit int but got "many"`,
		"--backend=cuda":                    "--backend must be one of",
	} {
		status, _, stderr := execute(t, t.Context(), "", "serve", "--model", model, arg)
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", arg, status, stderr, want)
		}
	}
	for variable, c := range map[string][2]string{
		"METALRANK_MAX_LENGTH": {"3", "--max-length is 3"}, "METALRANK_LISTEN": {"nowhere", "--listen is"}, "DTYPE": {"x", "--dtype must be"},
		"PORT": {"-1", "--port is -1"}, "METALRANK_BACKEND": {"x", "--backend must be"}, "MAX_BATCH_TOKENS": {"x", "--max-batch-tokens"},
		"METALRANK_DRAIN_DELAY": {"-1s", "--drain-delay"},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, c[0])
			status, _, stderr := execute(t, t.Context(), "", "serve", "--model", model)
			if status == 0 || !strings.Contains(stderr, c[1]) || !strings.Contains(stderr, variable) {
				t.Errorf("status %d, stderr %q, want %q and the variable", status, stderr, c[1])
			}
		})
	}
}

// TestHelp checks the texts of all flags of all commands.
func TestHelp(t *testing.T) {
	parser, err := kong.New(&command{}, kong.Vars{"version": ""}, modelflags.Vars())
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flags++
			for _, wrong := range []string{",.", ", .", "${", "  ", `""`, "..", ",,"} {
				if strings.Contains(flag.Help, wrong) {
					t.Errorf("--%s: %q has %q", flag.Name, flag.Help, wrong)
				}
			}
			if slices.Contains(strings.Split(flag.Enum, ","), "") && flag.Enum != "" {
				t.Errorf("--%s: an empty choice in %q", flag.Name, flag.Enum)
			}
			if needs, _, _ := strings.Cut(flag.Tag.Get("needs"), "="); needs != "" && needs == flag.Name {
				t.Errorf("--%s needs itself", flag.Name)
			}
		}
		return next(nil)
	}); err != nil || flags < 50 {
		t.Errorf("%d flags, %v", flags, err)
	}
}
