package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/httpapi"
	"github.com/metalrank/metalrank/httpapi/otlp"
)

// traceFlags set the collector of spans.
type traceFlags struct {
	OTLPEndpoint    string  `name:"otlp-endpoint" help:"Collector of OpenTelemetry that gets spans of requests, by OTLP over HTTP: http://HOST:4318. Headers that it wants are in OTEL_EXPORTER_OTLP_HEADERS. Default: none." env:"METALRANK_OTLP_ENDPOINT,OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL"`
	OTLPServiceName string  `name:"otlp-service-name" help:"Name of this server in spans. Default: metalrank." env:"METALRANK_OTLP_SERVICE_NAME,OTEL_SERVICE_NAME" needs:"otlp-endpoint" placeholder:"NAME"`
	TraceShare      float64 `help:"Share of requests without a traceparent that have spans, 0 to 1; one with it says itself." default:"1" needs:"otlp-endpoint"`
}

// otlpHeadersVariable holds NAME=VALUE, with commas between them, as OpenTelemetry's own exporters read it. There is no
// flag for it: other users can see flags.
const otlpHeadersVariable = "OTEL_EXPORTER_OTLP_HEADERS"

// spansCloseTime bounds how long a stop waits for the collector.
const spansCloseTime = 5 * time.Second

// openTracer sets config's tracer, if there is a collector. The caller calls stop when the server has ended, with the time
// by which the process ends.
func (f *traceFlags) openTracer(config *httpapi.Config, logger *slog.Logger) (stop func(end time.Time), err error) {
	if f.OTLPEndpoint == "" {
		return func(time.Time) {}, nil
	}
	headers, err := readHeaders(os.Getenv(otlpHeadersVariable))
	if err != nil {
		return nil, err
	}
	tracer, err := otlp.New(otlp.Config{
		Endpoint: f.OTLPEndpoint, Headers: headers, ServiceName: f.OTLPServiceName, Version: cli.CurrentBuild().Version, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	config.Tracer = tracer
	return func(end time.Time) {
		ctx, cancel := context.WithTimeout(context.Background(), min(spansCloseTime, time.Until(end)))
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			logger.Warn("the last spans were not sent", "error", err)
		}
	}, nil
}

// readHeaders parses headers. Its errors don't show values: they are secret.
func readHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%s: want NAME=VALUE, with commas between them", otlpHeadersVariable)
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers, nil
}
