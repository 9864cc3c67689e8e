package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/internal/record"
)

// APIs are the dialects that a server may speak. auto goes by the URL's path: /v1/… is Jina's, /v2/… is Cohere's, any
// other is text-embeddings-inference's.
var APIs = []string{"auto", "tei", "cohere", "jina"}

const (
	answerTimeout  = 10 * time.Minute // a runtime may compile for minutes
	maxAnswerBytes = 256 << 20
)

// overHTTP is a server that reranks.
type overHTTP struct {
	url, api, key, model string
	client               *http.Client
	system               record.System
}

// ParseURL parses the address of a server. The path is /rerank if there is none.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("url is %q, want one like http://127.0.0.1:8080/rerank", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/rerank"
	}
	return u, nil
}

func openHTTP(o Options) (*overHTTP, error) {
	u, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	h := &overHTTP{url: u.String(), api: o.API, key: o.Key, model: o.ServedModel, system: o.Describe()}
	h.system.URL = u.Redacted()
	if h.api == "" || h.api == "auto" {
		h.api = "tei"
		if strings.HasPrefix(u.Path, "/v1/") {
			h.api = "jina"
		} else if strings.HasPrefix(u.Path, "/v2/") {
			h.api = "cohere"
		}
	}
	if !slices.Contains(APIs, h.api) {
		return nil, fmt.Errorf("api is %q, want one of %s", h.api, strings.Join(APIs, ", "))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 1 << 16, DisableCompression: true}
	h.client = &http.Client{Transport: transport, Timeout: answerTimeout}
	h.system.Detail = h.api + " dialect"
	return h, nil
}

// question is a request in any of the dialects.
type question struct {
	Query     string   `json:"query"`
	Texts     []string `json:"texts,omitempty"`      // tei
	RawScores bool     `json:"raw_scores,omitempty"` // tei
	Documents []string `json:"documents,omitempty"`  // cohere, jina
	Model     string   `json:"model,omitempty"`
	// ReturnDocuments is true by default at Jina's.
	ReturnDocuments *bool `json:"return_documents,omitempty"`
}

// result is an entry of an answer in any of the dialects.
type result struct {
	Index          int      `json:"index"`
	Score          *float64 `json:"score"`
	RelevanceScore *float64 `json:"relevance_score"`
}

func (h *overHTTP) Score(ctx context.Context, query string, documents []string) ([]float64, error) {
	return h.ask(ctx, query, documents, false)
}

func (h *overHTTP) Raw(ctx context.Context, query string, documents []string) ([]float64, bool, error) {
	if h.api != "tei" {
		return nil, false, nil
	}
	logits, err := h.ask(ctx, query, documents, true)
	return logits, true, err
}

func (h *overHTTP) ask(ctx context.Context, query string, documents []string, raw bool) ([]float64, error) {
	q := question{Query: query, Model: h.model}
	switch h.api {
	case "tei":
		q.Texts, q.RawScores = documents, raw
	case "jina":
		q.ReturnDocuments = new(bool)
		fallthrough
	default:
		q.Documents = documents
	}
	body, err := json.Marshal(&q)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if h.key != "" {
		request.Header.Set("Authorization", "Bearer "+h.key)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.200s", h.system.URL, response.Status, bytes.TrimSpace(answer))
	}
	scores, err := readScores(answer, len(documents))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %.100s", h.system.URL, err, answer)
	}
	return scores, nil
}

// readScores reads a list, or an object with one called results, and demands each document once.
func readScores(answer []byte, documents int) ([]float64, error) {
	var results []result
	if trimmed := bytes.TrimSpace(answer); bytes.HasPrefix(trimmed, []byte("{")) {
		var object struct {
			Results []result `json:"results"`
		}
		if err := json.Unmarshal(trimmed, &object); err != nil {
			return nil, err
		}
		results = object.Results
	} else if err := json.Unmarshal(trimmed, &results); err != nil {
		return nil, err
	}
	scores := make([]float64, documents)
	for i := range scores {
		scores[i] = math.NaN()
	}
	for _, r := range results {
		if r.Score == nil {
			r.Score = r.RelevanceScore
		}
		if r.Index < 0 || r.Index >= documents || r.Score == nil || !math.IsNaN(scores[r.Index]) {
			return nil, fmt.Errorf("a result without score, or index %d of %d documents again", r.Index, documents)
		}
		scores[r.Index] = *r.Score
	}
	if len(results) != documents {
		return nil, errors.New("not every document has a score")
	}
	return scores, nil
}

func (h *overHTTP) System() record.System { return h.system }

func (h *overHTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}
