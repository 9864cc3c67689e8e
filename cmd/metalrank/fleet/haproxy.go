package fleet

import (
	_ "embed"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed haproxy.cfg.tmpl
var haproxyText string

// headerBytes is the room in a buffer besides the request that is kept for a retry: HAProxy wants tune.maxrewrite free.
const headerBytes = 16 << 10

// mostRetries bounds how often a request is sent again: a request that kills nodes must not reach all of them.
const mostRetries = 2

var haproxyTemplate = template.Must(template.New("haproxy").Funcs(template.FuncMap{
	"ms":      func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" },
	"host":    func(address string) string { host, _, _ := net.SplitHostPort(address); return host }, // ReadNodes checks it
	"port":    func(address string) string { _, port, _ := net.SplitHostPort(address); return port }, // ReadNodes checks it
	"buffer":  func(n *Nodes) int { return n.RetryBytes + headerBytes },
	"retries": func(n *Nodes) int { return min(len(n.Nodes), mostRetries) },
}).Parse(haproxyText))

// WriteHAProxy writes the configuration of HAProxy, 2.6 or newer, for a fleet that ReadNodes has checked.
func (n *Nodes) WriteHAProxy(w io.Writer) error {
	var text strings.Builder
	if err := haproxyTemplate.Execute(&text, n); err != nil {
		return fmt.Errorf("fleet: haproxy: %w", err)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
