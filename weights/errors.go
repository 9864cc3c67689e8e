package weights

import (
	"errors"
	"fmt"
)

// Errors that a caller may need to tell apart. Errors of this package wrap at most one of them; a missing file wraps
// [io/fs.ErrNotExist] instead. The text of an error is lower case and goes place, got, want:
//
//	weights: tensor "bert.encoder.layer.0.output.dense.weight": shape [384 30522], want [30522 384]
var (
	// ErrInvalid marks bytes that break the rules of their format, or files that contradict each other.
	ErrInvalid = errors.New("weights: invalid checkpoint")
	// ErrUnsupported marks a well-formed checkpoint of a kind that is not implemented here.
	ErrUnsupported = errors.New("weights: unsupported checkpoint")
	// ErrNotCrossEncoder marks a BERT without a classification head, most often an embedding model.
	ErrNotCrossEncoder = errors.New("weights: not a cross-encoder")
	// ErrChanged marks a file that was replaced, removed or written to since it was first read.
	ErrChanged = errors.New("weights: a file of the checkpoint has changed")
	// ErrClosed is returned by every method that is called after Close.
	ErrClosed = errors.New("weights: checkpoint is closed")
)

// kindError is an error that wraps a sentinel without repeating its text.
type kindError struct {
	text  string
	kinds []error // for errors.Is: a sentinel, a cause, or both
}

func (f *kindError) Error() string   { return "weights: " + f.text }
func (f *kindError) Unwrap() []error { return f.kinds }

// invalidf makes an [ErrInvalid] with a text of its own: place, got, want.
func invalidf(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...), []error{ErrInvalid}}
}

// unsupportedf makes an [ErrUnsupported]; its text should name the supported forms, or a remedy.
func unsupportedf(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...), []error{ErrUnsupported}}
}

// causef appends the text of cause and wraps it, for errors.Is and errors.As.
func causef(cause error, format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...) + ": " + cause.Error(), []error{cause}}
}

// changedf makes an [ErrChanged] that names the file.
func changedf(format string, args ...any) error {
	return &kindError{fmt.Sprintf(format, args...) + ": was written to or replaced since it was first read", []error{ErrChanged}}
}

var errNoMemory = errors.New("no memory")

// maxQuoted bounds the bytes of a file's text that an error quotes: a name in a header may be megabytes long.
const maxQuoted = 200

// quote renders a name from a file for an error text.
func quote[S ~string | ~[]byte](name S) string {
	if len(name) > maxQuoted {
		return fmt.Sprintf("%q... (%d bytes)", string(name[:maxQuoted]), len(name))
	}
	return fmt.Sprintf("%q", string(name))
}

// sizeText renders a number of bytes: exact while it is short, three digits of an SI unit after that.
func sizeText(n uint64) string {
	if n == 1 {
		return "1 byte"
	}
	if n < 10_000 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, units := float64(n)/1e3, []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	for v >= 999.5 && len(units) > 1 {
		v, units = v/1e3, units[1:]
	}
	return fmt.Sprintf("%.3g %s", v, units[0])
}
