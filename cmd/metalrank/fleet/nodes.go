// Package fleet describes several servers behind one load balancer: it reads a list of them, and makes HAProxy's
// configuration from it. Package plan says how many of them a load takes.
//
// It must not know how a node scores.
package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
)

// Nodes is a fleet as nodes.yaml describes it. Zero stands for a field's default.
type Nodes struct {
	// Listen is where clients connect, HOST:PORT. Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// TLSCert is a file with the certificate chain and the key that clients see, PEM. Empty: HTTP in the clear.
	TLSCert string `yaml:"tls_cert"`
	// Stats is where HAProxy's own page and metrics are. They ask for no password: it must be a loopback address.
	// Default 127.0.0.1:8404.
	Stats string `yaml:"stats"`
	// RetryBytes is the largest request, headers and body, that can be sent again to another node. HAProxy keeps it in a
	// buffer, and makes all its buffers that large. Default 262,144. Bounds: 16,384 to 4 MiB.
	RetryBytes int `yaml:"retry_bytes"`
	// MaxConnections bounds how many clients are connected, and so the memory: about three buffers each. Default 512.
	// Bounds: 1 to 100,000.
	MaxConnections int `yaml:"max_connections"`
	// RequestTimeout is how long a node may take to answer, until another is asked. Default 30 s. Bounds: 100 ms to 1 h.
	RequestTimeout time.Duration `yaml:"request_timeout"`
	// SlowStart is how long a node that has come back takes to get its whole share. Default 10 s. Bounds: 1 s to 1 h.
	SlowStart time.Duration `yaml:"slow_start"`
	// Platform is HAProxy's: "linux", the default, or "macos". On macOS, only RequestTimeout ends the wait for a node with
	// a cut cable.
	Platform string `yaml:"platform"`
	Nodes    []Node `yaml:"nodes"`
}

// Node is one server.
type Node struct {
	Name    string `yaml:"name"`    // letters, digits, ".", "-" and "_"
	Address string `yaml:"address"` // its --listen, HOST:PORT
	Agent   string `yaml:"agent"`   // its --agent-listen, HOST:PORT; empty: it is not asked for its load
	// Weight is its speed beside the others'. Default 100. Bounds: 1 to 256.
	Weight int `yaml:"weight"`
	// CA is a file with the certificates, PEM, that its own must be signed by. Empty: HTTP in the clear.
	CA string `yaml:"ca"`
}

const (
	defaultListen         = "127.0.0.1:8080"
	defaultStats          = "127.0.0.1:8404"
	defaultRetryBytes     = 256 << 10
	defaultMaxConnections = 512
	defaultTimeout        = 30 * time.Second
	defaultSlowStart      = 10 * time.Second
	defaultWeight         = 100

	minRetryBytes     = 16 << 10
	maxRetryBytes     = 4 << 20
	maxMaxConnections = 100_000
	maxNodes          = 4096
	maxNodeWeight     = 256 // HAProxy's
	maxFileBytes      = 4 << 20
)

// ReadNodes reads nodes.yaml. It refuses unknown fields; an error names the field, and the limit that it breaks.
func ReadNodes(in io.Reader) (*Nodes, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("fleet: nodes: more than %d bytes", maxFileBytes)
	}
	var n Nodes
	if err := yaml.UnmarshalWithOptions(text, &n, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("fleet: nodes: %w", err)
	}
	n.setDefaults()
	return &n, n.check()
}

var platforms = []string{"linux", "macos"}

func (n *Nodes) setDefaults() {
	n.Listen, n.Stats = cmp.Or(n.Listen, defaultListen), cmp.Or(n.Stats, defaultStats)
	n.RetryBytes, n.MaxConnections = cmp.Or(n.RetryBytes, defaultRetryBytes), cmp.Or(n.MaxConnections, defaultMaxConnections)
	n.RequestTimeout, n.SlowStart = cmp.Or(n.RequestTimeout, defaultTimeout), cmp.Or(n.SlowStart, defaultSlowStart)
	n.Platform = cmp.Or(n.Platform, platforms[0])
	for i := range n.Nodes {
		n.Nodes[i].Weight = cmp.Or(n.Nodes[i].Weight, defaultWeight)
	}
}

func (n *Nodes) check() error {
	if err := checkAddress("listen", n.Listen); err != nil {
		return err
	}
	if err := checkAddress("stats", n.Stats); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(n.Stats) // it has both: see above
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("fleet: nodes: stats is %q, want a loopback address: it asks for no password", n.Stats)
	}
	if err := checkFile("tls_cert", n.TLSCert); err != nil {
		return err
	}
	if !slices.Contains(platforms, n.Platform) {
		return fmt.Errorf("fleet: nodes: platform is %q, want one of %v", n.Platform, platforms)
	}
	for _, f := range []struct {
		name           string
		got, low, high int
	}{
		{"retry_bytes", n.RetryBytes, minRetryBytes, maxRetryBytes},
		{"max_connections", n.MaxConnections, 1, maxMaxConnections},
		{"the number of nodes", len(n.Nodes), 1, maxNodes},
	} {
		if f.got < f.low || f.got > f.high {
			return fmt.Errorf("fleet: nodes: %s is %d, want %d to %d", f.name, f.got, f.low, f.high)
		}
	}
	for _, f := range []struct {
		name     string
		got, low time.Duration
	}{{"request_timeout", n.RequestTimeout, 100 * time.Millisecond}, {"slow_start", n.SlowStart, time.Second}} {
		if f.got < f.low || f.got > time.Hour {
			return fmt.Errorf("fleet: nodes: %s is %v, want %v to 1h", f.name, f.got, f.low)
		}
	}
	return n.checkEach()
}

var fitName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func (n *Nodes) checkEach() error {
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, node := range n.Nodes {
		if !fitName.MatchString(node.Name) {
			return fmt.Errorf("fleet: nodes[%d]: name is %q, want up to 64 letters, digits, \".\", \"-\" and \"_\"", i, node.Name)
		}
		if names[node.Name] || addresses[node.Address] {
			return fmt.Errorf("fleet: nodes[%d]: name %q or address %q is there twice", i, node.Name, node.Address)
		}
		names[node.Name], addresses[node.Address] = true, true
		err := checkAddress("address", node.Address)
		if err == nil && node.Agent != "" {
			err = checkAddress("agent", node.Agent)
		}
		if err == nil {
			err = checkFile("ca", node.CA)
		}
		if err == nil && (node.Weight < 1 || node.Weight > maxNodeWeight) {
			err = fmt.Errorf("weight is %d, want 1 to %d", node.Weight, maxNodeWeight)
		}
		if err != nil {
			return fmt.Errorf("fleet: nodes[%d] (%s): %w", i, node.Name, err)
		}
	}
	return nil
}

// fitHost matches the hosts allowed in HAProxy's configuration, besides an IPv6 address in brackets.
var fitHost = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)

func checkAddress(field, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s is %q, want HOST:PORT", field, address)
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
		return fmt.Errorf("%s is %q, want a port from 1 to 65535", field, address)
	}
	if net.ParseIP(host) == nil && !fitHost.MatchString(host) {
		return fmt.Errorf("%s is %q, want a host's name or an IP address", field, address)
	}
	return nil
}

// fitFile excludes characters with a meaning in HAProxy's configuration.
var fitFile = regexp.MustCompile(`^[A-Za-z0-9_./@+:-]{0,1000}$`)

var errFile = errors.New("want a path of letters, digits and _ . / @ + : -")

func checkFile(field, path string) error {
	if !fitFile.MatchString(path) {
		return fmt.Errorf("%s is %q, %w", field, path, errFile)
	}
	return nil
}
