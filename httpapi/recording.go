package httpapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine/trace"
)

// The default and the most seconds of a trace.
const (
	defaultTraceSeconds = 5
	maxTraceSeconds     = 60
)

// showTrace records requests and batches for ?seconds=, and answers with the trace: JSON for Perfetto and Chrome, or,
// with ?format=folded, stacks for flame graphs.
func (s *Server) showTrace(ctx *fasthttp.RequestCtx) *failure {
	if s.config.Trace == nil {
		return failf(kindNotFound, "this server records no traces")
	}
	seconds := float64(defaultTraceSeconds)
	if text := string(ctx.QueryArgs().Peek("seconds")); text != "" {
		var err error
		if seconds, err = strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds <= maxTraceSeconds) {
			return failf(kindValidation, "`seconds` is %.40q, want more than 0 and at most %d", text, maxTraceSeconds)
		}
	}
	format := string(ctx.QueryArgs().Peek("format"))
	if format != "" && format != "chrome" && format != "folded" {
		return failf(kindValidation, "`format` is %.40q, want chrome or folded", format)
	}
	recorded, err := s.config.Trace.Record(context.Background(), time.Duration(seconds*float64(time.Second)))
	if errors.Is(err, trace.ErrBusy) {
		return failf(kindOverloaded, "another trace is being recorded")
	}
	if err != nil {
		return internalFailure(err)
	}
	w := newWriter()
	defer w.free()
	if format == "folded" {
		ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
		err = recorded.WriteFolded(w)
	} else {
		ctx.Response.Header.SetContentType("application/json")
		err = recorded.WriteChrome(w)
	}
	if err != nil {
		return internalFailure(err)
	}
	setBody(ctx, w.buffer)
	return nil
}
