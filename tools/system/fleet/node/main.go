// Node is a server like `metalrank serve`, over a device that only sleeps: each batch takes the same time, independent
// of other load on the machine, and a score is a hash of the model's name and both texts, so that a client can check
// it. tools/system/fleet starts several. SIGUSR1 makes the device slower, SIGUSR2 as fast as it was.
package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/httpapi"
)

type options struct {
	Listen      string        `help:"Where to serve." default:"127.0.0.1:8080"`
	AgentListen string        `help:"Where to answer the agent check." default:"127.0.0.1:8081"`
	Model       string        `help:"Name of the model, which scores depend on." default:"v1"`
	Service     time.Duration `help:"Time of a batch." default:"20ms"`
	Slower      int           `help:"How many times slower SIGUSR1 makes the device." default:"10"`
	Drain       time.Duration `help:"How long, once told to stop, to go on while others are told." default:"2s"`
}

func main() {
	cli.Program{Name: "node", Description: "Serves over a device that only sleeps.", Grammar: &options{}}.Main()
}

// StopTime implements cli.StopTimer.
func (o *options) StopTime() time.Duration { return o.Drain + time.Minute }

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context) error {
	d := newDevice(o.Model, o.Service)
	go d.run()
	speeds := make(chan os.Signal, 1)
	signal.Notify(speeds, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range speeds {
			d.slow(s == syscall.SIGUSR1, o.Slower)
		}
	}()
	server, err := httpapi.New(d, httpapi.Config{OverloadedStatus: true})
	if err != nil {
		return err
	}
	agent, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.AgentListen)
	if err != nil {
		return err
	}
	go func() { _ = server.ServeAgent(agent) }() // until the process ends
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	server.Leave()
	time.Sleep(o.Drain)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(within), <-served)
}
