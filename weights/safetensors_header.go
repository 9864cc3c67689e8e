package weights

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// parseHeader reads the JSON of a safetensors header. It walks the tokens instead of filling structs, since the
// reference implementation is strict where a struct would be lenient: no null or 1.0 for an integer, no key twice.
func parseHeader(file string, header []byte) ([]tensorInfo, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(header))
	var infos []tensorInfo
	err := readObject(dec, func(name string) error {
		if name == "__metadata__" {
			return readMetadata(dec)
		}
		info, err := readTensorInfo(dec)
		if err != nil {
			return inTensor(name, err)
		}
		info.name = name
		infos = append(infos, info)
		return nil
	})
	if err == nil {
		err = readEnd(dec)
	}
	if err != nil {
		return nil, headerError(file, err)
	}
	return infos, nil
}

// textError is the end of an error text, before its place is known.
type textError string

func (e textError) Error() string { return string(e) }

// inTensor puts the tensor's name before a text; errors of the JSON package carry their own place.
func inTensor(name string, err error) error {
	if e, ok := errors.AsType[textError](err); ok {
		return textError("tensor " + quote(name) + ": " + string(e))
	}
	return err
}

// headerError returns an error in a header or index, with the place before its text.
func headerError(file string, err error) error {
	if e, ok := errors.AsType[textError](err); ok {
		return invalidf("%s: %s", file, string(e))
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		if at, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return invalidf("%s: key %s appears twice", file, quote(at.JSONPointer.LastToken()))
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidf("%s: the JSON ends in the middle: a download or a copy was cut off", file)
	}
	if _, ok := errors.AsType[*json.SemanticError](err); ok {
		return invalidf("%s: %s", file, shorten(err.Error()))
	}
	return invalidf("%s: not valid JSON: %s", file, shorten(err.Error()))
}

// shorten bounds an error text of the JSON package, which may quote the file at length.
func shorten(text string) string {
	if len(text) > 2*maxQuoted {
		return text[:2*maxQuoted] + "..."
	}
	return text
}

// readObject calls member for each key of the object that comes next. member must consume the value. Keys that
// appear twice are refused by the decoder.
func readObject(dec *jsontext.Decoder, member func(key string) error) error {
	if err := expect(dec, '{', "an object"); err != nil {
		return err
	}
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() == '}' {
			return nil
		}
		if err := member(token.String()); err != nil {
			return err
		}
	}
}

// expect reads one token of a kind. An error shows a string or number that is not wanted. null, which stands for absence
// elsewhere, is an error, too.
func expect(dec *jsontext.Decoder, kind jsontext.Kind, want string) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != kind {
		return textError("got " + quote(token.String()) + ", want " + want)
	}
	return nil
}

// readEnd checks that nothing but white space follows the value.
func readEnd(dec *jsontext.Decoder) error {
	_, err := dec.ReadToken()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		return textError("a second JSON value follows the first")
	}
	return err
}

// readMetadata checks "__metadata__": a map of strings, or null for none. Nothing here needs its content.
func readMetadata(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	return readObject(dec, func(key string) error {
		if err := expect(dec, '"', "a string"); err != nil {
			if e, ok := errors.AsType[textError](err); ok {
				return textError("__metadata__: " + quote(key) + ": " + string(e))
			}
			return err
		}
		return nil
	})
}

// readTensorInfo reads {"dtype": ..., "shape": ..., "data_offsets": ...}; other keys are skipped, as in the
// reference implementation.
func readTensorInfo(dec *jsontext.Decoder) (tensorInfo, error) {
	var (
		info                        tensorInfo
		offsets                     []uint64
		hasDType, hasShape, hasData bool
	)
	err := readObject(dec, func(key string) (err error) {
		switch key {
		case "dtype":
			info.dtype, err = readDType(dec)
			hasDType = true
		case "shape":
			info.shape, err = readNumbers(dec, "shape")
			hasShape = true
		case "data_offsets":
			offsets, err = readNumbers(dec, "data_offsets")
			hasData = true
		default:
			err = dec.SkipValue()
		}
		return err
	})
	switch {
	case err != nil:
		return info, err
	case !hasDType || !hasShape || !hasData:
		return info, textError("want dtype, shape and data_offsets")
	case len(offsets) != 2:
		return info, textError("data_offsets: " + strconv.Itoa(len(offsets)) + " numbers, want 2")
	}
	info.begin, info.end = offsets[0], offsets[1]
	return info, nil
}

// readDType reads the name of a type. An unknown one is an error and not skipped: its size could not be checked.
func readDType(dec *jsontext.Decoder) (DType, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return 0, err
	}
	d, ok := parseDType(token.String())
	if token.Kind() != '"' || !ok {
		return 0, textError("dtype " + quote(token.String()) + ", want one of F32, F16, BF16, F64, I64, U8, ...")
	}
	return d, nil
}

// readNumbers reads an array of whole numbers from 0 up.
func readNumbers(dec *jsontext.Decoder, what string) ([]uint64, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if token.Kind() != '[' {
		return nil, textError(what + ": got " + quote(token.String()) + ", want an array")
	}
	var numbers []uint64
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if token.Kind() == ']' {
			return numbers, nil
		}
		// ParseUint refuses signs, fractions and exponents, which JSON allows and the format does not.
		n, err := strconv.ParseUint(token.String(), 10, 64)
		if token.Kind() != '0' || err != nil {
			return nil, textError(what + ": got " + quote(token.String()) + ", want whole numbers from 0 to 2^64-1")
		}
		if len(numbers) == maxRank {
			return nil, textError(what + ": more than " + strconv.Itoa(maxRank) + " numbers")
		}
		numbers = append(numbers, n)
	}
}
