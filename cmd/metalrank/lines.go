package main

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

	"github.com/go-json-experiment/json"
)

// maxLineSizeBytes bounds what one line of input may take in memory.
const maxLineSizeBytes = 16 << 20

// line is one line of an input file that isn't blank.
type line struct {
	number int // from 1
	text   []byte
}

// decode reads a line's JSON object into a struct of strings. Errors name the line, and the field that is wrong.
func (l line) decode(to any) error {
	err := json.Unmarshal(l.text, to)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		kind := strings.NewReplacer("{", "object", "[", "array").Replace(wrong.JSONKind.String())
		if field := wrong.JSONPointer.LastToken(); field != "" {
			return fmt.Errorf("line %d: %q is of type %s, want string", l.number, field, kind)
		}
		return fmt.Errorf("line %d is of type %s, want object", l.number, kind)
	}
	if err != nil {
		return fmt.Errorf("line %d: malformed JSON: %s", l.number, strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	return nil
}

// openInput opens a file, or standard input for "-" or nothing.
func openInput(path string, std streams) (io.ReadCloser, error) {
	if path == "" || path == "-" {
		return io.NopCloser(std.in), nil
	}
	return os.Open(path)
}

// inputName is what error texts call a file that openInput opened.
func inputName(path string) string {
	if path == "" || path == "-" {
		return "standard input"
	}
	return path
}

// lines yields the lines of r that aren't blank, without line ends and without a byte order mark. It reads on a
// goroutine of its own, because a read of a terminal can't be interrupted: when ctx ends, that goroutine is left
// behind, for as long as the read lasts.
func lines(ctx context.Context, r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type item struct {
			line line
			err  error
		}
		items := make(chan item)
		go func() {
			defer close(items)
			scan(r, func(l line, err error) bool {
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
				yield(line{}, ctx.Err())
				return
			}
		}
	}
}

func scan(r io.Reader, yield func(line, error) bool) {
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
		if !yield(line{number, bytes.Clone(text)}, nil) {
			return
		}
	}
	err := scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("line %d: longer than %d MiB", number+1, maxLineSizeBytes>>20)
	}
	if err != nil {
		yield(line{}, err)
	}
}
