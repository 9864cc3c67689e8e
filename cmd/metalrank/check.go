package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
)

// check does all that serving does before the first request, but for listening, and prints what came of it. It prints no
// secrets: of keys their names, of files where they are.
func (c *serveCommand) check(ctx context.Context, flags []*kong.Flag, from sources, std streams, logger *slog.Logger) error {
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
		err = c.checkServer(models, keys, certificate, metrics, logger)
	}
	if err == nil {
		err = printSettings(std.out, flags, from, models, list, certificate)
	}
	return errors.Join(err, pool.Close())
}

// checkServer makes a server, and has it do nothing.
func (c *serveCommand) checkServer(
	models served, keys *httpapi.Keys, cert *certificate, metrics *httpapi.Metrics, logger *slog.Logger,
) error {
	config := c.httpConfig(keys, cert, metrics, logger)
	closeTracer, err := c.openTracer(&config, logger)
	if err != nil {
		return err
	}
	defer closeTracer()
	_, err = httpapi.New(models, config)
	return err
}

// defaultText is what a flag's help says of its default.
var defaultText = regexp.MustCompile(`Default: (.+)\.$`)

func printSettings(w io.Writer, flags []*kong.Flag, from sources, models served, keys []httpapi.Key, certificate *certificate) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, flag := range flags {
		source := cmp.Or(from[flag.Name], "default")
		asOthers := flag.Hidden || flag.Group != nil && flag.Group.Title == teiGroup // what they say is in ours, too
		if flag.Name == "help" || flag.Name == "check" || flag.Name == "version" || asOthers && source == "default" {
			continue
		}
		value := fmt.Sprint(flag.Target.Interface())
		switch {
		case flag.Name == "api-key" && value != "":
			value = "(a secret)"
		case flag.Target.IsZero() && !flag.IsBool():
			value = "-"
			if text := defaultText.FindStringSubmatch(flag.Help); text != nil {
				value = text[1]
			}
		}
		fmt.Fprintf(table, "--%s\t%s\t%s\n", flag.Name, value, source)
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
