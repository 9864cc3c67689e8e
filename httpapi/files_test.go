package httpapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights"
)

// filedRanker is a fakeRanker with files.
type filedRanker struct {
	*fakeRanker
	changed, ready error
}

func (r *filedRanker) Changed() error { return r.changed }
func (r *filedRanker) Ready() error   { return r.ready }

// TestFilesOfAModel wants a model to be shown as it is now, and not to be ready if it can't be loaded again; no answer
// has a path of this machine.
func TestFilesOfAModel(t *testing.T) {
	get := func(ranker *filedRanker, path string) reply {
		t.Helper()
		_, address := start(t, ranker, Config{})
		return send(t, address, http.MethodGet, request(http.MethodGet, path, "", "Connection: close"))
	}
	before, after := &filedRanker{fakeRanker: &fakeRanker{}}, &filedRanker{&fakeRanker{labels: []string{"no", "yes"}}, weights.ErrChanged, nil}
	if body := get(before, "/info").body; strings.Contains(body, "files_changed") || !strings.Contains(body, `"reranker":{"id2label":{"0":"LABEL_0"}`) {
		t.Error(body)
	}
	if body := get(after, "/info").body; !strings.Contains(body, `"files_changed":true`) || !strings.Contains(body, `"classifier":{"id2label":{"0":"no","1":"yes"}`) {
		t.Error(body)
	}
	if body := get(after, "/v1/models").body; !strings.Contains(body, "classify") {
		t.Error(body)
	}
	if got := get(after, "/readyz"); got.status != 200 {
		t.Errorf("loaded, with other files: %d", got.status)
	}
	for why, cause := range map[string]error{
		"its files are gone":                     fs.ErrNotExist,
		"its files are damaged or can't be read": errors.New("/secret/model.safetensors: damaged"),
	} {
		err := fmt.Errorf("%w: %w", engine.ErrReload, cause)
		if body := checkRefusal(t, get(&filedRanker{&fakeRanker{}, nil, err}, "/readyz"), 503, "Unhealthy"); !strings.Contains(body, why) || strings.Contains(body, "secret") {
			t.Error(body)
		}
		if f := engineFailure(err, nil); f.kind != kindUnhealthy || !strings.Contains(f.message, why) || f.cause == nil {
			t.Errorf("%s: %+v", why, f)
		}
	}
}

// fallenRanker runs on the CPU because its GPU failed.
type fallenRanker struct{ *filedRanker }

func (r fallenRanker) Info() engine.Info {
	info := r.filedRanker.Info()
	info.Fallback = "metal: /secret: access revoked"
	return info
}

// TestFailedDevice: a model whose device can't be opened again is not ready, and its requests are answered with 503; one that
// was moved to the CPU is ready, and says so. No answer has the cause.
func TestFailedDevice(t *testing.T) {
	err := fmt.Errorf("%w: metal: no device: /secret", engine.ErrUnavailable)
	_, address := start(t, &filedRanker{&fakeRanker{}, nil, err}, Config{})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/readyz", "", "Connection: close"))
	if body := checkRefusal(t, got, 503, "Unhealthy"); !strings.Contains(body, "device") || strings.Contains(body, "secret") {
		t.Error(body)
	}
	if f := engineFailure(err, nil); f.kind != kindUnhealthy || strings.Contains(f.message, "secret") || f.cause == nil {
		t.Errorf("%+v", f)
	}
	_, address = start(t, fallenRanker{&filedRanker{fakeRanker: &fakeRanker{}}}, Config{})
	get := func(path string) reply {
		return send(t, address, http.MethodGet, request(http.MethodGet, path, "", "Connection: close"))
	}
	if got := get("/readyz"); got.status != 200 {
		t.Errorf("on the CPU: %d", got.status)
	}
	if body := get("/info").body; !strings.Contains(body, `"device":"a test","fallback":true}`) || strings.Contains(body, "secret") {
		t.Error(body)
	}
	expect(t, scrape(t, address), `metalrank_model_backend_fallback{model="tiny-reranker"} 1`)
}
