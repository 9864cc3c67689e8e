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
