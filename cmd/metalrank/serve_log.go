package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/metalrank/metalrank/httpapi"
)

// logFlags say what can be seen of the server.
type logFlags struct {
	LogFormat      string  `group:"Observability" help:"How the log on standard error is written: ${enum}." enum:"text,json" default:"text"`
	AccessLogShare float64 `group:"Observability" help:"Share of requests that have a line in the log, 0 to 1. No texts and no keys are logged." placeholder:"P"`
	AdminListen    string  `group:"Observability" help:"Where to listen, besides, for whoever runs the server: /metrics, which then is there alone, /readyz, /debug/pprof/. Asks for no keys and speaks no TLS: choose an address that others can't reach." placeholder:"ADDRESS"`
}

func (f *logFlags) validate() error {
	if !(f.AccessLogShare >= 0 && f.AccessLogShare <= 1) {
		return fmt.Errorf("--access-log-share is %g, want 0 to 1", f.AccessLogShare)
	}
	return nil
}

func (f *logFlags) logger(w io.Writer) *slog.Logger {
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// adminCloseTime bounds how long a stop waits for a profile that somebody has asked for.
const adminCloseTime = time.Second

// serveAdmin begins to serve on AdminListen, if that is set, until stop is called.
func (f *logFlags) serveAdmin(ctx context.Context, server *httpapi.Server, sockets *sockets, logger *slog.Logger) (stop func(), err error) {
	if f.AdminListen == "" {
		return func() {}, nil
	}
	ln, err := sockets.listen(ctx, f.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen: %w", err)
	}
	logger.Info("serving metrics and profiles", "address", ln.Addr().String())
	admin, done := server.NewAdmin(), make(chan struct{})
	go func() {
		defer close(done)
		if err := admin.Serve(ln); err != nil {
			logger.Error("no metrics and profiles any more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTime)
		defer cancel()
		_ = admin.Close(ctx) // at worst a profile is cut off
		<-done
	}, nil
}
