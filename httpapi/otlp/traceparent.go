package otlp

import "encoding/hex"

// The header traceparent of W3C's Trace Context, version 00: version, trace, span and flags, in lower-case hexadecimal.
const (
	parentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	// Sampled is the flag set by a sender that records its spans.
	Sampled = 1
)

// ParseParent reads traceparent. A header of a later version may be longer (Trace Context, 4.3).
func ParseParent(header []byte) (c Context, ok bool) {
	if len(header) < parentLength || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Context{}, false
	}
	for _, b := range header[:parentLength] {
		if b >= 'A' && b <= 'F' {
			return Context{}, false
		}
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from []byte
	}{{version[:], header[:2]}, {c.Trace[:], header[3:35]}, {c.Span[:], header[36:52]}, {flags[:], header[53:55]}} {
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return Context{}, false
		}
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(header) != parentLength, len(header) > parentLength && header[parentLength] != '-',
		c.Trace == (TraceID{}), c.Span == (SpanID{}):
		return Context{}, false
	}
	c.Flags = flags[0]
	return c, true
}

// AppendParent appends the header traceparent for c.
func (c *Context) AppendParent(b []byte) []byte {
	b = hex.AppendEncode(append(b, "00-"...), c.Trace[:])
	b = hex.AppendEncode(append(b, '-'), c.Span[:])
	return hex.AppendEncode(append(b, '-'), []byte{c.Flags})
}
