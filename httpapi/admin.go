package httpapi

import (
	"context"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"
)

// Admin serves metrics, health and profiles to the operator of a Server, on a listener of its own. It asks for no keys:
// clients should not be able to reach that listener. It keeps serving while the Server stops.
type Admin struct{ http fasthttp.Server }

// pprofPath begins the paths of net/http/pprof.
const pprofPath = "/debug/pprof/"

// AdminConfig selects the endpoints of an Admin besides metrics and health.
type AdminConfig struct {
	// Profiles serves net/http/pprof. Profiles show the process's internals to every client of the listener, and add load.
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
		Logger: printfLogger{s.logger, &s.logLimit}, ReadTimeout: s.config.ReadTimeout, WriteTimeout: s.config.WriteTimeout,
		IdleTimeout: s.config.IdleTimeout, ReadBufferSize: maxHeaderBytes, GetOnly: true, CloseOnShutdown: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, SecureErrorLogMessage: true,
	}}
}

// Serve answers the connections of ln until Close. It closes ln.
func (a *Admin) Serve(ln net.Listener) error {
	if err := a.http.Serve(ln); err != nil {
		return fmt.Errorf("httpapi: admin on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Close stops the Admin and waits, until ctx ends, for requests in flight, such as a profile.
func (a *Admin) Close(ctx context.Context) error { return a.http.ShutdownWithContext(ctx) }
