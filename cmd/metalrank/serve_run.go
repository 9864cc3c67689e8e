package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
)

// Each part of a stop is bounded, so that all of it takes --drain-delay, --drain-timeout and about two seconds, even if
// clients, models, collectors or readers of the log hang.
const (
	refuseTime   = 500 * time.Millisecond // for the answers to requests that were cancelled
	releaseTime  = 500 * time.Millisecond // to close everything else
	logCloseTime = 500 * time.Millisecond
	// loadStopTime is for a stop while models are loaded, when there is nothing to finish.
	loadStopTime = time.Second
)

// StopTime implements cli.StopTimer.
func (c *serveCommand) StopTime() time.Duration {
	return c.DrainDelay + c.DrainTimeout + refuseTime + releaseTime + logCloseTime
}

// run loads the models and serves them until ctx ends, or a successor takes over.
func (c *serveCommand) run(ctx context.Context, hangups hangups, logger *slog.Logger) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	pool := engine.NewPool()
	metrics := httpapi.NewMetrics()
	var models served
	err := cli.Within(ctx, loadStopTime, func() (err error) {
		models, err = c.load(ctx, pool, metrics, logger)
		return err
	})
	if errors.Is(err, cli.ErrAbandoned) { // closing the pool would wait for the model that is loading
		return ctx.Err()
	}
	if err != nil {
		return errors.Join(err, pool.Close())
	}
	return cli.Within(ctx, c.DrainDelay+c.DrainTimeout+refuseTime+releaseTime, func() error {
		return errors.Join(c.serve(ctx, leave, hangups, models, metrics, logger), pool.Close())
	})
}

// serve calls leave when a successor has taken over.
func (c *serveCommand) serve(
	ctx context.Context, leave func(), hangups hangups, models served, metrics *httpapi.Metrics, logger *slog.Logger,
) error {
	server, reload, stop, err := c.newServer(models, metrics, logger)
	if err != nil {
		return err
	}
	var end time.Time // of the process; set when it is told to stop
	defer func() { stop(end) }()
	limitMemory()
	sockets, err := openSockets(ctx, c.Handover)
	if err != nil {
		return err
	}
	defer sockets.close()
	listener, err := sockets.listen(ctx, c.listenName, c.Listen)
	if err != nil {
		return err
	}
	stopAdmin, err := serveAdmins(ctx, sockets, logger,
		admin{"--admin-listen", c.AdminListen, server.NewAdmin(httpapi.AdminConfig{Profiles: true})},
		admin{"--prometheus-port", c.prometheusAddress(), server.NewAdmin(httpapi.AdminConfig{})})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopAdmin()
	stopReloads := hangups.each(reload)
	stopAgent, err := c.serveAgent(ctx, sockets, server, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopAgent()
	defer stopReloads()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	if err := sockets.serving(logger); err != nil {
		_ = server.Shutdown(ctx) // no client knows of it yet
		return err
	}
	stopWatch := watchFiles(models, logger)
	defer stopWatch()
	for _, m := range models {
		logger.Info("serving", "address", listener.Addr().String(), "model", m.Name(), "backend", m.Info().Backend.Name)
	}
	select {
	case err := <-stopped:
		return err
	case <-sockets.successor:
		leave()
		stopAdmin()
		stopAgent() // the successor answers now; this server would answer "drain"
	case <-ctx.Done():
	}
	end = time.Now().Add(c.DrainDelay + c.DrainTimeout + refuseTime)
	if err := c.stop(server, sockets, logger); err != nil {
		return err
	}
	return <-stopped
}

// stop finishes requests under way, as far as they end in time, and refuses the others.
func (c *serveCommand) stop(server *httpapi.Server, sockets *sockets, logger *slog.Logger) error {
	logger.Info("stopping", "finishing", "requests under way")
	drain, cancel := context.WithTimeout(context.Background(), c.DrainDelay+c.DrainTimeout)
	defer cancel()
	c.leave(drain, server, sockets)
	err := server.Shutdown(drain)
	if err == nil {
		return nil
	}
	server.Cancel()
	refused, cancel := context.WithTimeout(context.Background(), refuseTime)
	defer cancel()
	_ = server.Shutdown(refused) // the first error says it
	return fmt.Errorf("stopping: %w", err)
}

// leave tells load balancers that the server stops, and goes on accepting until they know. If another process accepts on
// the same sockets, it stops accepting at once, and waits for connections to end by themselves.
func (c *serveCommand) leave(drain context.Context, server *httpapi.Server, sockets *sockets) {
	if !sockets.shared() {
		server.Leave()
		pause(drain, c.DrainDelay)
		sockets.closeHandover()
		return
	}
	server.Retire()
	sockets.closeHandover()
	const look = 20 * time.Millisecond
	end := time.Now().Add(max(partingTime, c.DrainDelay))
	for server.Connections() > 0 && time.Now().Before(end) && drain.Err() == nil {
		pause(drain, look)
	}
}

// pause sleeps, until ctx ends at the latest.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// burstBytes is the memory that Go may take beyond that before the first request, until it collects garbage more often.
const burstBytes = 192 << 20

// limitMemory makes Go collect garbage more often once requests take much memory: at gcPercent alone, the heap could grow
// to five times the memory in use.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	debug.SetMemoryLimit(int64(samples[0].Value.Uint64()-samples[1].Value.Uint64()) + burstBytes)
}

// hangups are the SIGHUPs that the process gets from catchHangups on. One that comes before each is called is kept.
type hangups chan os.Signal

// catchHangups keeps SIGHUP from ending the process.
func catchHangups() hangups {
	h := make(hangups, 1)
	signal.Notify(h, syscall.SIGHUP)
	return h
}

// each calls reload for every SIGHUP, one call at a time, until stop is called, which waits for a call under way. Later
// SIGHUPs don't end the process either.
func (h hangups) each(reload func()) (stop func()) {
	stopping, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-h:
				reload()
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		close(stopping)
		<-done
	}
}
