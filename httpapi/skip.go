package httpapi

import "slices"

// skip reads any value, within depth containers, and returns it as it is written.
func (s *scanner) skip(depth int) (raw []byte, ok bool) {
	c := s.next()
	begin := s.at
	switch c {
	case '"':
		_, ok = s.skipString()
	case '{':
		ok = s.skipObject(depth + 1)
	case '[':
		ok = s.skipArray(depth + 1)
	case 'n':
		ok = s.literal("null")
	case 't':
		ok = s.literal("true")
	case 'f':
		ok = s.literal("false")
	default:
		ok = s.number()
	}
	return s.text[begin:s.at], ok
}

func (s *scanner) skipObject(depth int) bool {
	var seen names
	ok := s.object(depth, func(name []byte) bool {
		if !s.addName(&seen, name) {
			return false
		}
		_, ok := s.skip(depth)
		return ok
	})
	s.namesKept -= seen.len()
	return ok
}

// maxNames bounds the names kept at once, of an object and of those round it: each takes ten times the memory that it
// takes in the body.
const maxNames = 100_000

// addName adds a name to seen. It returns false if the name is there already, or if there are too many.
func (s *scanner) addName(seen *names, name []byte) bool {
	s.namesKept++
	if s.namesKept > maxNames {
		s.tooManyNames = true
		return false
	}
	return seen.add(string(name))
}

func (s *scanner) skipArray(depth int) bool {
	return s.array(depth, func() bool {
		_, ok := s.skip(depth)
		return ok
	})
}

// object reads the next object. member reads a value, and returns false to stop.
func (s *scanner) object(depth int, member func(name []byte) bool) bool {
	s.at++ // the brace
	if depth > maxDepth {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		if s.next() != '"' {
			return false
		}
		name, ok := s.name()
		if !ok || !s.take(':') || !member(name) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// array reads the next array. entry reads a value, and returns false to stop.
func (s *scanner) array(depth int, entry func() bool) bool {
	s.at++ // the bracket
	if depth > maxDepth {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !entry() {
			return false
		}
		if !s.take(',') {
			return s.take(']')
		}
	}
}

// names are the names of one object.
type names struct {
	few  []string
	many map[string]bool // instead of few, once a search there would take long
}

const fewNames = 16

func (n *names) len() int { return max(len(n.few), len(n.many)) }

// add returns false if name is there already.
func (n *names) add(name string) bool {
	if n.many != nil {
		if n.many[name] {
			return false
		}
		n.many[name] = true
		return true
	}
	if slices.Contains(n.few, name) {
		return false
	}
	if n.few = append(n.few, name); len(n.few) == fewNames {
		n.many = make(map[string]bool, 2*fewNames)
		for _, other := range n.few {
			n.many[other] = true
		}
	}
	return true
}
