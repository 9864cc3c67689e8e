package httpapi

import (
	"context"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"
)

// Admin answers whoever runs a Server, on a listener of its own: with metrics, health, and profiles, which nobody else
// should be able to ask for. It asks for no keys: the listener should be one that others can't reach. It goes on while
// the Server stops.
type Admin struct{ http fasthttp.Server }

// pprofPath begins the paths of net/http/pprof.
const pprofPath = "/debug/pprof/"

// AdminConfig says what an Admin shows besides metrics and health.
type AdminConfig struct {
	// Profiles are those of net/http/pprof, which show what the process does to whoever asks, and make it do more.
	Profiles bool
}

// NewAdmin returns an Admin of s. The caller closes it, if it has served.
func (s *Server) NewAdmin(config AdminConfig) *Admin {
	paths := routes{
		"/health": get(s.health), "/healthz": get(s.health), "/livez": get(s.health), "/readyz": get(s.ready),
		"/metrics": get(s.showMetrics), "/debug/trace": get(s.showTrace),
	}
	return &Admin{http: fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			if path := string(ctx.Path()); len(path) >= len(pprofPath) && path[:len(pprofPath)] == pprofPath && config.Profiles {
				pprofhandler.PprofHandler(ctx)
				return
			}
			if f := s.dispatch(ctx, paths); f != nil {
				f.write(&ctx.Response)
			}
		},
		Logger: printfLogger{s.logger, &s.lines}, ReadTimeout: s.config.ReadTimeout, WriteTimeout: s.config.WriteTimeout,
		IdleTimeout: s.config.IdleTimeout, ReadBufferSize: maxHeaderBytes, GetOnly: true, CloseOnShutdown: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, SecureErrorLogMessage: true,
	}}
}

// Serve answers what ln accepts until Close. It closes ln.
func (a *Admin) Serve(ln net.Listener) error {
	if err := a.http.Serve(ln); err != nil {
		return fmt.Errorf("httpapi: admin on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Close stops, and waits until ctx ends for what is under way, such as a profile.
func (a *Admin) Close(ctx context.Context) error { return a.http.ShutdownWithContext(ctx) }
