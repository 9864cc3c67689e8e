package fleet

import (
	"strings"
	"testing"
)

const one = "nodes: [{name: a, address: '127.0.0.1:1'}]\n"

func TestReadNodesRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "number of nodes is 0"},
		{"no YAML", "nodes: [", "nodes"},
		{"unknown field", one + "lissen: 127.0.0.1:1\n", "lissen"},
		{"unknown field of a node", "nodes: [{name: a, addr: b}]", "addr"},
		{"field twice", one + one, "nodes"},
		{"listen without a port", one + "listen: localhost\n", "listen is \"localhost\", want HOST:PORT"},
		{"port", one + "listen: localhost:65536\n", "want a port from 1 to 65535"},
		{"stats for everybody", one + "stats: 0.0.0.0:8404\n", "want a loopback address"},
		{"retry_bytes", one + "retry_bytes: 1000\n", "retry_bytes is 1000, want 16384 to 4194304"},
		{"max_connections", one + "max_connections: -1\n", "max_connections is -1, want 1 to 100000"},
		{"request_timeout", one + "request_timeout: 2h\n", "request_timeout is 2h0m0s, want 100ms to 1h"},
		{"slow_start", one + "slow_start: 1ms\n", "slow_start is 1ms, want 1s to 1h"},
		{"platform", one + "platform: beos\n", "platform is \"beos\", want one of [linux macos]"},
		{"no name", "nodes: [{address: '127.0.0.1:1'}]", "nodes[0]: name is \"\""},
		{"name with a line", "nodes: [{name: \"a\\nglobal\", address: '127.0.0.1:1'}]", "nodes[0]: name is"},
		{"address with a word", "nodes: [{name: a, address: 'b backup:1'}]", "(a): address is"},
		{"agent", "nodes: [{name: a, address: '127.0.0.1:1', agent: c}]", "(a): agent is"},
		{"same name", "nodes: [{name: a, address: 'b:1'}, {name: a, address: 'b:2'}]", "nodes[1]: name \"a\" or address"},
		{"same address", "nodes: [{name: a, address: 'b:1'}, {name: c, address: 'b:1'}]", "nodes[1]: name \"c\" or address"},
		{"weight", "nodes: [{name: a, address: 'b:1', weight: 257}]", "(a): weight is 257, want 1 to 256"},
		{"ca", "nodes: [{name: a, address: 'b:1', ca: 'x backup'}]", "(a): ca is"},
		{"tls_cert", one + "tls_cert: \"a\\nb\"\n", "tls_cert is"},
	} {
		if _, err := ReadNodes(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := ReadNodes(strings.NewReader(strings.Repeat("#", maxFileBytes+1))); err == nil {
		t.Error("a file without an end was read")
	}
}

// FuzzReadNodes wants no field to add lines to the configuration.
func FuzzReadNodes(f *testing.F) {
	f.Add(one)
	f.Add("nodes: [{name: a, address: '[::1]:80', agent: 'x:1', weight: 3, ca: /a/b.pem}]\ntls_cert: c.pem\n")
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := ReadNodes(strings.NewReader(text))
		if err != nil {
			return
		}
		var out strings.Builder
		if err := nodes.WriteHAProxy(&out); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(out.String(), "\n"), templateLines+len(nodes.Nodes); got != want {
			t.Errorf("%d lines, want %d:\n%s", got, want, out.String())
		}
	})
}

// templateLines counts the lines besides the servers'.
var templateLines = strings.Count(haproxyText, "\n") - 3
