package httpapi

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/engine/backend"
)

// TestMain fails the package when goroutines outlast the tests, but for two of fasthttp's own: its clock, which never
// stops, and the cleaner of a worker pool, which checks only every ten seconds whether to stop.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// fakeRanker answers by the words in the texts, or by rerank if a test sets it.
type fakeRanker struct {
	labels []string
	rerank func(ctx context.Context, query string, documents []string, options engine.Options) (*engine.Ranking, error)
}

func (r *fakeRanker) Info() engine.Info {
	labels := r.labels
	if labels == nil {
		labels = []string{"LABEL_0"}
	}
	return engine.Info{
		Model: "tiny-reranker", Labels: labels, MaxLength: 512, MaxBatchTokens: 4096, Activation: "sigmoid",
		Backend: backend.Info{Name: "fake", Device: "a test", DType: "float32", Overlap: 1},
	}
}

func (r *fakeRanker) Rerank(
	ctx context.Context, query string, documents []string, options engine.Options,
) (*engine.Ranking, error) {
	if r.rerank != nil {
		return r.rerank(ctx, query, documents, options)
	}
	return rankByWords(query, documents, options), nil
}

// Score gives a pair, for each label, the number of words that both texts have, less the label's index. A text alone
// has minus the number of its words instead.
func (r *fakeRanker) Score(_ context.Context, pairs []engine.Pair, options engine.Options) (*engine.Scores, error) {
	info := r.Info()
	scores := &engine.Scores{Labels: info.Labels, Stats: engine.Stats{Tokens: 7 * len(pairs)}}
	for _, pair := range pairs {
		ranking := rankByWords(pair.Query, []string{pair.Document}, engine.Options{RawScores: true})
		if pair.NoQuery {
			ranking.Results[0].Score = -float64(len(strings.Fields(pair.Document)))
		}
		for label := range info.Labels {
			score := ranking.Results[0].Score - float64(label)
			if !options.RawScores {
				score = 1 / (1 + math.Exp(-score))
			}
			scores.Values = append(scores.Values, score)
		}
	}
	return scores, nil
}

// Tokenize makes a token of each word, with its position as id.
func (r *fakeRanker) Tokenize(_ context.Context, text string, specialTokens bool, _ engine.Options) ([]engine.Token, error) {
	var tokens []engine.Token
	if specialTokens {
		tokens = append(tokens, engine.Token{ID: 101, Text: "[CLS]", Special: true})
	}
	at := 0
	for word := range strings.SplitSeq(text, " ") {
		tokens = append(tokens, engine.Token{ID: uint32(len(tokens)), Text: word, Start: at, Stop: at + len(word)})
		at += len(word) + 1
	}
	return tokens, nil
}

// rankByWords gives a document as its logit the number of its words that are also in the query.
func rankByWords(query string, documents []string, options engine.Options) *engine.Ranking {
	words := strings.Fields(strings.ToLower(query))
	ranking := &engine.Ranking{Stats: engine.Stats{Tokenize: 2 * time.Millisecond, Compute: 3 * time.Millisecond, Operations: 7e9}}
	for i, document := range documents {
		logit := 0.0
		for word := range strings.FieldsSeq(strings.ToLower(document)) {
			ranking.Stats.Tokens++
			if slices.Contains(words, word) {
				logit++
			}
		}
		score := logit
		if !options.RawScores {
			score = 1 / (1 + math.Exp(-logit))
		}
		ranking.Results = append(ranking.Results, engine.Result{Index: i, Score: score})
	}
	slices.SortStableFunc(ranking.Results, func(a, b engine.Result) int { return cmp.Compare(b.Score, a.Score) })
	return ranking
}

// start serves on a port of its own until the test ends.
func start(t *testing.T, model Model, config Config) (s *Server, address string) {
	t.Helper()
	return startAll(t, only{model}, config)
}

// only has one model, under the name tiny-reranker.
type only struct{ model Model }

func (o only) Model(name string) (Model, bool) { return o.model, name == "tiny-reranker" }
func (o only) Names() []string                 { return []string{"tiny-reranker"} }

// startAll is start, with several models.
func startAll(t *testing.T, models Models, config Config) (s *Server, address string) {
	t.Helper()
	s, err := New(models, config)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Unix(1700000000, 0) }
	s.appendID = func(b []byte) []byte { return append(b, "ID"...) }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

// reply is a response with its body read.
type reply struct {
	status int
	header http.Header
	body   string
	last   bool // the server closes the connection after it
}

// patience ends a test that hangs. Nothing should take as long, even on a slow and busy machine.
const patience = 2 * time.Minute

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v, %s", patience, what)
		}
	}
}

// dial opens a connection that can't wait for ever.
func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("a connection of type %T", c)
	}
	return tcp
}

// send writes raw bytes to a connection of its own and reads one response. method says whether to expect a body.
func send(t *testing.T, address, method, raw string) reply {
	t.Helper()
	c := dial(t, address)
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return receive(t, bufio.NewReader(c), method)
}

func receive(t *testing.T, r *bufio.Reader, method string) reply {
	t.Helper()
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body), response.Close}
}

// request spells out a request; extra are header lines beside those that every request needs.
func request(method, path, body string, extra ...string) string {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: test"}, extra...)
	if body != "" || method == http.MethodPost {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

const typeJSON = "Content-Type: application/json"

// rerank posts a body to /rerank.
func rerank(t *testing.T, address, body string) reply {
	t.Helper()
	return send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON))
}

// checkRefusal wants the union error body, with this type, and returns its message.
func checkRefusal(t *testing.T, got reply, status int, errorType string) string {
	t.Helper()
	if got.status != status || got.header.Get("Content-Type") != contentTypeJSON {
		t.Fatalf("status %d with type %q, want %d with JSON: %s",
			got.status, got.header.Get("Content-Type"), status, got.body)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if body["error_type"] != errorType || body["error"] == "" || len(body) != 4 ||
		body["message"] != body["error"] || body["detail"] != body["error"] {
		t.Fatalf("body %s, want error_type %q, and one text as error, message and detail", got.body, errorType)
	}
	return body["error"]
}

// checkAlive wants the server to answer as if nothing had happened.
func checkAlive(t *testing.T, address string) {
	t.Helper()
	got := rerank(t, address, `{"query":"a b","texts":["x","a b","a"],"raw_scores":true}`)
	if want := `[{"index":1,"score":2},{"index":2,"score":1},{"index":0,"score":0}]`; got.status != 200 || got.body != want {
		t.Fatalf("afterwards: %d %s, want 200 %s", got.status, got.body, want)
	}
}
