package otlp

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Span is an operation with a start and an end.
type Span struct {
	Context
	Parent     SpanID // zero: none
	Name       string
	Server     bool // answers a request that came over a network
	Start, End time.Time
	Attributes []Attribute
	Error      string // the error; "": none
}

// Context identifies a span.
type Context struct {
	Trace TraceID
	Span  SpanID
	Flags byte   // W3C's
	State string // W3C's tracestate, not interpreted here
}

// TraceID identifies a trace; all spans that belong together have the same.
type TraceID [16]byte

// SpanID identifies a span in a trace.
type SpanID [8]byte

// String returns the hexadecimal digits of a header.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// String returns the hexadecimal digits of a header.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// NewTraceID returns a random TraceID.
func NewTraceID() (id TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // all zeros means none
	return id
}

// NewSpanID returns a random SpanID.
func NewSpanID() (id SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}

// Attribute is a property of a span: a string, an int64 or a bool.
type Attribute struct {
	Key   string
	Value any
}

// The types below have the fields of opentelemetry/proto/trace/v1/trace.proto and collector/trace/v1, by the JSON mapping of
// the OTLP specification: identifiers are hexadecimal, enumerations numbers, and 64-bit integers strings.

type exportRequest struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   *resource    `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scopeSpans struct {
	Scope scope      `json:"scope"`
	Spans []wireSpan `json:"spans"`
}

type scope struct {
	Name string `json:"name"`
}

type wireSpan struct {
	TraceID           string      `json:"traceId"`
	SpanID            string      `json:"spanId"`
	TraceState        string      `json:"traceState,omitzero"`
	ParentSpanID      string      `json:"parentSpanId,omitzero"`
	Flags             uint32      `json:"flags"`
	Name              string      `json:"name"`
	Kind              int         `json:"kind"`
	StartTimeUnixNano int64       `json:"startTimeUnixNano,string"`
	EndTimeUnixNano   int64       `json:"endTimeUnixNano,string"`
	Attributes        []attribute `json:"attributes"`
	Status            *status     `json:"status,omitzero"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// value has one of its fields set.
type value struct {
	String *string `json:"stringValue,omitzero"`
	Bool   *bool   `json:"boolValue,omitzero"`
	Int    *int64  `json:"intValue,string,omitzero"`
}

type status struct {
	Message string `json:"message"`
	Code    int    `json:"code"`
}

const (
	kindInternal = 1
	kindServer   = 2
	codeError    = 2
	scopeName    = "github.com/metalrank/metalrank/httpapi"
)

// encode makes a message. No span may keep the others from being sent: invalid UTF-8 is replaced.
func encode(from *resource, spans []Span) ([]byte, error) {
	wire := make([]wireSpan, len(spans))
	for i := range spans {
		wire[i].fill(&spans[i])
	}
	return json.Marshal(exportRequest{[]resourceSpans{{from, []scopeSpans{{scope{scopeName}, wire}}}}}, jsontext.AllowInvalidUTF8(true))
}

// fill sets w to s, without attributes of other types than these.
func (w *wireSpan) fill(s *Span) {
	*w = wireSpan{
		TraceID: s.Trace.String(), SpanID: s.Span.String(), TraceState: s.State, Flags: uint32(s.Flags), Name: s.Name, Kind: kindInternal,
		StartTimeUnixNano: s.Start.UnixNano(), EndTimeUnixNano: s.End.UnixNano(), Attributes: make([]attribute, 0, len(s.Attributes)),
	}
	if s.Parent != (SpanID{}) {
		w.ParentSpanID = s.Parent.String()
	}
	if s.Server {
		w.Kind = kindServer
	}
	if s.Error != "" {
		w.Status = &status{s.Error, codeError}
	}
	for _, a := range s.Attributes {
		switch v := a.Value.(type) {
		case string:
			w.Attributes = append(w.Attributes, attribute{a.Key, value{String: &v}})
		case bool:
			w.Attributes = append(w.Attributes, attribute{a.Key, value{Bool: &v}})
		case int64:
			w.Attributes = append(w.Attributes, attribute{a.Key, value{Int: &v}})
		}
	}
}
