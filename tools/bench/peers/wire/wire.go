// Package wire is the protocol between the harness and its workers: the file of requests that all of them read, and
// commands and replies, one JSON value a line. It knows no peer.
package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Request is a line of the file of requests: documents to score against a query.
type Request struct {
	Workload  string   `json:"workload"`
	Query     string   `json:"query"`
	Documents []string `json:"documents"`
}

// Operations of a Command.
const (
	Run     = "run"     // score requests, and time each
	Measure = "measure" // a yardstick's own measurement
)

// Command is an order to a worker.
type Command struct {
	Op       string `json:"op"`
	Workload string `json:"workload,omitempty"`
	Requests int    `json:"requests,omitempty"` // how many of the workload's, from the first
	// MicroTokens 0 is a request as one batch on all threads; else the request is sorted by length and cut into
	// micro-batches of at most so many tokens, padding included, for streams of one thread each.
	MicroTokens int     `json:"micro_tokens"`
	LimitS      float64 `json:"limit_s,omitempty"` // stop after the request with which so many seconds are reached
}

// Reply is a worker's answer to one Command; the first, unasked, says that the model is loaded.
type Reply struct {
	Ready   bool        `json:"ready,omitempty"`
	Details string      `json:"details,omitempty"` // versions, or the backend and its kernels
	Seconds []float64   `json:"seconds,omitempty"` // for each request that was scored, from texts to logits
	Logits  [][]float64 `json:"logits,omitempty"`  // for each request that was scored, in the order of its documents
	GFLOPS  float64     `json:"gflops,omitempty"`  // 1e9 operations a second
	Error   string      `json:"error,omitempty"`
}

// Check reports an Error, and a reply to a Run that does not fit the requests it is about.
func (r *Reply) Check(requests []Request) error {
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if len(r.Seconds) == 0 || len(r.Seconds) > len(requests) || len(r.Logits) != len(r.Seconds) {
		return fmt.Errorf("%d times and logits of %d requests, asked for %d", len(r.Seconds), len(r.Logits), len(requests))
	}
	for i, logits := range r.Logits {
		if len(logits) != len(requests[i].Documents) {
			return fmt.Errorf("request %d: %d logits for %d documents", i, len(logits), len(requests[i].Documents))
		}
		if !(r.Seconds[i] > 0) {
			return fmt.Errorf("request %d: took %g seconds", i, r.Seconds[i])
		}
	}
	return nil
}

// WriteRequests writes a file of requests.
func WriteRequests(w io.Writer, requests []Request) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for i := range requests {
		if err := encoder.Encode(&requests[i]); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// ReadRequests reads a file of requests and returns them by workload, in the file's order.
func ReadRequests(r io.Reader) (map[string][]Request, error) {
	workloads := map[string][]Request{}
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	for line := 1; ; line++ {
		var request Request
		if err := decoder.Decode(&request); errors.Is(err, io.EOF) {
			return workloads, nil
		} else if err != nil {
			return nil, fmt.Errorf("wire: request %d: %w", line, err)
		}
		if request.Workload == "" || len(request.Documents) == 0 {
			return nil, fmt.Errorf("wire: request %d: has no workload or no documents", line)
		}
		workloads[request.Workload] = append(workloads[request.Workload], request)
	}
}
