// Command metalrank runs this project's engine as a worker of the harness: package wire has the protocol.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/tools/bench/peers/wire"
	"github.com/metalrank/metalrank/weights/builtin"
)

type options struct {
	Model     string `help:"Checkpoint folder. Default: the embedded model."`
	Backend   string `help:"engine.Config.Backend."`
	Precision string `help:"engine.Config.Precision; default leaves it to the backend." default:"default"`
	Threads   int    `help:"How many threads may work." default:"2"`
	Workloads string `help:"File of requests." required:""`
}

func main() {
	cli.Program{Name: "worker", Description: "Runs the engine for tools/bench/peers.", Grammar: &options{}}.Main()
}

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	runtime.GOMAXPROCS(o.Threads)
	config := engine.Config{Model: o.Model, Embedded: builtin.Open, Backend: o.Backend}
	if o.Precision != "default" {
		config.Precision = o.Precision
	}
	return work(config, o.Workloads, std.In, std.Out)
}

func work(config engine.Config, path string, in io.Reader, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	workloads, err := wire.ReadRequests(file)
	if err != nil {
		return err
	}
	e, err := engine.Open(context.Background(), config)
	if err != nil {
		return err
	}
	defer e.Close()
	info := e.Info().Backend
	replies := json.NewEncoder(out)
	ready := wire.Reply{Ready: true, Details: fmt.Sprintf("backend %s, %s, %s", info.Name, info.DType, info.Device)}
	if err := replies.Encode(&ready); err != nil {
		return err
	}
	commands := json.NewDecoder(in)
	for commands.More() {
		var command wire.Command
		if err := commands.Decode(&command); err != nil {
			return err
		}
		reply := answer(e, workloads[command.Workload], &command)
		if err := replies.Encode(&reply); err != nil {
			return err
		}
	}
	return nil
}

func answer(e *engine.Engine, requests []wire.Request, command *wire.Command) wire.Reply {
	if command.Op != wire.Run || command.Requests > len(requests) {
		return wire.Reply{Error: fmt.Sprintf("cannot %s %d requests of %q", command.Op, command.Requests, command.Workload)}
	}
	var reply wire.Reply
	runtime.GC()
	begin := time.Now()
	for _, r := range requests[:command.Requests] {
		start := time.Now()
		pairs := make([]engine.Pair, len(r.Documents))
		for i, document := range r.Documents {
			pairs[i] = engine.Pair{Query: r.Query, Document: document}
		}
		scores, err := e.Score(context.Background(), pairs, engine.Options{RawScores: true})
		if err != nil {
			return wire.Reply{Error: err.Error()}
		}
		reply.Seconds = append(reply.Seconds, time.Since(start).Seconds())
		reply.Logits = append(reply.Logits, scores.Values)
		if time.Since(begin).Seconds() >= command.LimitS {
			break
		}
	}
	return reply
}
