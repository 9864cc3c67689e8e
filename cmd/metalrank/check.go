package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
)

// check does all that serving does before the first request, but for listening, and prints what came of it. It prints no
// secrets: of keys their names, of files where they are.
func (c *serveCommand) check(ctx context.Context, flags []*kong.Flag, std streams, logger *slog.Logger) error {
	keys, list, err := c.openKeys()
	if err != nil {
		return err
	}
	certificate, err := c.tlsFlags.open(logger)
	if err != nil {
		return err
	}
	pool := engine.NewPool()
	metrics := httpapi.NewMetrics()
	models, err := c.load(ctx, pool, metrics, logger)
	if err == nil {
		_, err = httpapi.New(models, c.httpConfig(keys, certificate, metrics, logger))
	}
	if err == nil {
		err = printSettings(std.out, flags, models, list, certificate)
	}
	return errors.Join(err, pool.Close())
}

func printSettings(w io.Writer, flags []*kong.Flag, models served, keys []httpapi.Key, certificate *certificate) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, flag := range flags {
		if flag.Name == "help" || flag.Name == "check" || flag.Name == "version" {
			continue
		}
		value := fmt.Sprint(flag.Target.Interface())
		if flag.Target.IsZero() && !flag.IsBool() {
			value = "(default)"
		}
		fmt.Fprintf(table, "--%s\t%s\n", flag.Name, value)
	}
	for _, model := range models {
		info := model.Info()
		fmt.Fprintf(table, "model %s\t%s on %s (%s, %s); %d tokens in a pair, %d in a batch\n", model.Name(), info.Architecture,
			info.Backend.Name, info.Backend.Device, info.Backend.DType, info.MaxLength, info.MaxBatchTokens)
	}
	fmt.Fprintf(table, "API keys\t%s\n", describeKeys(keys))
	if certificate != nil {
		fmt.Fprintf(table, "certificate\t%s\n", certificate)
	}
	return table.Flush()
}
