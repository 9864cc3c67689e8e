package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// writeCertificate makes a certificate for 127.0.0.1 and name, valid for an hour, and writes it and its key.
func writeCertificate(t *testing.T, name, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, data := range map[string][]byte{
		certFile: chain, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return pool
}

func tlsClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
}

// TestServeTLS replaces a certificate on SIGHUP: new connections get the new one, an open one goes on.
func TestServeTLS(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	roots := writeCertificate(t, "first", cert, key)
	log := serve(t, "--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	address := log.await(t, serving)
	base := "https://" + address
	kept := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer kept.CloseIdleConnections()
	if a, b := ask(t, kept, base, ""), ask(t, tlsClient(roots), base, ""); a != 200 || b != 200 {
		t.Errorf("statuses %d, %d", a, b)
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was taken")
	}

	replaced := writeCertificate(t, "second", cert, key)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.await(t, "certificate read again")
	if a, b := ask(t, kept, base, ""), ask(t, tlsClient(replaced), base, ""); a != 200 || b != 200 {
		t.Errorf("statuses after the replacement: %d, %d", a, b)
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots}); err == nil {
		t.Error("the old certificate is still there")
	}
}

// TestCertificateChanges replaces the files, one after the other, without a SIGHUP.
func TestCertificateChanges(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, "first", cert, key)
	var log bytes.Buffer
	c, err := (&tlsFlags{cert, key}).open(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := func() string {
		c.looked = time.Time{} // as if the last look was long ago
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	if got := now(); got != "first" || log.Len() > 0 {
		t.Errorf("certificate of %s; log %s", got, log.String())
	}
	other := filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, "second, which is longer", cert, other)
	if got := now(); got != "first" || !strings.Contains(log.String(), "not read again") {
		t.Errorf("with half a replacement: certificate of %s; log %s", got, log.String())
	}
	if err := os.Rename(other, key); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute) // differs for any resolution of the file system's clock
	if err := os.Chtimes(key, later, later); err != nil {
		t.Fatal(err)
	}
	if got := now(); got != "second, which is longer" {
		t.Errorf("certificate of %s; log %s", got, log.String())
	}
}

// TestServeUnixSocket replaces a dead server at its socket, and is refused by a live one.
func TestServeUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	log := serve(t, "--listen", "unix:"+path)
	log.await(t, serving)
	if info, err := os.Stat(path); err != nil {
		t.Error(err)
	} else if info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v", info.Mode())
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	if status := ask(t, client, "http://socket", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	model := checkpoint(t, weightstest.Tiny())
	for taken, want := range map[string]string{path: "a server listens there already", file: "a file that is no socket"} {
		status, _, stderr := execute(t, t.Context(), "", "serve", "--model", model, "--listen", "unix:"+taken)
		if status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", taken, status, stderr, want)
		}
	}
	if status := ask(t, client, "http://socket", ""); status != 200 {
		t.Errorf("after another server wanted its place: status %d", status)
	}
}

// TestServeCheck prints settings without serving, and without secrets.
func TestServeCheck(t *testing.T) {
	dir := t.TempDir()
	cert, key, keys := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "keys")
	writeCertificate(t, "example", cert, key)
	const secret = "secret-0123456789"
	if err := os.WriteFile(keys, []byte("anne:"+secret+" share=2 concurrency=3"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("METALRANK_MAX_CLIENT_BATCH_SIZE", "7")
	model := checkpoint(t, weightstest.Tiny())
	args := []string{"serve", "--check", "--model", model, "--tls-cert", cert, "--tls-key", key, "--api-key-file", keys}
	status, stdout, stderr := execute(t, t.Context(), "", args...)
	if status != 0 {
		t.Fatal(stderr)
	}
	for _, want := range []string{
		"--listen 127.0.0.1:8080", "--max-client-batch-size 7", "--max-queue-tokens 1048576 default", "--any-model false",
		"--tls-key " + key, "API keys anne concurrency=3 share=2", "certificate for example", "tokens in a pair",
	} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout+stderr, secret) {
		t.Errorf("a key is shown: %s%s", stdout, stderr)
	}
	twice := filepath.Join(dir, "twice")
	if err := os.WriteFile(twice, []byte("anne:"+secret+"\nbert:"+secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, extra := range map[string]string{
		"--max-queue-tokens is -1": "--max-queue-tokens=-1", "no colon": "--api-key-file=" + cert, "no/such": "--also=x=no/such",
		"API keys 1 and 2 are the same": "--api-key-file=" + twice,
	} {
		if status, _, stderr := execute(t, t.Context(), "", append(args, extra)...); status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", extra, status, stderr, want)
		}
	}
}
