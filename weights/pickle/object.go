package pickle

import (
	"fmt"
	"math"
)

// storages are the classes of PyTorch that hold flat arrays.
var storages = map[global]struct {
	dtype string
	size  int
}{
	"torch FloatStorage": {"F32", 4}, "torch HalfStorage": {"F16", 2}, "torch BFloat16Storage": {"BF16", 2},
	"torch DoubleStorage": {"F64", 8}, "torch LongStorage": {"I64", 8}, "torch IntStorage": {"I32", 4},
	"torch ShortStorage": {"I16", 2}, "torch CharStorage": {"I8", 1}, "torch ByteStorage": {"U8", 1},
	"torch BoolStorage": {"BOOL", 1},
}

// The functions that a state dict calls. They are not called here: their results are made directly.
const (
	orderedDict      global = "collections OrderedDict"
	rebuildTensor    global = "torch._utils _rebuild_tensor_v2"
	rebuildParameter global = "torch._utils _rebuild_parameter"
)

// object handles the opcodes by which a pickle could do harm in Python.
func (m *machine) object(op byte) error {
	switch op {
	case 'c': // GLOBAL
		module := m.line()
		return m.global(module, m.line())
	case 0x93: // STACK_GLOBAL
		names, err := m.popN(2)
		if err != nil {
			return err
		}
		module, _ := names[0].(string)
		name, _ := names[1].(string)
		return m.global(module, name)
	}
	if op == 'Q' { // BINPERSID
		id, err := m.pop()
		if err != nil {
			return err
		}
		s, err := m.persistent(id)
		if err != nil {
			return err
		}
		return m.push(s)
	}
	arguments, err := m.popN(2)
	if err != nil {
		return err
	}
	if op == 'b' { // BUILD: attributes of a dict (its "_metadata"), which are ignored
		if _, ok := arguments[0].(*dict); !ok {
			return invalidf("the pickle sets attributes of %s", kindOf(arguments[0]))
		}
		return m.push(arguments[0])
	}
	made, err := call(arguments[0], arguments[1]) // REDUCE
	if err != nil {
		return err
	}
	return m.push(made)
}

// global pushes a name that is one of a few, and refuses others. It refuses them here and not at calls, so that no way
// of calling can be overlooked.
func (m *machine) global(module, name string) error {
	if m.failed != nil {
		return m.failed
	}
	g := global(module + " " + name)
	if _, ok := storages[g]; ok || g == orderedDict || g == rebuildTensor || g == rebuildParameter {
		return m.push(g)
	}
	return fmt.Errorf("%w: it names %.100q of module %.100q", ErrUnsafe, name, module)
}

// call makes the result of a function of a state dict.
func call(function, arguments value) (value, error) {
	name, _ := function.(global)
	t, ok := arguments.(*tuple)
	if !ok {
		t = &tuple{}
	}
	args := t.items
	switch {
	case !ok:
	case name == orderedDict && len(args) == 0:
		return &dict{}, nil
	case name == rebuildTensor && len(args) >= 6:
		return newTensor(args)
	case name == rebuildParameter && len(args) >= 1:
		if t, ok := args[0].(*tensor); ok {
			return t, nil
		}
	}
	return nil, invalidf("the pickle calls %s with other arguments than torch.save writes", kindOf(function))
}

// newTensor is _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, …).
func newTensor(args []value) (value, error) {
	s, isStorage := args[0].(*storage)
	offset, isInt := args[1].(int64)
	shape, shaped := dimensions(args[2])
	strides, strided := dimensions(args[3])
	if !isStorage || !isInt || offset < 0 || !shaped || !strided || len(shape) != len(strides) {
		return nil, invalidf("a tensor of %s with offset %s, size %s, stride %s; want a storage, a whole number and two tuples of at most %d",
			kindOf(args[0]), show(args[1]), kindOf(args[2]), kindOf(args[3]), maxRank)
	}
	return &tensor{storage: s, offset: uint64(offset), shape: shape, strides: strides}, nil
}

// dimensions reads a tuple of whole numbers from 0 up.
func dimensions(v value) ([]int, bool) {
	t, ok := v.(*tuple)
	if !ok || len(t.items) > maxRank {
		return nil, false
	}
	all := make([]int, len(t.items))
	for i, item := range t.items {
		n, ok := item.(int64)
		if !ok || n < 0 || n > math.MaxInt32<<8 {
			return nil, false
		}
		all[i] = int(n)
	}
	return all, true
}

// persistent finds ("storage", class, key, location, elements), which in the old format has a sixth part, None.
func (m *machine) persistent(id value) (value, error) {
	var t []value
	if all, ok := id.(*tuple); ok {
		t = all.items
	}
	if len(t) < 5 || len(t) > 6 || t[0] != value("storage") || len(t) == 6 && t[5] != nil {
		return nil, invalidf("a persistent id that is no whole storage")
	}
	class, _ := t[1].(global)
	kind, known := storages[class]
	key, isString := t[2].(string)
	elements, isInt := t[4].(int64)
	if !known || !isString || !isInt || elements < 0 || elements > math.MaxInt64/16 {
		return nil, invalidf("storage %.80q of %s with %s elements", key, kindOf(t[1]), show(t[4]))
	}
	s := &storage{dtype: kind.dtype, size: kind.size, elements: int(elements)}
	if m.legacy != nil {
		if before, ok := m.legacy[key]; ok {
			if before.dtype != s.dtype || before.elements != s.elements {
				return nil, invalidf("storage %.80q is there with two types or sizes", key)
			}
			return before, nil
		}
		m.legacy[key] = s
		return s, nil
	}
	data, ok := m.storage(key)
	want := int64(s.elements) * int64(s.size)
	if !ok || data.size < want {
		return nil, invalidf("storage %.80q: %d bytes, want %d of %s", key, data.size, s.elements, s.dtype)
	}
	s.data = span{data.offset, want}
	return s, nil
}
