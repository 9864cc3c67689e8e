package bulk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk/embedded"
	"github.com/metalrank/metalrank/engine"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes a certificate of 127.0.0.1, which is its own authority, and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return write(t, filepath.Join(dir, "cert.pem"), encode("CERTIFICATE", signed)), write(t, filepath.Join(dir, "key.pem"), encode("PRIVATE KEY", bytes))
}

// A server with users and passwords, over TLS, by a configuration file of nats-server.
func TestServerWithUsersAndTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	file := write(t, filepath.Join(dir, "nats.conf"), fmt.Sprintf(`
		jetstream { store_dir: %q }
		tls { cert_file: %q, key_file: %q }
		authorization { users: [ { user: ann, password: secret } ] }`, dir, cert, key))
	s, err := embedded.Start(embedded.Config{File: file, Listen: "127.0.0.1:0", Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	right, wrong := write(t, filepath.Join(dir, "right"), "secret\n"), write(t, filepath.Join(dir, "wrong"), "guess")
	c, err := Connect(t.Context(), Connection{URL: s.URL(), User: "ann", PasswordFile: right, TLSCA: cert})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	pairs := somePairs(20)
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	for want, connection := range map[string]Connection{
		"Authorization Violation": {URL: s.URL(), User: "ann", PasswordFile: wrong, TLSCA: cert},
		"certificate":             {URL: s.URL(), User: "ann", PasswordFile: right},
		"is empty":                {URL: s.URL(), TokenFile: write(t, filepath.Join(dir, "empty"), " \n")},
		"needs a password file":   {URL: s.URL(), User: "ann"},
		"nowhere.creds":           {URL: s.URL(), Creds: "nowhere.creds", TLSCA: cert},
		"nowhere.nk":              {URL: s.URL(), NKey: "nowhere.nk"},
	} {
		if _, err := Connect(t.Context(), connection); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", connection, err, want)
		}
	}
}

// The error for a pair that the server can't take names the pair; the pairs before it stay submitted.
func TestPairThatIsTooLarge(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	pairs := somePairs(30)
	noise := make([]byte, 2<<20) // which can't be compressed
	random := mathrand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise) // never fails
	pairs = append(pairs, engine.Pair{Query: "q", Document: string(noise)})
	_, err := c.Submit(t.Context(), Submission{Job: "a", Spec: small(), Pairs: each(pairs)})
	if err == nil || !strings.Contains(err.Error(), "pair 30, alone in its chunk, takes") || !strings.Contains(err.Error(), "max_payload is 1048576") {
		t.Fatal(err)
	}
	pairs[30].Document = strings.Repeat("long ", 1<<19) // which can be compressed
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
}

// A cluster of three keeps a job on all three servers; one of them is lost for good before the job is done.
func TestClusterLosesAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("a cluster takes ten seconds to find itself")
	}
	t.Parallel()
	dir := t.TempDir()
	var routes, clients []string
	for range 3 {
		routes, clients = append(routes, freeAddress(t)), append(clients, freeAddress(t))
	}
	servers := make([]*embedded.Server, 3)
	started := make(chan error, len(servers))
	for i := range servers {
		file := write(t, filepath.Join(dir, fmt.Sprintf("%d.conf", i)), fmt.Sprintf(`
			server_name: s%d
			jetstream { store_dir: %q }
			cluster { name: c, listen: %q, routes: [ "nats://%s" ] }`, i, filepath.Join(dir, fmt.Sprint(i)), routes[i], strings.Join(routes, `", "nats://`)))
		go func() {
			var err error
			servers[i], err = embedded.Start(embedded.Config{File: file, Listen: clients[i], Log: file + ".log"})
			started <- err
		}()
	}
	for range servers {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	url := "nats://" + strings.Join(clients, ",nats://")
	var c *Client
	until(t, "the servers don't choose who leads", func() bool {
		var err error
		c, err = Connect(t.Context(), Connection{URL: url})
		return err == nil
	})
	t.Cleanup(c.Close)
	pairs, spec := somePairs(600), small()
	spec.Replicas = 3
	submit(t, c, "a", pairs, spec)
	worker := connect(t, url)
	slow := &scorer{before: func(ctx context.Context, _ []engine.Pair) error { return wait(ctx, 20*time.Millisecond) }}
	stop := work(t, worker, &Worker{Scorer: slow})
	until(t, "nothing is scored", func() bool { return slow.calls.Load() > 5 })
	servers[0].Close()
	collect(t, c, "a", pairs)
	if err := stop(); err != nil {
		t.Error(err)
	}
	worker.Close()
	c.Close()
	servers[1].Close()
	servers[2].Close()
}
