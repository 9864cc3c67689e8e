package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // git names content by SHA-1
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/metalrank/metalrank/internal/filelock"
)

// fetch makes sure that the blob of a file is in the cache, whole and with the hash that it is named by. onBytes is called
// with the number of bytes added, which is negative if some are dropped.
func (c *client) fetch(ctx context.Context, n Name, f remoteFile, onBytes func(int64)) error {
	blob := c.blob(n, f.etag)
	locks := filepath.Join(c.Cache, ".locks", filepath.Base(c.repository(n)))
	if err := errors.Join(os.MkdirAll(filepath.Dir(blob), 0o755), os.MkdirAll(locks, 0o755)); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	lock, err := waitForLock(ctx, filepath.Join(locks, f.etag+".lock"))
	if err != nil {
		return err
	}
	err = c.fetchLocked(ctx, blob, f, onBytes)
	return errors.Join(err, lock.Unlock())
}

// waitForLock polls, as Python's filelock does: the holder is another download of the same file.
func waitForLock(ctx context.Context, path string) (*filelock.Lock, error) {
	for {
		lock, err := filelock.TryLock(path)
		if !errors.Is(err, filelock.ErrHeld) {
			return lock, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *client) fetchLocked(ctx context.Context, blob string, f remoteFile, onBytes func(int64)) (err error) {
	if there, err := os.Stat(blob); err == nil && there.Size() == f.size {
		onBytes(f.size)
		return nil // it got this name after its hash was checked
	}
	part := blob + ".incomplete"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	d := &download{client: c, remote: f, file: file, onBytes: onBytes}
	if err := d.resumeFromDisk(); err != nil {
		return err
	}
	if err := c.retry(ctx, func() (bool, error) {
		before := d.have
		err := d.receive(ctx)
		return d.have > before, err
	}); err != nil {
		return err // the part stays, to be resumed
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != f.etag {
		return errors.Join(fmt.Errorf("%w: %s: hash %s, want %s", ErrDamaged, f.name, got, f.etag), os.Remove(part))
	}
	if err := errors.Join(file.Sync(), os.Rename(part, blob)); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return nil
}

// newHash returns the kind of hash that the etag is.
func (f *remoteFile) newHash() hash.Hash {
	if len(f.etag) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // as above
	h.Write([]byte("blob " + strconv.FormatInt(f.size, 10) + "\x00"))
	return h
}

// download is a file that is being fetched.
type download struct {
	client  *client
	remote  remoteFile
	file    *os.File
	hash    hash.Hash // of the bytes in file
	have    int64     // bytes in file
	onBytes func(int64)
}

// start empties the file.
func (d *download) start() error {
	d.onBytes(-d.have)
	d.have, d.hash = 0, d.remote.newHash()
	if err := d.file.Truncate(0); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	_, err := d.file.Seek(0, io.SeekStart)
	return err
}

// resumeFromDisk continues an earlier download: its bytes are hashed again.
func (d *download) resumeFromDisk() error {
	there, err := d.file.Stat()
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	size := there.Size()
	if size == 0 || size > d.remote.size {
		return d.start()
	}
	d.hash = d.remote.newHash()
	if d.have, err = io.Copy(d.hash, d.file); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	d.onBytes(d.have)
	return nil
}

// receive requests the missing bytes and stores them.
func (d *download) receive(ctx context.Context) error {
	if d.have == d.remote.size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := map[string]string{"Accept-Encoding": "identity"}
	if d.have > 0 {
		header["Range"] = "bytes=" + strconv.FormatInt(d.have, 10) + "-"
	}
	response, err := d.client.do(ctx, http.MethodGet, d.remote.address, header)
	if errors.Is(err, errRange) {
		return errors.Join(d.start(), &temporaryError{err, 0})
	} else if err != nil {
		return err
	}
	defer response.Body.Close()
	if d.have > 0 && !d.resumes(response) {
		if err := d.start(); err != nil {
			return err
		}
	}
	watchdog := time.AfterFunc(stalledWithin, func() { cancel(errors.New("no data for " + stalledWithin.String())) })
	defer watchdog.Stop()
	_, err = io.Copy(d, &aliveReader{io.LimitReader(response.Body, d.remote.size-d.have+1), watchdog})
	switch {
	case errors.Is(err, errTooLong):
		return errors.Join(err, d.start())
	case errors.As(err, new(*fs.PathError)):
		return fmt.Errorf("hub: %w", err) // of the disk, not the network
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &temporaryError{fmt.Errorf("hub: %s: %w", d.remote.name, err), 0}
	case d.have < d.remote.size:
		return &temporaryError{fmt.Errorf("hub: %s: %w after %d of %d bytes", d.remote.name, io.ErrUnexpectedEOF, d.have, d.remote.size), 0}
	}
	return nil
}

// resumes reports whether an answer continues at the end of the file.
func (d *download) resumes(r *http.Response) bool {
	return r.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(r.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(d.have, 10)+"-")
}

var errTooLong = fmt.Errorf("%w: longer than announced", ErrDamaged)

// Write implements io.Writer: it adds bytes to the file and to the hash.
func (d *download) Write(p []byte) (int, error) {
	if d.have+int64(len(p)) > d.remote.size {
		return 0, errTooLong
	}
	n, err := d.file.Write(p)
	d.hash.Write(p[:n])
	d.have += int64(n)
	d.onBytes(int64(n))
	return n, err
}

// aliveReader resets the watchdog with every read that returns bytes.
type aliveReader struct {
	io.Reader

	watchdog *time.Timer
}

func (r *aliveReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.watchdog.Reset(stalledWithin)
	}
	return n, err
}
