package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// patience ends a test that hangs. Nothing takes as long, even on a slow and busy machine.
const patience = 2 * time.Minute

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until the log matches, and returns the last group.
func (b *lockedBuffer) await(t *testing.T, pattern string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if match := regexp.MustCompile(pattern).FindStringSubmatch(b.String()); match != nil {
			return match[len(match)-1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in the log: %s", pattern, b.String())
		}
	}
}

// process is a run of "metalrank serve".
type process struct {
	lockedBuffer // its log
	stop         context.CancelFunc
	ended        chan struct{}
}

// serve runs "metalrank serve" with a tiny model until the test ends, or stop is called.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p, status := &process{stop: cancel, ended: make(chan struct{})}, make(chan int, 1)
	args = append([]string{"serve", "--model", checkpoint(t, weightstest.Tiny())}, args...)
	go func() {
		defer close(p.ended)
		status <- run(ctx, args, streams{in: strings.NewReader(""), out: p, err: p})
	}()
	t.Cleanup(func() {
		cancel()
		if got := <-status; got != 0 {
			t.Errorf("status %d: %s", got, p.String())
		}
	})
	return p
}

// ask posts a request with a key and returns the status.
func ask(t *testing.T, client *http.Client, base, key string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, base+"/rerank", strings.NewReader(`{"query":"a","texts":["b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil { // else the connection could not be kept
		t.Fatal(err)
	}
	return response.StatusCode
}

// plainClient keeps no connection.
func plainClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
}

const serving = `msg=serving address=(\S+)`

// TestServeKeys reads keys of a file and of the environment, and the file again on SIGHUP.
func TestServeKeys(t *testing.T) {
	const first, second, third = "first-0123456789", "second-0123456789", "third-0123456789"
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a:" + first)
	t.Setenv("METALRANK_API_KEYS", "env:"+third)
	log := serve(t, "--listen=127.0.0.1:0", "--api-key-file", file)
	base := "http://" + log.await(t, serving)
	check := func(when string, want map[string]int) {
		t.Helper()
		for key, status := range want {
			if got := ask(t, plainClient(), base, key); got != status {
				t.Errorf("%s, key %q: %d, want %d", when, key, got, status)
			}
		}
	}
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	check("at first", map[string]int{"": 401, first: 200, second: 401, third: 200})
	write("b:" + second)
	hangUp()
	log.await(t, `read again" keys=2`)
	check("after SIGHUP", map[string]int{first: 401, second: 200, third: 200})
	write("b:" + second + "\n" + first)
	hangUp()
	log.await(t, "line 2: no colon")
	check("after a wrong file", map[string]int{first: 401, second: 200, third: 200})
	for _, key := range []string{first, second, third} {
		if strings.Contains(log.String(), key) {
			t.Errorf("a key is in the log: %s", log.String())
		}
	}
}

// TestServeAdmin wants the real engine's work in the metrics, and in the log as JSON.
func TestServeAdmin(t *testing.T) {
	log := serve(t, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json", "--access-log-share=1")
	admin := log.await(t, `"serving metrics and profiles","address":"([^"]+)"`)
	base := "http://" + log.await(t, `"msg":"serving","address":"([^"]+)"`)
	if status := ask(t, plainClient(), base, ""); status != 200 {
		t.Fatalf("status %d", status)
	}
	log.await(t, `"msg":"request","method":"POST","path":"/rerank","status":200`)
	response, err := plainClient().Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`metalrank_model_requests_total\{model="\S+",outcome="answered"\} 1\n`, `metalrank_model_batches_total\{model="\S+"\} 1\n`,
		`te_batch_next_size_sum 1\n`, `te_request_inference_duration_count 1\n`, `metalrank_model_loaded\{model="\S+"\} 1\n`,
	} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// TestServeDrains wants a server to end well after its delay; TestSecondSignal checks its answers meanwhile.
func TestServeDrains(t *testing.T) {
	p := serve(t, "--listen=127.0.0.1:0", "--drain-delay=50ms")
	p.await(t, serving)
	p.stop()
	p.awaitEnd(t)
	p.await(t, "msg=stopping")
}

// TestServeRefuses has settings that must keep a server from starting.
func TestServeRefuses(t *testing.T) {
	model, dir := checkpoint(t, weightstest.Tiny()), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no key file", []string{"--api-key-file", filepath.Join(dir, "none")}, "--api-key-file: open "},
		{"empty key file", []string{"--api-key-file", file("empty", "# nobody\n")}, "there are no keys in it"},
		{"certificate without key", []string{"--tls-cert", "c.pem"}, "--tls-cert and --tls-key go together"},
		{"delay", []string{"--drain-delay=-1s"}, "--drain-delay is -1s, want 0 or more"},
		{"timeout", []string{"--idle-timeout=48h"}, "--idle-timeout is 48h0m0s, want 0 (the default) or 1ms to 24h0m0s"},
		{"share", []string{"--access-log-share=2"}, "--access-log-share is 2, want 0 to 1"},
		{"no certificate", []string{"--tls-cert", "c.pem", "--tls-key", "k.pem"}, "c.pem: no such file"},
		{"wrong key file", []string{"--api-key-file", file("wrong", "\nanne:secret")}, "line 2: the key has 6 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"serve", "--model", model, "--listen=127.0.0.1:0"}, c.args...)
			status, _, stderr := execute(t, t.Context(), "", args...)
			if status == 0 || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "secret") {
				t.Errorf("status %d, stderr %q, want %q", status, stderr, c.want)
			}
		})
	}
}
