package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
)

// traceEvent is an event in Trace Event Format, with the fields that /debug/trace has.
type traceEvent struct {
	Phase    string  `json:"ph"`
	Process  int     `json:"pid"`
	Thread   int     `json:"tid"`
	Begin    float64 `json:"ts"`
	Duration float64 `json:"dur"`
	Name     string  `json:"name"`
	Args     struct {
		Name     string `json:"name"`
		Request  int    `json:"request"`
		First    int    `json:"first_batch"`
		Batches  int    `json:"batches"`
		Batch    int    `json:"batch"`
		On       string `json:"on"`
		Requests string `json:"requests"`
		Pairs    int    `json:"pairs"`
		Tokens   int    `json:"tokens"`
	} `json:"args"`
}

func (e *traceEvent) end() float64 { return e.Begin + e.Duration }

// TestServeTrace records a burst of requests, and wants every request and batch in the trace, with all its parts inside it.
func TestServeTrace(t *testing.T) {
	log := serve(t, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json")
	admin := log.await(t, `"serving metrics and profiles","address":"([^"]+)"`)
	base := "http://" + log.await(t, `"msg":"serving","address":"([^"]+)"`)
	const clients, each = 6, 5
	burst := func() {
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for range each {
					if status := ask(t, plainClient(), base, ""); status != 200 {
						t.Errorf("status %d", status)
					}
				}
			})
		}
		all.Wait()
	}
	checkTrace(t, recordWhile(t, "http://"+admin+"/debug/trace", burst), clients*each)
	for path, want := range map[string]string{
		"seconds=0": "`seconds` is", "seconds=61": "at most 60", "seconds=x": "`seconds`", "format=x": "want chrome or folded",
		"seconds=0.01&format=folded": "",
	} {
		if text := get(t, "http://"+admin+"/debug/trace?"+path); !strings.Contains(text, want) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// recordWhile records all of do. If the recording ends before do has ended, it repeats both, for longer.
func recordWhile(t *testing.T, address string, do func()) []traceEvent {
	t.Helper()
	busy := func(text string) bool { return strings.Contains(text, "another trace is being recorded") }
	isRecording := func() bool { return busy(get(t, address+"?seconds=0.001")) }
	for seconds := 1; ; seconds = min(2*seconds, 60) {
		recorded := make(chan string, 1)
		go func() {
			defer close(recorded) // where get fails the test
			text := get(t, fmt.Sprintf("%s?seconds=%d", address, seconds))
			for busy(text) { // with a recording of isRecording's
				text = get(t, fmt.Sprintf("%s?seconds=%d", address, seconds))
			}
			recorded <- text
		}()
		for begun := false; !begun; {
			begun = len(recorded) > 0 || isRecording() // it may be over already
		}
		do()
		whole := isRecording()
		text := <-recorded
		if whole || t.Failed() {
			return parseTrace(t, text)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := plainClient().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func parseTrace(t *testing.T, text string) []traceEvent {
	t.Helper()
	var trace struct {
		Events []traceEvent `json:"traceEvents"`
	}
	if json.Unmarshal([]byte(text), &trace) != nil || len(trace.Events) == 0 {
		t.Fatalf("no trace: %.1000s", text)
	}
	return trace.Events
}

// checkTrace wants so many requests in a trace, and all parts of each and of every batch.
func checkTrace(t *testing.T, events []traceEvent, requests int) {
	t.Helper()
	const rounding = 0.002 // microseconds: begin and duration are nanoseconds, in decimals
	spans := map[string]map[int]*traceEvent{}
	until := map[int]float64{} // by thread
	pairs := map[string]int{}
	for i := range events {
		e := &events[i]
		if e.Phase != "X" {
			continue
		}
		if e.Begin < until[e.Thread]-rounding {
			t.Errorf("%s at %g overlaps the one before on its track", e.Name, e.Begin)
		}
		until[e.Thread] = e.end()
		if spans[e.Name] == nil {
			spans[e.Name] = map[int]*traceEvent{}
		}
		spans[e.Name][e.Args.Request+e.Args.Batch] = e // one of them is 0
		pairs[e.Name] += e.Args.Pairs
	}
	for parent, parts := range map[string][]string{
		"request": {"tokenise", "queue", "run", "respond"}, "batch": {"pack", "encode", "device"},
	} {
		for id, whole := range spans[parent] {
			for _, part := range parts {
				p := spans[part][id]
				if p == nil {
					t.Errorf("%s %d has no %s", parent, id, part)
				} else if p.Begin < whole.Begin-rounding || p.end() > whole.end()+rounding {
					t.Errorf("%s %d: %s from %g to %g, outside %g to %g", parent, id, part, p.Begin, p.end(), whole.Begin, whole.end())
				}
			}
		}
		for _, part := range parts {
			if len(spans[part]) != len(spans[parent]) {
				t.Errorf("%d spans of %s for %d of %s", len(spans[part]), part, len(spans[parent]), parent)
			}
		}
	}
	if len(spans["request"]) != requests {
		t.Errorf("%d requests, want %d", len(spans["request"]), requests)
	}
	if pairs["request"] != pairs["batch"] || pairs["request"] == 0 {
		t.Errorf("%d pairs in requests, %d in batches", pairs["request"], pairs["batch"])
	}
	for id, r := range spans["request"] {
		if spans["batch"][r.Args.First] == nil || r.Args.Batches < 1 {
			t.Errorf("request %d began in batch %d, which is missing", id, r.Args.First)
		}
	}
}
