package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

func dial(ctx context.Context, address string) (*net.TCPConn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("BUG: a connection of type %T", c), c.Close())
	}
	return tcp, tcp.SetDeadline(time.Now().Add(patience))
}

// raw spells out a request of the corpus.
func (a *testRequest) raw() string {
	return fmt.Sprintf("POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(a.body), a.body)
}

// many runs f n times at once and returns the first few errors.
func many(n int, f func(i int) error) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	return joinFirst(errs)
}

// joinFirst joins the first few of many errors, which are alike.
func joinFirst(errs []error) error {
	var few []error
	for _, err := range errs {
		if err != nil && len(few) < 3 {
			few = append(few, err)
		}
	}
	return errors.Join(few...)
}

// dribbled has clients send a byte ten times a second: half of them headers, half bodies.
func dribbled(ctx context.Context, _ *options, c *corpus, s *running) (string, error) {
	const clients = 400
	var slowest atomic.Int64
	results, err := loadDuring(ctx, c, s.base(), func() error {
		return many(clients, func(i int) error {
			a := c.ask()
			raw := a.raw()
			begin := time.Now()
			at := 1
			if i%2 == 0 {
				at = strings.Index(raw, "\r\n\r\n") + 5
			}
			err := dribble(ctx, s.Address, raw, at)
			if elapsed := int64(time.Since(begin)); err == nil && elapsed > slowest.Load() {
				slowest.Store(elapsed)
			}
			return err
		})
	})
	if slow := time.Duration(slowest.Load()); err == nil && slow > readTimeout+3*time.Second {
		err = fmt.Errorf("a client was given %v, want about %v", slow, readTimeout)
	}
	return fmt.Sprintf("%d clients, each refused with 408 within %v; beside them %d right answers, p99 %v", clients,
		time.Duration(slowest.Load()).Round(100*time.Millisecond), results.right, results.p99()), err
}

// dribble sends a part at once and the rest slowly, and wants to be refused.
func dribble(ctx context.Context, address, raw string, at int) error {
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, raw[:at]); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for i := at; i < len(raw); i++ {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if _, err := conn.Write([]byte{raw[i]}); err != nil {
				return
			}
		}
	}()
	return refused(conn, http.StatusRequestTimeout)
}

// refused wants an answer with a status and a body that says why.
func refused(r io.Reader, status int) error {
	response, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return fmt.Errorf("no refusal: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("status %d, want %d: %.200s", response.StatusCode, status, body)
	}
	return checkError(body)
}

// vanishing has clients reset or half-close their connections in every phase of a request.
func vanishing(ctx context.Context, o *options, c *corpus, s *running) (string, error) {
	var gone atomic.Int64
	results, err := loadDuring(ctx, c, s.base(), func() error {
		end := time.Now().Add(o.Load)
		return many(24, func(i int) error {
			for n := i; time.Now().Before(end); n++ {
				if err := vanish(ctx, c, s.Address, n); err != nil {
					return err
				}
				gone.Add(1)
			}
			return nil
		})
	})
	return fmt.Sprintf("%d clients, half of them reset, half half-closed; beside them %d right answers, p99 %v", gone.Load(),
		results.right, results.p99()), err
}

// vanish resets or half-closes its connection in one of six phases. A client that half-closes is refused, cancelled or
// answered, or gets nothing where it sent nothing.
func vanish(ctx context.Context, c *corpus, address string, n int) error {
	a := c.ask()
	raw := a.raw()
	header := strings.Index(raw, "\r\n\r\n") + 4
	part := raw[:[]int{0, 6, header - 9, header, len(raw) - 5, len(raw)}[n%6]]
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, part); err != nil {
		return err
	}
	if len(part) == len(raw) {
		time.Sleep(time.Duration(n%100) * time.Millisecond) // into tokenising, waiting, computing
	}
	if n/6%2 == 0 {
		return conn.SetLinger(0)
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil || (len(answer) == 0 && len(part) == 0) {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return fmt.Errorf("after %d bytes of %d: %w: %.200q", len(part), len(raw), err, answer)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusOK && len(part) == len(raw):
		return a.check(body)
	case response.StatusCode == http.StatusBadRequest || response.StatusCode == 499:
		return checkError(body)
	}
	return fmt.Errorf("after %d bytes of %d: status %d: %.200s", len(part), len(raw), response.StatusCode, body)
}

// unread has clients send request after request on a connection and read no answer. The server may reset it.
func unread(ctx context.Context, _ *options, c *corpus, s *running) (string, error) {
	const clients, requests = 50, 200
	results, err := loadDuring(ctx, c, s.base(), func() error {
		return many(clients, func(int) error {
			conn, err := dial(ctx, s.Address)
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetReadBuffer(1 << 10); err != nil {
				return err
			}
			// A page is the largest answer for the least work.
			all := strings.Repeat("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", requests)
			if _, err := io.WriteString(conn, all); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ECONNRESET) {
				return err
			}
			time.Sleep(2 * time.Second)
			return conn.SetLinger(0)
		})
	})
	return fmt.Sprintf("%d clients with %d requests each; beside them %d right answers, p99 %v", clients, requests,
		results.right, results.p99()), err
}

// spaces is a body without end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// tooLarge sends bodies over the limit, plain and chunked, and small ones that unpack to a gigabyte.
func tooLarge(ctx context.Context, _ *options, c *corpus, s *running) (string, error) {
	const plainBytes, bombBytes, times = 50 << 20, 1 << 30, 20
	bodies := map[string]string{}
	for encoding, open := range map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip":    func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) },
		"deflate": func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, zlib.BestCompression) },
		"zstd":    func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) },
	} {
		var packed bytes.Buffer
		w, err := open(&packed)
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(w, spaces{}, bombBytes); err != nil {
			return "", err
		}
		if err := w.Close(); err != nil {
			return "", err
		}
		bodies[encoding] = packed.String()
	}
	results, err := loadDuring(ctx, c, s.base(), func() error {
		return many(times, func(i int) error {
			var errs []error
			for encoding, body := range bodies {
				errs = append(errs, tooLargeOne(ctx, s.base(), encoding, strings.NewReader(body), int64(len(body))))
			}
			length := int64(-1)
			if i%2 == 0 {
				length = plainBytes
			}
			return joinFirst(append(errs, tooLargeOne(ctx, s.base(), "", io.LimitReader(spaces{}, plainBytes), length)))
		})
	})
	return fmt.Sprintf("%d × 50 MiB, and %d × 1 GiB in %d, %d and %d bytes of gzip, deflate and zstd: 413, or 429 where others were being unpacked; beside them %d right answers, p99 %v",
		times, times, len(bodies["gzip"]), len(bodies["deflate"]), len(bodies["zstd"]), results.right, results.p99()), err
}

func tooLargeOne(ctx context.Context, base, encoding string, body io.Reader, length int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/rerank", body)
	if err != nil {
		return err
	}
	request.ContentLength = length
	request.Header.Set("Content-Type", "application/json")
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	client := newClient(1)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: no refusal: %w", encoding, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") != "" {
		return nil // refused before it is unpacked: others are being unpacked
	}
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("%s: status %d, want 413: %.200s", encoding, response.StatusCode, answer)
	}
	return checkError(answer)
}
