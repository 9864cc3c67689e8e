package main

import (
	"context"
	"log/slog"

	"github.com/metalrank/metalrank/httpapi"
)

// fleetFlags are for a server behind a load balancer.
type fleetFlags struct {
	AgentListen      string `help:"Where HAProxy's agent check is answered, with the share of requests that this server should get by the tokens that wait, and with \"drain\" once it is to stop." placeholder:"ADDRESS"`
	OverloadedStatus string `help:"What refuses a request that is too much at the moment: ${enum}. HAProxy before 3 asks another server after 503 alone." enum:"429,503" default:"429"`
}

func (f *fleetFlags) validate() error {
	if f.AgentListen == "" {
		return nil
	}
	return checkAddress("--agent-listen", f.AgentListen)
}

// serveAgent begins to serve on AgentListen, if that is set, until stop is called, which may be more than once.
func (f *fleetFlags) serveAgent(
	ctx context.Context, sockets *sockets, server *httpapi.Server, logger *slog.Logger,
) (stop func(), err error) {
	if f.AgentListen == "" {
		return func() {}, nil
	}
	ln, err := sockets.listen(ctx, "--agent-listen", f.AgentListen)
	if err != nil {
		return nil, err
	}
	logger.Info("serving the agent check", "address", ln.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.ServeAgent(ln); err != nil {
			logger.Error("no agent check any more", "error", err)
		}
	}()
	return func() {
		_ = ln.Close() // ends ServeAgent, even with an error
		<-done
	}, nil
}
