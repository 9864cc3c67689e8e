package builtin

import (
	"fmt"
	"hash"
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// inflate decompresses a file into one buffer of exactly its size, on all cores: each frame has its place, since all but
// the last hold frameBytes. Meanwhile sum hashes the frames in order, each as soon as it is decompressed, so that
// hashing (2 GB/s on one core) hides behind decompressing. A frame can write to its place only: a longer one is an error
// of the decoder, a shorter one an error here.
func inflate(f file, packed []byte, sum hash.Hash) ([]byte, error) {
	if want := (f.sizeBytes + frameBytes - 1) / frameBytes; len(f.frames) != want {
		return nil, fmt.Errorf("%d frames, want %d for %d bytes", len(f.frames), want, f.sizeBytes)
	}
	frames := make([][]byte, len(f.frames))
	for i, n := range f.frames {
		if n < 0 || n > len(packed) {
			return nil, fmt.Errorf("compressed data end in frame %d of %d", i, len(frames))
		}
		frames[i], packed = packed[:n], packed[n:]
	}
	if len(packed) != 0 {
		return nil, fmt.Errorf("%d bytes after the last frame", len(packed))
	}
	workers := min(runtime.GOMAXPROCS(0), len(frames))
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
		zstd.WithDecoderMaxMemory(frameBytes), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()

	out, done := make([]byte, f.sizeBytes), make([]chan error, len(frames))
	for i := range done {
		done[i] = make(chan error, 1) // buffered: a worker never waits, even if an error ends the loop below
	}
	piece := func(i int) []byte { return out[i*frameBytes : min(len(out), (i+1)*frameBytes)] }
	var next atomic.Int64
	for range workers {
		go func() {
			for i := int(next.Add(1)) - 1; i < len(frames); i = int(next.Add(1)) - 1 {
				done[i] <- inflateFrame(dec, frames[i], piece(i))
			}
		}()
	}
	var failed error
	for i := range frames { // to the end in any case: the decoder must not be closed under a worker
		if err := <-done[i]; err != nil && failed == nil {
			failed = fmt.Errorf("frame %d of %d: %w", i, len(frames), err)
		}
		sum.Write(piece(i))
	}
	return out, failed
}

// inflateFrame decompresses one frame, which must fill dst.
func inflateFrame(dec *zstd.Decoder, frame, dst []byte) error {
	got, err := dec.DecodeAll(frame, dst[:0:len(dst)])
	if err != nil {
		return err
	}
	if len(got) != len(dst) {
		return fmt.Errorf("%d bytes, want %d", len(got), len(dst))
	}
	return nil
}
