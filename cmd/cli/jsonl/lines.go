// Package jsonl reads the command line's inputs line by line: JSON objects, documents, pairs; and writes scores.
package jsonl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// maxLineSizeBytes bounds the memory for one line of input.
const maxLineSizeBytes = 16 << 20

// Line is one line of an input file that isn't blank.
type Line struct {
	Number int // from 1
	Text   []byte
}

// Decode reads a line's JSON object into a struct of strings. Errors name the line, and the field that is wrong.
func (l Line) Decode(to any) error {
	err := json.Unmarshal(l.Text, to)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		kind := strings.NewReplacer("{", "object", "[", "array").Replace(wrong.JSONKind.String())
		if field := wrong.JSONPointer.LastToken(); field != "" {
			return fmt.Errorf("line %d: %q is of type %s, want string", l.Number, field, kind)
		}
		return fmt.Errorf("line %d is of type %s, want object", l.Number, kind)
	}
	if err != nil {
		return fmt.Errorf("line %d: malformed JSON: %s", l.Number, strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	return nil
}

// Open opens a file, or stdin for "-" or nothing.
func Open(path string, stdin io.Reader) (io.ReadCloser, error) {
	if path == "" || path == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(path)
}

// Name returns the name of a file that Open opened, for error texts.
func Name(path string) string {
	if path == "" || path == "-" {
		return "standard input"
	}
	return path
}

// Lines yields the lines of r that aren't blank, without line ends and without a byte order mark. A line that is not UTF-8
// is an error. It reads on a goroutine of its own, because a read of a terminal can't be interrupted: when ctx ends, that
// goroutine is left behind, for as long as the read lasts.
func Lines(ctx context.Context, r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type item struct {
			line Line
			err  error
		}
		items := make(chan item)
		go func() {
			defer close(items)
			scan(r, func(l Line, err error) bool {
				select {
				case items <- item{l, err}:
					return true
				case <-ctx.Done():
					return false
				}
			})
		}()
		for {
			select {
			case i, ok := <-items:
				if !ok || !yield(i.line, i.err) {
					return
				}
			case <-ctx.Done():
				yield(Line{}, ctx.Err())
				return
			}
		}
	}
}

func scan(r io.Reader, yield func(Line, error) bool) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLineSizeBytes)
	number := 0
	for scanner.Scan() {
		number++
		text := scanner.Bytes()
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\uFEFF"))
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if !utf8.Valid(text) {
			yield(Line{}, fmt.Errorf("line %d: want UTF-8", number))
			return
		}
		if !yield(Line{number, bytes.Clone(text)}, nil) {
			return
		}
	}
	err := scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("line %d: longer than %d MiB", number+1, maxLineSizeBytes>>20)
	}
	if err != nil {
		yield(Line{}, err)
	}
}
