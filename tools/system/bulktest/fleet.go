package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
	"github.com/metalrank/metalrank/tools/process"
)

const job = "bulktest"

// fleet is a server and workers, all processes of this machine.
type fleet struct {
	ctx     context.Context
	o       *options
	folder  string
	address string
	output  string
	random  *rand.Rand // of the kills

	server  *process.Process
	workers []*process.Process // the running ones; a killed one is replaced
	started int                // of workers
	kills   struct{ workers, servers, submissions, collections int }
}

func newFleet(ctx context.Context, o *options, folder string) (*fleet, error) {
	// A port that was free a moment ago: the server needs the same one again after it was killed.
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fleet{
		ctx: ctx, o: o, folder: folder, address: l.Addr().String(), output: filepath.Join(folder, "bulk.jsonl"),
		random: rand.New(rand.NewPCG(o.Seed, 1)),
	}
	return f, l.Close()
}

// start runs `metalrank bulk ARGS`, with its output going to a file of its name.
func (f *fleet) start(name string, args ...string) (*process.Process, error) {
	log, err := os.OpenFile(filepath.Join(f.folder, name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(f.ctx, f.o.Metalrank, append([]string{"bulk"}, args...)...)
	command.Stderr, command.Stdout = log, log
	command.Env = append(os.Environ(), "METALRANK_SERVER=nats://"+f.address, "GOMAXPROCS=1")
	p, err := process.Start(command, nil)
	return p, errors.Join(err, log.Close()) // the process has a descriptor of its own
}

func (f *fleet) startServer() (err error) {
	f.server, err = f.start("server", "serve", "--listen", f.address, "--store", filepath.Join(f.folder, "store"))
	return err
}

func (f *fleet) startWorker() (*process.Process, error) {
	f.started++
	return f.start(fmt.Sprintf("worker%d", f.started), append([]string{"work", "--in-flight", "2"}, f.o.modelFlags()...)...)
}

// status asks the server how far the job is.
func (f *fleet) status() (*bulk.Status, error) {
	c := exec.CommandContext(f.ctx, f.o.Metalrank, "bulk", "status", "--json", "--job", job)
	c.Env = append(os.Environ(), "METALRANK_SERVER=nats://"+f.address)
	var errText bytes.Buffer
	c.Stderr = &errText
	text, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("status: %w: %s", err, errText.String())
	}
	var all struct {
		Jobs []*bulk.Status `json:"jobs"`
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all.Jobs) != 1 {
		return nil, fmt.Errorf("status: %s: %w", text, err)
	}
	return all.Jobs[0], nil
}

func (f *fleet) summarize(out io.Writer, elapsed time.Duration) error {
	s, err := f.status()
	if err != nil {
		return err
	}
	if s.Done != s.Job.Chunks || s.Job.Pairs != f.o.Pairs || len(s.Aside) > 0 {
		return fmt.Errorf("the server has %d results for %d chunks of %d pairs, %d pairs set aside", s.Done, s.Job.Chunks, s.Job.Pairs,
			len(s.Aside))
	}
	fmt.Fprintf(out, "bulk: %d pairs in %d chunks in %.1f s, %.0f/s, over %d workers of one thread\n", f.o.Pairs, s.Job.Chunks,
		elapsed.Seconds(), float64(f.o.Pairs)/elapsed.Seconds(), f.o.Workers)
	fmt.Fprintf(out, "killed with SIGKILL: workers %d times, the server %d, submit %d, collect %d; %d worker processes in all\n",
		f.kills.workers, f.kills.servers, f.kills.submissions, f.kills.collections, f.started)
	return nil
}

// close ends all processes.
func (f *fleet) close() {
	var ending sync.WaitGroup
	for _, p := range append(f.workers, f.server) {
		if p != nil {
			ending.Go(func() { _ = p.Close() }) // which kills it, if it has not ended
		}
	}
	ending.Wait()
}

// logs returns the end of each log, to explain a failure.
func (f *fleet) logs() string {
	var b strings.Builder
	paths, _ := filepath.Glob(filepath.Join(f.folder, "*.log")) // the pattern is right
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if most := 1000; len(text) > most {
			text = text[len(text)-most:]
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(path), text)
	}
	return b.String()
}
