package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	smuggledBody  = `{"query":"a","texts":["a"]}` // 27 bytes, 0x1b
	smuggledChunk = "1b\r\n" + smuggledBody + "\r\n0\r\n\r\n"
	// secondRequest follows each request below. It may be answered only if the first one was taken.
	secondRequest = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
)

// refusedFraming has requests that another server could read differently: the part after the request line, Host
// and Content-Type.
var refusedFraming = map[string]string{
	"CL.TE":                   "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggledChunk,
	"TE.CL":                   "Transfer-Encoding: chunked\r\ncontent-length: 4\r\n\r\n" + smuggledChunk,
	"identity and CL":         "Transfer-Encoding: identity\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"two equal lengths":       "Content-Length: 27\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"two lengths":             "Content-Length: 27\r\nContent-Length: 7\r\n\r\n" + smuggledBody,
	"list of lengths":         "Content-Length: 27, 27\r\n\r\n" + smuggledBody,
	"length with plus":        "Content-Length: +27\r\n\r\n" + smuggledBody,
	"length with minus":       "Content-Length: -27\r\n\r\n" + smuggledBody,
	"hexadecimal length":      "Content-Length: 0x1b\r\n\r\n" + smuggledBody,
	"length with space":       "Content-Length: 2 7\r\n\r\n" + smuggledBody,
	"empty length":            "Content-Length: \r\n\r\n" + smuggledBody,
	"length over 64 bits":     "Content-Length: 18446744073709551643\r\n\r\n" + smuggledBody, // 2^64 + 27
	"space before colon, CL":  "Content-Length : 27\r\n\r\n" + smuggledBody,
	"space before colon, TE":  "Transfer-Encoding : chunked\r\n\r\n" + smuggledChunk,
	"xchunked":                "Transfer-Encoding: xchunked\r\n\r\n" + smuggledChunk,
	"vertical tab":            "Transfer-Encoding: \x0bchunked\r\n\r\n" + smuggledChunk,
	"chunked twice":           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggledChunk,
	"chunked and identity":    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + smuggledChunk,
	"gzip, chunked":           "Transfer-Encoding: gzip, chunked\r\n\r\n" + smuggledChunk,
	"chunked, identity":       "Transfer-Encoding: chunked, identity\r\n\r\n" + smuggledChunk,
	"continued CL":            "Content-Length:\r\n 27\r\n\r\n" + smuggledBody,
	"continued TE":            "Transfer-Encoding:\r\n\tchunked\r\n\r\n" + smuggledChunk,
	"hidden in continued":     "X: a\r\n Content-Length: 5\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"bare LF":                 "X: a\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"bare LF everywhere":      "Content-Length: 27\n\n" + smuggledBody,
	"bare CR":                 "X: a\rContent-Length: 5\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"NUL in value":            "X: a\x00b\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"NUL in name":             "X\x00: ab\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"no colon":                "Xab\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"no name":                 ": x\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"two hosts":               "Host: b\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"extension, bare LF":      "Transfer-Encoding: chunked\r\n\r\n1b;a=b\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunks, bare LF":         "Transfer-Encoding: chunked\r\n\r\n1b\n" + smuggledBody + "\n0\n\n",
	"chunk over 64 bits":      "Transfer-Encoding: chunked\r\n\r\n1000000000000001b\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk of 2^63 - 1":       "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk with minus":        "Transfer-Encoding: chunked\r\n\r\n-1b\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk with 0x":           "Transfer-Encoding: chunked\r\n\r\n0x1b\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk with leading":      "Transfer-Encoding: chunked\r\n\r\n 1b\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk without size":      "Transfer-Encoding: chunked\r\n\r\n\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk that is too short": "Transfer-Encoding: chunked\r\n\r\n1a\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"chunk that is too long":  "Transfer-Encoding: chunked\r\n\r\n1c\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"length in a trailer":     "Transfer-Encoding: chunked\r\n\r\n1b\r\n" + smuggledBody + "\r\n0\r\nContent-Length: 5\r\n\r\n",
}

// takenFraming has requests that look like those but can be read in one way only.
var takenFraming = map[string]string{
	"chunked":            "Transfer-Encoding: chunked\r\n\r\n" + smuggledChunk,
	"chunked, upper":     "TRANSFER-ENCODING:\tCHUNKED\r\n\r\n" + smuggledChunk,
	"chunk extension":    "Transfer-Encoding: chunked\r\n\r\n1b;a=\"b\"\r\n" + smuggledBody + "\r\n0\r\n\r\n",
	"trailer":            "Transfer-Encoding: chunked\r\n\r\n1b\r\n" + smuggledBody + "\r\n0\r\nX-A: 5\r\n\r\n",
	"leading zeros":      "Content-Length: 0027\r\n\r\n" + smuggledBody,
	"names in values":    "X: content-length: 5\r\nTe: transfer-encoding\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
	"lengths of another": "Content-Lengths: 5\r\nTransfer-Encodings: x\r\nContent-Length: 27\r\n\r\n" + smuggledBody,
}

// TestSmuggling sends one request that may look like two, with another behind it on the same connection.
func TestSmuggling(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	const headers = "\r\nHost: test\r\n" + typeJSON + "\r\n"
	const begin = "POST /rerank HTTP/1.1" + headers
	for name, rest := range refusedFraming {
		t.Run(name, func(t *testing.T) { checkRefusedLast(t, address, begin+rest+secondRequest) })
	}
	for _, line := range []string{
		"POST  /rerank HTTP/1.1", "POST /rerank HTTP/1.1 ", "POST /rerank", "POST\t/rerank HTTP/1.1", "POST /re rank HTTP/1.1",
		"POST /rerank HTTP/2.0", "POST /rerank HTTP/0.9", "POST /rerank HTTX/1.1", "POST /rerank\x00 HTTP/1.1", "PO(ST /rerank HTTP/1.1",
		"POST /rerank HTTP/1.1\r\n X: y", "POST /rerank HTTP/1.1\n",
	} {
		rest := headers + "Content-Length: 27\r\n\r\n" + smuggledBody
		t.Run(line, func(t *testing.T) { checkRefusedLast(t, address, line+rest+secondRequest) })
	}
	for name, rest := range takenFraming {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address)
			defer c.Close()
			fmt.Fprint(c, begin+rest+secondRequest)
			r := bufio.NewReader(c)
			if got := receive(t, r, http.MethodPost); got.status != 200 || got.body != `[{"index":0,"score":0.7310585786300049}]` {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got := receive(t, r, http.MethodGet); got.status != 200 || got.body != "" {
				t.Errorf("the second: %d %s", got.status, got.body)
			}
		})
	}
	checkAlive(t, address)
}

// checkRefusedLast wants one refusal, and then the end of the connection.
func checkRefusedLast(t *testing.T, address, raw string) {
	t.Helper()
	c := dial(t, address)
	defer c.Close()
	fmt.Fprint(c, raw)
	r := bufio.NewReader(c)
	got := receive(t, r, http.MethodPost)
	if message := checkRefusal(t, got, 400, "Malformed"); !strings.Contains(message, "not valid HTTP/1.1") || !got.last {
		t.Errorf("last %t: %s", got.last, message)
	}
	_ = c.CloseWrite()
	if rest, err := io.ReadAll(r); len(rest) > 0 || (err != nil && !errors.Is(err, syscall.ECONNRESET)) {
		t.Errorf("after the refusal came %q, %v", rest, err)
	}
}

// phases returns offsets in a request, in bytes, at which a client may leave.
func phases(raw string) map[string]int {
	header := strings.Index(raw, "\r\n\r\n") + 4
	return map[string]int{
		"before anything": 0, "in the request line": 6, "in the headers": header - 9, "after the headers": header,
		"in the body": len(raw) - 5, "after the request": len(raw),
	}
}

// TestVanishingClients has clients reset or half-close their connections in every phase of a request, some of them sent
// in several parts, while another client's answers stay right. No connection or goroutine of theirs may be left.
func TestVanishingClients(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{})
	checkAlive(t, address)
	raw := request(http.MethodPost, "/rerank", `{"query":"a","texts":["b","a"]}`, typeJSON)
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for phase, at := range phases(raw) {
		for _, reset := range []bool{true, false} {
			group.Go(func() {
				for i := range 20 {
					if err := vanish(address, raw[:at], reset, i%2 == 1); err != nil {
						t.Errorf("%s, reset %t: %v", phase, reset, err)
						return
					}
				}
			})
		}
	}
	group.Go(func() {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for i := range 100 {
			if err := hammer(client, address, "q", i); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	awaitQuiet(t, s, before)
	checkAlive(t, address)
}

// vanish sends a part of a request and leaves. One that half-closes wants status 200, 400 or 499, unless part is empty,
// and then the end of the connection.
func vanish(address, part string, reset, slowly bool) error {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("a connection of type %T", c)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	step := max(1, len(part))
	if slowly {
		step = max(1, len(part)/4)
	}
	for at := 0; at < len(part); at += step {
		if _, err := io.WriteString(c, part[at:min(at+step, len(part))]); err != nil {
			return err
		}
	}
	if reset {
		return tcp.SetLinger(0)
	}
	if err := tcp.CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " ")
	if want := "200 400 499"; len(part) > 0 && !strings.Contains(want, status) {
		return fmt.Errorf("after %q: %q, want a status of %s", part, answer, want)
	}
	return nil
}

// awaitQuiet waits until no connection is open and no more goroutines run than before, except for idle workers, which
// fasthttp keeps for ten seconds.
func awaitQuiet(t *testing.T, s *Server, goroutines int) {
	t.Helper()
	for deadline := time.Now().Add(patience + 10*time.Second); ; time.Sleep(5 * time.Millisecond) {
		open, now := s.http.GetOpenConnectionsCount(), runtime.NumGoroutine()
		if open == 0 && now <= goroutines+idleWorkers(t) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, and there are %d goroutines, %d before", open, now, goroutines)
		}
	}
}

// idleWorkers counts the goroutines in which fasthttp's workers wait for a connection.
func idleWorkers(t *testing.T) int {
	t.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	idle := 0
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(one, "[chan receive") && strings.Contains(one, "(*workerPool).workerFunc") {
			idle++
		}
	}
	return idle
}

// TestSlowLoris sends headers and bodies byte by byte. They are refused after ReadTimeout, however regularly a byte
// arrives. So is a connection that sends nothing.
func TestSlowLoris(t *testing.T) {
	const limit = 300 * time.Millisecond
	s, address := start(t, &fakeRanker{}, Config{ReadTimeout: limit})
	checkAlive(t, address)
	before := runtime.NumGoroutine()
	raw := request(http.MethodPost, "/rerank", `{"query":"a","texts":["`+strings.Repeat("a", 200)+`"]}`, typeJSON)
	var group sync.WaitGroup
	for phase, at := range map[string]int{"silent": 0, "header": 1, "body": strings.Index(raw, "\r\n\r\n") + 5} {
		for range 8 {
			group.Go(func() {
				begin := time.Now() // before the server's clock starts
				c := dial(t, address)
				defer c.Close()
				fmt.Fprint(c, raw[:at])
				done := make(chan struct{})
				defer close(done)
				go dribble(c, raw[at:], at == 0, done)
				got := receive(t, bufio.NewReader(c), http.MethodPost)
				message := checkRefusal(t, got, 408, "Timeout")
				if elapsed := time.Since(begin); elapsed < limit || !got.last || !strings.Contains(message, "300ms") {
					t.Errorf("%s: %v, last %t: %s", phase, elapsed, got.last, message)
				}
			})
		}
	}
	checkAlive(t, address)
	group.Wait()
	awaitQuiet(t, s, before)
}

// dribble writes a byte every 20 ms, until done or until a write fails. If silent, it writes nothing.
func dribble(w io.Writer, text string, silent bool, done <-chan struct{}) {
	for i := range text {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if silent {
			continue
		}
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
	}
}

// TestIdleClosed wants idle connections to be closed after IdleTimeout, and not before.
func TestIdleClosed(t *testing.T) {
	const limit = 200 * time.Millisecond
	s, address := start(t, &fakeRanker{}, Config{IdleTimeout: limit})
	checkAlive(t, address)
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			begin := time.Now() // before the server's clock starts
			c := dial(t, address)
			defer c.Close()
			fmt.Fprint(c, request(http.MethodGet, "/health", ""))
			r := bufio.NewReader(c)
			if got := receive(t, r, http.MethodGet); got.status != 200 || got.last {
				t.Errorf("%d, last %t", got.status, got.last)
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil || time.Since(begin) < limit {
				t.Errorf("after %v: %q, %v", time.Since(begin), rest, err)
			}
		})
	}
	group.Wait()
	awaitQuiet(t, s, before)
}
