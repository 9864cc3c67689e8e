package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// value is a value of a pickle: nil, bool, int64, float64, string, *tuple, *list, *dict, global, *storage or *tensor.
// None of them copies another, so that memory grows with the program alone. Containers share their items, and the text
// of a value would repeat an item for each path to it; so error texts name kinds.
type value any

type (
	tuple struct {
		container

		items []value
	}
	list struct {
		container

		items []value
	}
	dict struct {
		container

		items [][2]value
	}
	global string // "module name"
)

// container counts the depth of the containers in it.
type container struct {
	depth int
	held  bool // by another container, so that it must not become deeper
}

func (c *container) counted() *container { return c }

// hold puts items into the container, and bounds its depth.
func (c *container) hold(items []value) error {
	if c.held {
		return invalidf("the pickle adds to what is in another container already")
	}
	for _, item := range items {
		inner, ok := item.(interface{ counted() *container })
		if !ok {
			continue
		}
		within := inner.counted()
		within.held = true
		if c.depth = max(c.depth, within.depth+1); c.depth > maxDepth {
			return invalidf("containers in containers, want at most %d", maxDepth)
		}
	}
	return nil
}

// storage is a flat array, of which tensors are views.
type storage struct {
	dtype    string
	size     int // bytes of an element
	elements int // as the pickle says
	data     span
	found    bool // in the old format
}

// tensor is a view of a storage.
type tensor struct {
	storage        *storage
	offset         uint64
	shape, strides []int
}

func kindOf(v value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case global:
		return "a reference to " + string(v)
	case *tuple, *list:
		return "a sequence"
	case *dict:
		return "a dict"
	case *storage:
		return "a storage"
	case *tensor:
		return "a tensor"
	default:
		return fmt.Sprintf("%T", v)
	}
}

// show is kindOf, or the number.
func show(v value) string {
	if n, ok := v.(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return kindOf(v)
}

// machine runs pickles: the opcodes of Lib/pickletools.py (CPython 3.13) that torch.save emits under protocols 2 to 4,
// on a stack with marks and a memo.
type machine struct {
	storage func(key string) (span, bool) // in a zip
	legacy  map[string]*storage           // by key, in the old format; nil in a zip

	code   []byte
	at     int
	stack  []value
	marks  []int // places of marks in stack
	memo   map[uint32]value
	failed error // from a read beyond the end
}

// run executes one pickle, and returns its result and its length.
func (m *machine) run(code []byte) (value, int, error) {
	m.code, m.at, m.stack, m.marks, m.memo = code, 0, nil, nil, map[uint32]value{}
	for {
		op := m.byte()
		if m.failed == nil && op == '.' {
			top, err := m.pop()
			return top, m.at, err
		}
		if err := m.step(op); err != nil {
			return nil, 0, err
		}
		if m.failed != nil {
			return nil, 0, m.failed
		}
	}
}

// take reads n bytes of the program.
func (m *machine) take(n uint64) []byte {
	if m.failed == nil && n > uint64(len(m.code)-m.at) {
		m.failed = invalidf("the pickle ends in the middle")
	}
	if m.failed != nil {
		return make([]byte, min(n, 8)) // for the fixed sizes; failed is checked before longer ones are used
	}
	m.at += int(n)
	return m.code[m.at-int(n) : m.at]
}

func (m *machine) byte() byte     { return m.take(1)[0] }
func (m *machine) uint16() uint16 { return binary.LittleEndian.Uint16(m.take(2)) }
func (m *machine) uint32() uint32 { return binary.LittleEndian.Uint32(m.take(4)) }

// line reads up to a newline.
func (m *machine) line() string {
	if i := strings.IndexByte(string(m.code[m.at:min(len(m.code), m.at+256)]), '\n'); i >= 0 && m.failed == nil {
		return string(m.take(uint64(i + 1))[:i])
	}
	m.failed = invalidf("a name without an end")
	return ""
}

func (m *machine) push(v value) error {
	if len(m.stack) >= maxStack {
		return invalidf("more than %d values at a time", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// floor returns the lowest place that pops may reach: values below the last mark must stay.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) pop() (value, error) {
	if len(m.stack) <= m.floor() {
		return nil, invalidf("the pickle takes from an empty stack")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popMark pops all values down to the last mark.
func (m *machine) popMark() ([]value, error) {
	if len(m.marks) == 0 {
		return nil, invalidf("the pickle has no mark where it wants one")
	}
	at := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	items := append([]value(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	return items, nil
}

func (m *machine) popN(n int) ([]value, error) {
	if len(m.stack)-m.floor() < n {
		return nil, invalidf("the pickle takes from an empty stack")
	}
	at := len(m.stack) - n
	items := append([]value(nil), m.stack[at:]...)
	m.stack = m.stack[:at]
	return items, nil
}

// step executes one opcode.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		if version := m.byte(); m.failed == nil && (version < 2 || version > 5) {
			return invalidf("pickle protocol %d, want 2 to 5", version)
		}
		return nil
	case 0x95: // FRAME
		m.take(8)
		return nil
	case '(': // MARK
		if len(m.marks) >= maxStack {
			return invalidf("more than %d marks at a time", maxStack)
		}
		m.marks = append(m.marks, len(m.stack))
		return nil
	case 'q', 'r', 0x94: // BINPUT, LONG_BINPUT, MEMOIZE
		return m.memoize(op)
	case 'h', 'j': // BINGET, LONG_BINGET
		return m.recall(op)
	case 'a', 'e', 's', 'u', 't', 0x85, 0x86, 0x87:
		return m.container(op)
	case 'c', 0x93, 'Q', 'R', 'b':
		return m.object(op)
	default:
		return m.constant(op)
	}
}

func (m *machine) memoize(op byte) error {
	key := uint32(len(m.memo))
	switch op {
	case 'q':
		key = uint32(m.byte())
	case 'r':
		key = m.uint32()
	}
	if len(m.stack) == m.floor() {
		return invalidf("the pickle takes from an empty stack")
	}
	m.memo[key] = m.stack[len(m.stack)-1]
	return nil
}

func (m *machine) recall(op byte) error {
	var key uint32
	if op == 'h' {
		key = uint32(m.byte())
	} else {
		key = m.uint32()
	}
	v, ok := m.memo[key]
	if !ok && m.failed == nil {
		return invalidf("the pickle recalls %d, which it never made", key)
	}
	return m.push(v)
}

// constant pushes a value that stands in the program.
func (m *machine) constant(op byte) error {
	switch op {
	case 'N':
		return m.push(nil)
	case 0x88, 0x89:
		return m.push(op == 0x88)
	case '}':
		return m.push(&dict{})
	case ']':
		return m.push(&list{})
	case ')':
		return m.push(&tuple{})
	case 'J':
		return m.push(int64(int32(m.uint32())))
	case 'K':
		return m.push(int64(m.byte()))
	case 'M':
		return m.push(int64(m.uint16()))
	case 'G':
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(m.take(8))))
	case 0x8a: // LONG1
		return m.long()
	case 'X', 'T': // BINUNICODE, BINSTRING
		return m.push(string(m.take(uint64(m.uint32()))))
	case 0x8c, 'U': // SHORT_BINUNICODE, SHORT_BINSTRING
		return m.push(string(m.take(uint64(m.byte()))))
	}
	if m.failed != nil {
		return m.failed
	}
	return invalidf("opcode %#02x at %d is none that a state dict needs", op, m.at-1)
}

// long reads a whole number of up to 8 bytes in two's complement.
func (m *machine) long() error {
	data := m.take(uint64(m.byte()))
	if m.failed == nil && len(data) > 8 {
		return invalidf("a whole number of %d bytes, want at most 8", len(data))
	}
	var n int64
	for _, b := range slices.Backward(data) {
		n = n<<8 | int64(b)
	}
	if shift := 64 - 8*len(data); len(data) > 0 && shift > 0 {
		n = n << shift >> shift
	}
	return m.push(n)
}

// container collects values.
func (m *machine) container(op byte) error {
	var (
		items []value
		err   error
	)
	switch op {
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		items, err = m.popN(int(op) - 0x84)
	case 'a':
		items, err = m.popN(1)
	case 's':
		items, err = m.popN(2)
	default:
		items, err = m.popMark()
	}
	if err != nil {
		return err
	}
	if op != 'a' && op != 'e' && op != 's' && op != 'u' {
		t := &tuple{items: items}
		if err := t.hold(items); err != nil {
			return err
		}
		return m.push(t)
	}
	if len(m.stack) <= m.floor() {
		return invalidf("the pickle takes from an empty stack")
	}
	switch into := m.stack[len(m.stack)-1].(type) {
	case *list:
		if op == 'a' || op == 'e' {
			if err := into.hold(items); err != nil {
				return err
			}
			into.items = append(into.items, items...)
			return nil
		}
	case *dict:
		if (op == 's' || op == 'u') && len(items)%2 == 0 {
			if err := into.hold(items); err != nil {
				return err
			}
			for i := 0; i < len(items); i += 2 {
				into.items = append(into.items, [2]value{items[i], items[i+1]})
			}
			return nil
		}
	}
	return invalidf("the pickle adds %d items to what does not take them", len(items))
}
