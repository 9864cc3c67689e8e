package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// lineLimit bounds the log lines that clients can cause, which could fill a disk. The zero value has passed no line yet.
type lineLimit struct {
	mu         sync.Mutex
	since      time.Time // guarded by mu; when the interval began
	allowed    int       // guarded by mu; lines in it
	suppressed int       // guarded by mu; lines held back since the last that passed
}

const (
	lineInterval = 10 * time.Second
	maxLines     = 20 // in an interval
)

// allow tells whether a line may be logged now. suppressed is the number of lines held back since the last that passed.
func (l *lineLimit) allow(now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= lineInterval {
		l.since, l.allowed = now, 0
	}
	if l.allowed == maxLines {
		l.suppressed++
		return 0, false
	}
	l.allowed++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

// printfLogger carries fasthttp's reports to the log. Connections that clients broke off are logged at debug level
// alone, and all other lines are limited: a client must not be able to fill the log.
type printfLogger struct {
	logger *slog.Logger
	limit  *lineLimit
}

// Printf implements fasthttp.Logger.
func (l printfLogger) Printf(format string, args ...any) {
	level := slog.LevelWarn
	if strings.HasPrefix(format, "error when serving connection") {
		level = slog.LevelDebug
	}
	if !l.logger.Enabled(context.Background(), level) {
		return
	}
	if level > slog.LevelDebug {
		if _, ok := l.limit.allow(time.Now()); !ok {
			return
		}
	}
	l.logger.Log(context.Background(), level, "http", "message", cut(fmt.Sprintf(format, args...), maxCauseBytes))
}

// maxCauseBytes bounds the text of an error in the log, which may be a panic's stack or quote a text.
const maxCauseBytes = 16 << 10

// responseBytes returns the length of an answer. It does not read a stream for it.
func responseBytes(response *fasthttp.Response) int {
	if response.IsBodyStream() {
		return response.Header.ContentLength()
	}
	return len(response.Body())
}

// log writes the access log, and the cause of a failure that is the server's fault. A failure's message may quote
// the request, so it isn't logged.
func (s *Server) log(ctx *fasthttp.RequestCtx, f *failure, begin time.Time) {
	level, message := slog.LevelDebug, "request"
	if share := s.config.AccessLogShare; share > 0 && rand.Float64() < share {
		level = slog.LevelInfo
	}
	if f != nil && f.cause != nil {
		level, message = slog.LevelError, "request failed"
	}
	if !s.logger.Enabled(ctx, level) {
		return
	}
	suppressed := 0
	if level == slog.LevelError {
		var ok bool
		if suppressed, ok = s.logLimit.allow(time.Now()); !ok {
			return
		}
	}
	attrs := []slog.Attr{
		slog.String("method", clip(string(ctx.Method()))),
		slog.String("path", clip(string(ctx.Path()))),
		slog.Int("status", ctx.Response.StatusCode()),
		slog.Int("requestBytes", len(ctx.Request.Body())),
		slog.Int("responseBytes", responseBytes(&ctx.Response)),
		slog.Int64("elapsedNs", time.Since(begin).Nanoseconds()),
		slog.String("remote", ctx.RemoteAddr().String()),
		slog.String("requestID", string(ctx.Response.Header.Peek(headerRequestID))),
	}
	if t := traceOf(ctx); t != nil {
		attrs = append(attrs, slog.String("traceID", t.Trace.String()), slog.String("spanID", t.Span.String()))
	}
	if client := clientOf(ctx); client != "" {
		attrs = append(attrs, slog.String("key", client))
	}
	if f != nil {
		attrs = append(attrs, slog.String("errorType", kinds[f.kind].errorType))
		if f.cause != nil {
			attrs = append(attrs, slog.String("cause", cut(f.cause.Error(), maxCauseBytes)))
		}
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("leftOut", suppressed))
	}
	s.logger.LogAttrs(ctx, level, message, attrs...)
}
