// Node is a server like `metalrank serve`, over a device that only sleeps: each batch takes the same time, independent
// of other load on the machine, and a score is a hash of the model's name and both texts, so that a client can check
// it. tools/system/fleet starts several. SIGUSR1 makes the device slower, SIGUSR2 as fast as it was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/metalrank/metalrank/httpapi"
)

type options struct {
	listen, agent string
	model         string
	service       time.Duration // of a batch
	slower        int           // times, after SIGUSR1
	drain         time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8080", "where to serve")
	flag.StringVar(&o.agent, "agent-listen", "127.0.0.1:8081", "where to answer the agent check")
	flag.StringVar(&o.model, "model", "v1", "name of the model, which scores depend on")
	flag.DurationVar(&o.service, "service", 20*time.Millisecond, "time of a batch")
	flag.IntVar(&o.slower, "slower", 10, "how many times slower SIGUSR1 makes the device")
	flag.DurationVar(&o.drain, "drain", 2*time.Second, "how long, once told to stop, to go on while others are told")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d := newDevice(o.model, o.service)
	go d.run()
	speeds := make(chan os.Signal, 1)
	signal.Notify(speeds, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range speeds {
			d.slow(s == syscall.SIGUSR1, o.slower)
		}
	}()
	server, err := httpapi.New(d, httpapi.Config{OverloadedStatus: true})
	if err != nil {
		return err
	}
	agent, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.agent)
	if err != nil {
		return err
	}
	go func() { _ = server.ServeAgent(agent) }() // until the process ends
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
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
	time.Sleep(o.drain)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(within), <-served)
}
