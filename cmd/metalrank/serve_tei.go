package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/httpapi"
	"github.com/metalrank/metalrank/weights/hub"
)

// teiFlags are the flags of text-embeddings-inference without a counterpart of the same meaning among ours. The others are
// further names of our flags (teiNames). So this server can be started with that server's flags and variables.
type teiFlags struct {
	Hostname            string `help:"Host of --listen. The variable counts only if it is an IP address: elsewhere it is the machine's name." env:"HOSTNAME" placeholder:"HOST"`
	Port                int    `help:"Port of --listen." short:"p" env:"PORT" placeholder:"N"`
	DType               string `name:"dtype" help:"As --precision: float32, float16 or bfloat16." env:"DTYPE" placeholder:"T"`
	Revision            string `help:"Revision of a --model of the hub; OWNER/MODEL@REVISION says the same." env:"REVISION" placeholder:"R"`
	HuggingfaceHubCache string `help:"Folder of the hub's cache, as HF_HUB_CACHE." env:"HUGGINGFACE_HUB_CACHE" type:"path" placeholder:"DIR"`
	APIKey              string `name:"api-key" help:"One key, of whom metrics call \"default\". Better the variable than the flag, which others can see." env:"API_KEY" placeholder:"KEY"`
	JSONOutput          bool   `name:"json-output" help:"As --log-format=json." env:"JSON_OUTPUT"`
	PrometheusPort      int    `help:"Serve metrics there, too, on the host of --listen." env:"PROMETHEUS_PORT" placeholder:"N"`

	// Without effect here.
	TokenizationWorkers int    `hidden:"" env:"TOKENIZATION_WORKERS"`
	MaxBatchRequests    int    `hidden:"" env:"MAX_BATCH_REQUESTS"`
	UDSPath             string `name:"uds-path" hidden:"" env:"UDS_PATH"`
	DisableSpans        bool   `hidden:"" env:"DISABLE_SPANS"`
	DeviceID            int    `name:"device-id" hidden:"" env:"DEVICE_ID"`
	HFToken             string `name:"hf-token" hidden:"" env:"-"`
	HFAPIToken          string `name:"hf-api-token" hidden:"" env:"-"`

	// Refused.
	Pooling           string `hidden:"" env:"POOLING"`
	DefaultPrompt     string `hidden:"" env:"DEFAULT_PROMPT"`
	DefaultPromptName string `hidden:"" env:"DEFAULT_PROMPT_NAME"`
	DensePath         string `hidden:"" env:"DENSE_PATH"`

	ignored map[string]string // flags and variables that are set without an effect, and why
}

// teiGroup is the title of teiFlags in the help.
const teiGroup = "As text-embeddings-inference has them"

// teiNames are text-embeddings-inference's names for flags of ours: a flag, where its name differs, and an environment
// variable.
var teiNames = map[string]struct{ flag, variable string }{
	"model":                   {"model-id", "MODEL_ID"},
	"name":                    {"served-model-name", "SERVED_MODEL_NAME"},
	"max-concurrent-requests": {"", "MAX_CONCURRENT_REQUESTS"},
	"max-batch-tokens":        {"", "MAX_BATCH_TOKENS"},
	"max-client-batch-size":   {"", "MAX_CLIENT_BATCH_SIZE"},
	"max-body-bytes":          {"payload-limit", "PAYLOAD_LIMIT"},
	"auto-truncate":           {"", "AUTO_TRUNCATE"},
	"cors-origin":             {"cors-allow-origin", "CORS_ALLOW_ORIGIN"},
	"otlp-endpoint":           {"", "OTLP_ENDPOINT"},
	"otlp-service-name":       {"", "OTLP_SERVICE_NAME"},
}

// teiIgnored lists the flags that are accepted without an effect, with the reason.
var teiIgnored = map[string]string{
	"tokenization-workers": "all cores tokenise",
	"max-batch-requests":   "batches are bounded by their tokens: --max-batch-tokens",
	"uds-path":             "there are no processes inside to talk to; --listen unix:PATH listens on a socket",
	"disable-spans":        "the log has no spans",
	"device-id":            "there is one device",
	"hf-token":             "serving fetches nothing; \"metalrank pull\" does",
	"hf-api-token":         "serving fetches nothing; \"metalrank pull\" does",
}

// addTEINames adds the names in teiNames to the flags of "serve".
func addTEINames(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			names, ok := teiNames[flag.Name]
			if !ok {
				continue
			}
			if names.flag != "" {
				flag.Aliases = append(flag.Aliases, names.flag)
				before, after, _ := strings.Cut(flag.Help, "Default:")
				flag.Help = strings.TrimSpace(before) + " Also --" + names.flag + "."
				if after != "" {
					flag.Help += " Default:" + after
				}
			}
			flag.Envs = append(flag.Envs, names.variable)
			flag.Tag.Envs = append(flag.Tag.Envs, names.variable)
		}
	}
	return nil
}

// validate refuses flags for features that this server doesn't have, and wrong values.
func (f *teiFlags) validate() error {
	for _, flag := range []struct{ name, variable, value string }{
		{"pooling", "POOLING", f.Pooling}, {"default-prompt", "DEFAULT_PROMPT", f.DefaultPrompt},
		{"default-prompt-name", "DEFAULT_PROMPT_NAME", f.DefaultPromptName}, {"dense-path", "DENSE_PATH", f.DensePath},
	} {
		if flag.value != "" {
			return fmt.Errorf("--%s (%s) is for embeddings, which this server doesn't compute: it ranks", flag.name, flag.variable)
		}
	}
	if f.DType != "" && teiPrecisions[f.DType] == "" {
		return fmt.Errorf("--dtype must be one of float32, float16 and bfloat16 but got %q", f.DType)
	}
	for name, port := range map[string]int{"port": f.Port, "prometheus-port": f.PrometheusPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("--%s is %d, want 1 to 65535", name, port)
		}
	}
	return nil
}

const (
	defaultHost = "127.0.0.1"
	defaultPort = 8080
)

var teiPrecisions = map[string]string{"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}

// applyTEIFlags sets our flags by text-embeddings-inference's, where these overrule ours.
func (c *serveCommand) applyTEIFlags(from cli.Sources) error {
	c.ignored = map[string]string{}
	if err := c.applyListenFlags(from); err != nil {
		return err
	}
	if c.DType != "" && teiPrecisions[c.DType] != c.Precision {
		counts, err := c.takesPrecedence(from, "dtype", "precision")
		if err != nil {
			return err
		}
		if counts {
			c.Precision, from["precision"] = teiPrecisions[c.DType], from["dtype"]
		}
	}
	if c.JSONOutput && c.LogFormat != "json" {
		counts, err := c.takesPrecedence(from, "json-output", "log-format")
		if err != nil {
			return err
		}
		if counts {
			c.LogFormat, from["log-format"] = "json", from["json-output"]
		}
	}
	if c.APIKey != "" {
		c.single = []httpapi.Key{{Name: "default", Key: c.APIKey}}
	}
	return c.applyHubFlags(from)
}

// takesPrecedence says whether a flag of text-embeddings-inference goes before ours. If both are set, the command line goes
// before a variable, and our variable before theirs; both on the command line are an error.
func (c *serveCommand) takesPrecedence(from cli.Sources, theirs, ours string) (bool, error) {
	switch {
	case from[theirs] == "":
		return false, nil
	case from[ours] == "":
		return true, nil
	case from.FromVariable(theirs):
		c.ignored[from[theirs]] = "--" + ours + " is set"
		return false, nil
	case from.FromVariable(ours):
		c.ignored[from[ours]] = "--" + theirs + " is set"
		return true, nil
	}
	return false, fmt.Errorf("--%s and --%s set the same: want one of them", ours, theirs)
}

func (c *serveCommand) applyListenFlags(from cli.Sources) error {
	if _, err := netip.ParseAddr(c.Hostname); err != nil && from["hostname"] == "HOSTNAME" {
		c.Hostname = "" // a container's name: everybody could connect, though nobody has asked for that
		delete(from, "hostname")
	}
	var said []string
	for _, name := range []string{"hostname", "port"} {
		if from[name] == "--"+name && from["listen"] == "--listen" {
			c.ignored[from[name]] = "--listen is set"
			continue
		}
		counts, err := c.takesPrecedence(from, name, "listen")
		if err != nil {
			return err
		}
		if counts {
			said = append(said, from[name])
		}
	}
	if c.Listen == "" || len(said) > 0 {
		c.Listen = net.JoinHostPort(cmp.Or(c.Hostname, defaultHost), strconv.Itoa(cmp.Or(c.Port, defaultPort)))
		delete(from, "listen")
	}
	c.listenName = "--listen"
	if len(said) > 0 {
		from["listen"] = strings.Join(said, ", ")
		c.listenName += " (" + from["listen"] + ")"
	}
	return nil
}

// applyHubFlags applies the flags for models of the hub.
func (c *serveCommand) applyHubFlags(from cli.Sources) error {
	if c.HuggingfaceHubCache != "" && !ofHub(c.Model) && !slices.ContainsFunc(slices.Collect(maps.Values(c.Also)), ofHub) {
		const reason = "no model of the hub is served"
		if !from.FromVariable("huggingface-hub-cache") {
			return fmt.Errorf("--huggingface-hub-cache has no effect: %s", reason)
		}
		c.ignored[from["huggingface-hub-cache"]] = reason
	}
	if from.FromVariable("huggingface-hub-cache") && os.Getenv("HF_HUB_CACHE") != "" { // as in huggingface_hub
		c.HuggingfaceHubCache = ""
		c.ignored[from["huggingface-hub-cache"]] = "HF_HUB_CACHE is set"
	}
	if c.Revision == "" {
		return nil
	}
	if !ofHub(c.Model) || strings.Contains(c.Model, "@") {
		return errors.New("--revision is of a model of the hub: OWNER/MODEL, without a revision of its own")
	}
	c.Model += "@" + c.Revision
	return nil
}

// ofHub says whether a model is looked for in the hub's cache.
func ofHub(model string) bool {
	_, err := hub.ParseName(model)
	_, absent := os.Stat(model)
	return err == nil && absent != nil
}

// prometheusAddress returns the second address for metrics; "": none.
func (c *serveCommand) prometheusAddress() string {
	if c.PrometheusPort == 0 {
		return ""
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil { // a socket
		host = defaultHost
	}
	return net.JoinHostPort(host, strconv.Itoa(c.PrometheusPort))
}

// logIgnored logs the settings without an effect, including the useless flags.
func (c *serveCommand) logIgnored(from cli.Sources, useless map[string]string, logger *slog.Logger) {
	for _, reasons := range []map[string]string{teiIgnored, useless} {
		for name, reason := range reasons {
			if source := from[name]; source != "" {
				c.ignored[source] = reason
			}
		}
	}
	for _, source := range slices.Sorted(maps.Keys(c.ignored)) {
		logger.Info("a setting has no effect here", "setting", source, "reason", c.ignored[source])
	}
}
