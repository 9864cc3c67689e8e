package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// acceptedEncodings are the encodings of bodies, for the header of a refusal (RFC 9110, 12.5.3). Brotli is missing,
// since klauspost/compress has none.
const acceptedEncodings = "gzip, deflate, zstd, identity"

// unpackings has the decompressor of each encoding, by the encoding's name.
var unpackings = map[string]func(u *unpacker, packed io.Reader, to io.Writer) error{
	"gzip": (*unpacker).gzip, "x-gzip": (*unpacker).gzip, "deflate": (*unpacker).deflate, "zstd": (*unpacker).zstd,
}

// encodingOf returns the decompressor for the body of a request; nil: it isn't compressed.
func encodingOf(header *fasthttp.RequestHeader) (unpack func(*unpacker, io.Reader, io.Writer) error, f *failure) {
	encoding := string(header.ContentEncoding())
	name := strings.ToLower(strings.TrimSpace(encoding))
	if encoding == "" || name == "identity" {
		return nil, nil
	}
	if unpack = unpackings[name]; unpack == nil {
		f = failf(kindMediaType, "Content-Encoding is %s, want one of %s", quote(encoding), acceptedEncodings)
		f.header, f.value = fasthttp.HeaderAcceptEncoding, acceptedEncodings
	}
	return unpack, f
}

// unpack returns a request's body, decompressed. The limit is the same as for a body that isn't compressed.
func (s *Server) unpack(request *fasthttp.Request, packed *bodyBuffer) (*bodyBuffer, *failure) {
	unpack, f := encodingOf(&request.Header)
	if unpack == nil {
		return packed, f
	}
	u, f := s.unpackers.take()
	if f != nil {
		return nil, f
	}
	defer s.unpackers.free(u)
	body, f := newBodyBuffer(packed.reservation, s.config.MaxBodyBytes, 0)
	if f != nil {
		return nil, f
	}
	err := unpack(u, bytes.NewReader(packed.body), body)
	if err == nil {
		return body, nil
	}
	body.free()
	var memory reservationError
	switch {
	case errors.As(err, &memory):
		return nil, memory.failure
	case errors.Is(err, errBodyTooLarge), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, failf(kindBodySize, "the body has more than %d bytes once it is decompressed, which is the limit", s.config.MaxBodyBytes)
	}
	return nil, failf(kindMalformed, "the body can't be decompressed as Content-Encoding says, %s: %s",
		quote(string(request.Header.ContentEncoding())), clip(err.Error()))
}

// unpacker decompresses one body at a time.
type unpacker struct {
	gzipReader  *gzip.Reader // nil before its first use, like the others
	zlibReader  io.ReadCloser
	zstdDecoder *zstd.Decoder
}

// unpackers decompress as many bodies at once as there are cores: more would only take memory, and a few bytes of zstd
// may demand megabytes. Idle ones are left to the garbage collector: a decoder keeps the largest window that it has met.
type unpackers struct {
	slots chan struct{}
	idle  sync.Pool
}

func newUnpackers() *unpackers {
	return &unpackers{
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		idle:  sync.Pool{New: func() any { return &unpacker{} }},
	}
}

// take returns an unpacker. It waits for a slot for budgetWait at most, and then fails.
func (all *unpackers) take() (*unpacker, *failure) {
	select {
	case all.slots <- struct{}{}:
	default:
		end := time.NewTimer(budgetWait)
		defer end.Stop()
		select {
		case all.slots <- struct{}{}:
		case <-end.C:
			return nil, failf(kindOverloaded, "the server is overloaded: compressed bodies wait for their turn, of which %d are unpacked at once",
				cap(all.slots))
		}
	}
	u, ok := all.idle.Get().(*unpacker)
	if !ok {
		panic("BUG: the pool holds unpackers alone")
	}
	return u, nil
}

func (all *unpackers) free(u *unpacker) {
	all.idle.Put(u)
	<-all.slots
}

func (u *unpacker) gzip(packed io.Reader, to io.Writer) error {
	var err error
	if u.gzipReader == nil {
		u.gzipReader, err = gzip.NewReader(packed)
	} else {
		err = u.gzipReader.Reset(packed)
	}
	if err != nil {
		u.gzipReader = nil
		return err
	}
	_, err = io.Copy(to, u.gzipReader)
	return err
}

// deflate is zlib's format, by RFC 9110, 8.4.1.2.
func (u *unpacker) deflate(packed io.Reader, to io.Writer) (err error) {
	if r, ok := u.zlibReader.(zlib.Resetter); ok {
		err = r.Reset(packed, nil)
	} else {
		u.zlibReader, err = zlib.NewReader(packed)
	}
	if err != nil {
		u.zlibReader = nil
		return err
	}
	_, err = io.Copy(to, u.zlibReader)
	return err
}

// maxZstdWindow is the window size that every decoder should accept (RFC 8878, 3.1.1.1.2): compressors use it even for
// bodies that are far smaller.
const maxZstdWindow = 8 << 20

func (u *unpacker) zstd(packed io.Reader, to io.Writer) (err error) {
	if u.zstdDecoder == nil {
		u.zstdDecoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return fmt.Errorf("BUG: %w", err)
		}
	}
	if err := u.zstdDecoder.Reset(packed); err != nil {
		return err
	}
	_, err = io.Copy(to, u.zstdDecoder)
	return err
}

// minCompressedBytes is the size of the smallest answer that is compressed: a smaller one fits into one packet as it is.
const minCompressedBytes = 1400

// setBody makes body the answer, compressed if the client accepts that and it gets smaller.
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
	_, _ = g.Write(body) // can't fail, as w can't
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
