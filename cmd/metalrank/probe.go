package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// probeTimeout bounds the whole of a probe.
const probeTimeout = 5 * time.Second

// probe asks the server that listens where these flags say whether it is ready. An error says that it is not, or that it is
// not there.
func (c *serveCommand) probe() error {
	if strings.HasPrefix(c.Listen, fdPrefix) {
		return fmt.Errorf("--probe: --listen is %s, a descriptor of another process: want its address", c.Listen)
	}
	network, address := "tcp", reachable(c.Listen)
	if path, unix := strings.CutPrefix(c.Listen, unixPrefix); unix {
		network, address = "unix", path
	}
	client := fasthttp.HostClient{Addr: "metalrank", IsTLS: c.TLSCert != "", Dial: func(string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: probeTimeout}
		return dialer.DialContext(context.Background(), network, address)
	}}
	if client.IsTLS {
		// The certificate has a name for others, and the server is this machine's: nothing secret is sent.
		client.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // see above
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI("/readyz")
	request.Header.SetHost("localhost")
	if client.IsTLS {
		request.URI().SetScheme("https")
	}
	if err := client.DoTimeout(request, response, probeTimeout); err != nil {
		return fmt.Errorf("%s: %w", c.Listen, err)
	}
	if response.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("%s: not ready: status %d, %.200s", c.Listen, response.StatusCode(), response.Body())
	}
	return nil
}

// reachable returns the address by which this machine reaches a listener: one on all addresses is reached on a loopback one.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if address, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0")); err == nil && address.IsUnspecified() {
		host = "127.0.0.1"
		if address.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
