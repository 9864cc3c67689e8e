package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/metalrank/metalrank/httpapi"
)

// logFlags set the log, and the address for metrics and profiles.
type logFlags struct {
	LogFormat      string  `help:"How the log is written: ${enum}." enum:"text,json" default:"text"`
	LogFile        string  `help:"File for the log. At 10 MB it is put aside, and five such are kept, compressed. Default: standard error." type:"path" placeholder:"FILE"`
	AccessLogShare float64 `help:"Share of requests that have a line in the log, 0 to 1. No texts and no keys are logged. Default: 0." placeholder:"P"`
	AdminListen    string  `help:"Where to listen, besides, for whoever runs the server: /metrics, which then is there alone, /readyz, /debug/pprof/, /debug/trace?seconds=5 for Perfetto. Asks for no keys and speaks no TLS: choose an address that others can't reach." placeholder:"ADDRESS"`
}

func (f *logFlags) validate() error {
	if f.AdminListen == "" {
		return nil
	}
	return checkAddress("--admin-listen", f.AdminListen)
}

// The size of a log file, and how many older ones are kept.
const (
	logFileMB   = 10
	logFileKept = 5
)

// open opens the log. The caller calls end when nothing writes to it any more.
func (f *logFlags) open(errOut io.Writer) (log io.Writer, end func() error, err error) {
	if f.LogFile == "" {
		return errOut, func() error { return nil }, nil
	}
	file := &lumberjack.Logger{Filename: f.LogFile, MaxSize: logFileMB, MaxBackups: logFileKept, Compress: true}
	if _, err := file.Write(nil); err != nil { // opens it: a wrong path must not show in the middle of the night
		return nil, nil, fmt.Errorf("--log-file: %w", err)
	}
	return file, file.Close, nil
}

func (f *logFlags) logger(w io.Writer) *slog.Logger {
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// adminCloseTime bounds how long a stop waits for a profile under way.
const adminCloseTime = time.Second

// admin is a server for metrics and profiles, and the flag with its address.
type admin struct {
	flag, address string
	*httpapi.Admin
}

// serveAdmins serves each at its address, until stop is called. One with the address "" is left out.
func serveAdmins(ctx context.Context, sockets *sockets, logger *slog.Logger, admins ...admin) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, one := range stops {
			one()
		}
	}
	for _, one := range admins {
		if one.address == "" {
			continue
		}
		ln, err := sockets.listen(ctx, one.flag, one.address)
		if err != nil {
			stop()
			return nil, err
		}
		logger.Info("serving metrics and profiles", "address", ln.Addr().String())
		stops = append(stops, serveAdmin(one.Admin, ln, logger))
	}
	return stop, nil
}

func serveAdmin(admin *httpapi.Admin, ln net.Listener, logger *slog.Logger) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := admin.Serve(ln); err != nil {
			logger.Error("no metrics and profiles any more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTime)
		defer cancel()
		_ = admin.Close(ctx) // at worst a profile is cut off
		<-done
	}
}
