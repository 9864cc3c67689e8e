package sim

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// place is a line of a source file.
type place struct {
	file string
	line int
}

// lineTable maps a kernel object's machine code to its source, by the DWARF line table and the records of inlined
// functions that -g1 writes (DWARF 5, 3.3.8.2 and 6.2).
type lineTable struct {
	data *dwarf.Data
}

// openLines reads the debug information of a shared object.
func openLines(object string) (*lineTable, error) {
	file, err := elf.Open(object)
	if err != nil {
		return nil, fmt.Errorf("sim: debug information: %w", err)
	}
	defer file.Close()
	data, err := file.DWARF()
	if err != nil {
		return nil, fmt.Errorf("sim: %s: debug information: %w", object, err)
	}
	return &lineTable{data: data}, nil
}

// locate returns the innermost place of pc in a file for which shim is false. Where pc is in an inlined function of the
// shim, this is the line of the kernel that called it. False: there is none.
func (t *lineTable) locate(pc uint64, shim func(file string) bool) (place, bool) {
	frames, err := t.frames(pc)
	if err != nil {
		return place{}, false
	}
	i := slices.IndexFunc(frames, func(p place) bool { return p.line > 0 && !shim(p.file) })
	if i < 0 {
		return place{}, false
	}
	return frames[i], true
}

// frames returns the place of pc, and the place of each call that was inlined around it, innermost first.
func (t *lineTable) frames(pc uint64) ([]place, error) {
	entries := t.data.Reader()
	unit, err := entries.SeekPC(pc)
	if err != nil {
		return nil, err
	}
	lines, err := t.data.LineReader(unit)
	if err != nil {
		return nil, err
	}
	innermost, err := row(lines, pc)
	if err != nil {
		return nil, err
	}
	calls, err := t.calls(entries, lines.Files(), pc)
	if err != nil {
		return nil, err
	}
	slices.Reverse(calls)
	frames := append([]place{innermost}, calls...)
	directory, _ := unit.Val(dwarf.AttrCompDir).(string)
	for i := range frames {
		frames[i].file = strings.TrimPrefix(frames[i].file, directory+"/")
	}
	return frames, nil
}

// row returns the line of the instruction at pc, or of the nearest before it that has one: the compiler gives line 0
// to an instruction that it has merged from several.
func row(lines *dwarf.LineReader, pc uint64) (place, error) {
	var found place
	var entry dwarf.LineEntry
	for {
		err := lines.Next(&entry)
		if errors.Is(err, io.EOF) {
			return place{}, dwarf.ErrUnknownPC
		}
		if err != nil {
			return place{}, err
		}
		switch {
		case entry.Address > pc && found.line > 0:
			return found, nil
		case entry.EndSequence || entry.Address > pc:
			found = place{}
		case entry.Line > 0 && entry.File != nil:
			found = place{entry.File.Name, entry.Line}
		}
	}
}

// calls returns the places of the calls that were inlined around pc, outermost first. entries stands at a unit's
// first child.
func (t *lineTable) calls(entries *dwarf.Reader, files []*dwarf.LineFile, pc uint64) ([]place, error) {
	var calls []place
	for depth := 0; ; {
		entry, err := entries.Next()
		if err != nil || entry == nil {
			return calls, err
		}
		if entry.Tag == 0 {
			if depth--; depth < 0 {
				return calls, nil
			}
			continue
		}
		if !entry.Children && entry.Tag != dwarf.TagInlinedSubroutine {
			continue
		}
		inside, err := t.contains(entry, pc)
		if err != nil {
			return nil, err
		}
		if inside && entry.Tag == dwarf.TagInlinedSubroutine {
			calls = append(calls, call(entry, files))
		}
		switch {
		case !entry.Children:
		case inside:
			depth++
		default:
			entries.SkipChildren()
		}
	}
}

// contains says whether pc may be in an entry's code or its children's. It is true for an entry without code, such as a
// namespace.
func (t *lineTable) contains(entry *dwarf.Entry, pc uint64) (bool, error) {
	switch entry.Tag {
	case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine, dwarf.TagLexDwarfBlock:
	default:
		return true, nil
	}
	ranges, err := t.data.Ranges(entry)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] <= pc && pc < r[1] }), nil
}

// call returns the place where an inlined function was called.
func call(entry *dwarf.Entry, files []*dwarf.LineFile) place {
	line, _ := entry.Val(dwarf.AttrCallLine).(int64)
	file, _ := entry.Val(dwarf.AttrCallFile).(int64)
	if file < 0 || int(file) >= len(files) || files[file] == nil {
		return place{}
	}
	return place{files[file].Name, int(line)}
}
