package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// acceptedEncodings are those of bodies, for the header that a refusal has (RFC 9110, 12.5.3). There is no brotli,
// since klauspost/compress has none.
const acceptedEncodings = "gzip, deflate, zstd, identity"

// body returns a request's body, decompressed within the limit that one that isn't compressed has.
func (s *Server) body(request *fasthttp.Request) ([]byte, *failure) {
	packed := request.Body()
	encoding := request.Header.ContentEncoding()
	if len(encoding) == 0 {
		return packed, nil
	}
	u := s.unpackers.take()
	defer s.unpackers.free(u)
	var (
		body []byte
		err  error
	)
	switch name := strings.ToLower(strings.TrimSpace(string(encoding))); name {
	case "identity":
		return packed, nil
	case "gzip", "x-gzip":
		body, err = u.gzip(packed)
	case "deflate":
		body, err = u.deflate(packed)
	case "zstd":
		body, err = u.zstd(packed)
	default:
		f := failf(kindMediaType, "Content-Encoding is %s, want one of %s", quote(string(encoding)), acceptedEncodings)
		f.header, f.value = fasthttp.HeaderAcceptEncoding, acceptedEncodings
		return nil, f
	}
	switch {
	case errors.Is(err, errUnpackedTooLarge), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, failf(kindBodySize, "the body has more than %d bytes once it is decompressed, which is the limit", s.config.MaxBodyBytes)
	case err != nil:
		return nil, failf(kindMalformed, "the body can't be decompressed as Content-Encoding says, %s: %s", quote(string(encoding)), clip(err.Error()))
	}
	return body, nil
}

var errUnpackedTooLarge = errors.New("too large")

// unpacker decompresses one body at a time.
type unpacker struct {
	limitBytes  int
	gzipReader  *gzip.Reader // nil before its first use, like the others
	zlibReader  io.ReadCloser
	zstdDecoder *zstd.Decoder
}

// unpackers are for as many bodies at once as there are cores: more would only take memory, of which a few bytes of zstd
// may demand megabytes. What isn't used goes with the garbage: a decoder keeps the largest window that it has met.
type unpackers struct {
	places chan struct{}
	idle   sync.Pool
}

func newUnpackers(limitBytes int) *unpackers {
	return &unpackers{
		places: make(chan struct{}, runtime.GOMAXPROCS(0)),
		idle:   sync.Pool{New: func() any { return &unpacker{limitBytes: limitBytes} }},
	}
}

// take waits for a place.
func (all *unpackers) take() *unpacker {
	all.places <- struct{}{}
	u, ok := all.idle.Get().(*unpacker)
	if !ok {
		panic("BUG: the pool holds unpackers alone")
	}
	return u
}

func (all *unpackers) free(u *unpacker) {
	all.idle.Put(u)
	<-all.places
}

// all reads r to its end, or to the limit.
func (u *unpacker) all(r io.Reader) ([]byte, error) {
	var body bytes.Buffer
	switch n, err := io.Copy(&body, io.LimitReader(r, int64(u.limitBytes)+1)); {
	case err != nil:
		return nil, err
	case n > int64(u.limitBytes):
		return nil, errUnpackedTooLarge
	}
	return body.Bytes(), nil
}

func (u *unpacker) gzip(packed []byte) ([]byte, error) {
	var err error
	if u.gzipReader == nil {
		u.gzipReader, err = gzip.NewReader(bytes.NewReader(packed))
	} else {
		err = u.gzipReader.Reset(bytes.NewReader(packed))
	}
	if err != nil {
		u.gzipReader = nil
		return nil, err
	}
	return u.all(u.gzipReader)
}

// deflate is zlib's format, by RFC 9110, 8.4.1.2.
func (u *unpacker) deflate(packed []byte) (body []byte, err error) {
	if r, ok := u.zlibReader.(zlib.Resetter); ok {
		err = r.Reset(bytes.NewReader(packed), nil)
	} else {
		u.zlibReader, err = zlib.NewReader(bytes.NewReader(packed))
	}
	if err != nil {
		u.zlibReader = nil
		return nil, err
	}
	return u.all(u.zlibReader)
}

// maxZstdWindow is what every decoder should take (RFC 8878, 3.1.1.1.2): compressors write windows of that size for
// bodies that are far smaller.
const maxZstdWindow = 8 << 20

func (u *unpacker) zstd(packed []byte) (body []byte, err error) {
	if u.zstdDecoder == nil {
		u.zstdDecoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("BUG: %w", err)
		}
	}
	if err := u.zstdDecoder.Reset(bytes.NewReader(packed)); err != nil {
		return nil, err
	}
	return u.all(u.zstdDecoder)
}

// minCompressedBytes is the least answer that is compressed: a smaller one fits into one packet as it is.
const minCompressedBytes = 1400

// setBody makes body the answer, compressed if the client takes it so and there is something to gain.
func setBody(ctx *fasthttp.RequestCtx, body []byte) {
	if len(body) < minCompressedBytes {
		ctx.SetBody(body)
		return
	}
	ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	request := &ctx.Request.Header
	var encoding string
	packed := newWriter()
	defer packed.free()
	switch {
	case request.HasAcceptEncoding("zstd"):
		encoding = "zstd"
		packed.zstd(body)
	case request.HasAcceptEncoding("gzip"):
		encoding = "gzip"
		packed.gzip(body)
	}
	if encoding == "" || len(packed.buffer) >= len(body) {
		ctx.SetBody(body)
		return
	}
	ctx.Response.Header.Set(fasthttp.HeaderContentEncoding, encoding)
	ctx.SetBody(packed.buffer)
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.buffer = append(w.buffer, p...)
	return len(p), nil
}

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return w
}}

func (w *writer) gzip(body []byte) {
	g, ok := gzipWriters.Get().(*gzip.Writer)
	if !ok {
		panic("BUG: the pool holds gzip writers alone")
	}
	defer gzipWriters.Put(g)
	g.Reset(w)
	_, _ = g.Write(body) // which can't fail, as w can't
	_ = g.Close()
}

// zstdEncoder is made when it is first needed; it may be used from several goroutines at once.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return e
})

func (w *writer) zstd(body []byte) { w.buffer = zstdEncoder().EncodeAll(body, w.buffer) }
