package httpapi

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// infoBody is the answer to GET /info: the fields of text-embeddings-inference, commit_date and backend. A field that has no value
// here is null.
type infoBody struct {
	ModelID               string      `json:"model_id"`
	ModelSHA              *string     `json:"model_sha"`
	ModelDType            string      `json:"model_dtype"`
	ServedModelName       string      `json:"served_model_name"`
	ModelType             modelType   `json:"model_type"`
	MaxConcurrentRequests int         `json:"max_concurrent_requests"`
	MaxInputLength        int         `json:"max_input_length"`
	MaxBatchTokens        int         `json:"max_batch_tokens"`
	MaxBatchRequests      *int        `json:"max_batch_requests"`
	MaxClientBatchSize    int         `json:"max_client_batch_size"`
	AutoTruncate          bool        `json:"auto_truncate"`
	TokenizationWorkers   int         `json:"tokenization_workers"`
	Version               string      `json:"version"`
	SHA                   *string     `json:"sha"`
	DockerLabel           *string     `json:"docker_label"`
	CommitDate            string      `json:"commit_date,omitzero"`
	Backend               backendBody `json:"backend"`
	// FilesChanged says that the files on disk are no longer those that were loaded.
	FilesChanged bool `json:"files_changed,omitzero"`
}

// filed is a model that was loaded from files and may be loaded again; an *engine.Model is one.
type filed interface {
	Changed() error
	Ready() error
}

// modelType has one of its fields set; clients take the kind of model from the name of the first.
type modelType struct {
	Reranker   *labelsBody `json:"reranker,omitzero"`
	Classifier *labelsBody `json:"classifier,omitzero"`
}

type labelsBody struct {
	ID2Label map[string]string `json:"id2label"`
	Label2ID map[string]int    `json:"label2id"`
}

type backendBody struct {
	Name   string `json:"name"`
	Device string `json:"device"`
	// Fallback says that the CPU computes because the GPU failed; the server's log has the cause.
	Fallback bool `json:"fallback,omitzero"`
}

func (s *Server) encodeInfo(served *served) ([]byte, error) {
	model, config := served.Info(), &s.config
	labels := &labelsBody{ID2Label: map[string]string{}, Label2ID: map[string]int{}}
	for i, label := range model.Labels {
		labels.ID2Label[strconv.Itoa(i)] = label
		labels.Label2ID[label] = i
	}
	body := infoBody{
		ModelID: model.Model, ServedModelName: served.name, ModelDType: model.Backend.DType,
		MaxConcurrentRequests: config.MaxConcurrentRequests, MaxInputLength: model.MaxLength,
		MaxBatchTokens: model.MaxBatchTokens, MaxClientBatchSize: config.MaxTexts, AutoTruncate: !config.NoAutoTruncate,
		TokenizationWorkers: runtime.GOMAXPROCS(0), // the engine's bound
		Version:             config.Version, CommitDate: config.CommitDate,
		Backend: backendBody{Name: model.Backend.Name, Device: model.Backend.Device, Fallback: model.Fallback != ""},
	}
	if len(model.Labels) == 1 {
		body.ModelType.Reranker = labels
	} else {
		body.ModelType.Classifier = labels
	}
	if model.Revision != "" {
		body.ModelSHA = &model.Revision
	}
	if config.Commit != "" {
		body.SHA = &config.Commit
	}
	if files, ok := served.Model.(filed); ok {
		body.FilesChanged = files.Changed() != nil
	}
	data, err := json.Marshal(&body, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("httpapi: the model can't be described: %w", err)
	}
	return data, nil
}

// showInfo answers GET /info, for the model that ?model= names.
func (s *Server) showInfo(ctx *fasthttp.RequestCtx) *failure {
	model := s.models[s.names[0]]
	if name := ctx.QueryArgs().Peek("model"); len(name) > 0 {
		var f *failure
		if model, f = s.pick(string(name), false); f != nil {
			return f
		}
	}
	info, err := s.encodeInfo(model)
	if err != nil {
		return internalFailure(err)
	}
	ctx.SetContentType(contentTypeJSON)
	ctx.SetBody(info)
	return nil
}

// ready answers GET /readyz: as health, but with a refusal once the server is about to stop, while an unloaded model can't be
// loaded again, or while a model's device can't be opened again.
func (s *Server) ready(*fasthttp.RequestCtx) *failure {
	if s.leaving.Load() {
		return failf(kindUnhealthy, "the server is stopping")
	}
	for _, name := range s.names {
		if files, ok := s.models[name].Model.(filed); ok {
			switch err := files.Ready(); {
			case errors.Is(err, engine.ErrUnavailable):
				return unavailableFailure(err)
			case err != nil:
				return unloadedFailure(err)
			}
		}
	}
	return nil
}

// unloadedFailure returns the refusal for a model that can't be loaded again, without the folders of this machine.
func unloadedFailure(err error) *failure {
	why := "its files are damaged or can't be read"
	if errors.Is(err, fs.ErrNotExist) {
		why = "its files are gone"
	}
	return &failure{kind: kindUnhealthy, cause: err, message: fmt.Sprintf(
		"a model was unloaded for being idle and can't be loaded again: %s; the server's log has the cause", why)}
}

// unavailableFailure returns the refusal while a model's device can't be opened again. Its error may name files.
func unavailableFailure(err error) *failure {
	return &failure{kind: kindUnhealthy, cause: err, message: "the device that computes has failed and can't be opened again; the server's log has the cause"}
}

// health answers GET /health: 200 and nothing else, as load balancers and clients of text-embeddings-inference want
// it. A server that is up can score, since the model is loaded before there is a server.
func (s *Server) health(*fasthttp.RequestCtx) *failure { return nil }
