package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
	"github.com/metalrank/metalrank/httpapi/otlp"
)

// check does all that serving does before the first request, except listening, and prints the settings in effect. It prints
// no secrets: only the names of keys, and the paths of files.
func (c *serveCommand) check(ctx context.Context, flags []*kong.Flag, from cli.Sources, std streams, logger *slog.Logger) error {
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
		err = c.printSettings(std.out, flags, from, models, list, certificate)
	}
	return errors.Join(err, pool.Close())
}

// checkServer makes a server, and doesn't start it.
func (c *serveCommand) checkServer(
	models served, keys *httpapi.Keys, cert *certificate, metrics *httpapi.Metrics, logger *slog.Logger,
) error {
	config := c.httpConfig(keys, cert, metrics, logger)
	closeTracer, err := c.openTracer(&config, logger)
	if err != nil {
		return err
	}
	defer closeTracer(time.Time{})
	_, err = httpapi.New(models, config)
	return err
}

func (c *serveCommand) printSettings(
	w io.Writer, flags []*kong.Flag, from cli.Sources, models served, keys []httpapi.Key, certificate *certificate,
) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	resolved := c.resolved(models)
	for _, flag := range flags {
		source := cmp.Or(from[flag.Name], "default")
		asOthers := flag.Hidden || flag.Group != nil && flag.Group.Title == teiGroup // our flags show their values
		if flag.Name == "help" || flag.Name == "check" || flag.Name == "probe" || flag.Name == "version" || asOthers && source == "default" {
			continue
		}
		value, ok := resolved[flag.Name]
		if !ok {
			value = flag.Target.Interface()
		}
		text := cmp.Or(valueText(value), "-")
		if secrets[flag.Name] && text != "-" {
			text = "(a secret)"
		}
		fmt.Fprintf(table, "--%s\t%s\t%s\n", flag.Name, text, source)
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

var secrets = map[string]bool{"api-key": true, "hf-token": true, "hf-api-token": true}

// resolved returns the values in effect, by flag name, for flags that may be without a value of their own.
func (c *serveCommand) resolved(models served) map[string]any {
	values := map[string]any{}
	config := c.Config()
	c.apply(&config)
	for _, fields := range []reflect.Value{
		reflect.ValueOf(config.WithDefaults()), reflect.ValueOf(c.httpConfig(nil, nil, nil, nil).WithDefaults()),
	} {
		for i := range fields.NumField() {
			if field := fields.Type().Field(i); field.IsExported() {
				for _, name := range cli.FlagNames(field.Name) {
					values[name] = fields.Field(i).Interface()
				}
			}
		}
	}
	// The models' settings are those of the first: all share its devices.
	info := models[0].Info()
	weights := map[string]string{}
	for _, name := range models.Names() {
		weights[name] = cmp.Or(c.Weight[name], "1")
	}
	maps.Copy(values, map[string]any{
		"model": cmp.Or(c.Model, "(embedded)"), "name": models[0].Name(), "backend": info.Backend.Name, "max-length": info.MaxLength,
		"precision": cmp.Or(c.Precision, precisionNames[info.Backend.DType], info.Backend.DType), "weight": cli.Assignments(weights),
		"overloaded-status": c.OverloadedStatus, "otlp-service-name": cmp.Or(c.OTLPServiceName, otlp.DefaultServiceName),
	})
	return values
}

// precisionNames are the names in --precision for the types that backends compute in.
var precisionNames = map[string]string{"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}

func valueText(value any) string {
	switch v := value.(type) {
	case []string:
		return strings.Join(v, ",")
	case cli.Assignments:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+"="+v[name])
		}
		return strings.Join(parts, ";")
	}
	return fmt.Sprint(value)
}
