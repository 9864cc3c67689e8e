package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

// chunkedCases are chunked bodies with their contents, or with refused set.
var chunkedCases = []struct {
	name, raw string
	want      string
	refused   bool
}{
	{"plain", "3\r\nabc\r\n0\r\n\r\n", "abc", false},
	{"two", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", false},
	{"empty", "0\r\n\r\n", "", false},
	{"upper and lower", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a", false},
	{"leading zeros", "000000000000003\r\nabc\r\n0\r\n\r\n", "abc", false},
	{"several zeros at the end", "3\r\nabc\r\n000\r\n\r\n", "abc", false},
	{"ends of headers within", "8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n\r\n\r\n", false},
	{"extensions", "3;a;b=c;d=\"e;\\\"\t\"\r\nabc\r\n0;x=y\r\n\r\n", "abc", false},
	{"trailers", "3\r\nabc\r\n0\r\nX-A: 5\r\nb:\r\n\r\n", "abc", false},

	{"too many digits", "0000000000000003\r\nabc\r\n0\r\n\r\n", "", true},
	{"no size", "\r\nabc\r\n0\r\n\r\n", "", true},
	{"0x", "0x3\r\nabc\r\n0\r\n\r\n", "", true},
	{"plus", "+3\r\nabc\r\n0\r\n\r\n", "", true},
	{"minus", "-3\r\nabc\r\n0\r\n\r\n", "", true},
	{"underscore", "0_3\r\nabc\r\n0\r\n\r\n", "", true},
	{"leading space", " 3\r\nabc\r\n0\r\n\r\n", "", true},
	{"space behind", "3 \r\nabc\r\n0\r\n\r\n", "", true},
	{"tab behind", "3\t\r\nabc\r\n0\r\n\r\n", "", true},
	{"control that looks like a digit", "\x13\r\nabc\r\n0\r\n\r\n", "", true},
	{"g", "g\r\nabc\r\n0\r\n\r\n", "", true},
	{"bare LF behind the size", "3\nabc\r\n0\r\n\r\n", "", true},
	{"bare CR behind the size", "3\rabc\r\n0\r\n\r\n", "", true},
	{"two CR", "3\r\r\nabc\r\n0\r\n\r\n", "", true},
	{"bare LF behind the data", "3\r\nabc\n0\r\n\r\n", "", true},
	{"nothing behind the data", "3\r\nabc0\r\n\r\n", "", true},
	{"something else behind the data", "3\r\nabcXX0\r\n\r\n", "", true},
	{"too long a chunk", "2\r\nabc\r\n0\r\n\r\n", "", true},
	{"bare LF behind the last", "3\r\nabc\r\n0\n\r\n", "", true},
	{"bare LF at the end", "3\r\nabc\r\n0\r\n\n", "", true},
	{"extension without a name", "3;\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension without a value", "3;a=\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with white space", "3 ;a\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with a bare LF", "3;a\nb\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with a bare CR", "3;a\rb\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with a NUL", "3;a=\"\x00\"\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with an open string", "3;a=\"b\r\nabc\r\n0\r\n\r\n", "", true},
	{"extension with an escape at the end", "3;a=\"b\\\r\nabc\r\n0\r\n\r\n", "", true},
	{"long extension", "3;" + strings.Repeat("a", maxChunkLine) + "\r\nabc\r\n0\r\n\r\n", "", true},
	{"many extensions", strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\nx\r\n", 100) + "0\r\n\r\n", "", true},
	{"long trailer", "0\r\nX: " + strings.Repeat("a", maxChunkLine) + "\r\n\r\n", "", true},
	{"many trailers", "0\r\n" + strings.Repeat("X: a\r\n", maxTrailerLines+1) + "\r\n", "", true},
	{"large trailers", "0\r\n" + strings.Repeat("X: "+strings.Repeat("a", 900)+"\r\n", 10) + "\r\n", "", true},
	{"trailer without a colon", "0\r\nfoo\r\n\r\n", "", true},
	{"trailer without a name", "0\r\n: foo\r\n\r\n", "", true},
	{"trailer with a space before the colon", "0\r\nX : foo\r\n\r\n", "", true},
	{"trailer that is continued", "0\r\nX: a\r\n b\r\n\r\n", "", true},
	{"trailer with a bare LF", "0\r\nX: a\nY: b\r\n\r\n", "", true},
	{"trailer with a bare CR", "0\r\nX: a\rY: b\r\n\r\n", "", true},
	{"trailer with a NUL", "0\r\nX: \x00\r\n\r\n", "", true},
	{"a request for a trailer", "0\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "", true},
	{"too large", "ffffffff\r\n", "", true},
	{"too large for 64 bits", "100000000000000000\r\n", "", true},
	{"cut off in the size", "3", "", true},
	{"cut off in the data", "3\r\nab", "", true},
	{"cut off behind the data", "3\r\nabc\r", "", true},
	{"cut off in the trailers", "3\r\nabc\r\n0\r\nX: y\r\n", "", true},
}

// dechunk reads a chunked body from r, which may return it in pieces of any size; rest is the input behind it.
func dechunk(r io.Reader, limit int) (body []byte, rest string, err error) {
	f := &framed{Conn: reading{from: r}}
	b := &bodyBuffer{reservation: &reservation{budget: newBudget(limit, &trimmer{})}, limit: limit, body: make([]byte, 0, min(limit, 4))}
	err = f.readChunked(b)
	if err == nil {
		f.pending = ""
		data, _ := io.ReadAll(f)
		rest = string(data)
	}
	return b.body, rest, err
}

// reading is a connection that can only be read from.
type reading struct {
	net.Conn
	from io.Reader
}

func (r reading) Read(p []byte) (int, error) { return r.from.Read(p) }

func TestChunked(t *testing.T) {
	for _, name := range []string{
		"Content-Length", "transfer-encoding", "TRAILER", "Host", "Authorization", "X-Api-Key", "Cookie", "Content-Type", "Content-Encoding",
		"Connection", "Proxy-Authorization", "Expect", "X-Forwarded-For", "If-Match",
	} {
		chunkedCases = append(chunkedCases, struct {
			name, raw, want string
			refused         bool
		}{name + " in a trailer", "0\r\n" + name + ": 5\r\n\r\n", "", true})
	}
	for _, c := range chunkedCases {
		for pieces, reader := range map[string]func(string) io.Reader{
			"at once": func(s string) io.Reader { return strings.NewReader(s) }, "byte by byte": func(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) },
			"by halves": func(s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) },
		} {
			got, rest, err := dechunk(reader(c.raw+"GET"), 1000)
			if cut := strings.HasPrefix(c.name, "cut off"); cut {
				got, rest, err = dechunk(reader(c.raw), 1000)
			}
			if (err != nil) != c.refused || err == nil && (string(got) != c.want || rest != "GET") {
				t.Errorf("%s, %s: %q, then %q, %v", c.name, pieces, got, rest, err)
			}
		}
	}
	if _, _, err := dechunk(strings.NewReader("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"), 3); !errors.Is(err, errBodyTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if got, _, err := dechunk(strings.NewReader("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), 3); err != nil || string(got) != "abc" {
		t.Errorf("at the limit: %q, %v", got, err)
	}
}

// TestEndless sends lines that never end: the refusal arrives while the client still sends.
func TestEndless(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	const header = "POST /rerank HTTP/1.1\r\nHost: x\r\n" + typeJSON + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, raw := range []string{"3;" + strings.Repeat("a", 1<<20), "0\r\nX: " + strings.Repeat("a", 1<<20), strings.Repeat("0", 1<<20), strings.Repeat("0\r\nX: y\r\n", 1<<17)} {
		checkRefusal(t, send(t, address, http.MethodPost, header+raw), 400, "Malformed")
	}
	checkAlive(t, address)
}

// TestPipelinedChunks sends several requests in one go, and byte by byte: each is answered as it would be alone.
func TestPipelinedChunks(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	body := `{"query":"a b","texts":["x\r\n\r\n","a b","a"],"raw_scores":true}`
	want := `[{"index":1,"score":2},{"index":2,"score":1},{"index":0,"score":0}]`
	chunked := fmt.Sprintf("POST /rerank HTTP/1.1\r\nHost: x\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", typeJSON, body[:1], len(body)-1, body[1:])
	sized := request(http.MethodPost, "/rerank", body, typeJSON)
	raw := sized + chunked + chunked + sized + "\r\n" + chunked
	for _, step := range []int{len(raw), 1, 7, 1000} {
		c := dial(t, address)
		go func() {
			for at := 0; at < len(raw); at += step {
				if _, err := io.WriteString(c, raw[at:min(at+step, len(raw))]); err != nil {
					return
				}
			}
		}()
		r := bufio.NewReader(c)
		for i := range 5 {
			if got := receive(t, r, http.MethodPost); got.status != 200 || got.body != want {
				t.Fatalf("by %d bytes, answer %d: %d %s", step, i, got.status, got.body)
			}
		}
		_ = c.Close()
	}
}

// TestUnreadBody has requests refused by their headers, whether or not the body arrives. The connection stays open only
// if the body has a known and small length.
func TestUnreadBody(t *testing.T) {
	_, address := startWithKeys(t, &fakeRanker{}, nil)
	for _, c := range []struct {
		header, body string
		goesOn       bool
	}{
		{"Content-Length: 1000000", "x", false}, {"Transfer-Encoding: chunked", "5\r\nab", false}, {"Content-Length: 5", "abcde", true},
		{"Transfer-Encoding: chunked", "5\r\nabcde\r\n0\r\n\r\n", false},
	} {
		conn := dial(t, address)
		fmt.Fprintf(conn, "POST /rerank HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n\r\n%s", typeJSON, c.header, c.body)
		r := bufio.NewReader(conn)
		got := receive(t, r, http.MethodPost)
		checkRefusal(t, got, 401, "Unauthorized")
		if got.last == c.goesOn {
			t.Errorf("%s: last %t", c.header, got.last)
		}
		if c.goesOn {
			fmt.Fprint(conn, secondRequest)
			if got := receive(t, r, http.MethodGet); got.status != 200 {
				t.Errorf("%s: then %d", c.header, got.status)
			}
		}
		_ = conn.Close()
	}
	got := send(t, address, http.MethodPost, "POST /rerank HTTP/1.1\r\nHost: x\r\n"+typeJSON+"\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	checkRefusal(t, got, 401, "Unauthorized")
}

// FuzzChunked compares our reader with net/http's, which must accept every body that ours accepts, with the same content.
func FuzzChunked(f *testing.F) {
	for _, c := range chunkedCases {
		f.Add([]byte(c.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, rest, err := dechunk(bytes.NewReader(raw), 1<<16)
		slowly, _, errSlowly := dechunk(iotest.OneByteReader(bytes.NewReader(raw)), 1<<16)
		if (err == nil) != (errSlowly == nil) || err == nil && !bytes.Equal(got, slowly) {
			t.Fatalf("at once %q, %v; byte by byte %q, %v", got, err, slowly, errSlowly)
		}
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(raw))
		want, err := io.ReadAll(httputil.NewChunkedReader(r))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: ours %q, net/http's %q, %v", raw, got, want, err)
		}
		left, _ := io.ReadAll(r)
		if !bytes.HasSuffix(left, []byte("\r\n"+rest)) {
			t.Fatalf("%q: ours leaves %q, net/http's, with the trailers, %q", raw, rest, left)
		}
	})
}
