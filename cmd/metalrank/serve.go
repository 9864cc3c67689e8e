package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/cli/modelflags"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/engine/trace"
	"github.com/metalrank/metalrank/httpapi"
)

type serveCommand struct {
	modelflags.Flags `group:"Models"`
	servedFlags      `group:"Models"`
	listenFlags      `group:"Listening"`
	schedulingFlags  `group:"Limits and scheduling"`
	timeoutFlags     `group:"Limits and scheduling"`
	keyFlags         `group:"Security"`
	tlsFlags         `group:"Security"`
	corsFlags        `group:"Security"`
	logFlags         `group:"Observability"`
	traceFlags       `group:"Observability"`
	fleetFlags       `group:"Fleet"`
	teiFlags         `group:"As text-embeddings-inference has them"`

	Check bool `help:"Load everything, print the settings and where they come from, and exit instead of serving."`
	Probe bool `help:"Ask the server at --listen whether it is ready, and exit: 0 it is, 1 it isn't. For the health checks of containers." env:"-"`

	Recorder   trace.Recorder `kong:"-"` // of all models
	log        *cli.Log
	listenName string // where Listen comes from
}

// servedFlags choose the models besides --model, and how names of models in requests are answered.
type servedFlags struct {
	Name         string          `help:"Name of --model for clients. Default: the checkpoint's." placeholder:"NAME"`
	Also         cli.Assignments `help:"Serve another model, too, under a name. Models share the devices; all have the same flags." placeholder:"NAME=DIR"`
	Weight       cli.Assignments `help:"How much more device time than others a model gets, by name: 1/16 to 16, as 0.5. Default: 1." placeholder:"NAME=W"`
	weights      map[string]float64
	AnyModel     bool `help:"Answer requests for a model that isn't served, too, instead of refusing them."`
	AutoTruncate bool `help:"Cut texts that are too long where a request of text-embeddings-inference's doesn't say whether to; with --no-auto-truncate it is refused." default:"true" negatable:""`
}

// listenFlags say where the server listens, and how it stops.
type listenFlags struct {
	Listen       string        `help:"Where to listen: HOST:PORT, unix:PATH for a socket, or fd:N for one that a service manager has opened (systemd's first is fd:3). Default: 127.0.0.1:8080." placeholder:"ADDRESS"`
	Handover     string        `help:"Socket by which a newer process with the same flag takes this one's place without a request lost: it loads its models, takes over the listening sockets, and this one finishes and ends." type:"path" placeholder:"PATH"`
	DrainDelay   time.Duration `help:"How long, once told to stop, GET /readyz says 503 and all else goes on, before no more connections are accepted. Default: not at all." placeholder:"D"`
	DrainTimeout time.Duration `help:"How long a stop then waits for requests under way. What is left is refused with 503, and the process ends." default:"30s"`
}

// corsFlags let pages in browsers use the server.
type corsFlags struct {
	CORSOrigin []string `name:"cors-origin" help:"Origin (SCHEME://HOST[:PORT]) whose pages may use the server from a browser; several with commas between them; * for all. Default: none." placeholder:"ORIGIN"`
}

// schedulingFlags set the limits of requests, of queues and of batches.
type schedulingFlags struct {
	MaxBatchTokens        int           `help:"Most tokens in a batch. A batch that would take over a quarter of a second has fewer. Default: 4096." placeholder:"N"`
	MaxQueueTokens        int           `help:"Tokens that may wait for a model; what would make them more is refused with 429. Default: 256 times --max-batch-tokens." placeholder:"N"`
	MaxQueueTime          time.Duration `help:"How long the work may take that waits for a model; what would make it longer is refused with 429. Default: 1m where several models are served, and no limit for one alone." placeholder:"D"`
	MaxConcurrentRequests int           `help:"Requests under way at once. Default: 512." placeholder:"N"`
	MaxClientBatchSize    int           `help:"Texts in a request. Default: 1000." placeholder:"N"`
	MaxBodyBytes          int           `help:"Size of a request's body, before and after decompressing. Default: 16000000." placeholder:"N"`
	MaxConnections        int           `help:"Open connections; one more is answered with 503 and closed. Default: 10000." placeholder:"N"`
	MaxWait               time.Duration `help:"How long a batch that isn't full waits for more while the device is idle. Default: not at all." placeholder:"D"`
	Replicas              int           `help:"Backends for each model; on the CPU they divide the cores. Default: 1." placeholder:"N"`
	TokenCacheBytes       int           `help:"Memory for the tokens of texts seen lately; -1: none. Default: 32 MiB." placeholder:"N"`
	KeepWarm              time.Duration `help:"How long after the last batch a GPU is kept ready for the next; -1s: not at all, which saves power, and the first request after a pause takes a quarter of a second longer. Default: 3m." placeholder:"D"`
	IdleAfter             time.Duration `help:"Unload a model that nobody has asked for so long, until somebody does. Default: never." placeholder:"D"`
}

func (f *schedulingFlags) apply(c *engine.Config) {
	c.MaxBatchTokens, c.MaxQueueTokens, c.MaxConcurrentRequests = f.MaxBatchTokens, f.MaxQueueTokens, f.MaxConcurrentRequests
	c.MaxWait, c.MaxQueueTime, c.Replicas, c.TokenCacheBytes, c.KeepWarm = f.MaxWait, f.MaxQueueTime, f.Replicas, f.TokenCacheBytes, f.KeepWarm
}

// Validate is called by kong.
func (c *serveCommand) Validate() error {
	config := c.Config()
	c.apply(&config)
	http := c.httpConfig(nil, nil, nil, nil)
	return cmp.Or(c.tlsFlags.validate(), c.teiFlags.validate(), c.listenFlags.validate(), c.servedFlags.validate(),
		nonNegative("idle-after", c.IdleAfter), c.logFlags.validate(), c.fleetFlags.validate(), config.Validate(), http.Validate())
}

func (f *listenFlags) validate() error {
	if f.Listen != "" {
		if err := checkAddress("--listen", f.Listen); err != nil {
			return err
		}
	}
	if f.Handover != "" {
		if err := checkSocketPath("--handover", f.Handover+newSuffix); err != nil {
			return err
		}
	}
	return cmp.Or(nonNegative("drain-delay", f.DrainDelay), nonNegative("drain-timeout", f.DrainTimeout))
}

func nonNegative(flag string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("--%s is %v, want 0 or more", flag, d)
	}
	return nil
}

func (f *servedFlags) validate() error {
	f.weights = map[string]float64{}
	for name, text := range f.Weight {
		weight, err := strconv.ParseFloat(text, 64)
		if err != nil || !(weight >= 1./16 && weight <= 16) {
			return fmt.Errorf("--weight %s=%s: want a number, 1/16 to 16", name, text)
		}
		f.weights[name] = weight
	}
	return nil
}

// gcPercent is Go's GOGC for a server. Go's heap holds the requests in flight, a few MB, but not the model. At the default
// of 100 a busy server would collect garbage a hundred times a second.
const gcPercent = 400

// Run is called by kong. It serves until ctx ends, then finishes the accepted requests.
func (c *serveCommand) Run(ctx context.Context, parsed *kong.Context, std streams) error {
	hangups := std.hangups
	if hangups == nil {
		hangups = catchHangups()
		defer signal.Stop(hangups)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	from := cli.SourcesOf(parsed)
	if err := cmp.Or(c.applyTEIFlags(from), c.Validate()); err != nil {
		return err
	}
	if c.Probe {
		return c.probe()
	}
	if !c.Check {
		cli.IgnoreSIGPIPE()
	}
	log, closeLog, err := c.logFlags.open(std.err)
	if err != nil {
		return err
	}
	defer func() { _ = closeLog() }() // nothing could tell
	var logger *slog.Logger
	c.log = cli.NewLog(log, func(lines int64) {
		logger.Warn("lines of the log were dropped: its reader is too slow", "lines", lines)
	})
	defer c.log.Close(logCloseTime)
	logger = c.logger(c.log)
	c.logIgnored(from, cli.Useless(parsed, from), logger)
	if c.Check {
		return c.check(ctx, parsed.Selected().Flags, from, std, logger)
	}
	return c.run(ctx, hangups, logger)
}

// load opens --model, which answers requests that name none, and then the others in the order of their names.
func (c *serveCommand) load(
	ctx context.Context, pool *engine.Pool, metrics *httpapi.Metrics, logger *slog.Logger,
) (served, error) {
	var models served
	add := func(name, source string) error {
		config := engine.ModelConfig{Config: c.Config(), Weights: c.weights, IdleAfter: c.IdleAfter}
		c.apply(&config.Config)
		config.Trace = &c.Recorder
		config.OnBatch = func(b engine.BatchStats) {
			metrics.ObserveBatch(b)
			if b.Fault != nil {
				logger.Warn("the device failed; a batch ran again", "device", b.Device, "batch", b.ID, "error", b.Fault)
			}
			if b.Err != nil {
				logger.Error("batch failed", "device", b.Device, "batch", b.ID, "requests", b.Requests, "tokens", b.Tokens,
					"error", b.Err, "stack", string(b.Stack))
			}
		}
		config.OnFallback = func(why error) {
			logger.Error("THE GPU IS NOT USED: the CPU computes instead, which is slower; --backend metal makes this an error",
				"model", cmp.Or(name, source, "embedded"), "error", why)
		}
		config.OnDoubt = func(why error) {
			logger.Warn("scores of the GPU could not be tested", "model", cmp.Or(name, source, "embedded"), "error", why)
		}
		config.OnTuned = func(t engine.Tuned) { logTuned(logger, cmp.Or(name, source, "embedded"), t) }
		var err error
		if config.Model, err = modelflags.FindBy(source, c.getenv); err != nil {
			return err
		}
		model, err := pool.Load(ctx, name, config)
		if err != nil {
			return err
		}
		models = append(models, model)
		return nil
	}
	if err := add(c.Name, c.Model); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Also)) {
		if name == "" || name == models[0].Name() {
			return nil, fmt.Errorf("--also %s=%s: the name is empty or taken", name, c.Also[name])
		}
		if err := add(name, c.Also[name]); err != nil {
			return nil, fmt.Errorf("--also %s: %w", name, err)
		}
	}
	for name := range c.Weight {
		if _, ok := models.Model(name); !ok {
			return nil, fmt.Errorf("--weight %s: there is no such model among %v", name, models.Names())
		}
	}
	return models, nil
}

// getenv is os.Getenv, except that the flag for the hub's cache, if set, replaces HF_HUB_CACHE.
func (c *serveCommand) getenv(name string) string {
	if name == "HF_HUB_CACHE" && c.HuggingfaceHubCache != "" {
		return c.HuggingfaceHubCache
	}
	return os.Getenv(name)
}

// served are the models of a pool, for httpapi.
type served []*engine.Model

// Model implements httpapi.Models.
func (s served) Model(name string) (httpapi.Model, bool) {
	for _, m := range s {
		if m.Name() == name {
			return m, true
		}
	}
	return nil, false
}

// Names implements httpapi.Models.
func (s served) Names() []string {
	var names []string
	for _, m := range s {
		names = append(names, m.Name())
	}
	return names
}

func (c *serveCommand) httpConfig(keys *httpapi.Keys, cert *certificate, metrics *httpapi.Metrics, logger *slog.Logger) httpapi.Config {
	build := cli.CurrentBuild()
	config := httpapi.Config{
		Version: build.Version, Commit: build.Commit, CommitDate: build.Date, Logger: logger, Metrics: metrics, Trace: &c.Recorder, Keys: keys, AnyModel: c.AnyModel, MaxTexts: c.MaxClientBatchSize,
		MaxConcurrentRequests: c.MaxConcurrentRequests, AccessLogShare: c.AccessLogShare, PrivateMetrics: c.AdminListen != "",
		MaxBodyBytes: c.MaxBodyBytes, NoAutoTruncate: !c.AutoTruncate, CORSOrigins: c.CORSOrigin, TraceShare: c.TraceShare,
		MaxConnections: c.MaxConnections, OverloadedStatus: c.OverloadedStatus == "503", LogLinesDropped: c.log.Dropped,
	}
	c.limit(&config)
	if cert != nil {
		config.TLS = cert.config()
	}
	return config
}

// newServer makes the server. reload reads keys and certificate again; the caller calls stop when the server has ended.
func (c *serveCommand) newServer(
	models served, metrics *httpapi.Metrics, logger *slog.Logger,
) (server *httpapi.Server, reload func(), stop func(end time.Time), err error) {
	keys, _, err := c.openKeys()
	if err != nil {
		return nil, nil, nil, err
	}
	certificate, err := c.tlsFlags.open(logger)
	if err != nil {
		return nil, nil, nil, err
	}
	config := c.httpConfig(keys, certificate, metrics, logger)
	if stop, err = c.openTracer(&config, logger); err != nil {
		return nil, nil, nil, err
	}
	if server, err = httpapi.New(models, config); err != nil {
		stop(time.Time{})
		return nil, nil, nil, err
	}
	return server, func() {
		c.reloadKeys(context.Background(), keys, logger)
		if certificate != nil {
			certificate.reload()
		}
	}, stop, nil
}

// timeoutFlags bound the time that a client may take on a connection; httpapi.Config has the defaults and bounds.
type timeoutFlags struct {
	ReadTimeout  time.Duration `help:"How long a client may take to send a request. Default: 30s." placeholder:"D"`
	WriteTimeout time.Duration `help:"How long a client may take to receive an answer. Default: 30s." placeholder:"D"`
	IdleTimeout  time.Duration `help:"How long a connection may wait for its next request. Default: 75s." placeholder:"D"`
}

func (f *timeoutFlags) limit(c *httpapi.Config) {
	c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = f.ReadTimeout, f.WriteTimeout, f.IdleTimeout
}

func logTuned(logger *slog.Logger, model string, t engine.Tuned) {
	if t.Err != nil {
		logger.Warn("the file with the fastest kernels of this GPU can't be used", "model", model, "error", t.Err)
	}
	if t.Elapsed > 0 {
		logger.Info("found the fastest kernels for this GPU", "model", model, "products", t.Products, "left", t.Missing,
			"seconds", t.Elapsed.Seconds(), "file", t.Path)
	}
}
