package sim

// #include "rt/rt.h"
import "C"

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Counters has the size of the runtime's counters, and their layout.
var _ [C.rtCounterCount * 8]byte = [unsafe.Sizeof(Counters{})]byte{}

// report turns the runtime's report on dispatch i of a list into a Report.
func (l *library) report(pipelines []*pipeline, i int, raw *C.rtReport) Report {
	return Report{
		Kernel:                 pipelines[i].info.Kernel,
		ThreadgroupMemoryBytes: pipelines[i].info.ThreadgroupMemoryBytes,
		Counters:               *(*Counters)(unsafe.Pointer(&raw.counters)),
		Findings:               resolve(pipelines, i, raw),
		Elapsed:                time.Duration(raw.endNs - raw.startNs),
	}
}

// resolve turns the runtime's findings into those of the API, with files and lines.
func resolve(pipelines []*pipeline, dispatch int, raw *C.rtReport) []Finding {
	count := min(int(raw.findingCount), C.rtMaxFindings)
	if count == 0 {
		return nil
	}
	found := make([]Finding, count)
	for i := range found {
		r := &raw.findings[i]
		f := Finding{
			Kind: Kind(text(r.kind[:])), Kernel: pipelines[dispatch].info.Kernel,
			File: text(r.file[:]), Line: int(r.line),
			Thread: int(r.thread), Group: [3]uint32{uint32(r.group[0]), uint32(r.group[1]), uint32(r.group[2])},
			Buffer: int(r.buffer), ByteOffset: int64(r.offset),
			Message: text(r.message[:]), Count: max(uint64(r.count), 1),
		}
		if r.pc != 0 {
			at := pipelines[dispatch].library.locate(uint64(r.pc))
			f.File, f.Line = at.file, at.line
		}
		if r.otherPc != 0 {
			at := pipelines[r.otherDispatch].library.locate(uint64(r.otherPc))
			f.Message += fmt.Sprintf(" (there: %s:%d)", at.file, at.line)
		}
		found[i] = f
	}
	return merge(found)
}

// text is a C string in an array.
func text(chars []C.char) string {
	s, _, _ := strings.Cut(string(unsafe.Slice((*byte)(unsafe.Pointer(&chars[0])), len(chars))), "\x00")
	return s
}

// lines is a library's lineTable, read when the first finding needs it.
type lines struct {
	once  sync.Once
	table *lineTable // nil: the object has no debug information that can be read, and findings have no lines
}

// locate returns the kernel's line that pc, an offset into the object, belongs to; none where it can't be told.
func (l *library) locate(pc uint64) place {
	l.lines.once.Do(func() { l.lines.table, _ = openLines(l.path) })
	if l.lines.table == nil {
		return place{}
	}
	shim := l.device.builder.sources + string(filepath.Separator)
	at, _ := l.lines.table.locate(pc, func(file string) bool { return strings.HasPrefix(file, shim) })
	return at
}
