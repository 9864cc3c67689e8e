package httpapi

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// pack compresses text as a Content-Encoding has it.
func pack(t *testing.T, encoding string, text io.Reader) string {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip", "x-gzip", "GZIP":
		w = gzip.NewWriter(&packed)
	case "deflate":
		w = zlib.NewWriter(&packed)
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("no such encoding: %s", encoding)
	}
	if _, err := io.Copy(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// spaces is a stream of n spaces.
func spaces(n int64) io.Reader { return io.LimitReader(endless{}, n) }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestPackedBodies sends compressed bodies: right ones, cut ones, ones of many frames, and bombs.
func TestPackedBodies(t *testing.T) {
	const limit = 100_000
	_, address := start(t, &fakeRanker{}, Config{MaxBodyBytes: limit})
	const body = `{"query":"a","texts":["b","a"],"raw_scores":true}`
	send := func(encoding, packed string) reply {
		return send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", packed, typeJSON, "Content-Encoding: "+encoding))
	}
	var group sync.WaitGroup
	for _, encoding := range []string{"gzip", "x-gzip", "GZIP", "deflate", "zstd"} {
		group.Go(func() {
			for range 5 { // readers are used again, after bodies of every kind
				if got := send(encoding, pack(t, encoding, strings.NewReader(body))); got.status != 200 ||
					got.body != `[{"index":1,"score":1},{"index":0,"score":0}]` {
					t.Errorf("%s: %d %s", encoding, got.status, got.body)
				}
				whole := pack(t, encoding, strings.NewReader(body))
				checkRefusal(t, send(encoding, whole[:len(whole)-9]), 400, "Malformed")
				checkRefusal(t, send(encoding, ""), 400, "Malformed")
				full := io.MultiReader(strings.NewReader(body), spaces(int64(limit-len(body))))
				if got := send(encoding, pack(t, encoding, full)); got.status != 200 {
					t.Errorf("%s, at the limit: %d %s", encoding, got.status, got.body)
				}
				message := checkRefusal(t, send(encoding, pack(t, encoding, spaces(limit+1))), 413, "PayloadTooLarge")
				if !strings.Contains(message, "more than 100000 bytes once it is decompressed") {
					t.Errorf("%s: %s", encoding, message)
				}
			}
		})
	}
	group.Wait()
	two := pack(t, "zstd", strings.NewReader(body[:9])) + pack(t, "zstd", strings.NewReader(body[9:]))
	if got := send("zstd", two); got.status != 200 {
		t.Errorf("two frames: %d %s", got.status, got.body)
	}
	checkAlive(t, address)
}

// TestBombs sends a kilobyte that claims to be much more, and wants little memory spent on it.
func TestBombs(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxBodyBytes: 2_000_000})
	bombs := map[string]string{}
	for _, encoding := range []string{"gzip", "deflate", "zstd"} {
		bombs[encoding] = pack(t, encoding, spaces(256<<20))
	}
	// A frame that needs a window of 2 GiB before the first byte: RFC 8878, 3.1.1.1.2.
	window := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	bombs["zstd "] = string(append(window, 0, 21<<3, 1, 0, 0))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 4
	for range times {
		for encoding, bomb := range bombs {
			got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", bomb, typeJSON, "Content-Encoding: "+encoding))
			if got.status != 413 && len(bomb) < 2_000_000 {
				t.Errorf("%s of %d bytes: %d %s", encoding, len(bomb), got.status, got.body)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if spent := (after.TotalAlloc - before.TotalAlloc) / times / uint64(len(bombs)); spent > 32<<20 {
		t.Errorf("%d bytes were allocated for each bomb", spent)
	}
	checkAlive(t, address)
}

// TestPackedAnswers asks for compressed answers.
func TestPackedAnswers(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	body := `{"query":"a","texts":["a"` + strings.Repeat(`,"text"`, 99) + `]}`
	want := rerank(t, address, body)
	for accept, encoding := range map[string]string{
		"": "", "identity": "", "br": "", "gzip": "gzip", "gzip, deflate, br": "gzip", "gzip, deflate, br, zstd": "zstd",
		"gzip;q=0, zstd;q=0": "", "GZIP;q=0.5": "gzip",
	} {
		got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, typeJSON, "Accept-Encoding: "+accept))
		text := got.body
		switch encoding {
		case "gzip":
			r, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%q: %v", accept, err)
			}
			all, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("%q: %v", accept, err)
			}
			text = string(all)
		case "zstd":
			d, err := zstd.NewReader(nil)
			if err != nil {
				t.Fatal(err)
			}
			all, err := d.DecodeAll([]byte(text), nil)
			d.Close()
			if err != nil {
				t.Fatalf("%q: %v", accept, err)
			}
			text = string(all)
		}
		if text != want.body || got.header.Get("Content-Encoding") != encoding || got.header.Get("Vary") != "Accept-Encoding" ||
			(encoding != "" && len(got.body) > len(text)/2) {
			t.Errorf("%q: %v, %d bytes", accept, got.header, len(got.body))
		}
	}
	small := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON, "Accept-Encoding: gzip"))
	if small.header.Get("Content-Encoding") != "" || small.body != `[{"index":0,"score":0.7310585786300049}]` {
		t.Errorf("a small answer: %v %s", small.header, small.body)
	}
}
