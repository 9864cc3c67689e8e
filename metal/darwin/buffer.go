package darwin

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
)

// buffer is a metal.Buffer that Metal allocated, or that lies over the caller's memory.
type buffer struct {
	resource
	data     []byte
	borrowed bool           // data is the caller's
	pinned   runtime.Pinner // lets Metal keep the address of borrowed memory that is Go's
}

// NewBuffer implements metal.Device.
func (d *device) NewBuffer(sizeBytes int) (metal.Buffer, error) {
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer d.release()
	if err := d.checkSize(sizeBytes); err != nil {
		return nil, err
	}
	o, contents, err := d.native.newBuffer(sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("metal: a buffer of %d bytes: %w", sizeBytes, err)
	}
	if contents == nil {
		o.Release()
		return nil, fmt.Errorf("metal: a buffer of %d bytes has no memory that the CPU can see", sizeBytes)
	}
	return &buffer{resource: d.own(o), data: unsafe.Slice((*byte)(contents), sizeBytes)}, nil
}

// NewBufferNoCopy implements metal.Device.
func (d *device) NewBufferNoCopy(data []byte) (metal.Buffer, error) {
	if err := d.acquire(); err != nil {
		return nil, err
	}
	defer d.release()
	page := d.information.PageSizeBytes
	if at := uintptr(unsafe.Pointer(unsafe.SliceData(data))); at%uintptr(page) != 0 || len(data)%page != 0 || len(data) == 0 {
		return nil, fmt.Errorf("%w: %d bytes at %#x, pages have %d bytes", metal.ErrUnaligned, len(data), at, page)
	}
	if err := d.checkSize(len(data)); err != nil {
		return nil, err
	}
	b := &buffer{data: data, borrowed: true}
	b.pinned.Pin(&data[0])
	o, err := d.native.newBufferNoCopy(data)
	if err != nil {
		b.pinned.Unpin()
		return nil, fmt.Errorf("metal: a buffer over %d bytes of memory: %w", len(data), err)
	}
	b.resource = d.own(o)
	b.onRelease = b.pinned.Unpin
	return b, nil
}

// Bytes implements metal.Buffer. It returns nil after Close.
func (b *buffer) Bytes() []byte {
	if b.closed.Load() {
		return nil
	}
	return b.data
}

// Close implements metal.Buffer. For borrowed memory it returns when no submitted work uses it any more, since the
// caller will unmap it next.
func (b *buffer) Close() error {
	err := b.resource.Close()
	if b.borrowed {
		<-b.released
	}
	return err
}
