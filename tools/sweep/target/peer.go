package target

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/sweep/peers"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
)

// peer is another runtime, served on loopback.
type peer struct {
	*overHTTP

	server *peers.Server
}

func openPeer(ctx context.Context, o Options) (_ Target, err error) {
	interpreter, err := peers.Installed(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	cache, err := peers.Folder()
	if err != nil {
		return nil, err
	}
	folder, err := peers.Scripts()
	if err != nil {
		return nil, err
	}
	model, err := ModelFolder(ctx, cache, o.Model)
	if err != nil {
		return nil, err
	}
	kit := python.Kit{Interpreter: interpreter, Folder: folder, Cache: cache, Threads: o.Threads}
	args := []string{
		"--peer", o.Name, "--precision", o.DType, "--threads", strconv.Itoa(o.Threads), "--model", model,
		"--max-length", strconv.Itoa(o.MaxLength), "--instances", strconv.Itoa(o.Instances),
	}
	if o.Batching.On {
		args = append(args, "--wait-ms", fmt.Sprint(o.Batching.WaitMS), "--max-tokens", strconv.Itoa(o.Batching.MaxTokens))
	}
	if o.Name == "onnx" || o.Name == "openvino" {
		artifacts, err := prepare(kit, model, o.Say)
		if err != nil {
			return nil, err
		}
		args = append(args, "--artifacts", artifacts)
	}
	server, err := peers.Start(ctx, kit.Command("serve.py", args...))
	if err != nil {
		return nil, err
	}
	described := o.Describe()
	o.URL, o.API = fmt.Sprintf("http://127.0.0.1:%d/rerank", server.Port), "tei"
	if o.Name == "infinity" {
		o.API = "jina" // infinity's dialect differs only in fields that aren't read
	}
	client, err := openHTTP(o)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	described.Versions, described.Detail = server.Versions, "over HTTP on loopback, threads "+strconv.Itoa(o.Threads)
	if described.Model, described.Hash, err = identify(o.Model, model); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	client.system = described
	client.system.URL = ""
	return &peer{client, server}, nil
}

// identify names the model and hashes its weights.
func identify(asked, folder string) (name, hash string, err error) {
	checkpoint, err := openCheckpoint(asked)
	if err != nil {
		return "", "", err
	}
	defer checkpoint.Close()
	name = filepath.Base(folder)
	if asked == "" {
		name = builtin.Name
	}
	hash, err = hashWeights(checkpoint)
	return name, hash, err
}

// ModelFolder returns a folder with the checkpoint. Only metalrank reads the layout of the embedded model; for others it
// is written to the cache in floats, of the same values.
func ModelFolder(ctx context.Context, cache, model string) (string, error) {
	if model != "" {
		return model, nil
	}
	checkpoint, err := builtin.Open()
	if err != nil {
		return "", err
	}
	defer checkpoint.Close()
	hash, err := hashWeights(checkpoint)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, builtin.Name+"-fp32-"+hash[:12])
	return filepath.Join(folder, "model"), fetched.Once(folder, func(unfinished string) error {
		return convert.Folder(ctx, checkpoint, filepath.Join(unfinished, "model"), convert.Options{Float: weights.F32})
	})
}

// prepare converts the model for the runtimes that want files of their own.
func prepare(kit python.Kit, model string, say func(string, ...any)) (artifacts string, err error) {
	corpus, err := workload.ReadCorpus()
	if err != nil {
		return "", err
	}
	counter, err := workload.NewCounter()
	if err != nil {
		return "", err
	}
	requests, err := workload.Generate(corpus, counter, workload.Specs(), 1)
	if err := errors.Join(err, counter.Close()); err != nil {
		return "", err
	}
	return kit.Prepare(model, requests, 0, func() {
		say("converting the model for onnxruntime and OpenVINO, once: a minute or two")
	})
}

func (p *peer) System() record.System { return p.system }

func (p *peer) Close() error { return errors.Join(p.overHTTP.Close(), p.server.Close()) }
