// Command metalrank-bulk scores millions of pairs on a fleet, by way of NATS JetStream. `metalrank bulk` runs it. It is a
// program of its own, since its NATS server and its Parquet reader double the size of metalrank's code.
//
// Results go to standard output, everything else to standard error. Exit status: 0 fine, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk"
)

// command is the grammar of the command line.
type command struct {
	Version kong.VersionFlag `help:"Print the version and exit." env:"-"`

	Serve   serveCommand   `cmd:"" help:"Run a NATS server with JetStream, for a fleet that has none."`
	Submit  submitCommand  `cmd:"" help:"Cut pairs into chunks and hand them to the server. Run again, it goes on where it was cut off."`
	Work    workCommand    `cmd:"" help:"Score chunks of all jobs, until told to stop. Run one on each machine."`
	Collect collectCommand `cmd:"" help:"Write a job's results in the order of its input, as they come."`
	Status  statusCommand  `cmd:"" help:"Show jobs, workers and speed."`
	Remove  removeCommand  `cmd:"" help:"Delete a job and its results from the server."`

	Completion cli.Completion `cmd:"" help:"Print the completion script for a shell."`
	Manual     cli.Manual     `cmd:"" help:"Print the manual page."`
}

const description = `Scores millions of (query, document) pairs on a fleet, by way of NATS JetStream.

  metalrank bulk serve --store /var/lib/metalrank-bulk            on one machine, or use a nats-server that you have
  metalrank bulk work                                             on each machine that scores
  metalrank bulk submit --job monday --pairs pairs.jsonl
  metalrank bulk collect --job monday -o scores.jsonl
  metalrank bulk remove --job monday

Every pair gets exactly one result, whatever workers, the server and these commands die of: run again what was cut off.`

// streams are the process's standard streams, or a test's.
type streams struct{ cli.Streams }

// say writes a line for the operator.
func (s streams) say(format string, args ...any) {
	fmt.Fprintf(s.Err, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// server returns streams that write err by a cli.Log until closeLog is called, so that a reader that stalls or goes neither
// holds up nor ends the command. It is for commands that run until they are told to stop.
func (s streams) server() (logged streams, closeLog func()) {
	cli.IgnoreSIGPIPE()
	logged = s
	log := cli.NewLog(s.Err, func(lines int64) { logged.say("%d lines were dropped: their reader is too slow", lines) })
	logged.Err = log
	return logged, func() { log.Close(logCloseTime) }
}

const logCloseTime = 500 * time.Millisecond

func main() {
	cli.Main(func(ctx context.Context, args []string, std cli.Streams) int { return run(ctx, args, streams{std}) })
}

// run is main without the process around it; it returns the exit status.
func run(ctx context.Context, args []string, std streams) (status int) {
	return cli.Run(ctx, cli.Program{
		Name: "metalrank bulk", Description: description, Environment: cli.Environment, Grammar: &command{},
	}, args, std.Streams, kong.Bind(std), modelflags.Vars())
}

// serverFlags choose the server, and the identity to use there.
type serverFlags struct {
	Server       string `help:"NATS servers, nats://HOST:PORT or tls://HOST:PORT, separated by commas." default:"nats://127.0.0.1:4222" placeholder:"URL"`
	Creds        string `help:"Credentials file of NATS (JWT and seed)." type:"existingfile" xor:"login" placeholder:"FILE"`
	Nkey         string `help:"File with an nkey's seed." type:"existingfile" xor:"login" placeholder:"FILE"`
	TokenFile    string `help:"File with the token that the server wants." type:"existingfile" xor:"login" placeholder:"FILE"`
	User         string `help:"User, with --password-file." xor:"login" placeholder:"NAME"`
	PasswordFile string `help:"File with the user's password." type:"existingfile" placeholder:"FILE"`
	TLSCA        string `name:"tls-ca" help:"Authorities (PEM) that may have signed the server's certificate, besides the system's." type:"existingfile" placeholder:"FILE"`
	TLSCert      string `name:"tls-cert" help:"Our certificate (PEM), with --tls-key." type:"existingfile" placeholder:"FILE"`
	TLSKey       string `name:"tls-key" help:"Its key (PEM)." type:"existingfile" placeholder:"FILE"`
}

// Validate is called by kong.
func (f *serverFlags) Validate() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if (f.User == "") != (f.PasswordFile == "") {
		return errors.New("--user and --password-file go together")
	}
	return nil
}

// jobFlag names a job.
type jobFlag struct {
	Job string `help:"Name of the job: up to 64 letters, digits, - and _." required:"" placeholder:"NAME"`
}

// Validate is called by kong.
func (f *jobFlag) Validate() error {
	if f.Job == "" {
		return nil // kong says that it is missing
	}
	return bulk.CheckName(f.Job)
}

func (f *serverFlags) connect(ctx context.Context, name string, std streams) (*bulk.Client, error) {
	return bulk.Connect(ctx, bulk.Connection{
		URL: f.Server, Name: name, Creds: f.Creds, NKey: f.Nkey, TokenFile: f.TokenFile, User: f.User,
		PasswordFile: f.PasswordFile, TLSCA: f.TLSCA, TLSCert: f.TLSCert, TLSKey: f.TLSKey,
		OnChange: func(what string) { std.say("server: %s", what) },
	})
}

// ticker limits progress lines to one every sayInterval.
type ticker struct{ last time.Time }

const sayInterval = 5 * time.Second

func newTicker() *ticker { return &ticker{time.Now()} }

func (t *ticker) due() bool {
	if time.Since(t.last) < sayInterval {
		return false
	}
	t.last = time.Now()
	return true
}
