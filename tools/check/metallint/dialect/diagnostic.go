package dialect

import (
	"regexp"
	"strconv"
	"strings"
)

// diagnostic is one complaint of clang's with the notes that follow it.
type diagnostic struct {
	file         string
	line, column int
	ranges       [][4]int // line and column of the first byte, and of the byte after the last
	severity     string   // "error", "warning", "note"
	message      string
	notes        []diagnostic
}

var (
	// diagnosticLine matches file:line:column:{line:column-line:column}: severity: message.
	diagnosticLine  = regexp.MustCompile(`^(.+?):(\d+):(\d+):(?:((?:\{[^}]*\})+):)? (fatal error|error|warning|note): (.*?)(?: \[-W[^\]]*\])?$`)
	diagnosticRange = regexp.MustCompile(`\{(\d+):(\d+)-(\d+):(\d+)\}`)
)

// parseDiagnostics parses clang's output with -fdiagnostics-print-source-range-info.
func parseDiagnostics(text string) []diagnostic {
	var all []diagnostic
	for line := range strings.Lines(text) {
		m := diagnosticLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		d := diagnostic{file: m[1], line: number(m[2]), column: number(m[3]), message: inMetal(m[6])}
		d.severity = strings.TrimPrefix(m[5], "fatal ")
		for _, r := range diagnosticRange.FindAllStringSubmatch(m[4], -1) {
			d.ranges = append(d.ranges, [4]int{number(r[1]), number(r[2]), number(r[3]), number(r[4])})
		}
		if last := len(all) - 1; d.severity == "note" && last >= 0 {
			all[last].notes = append(all[last].notes, d)
		} else {
			all = append(all, d)
		}
	}
	return all
}

// number is a decimal number that a regular expression found.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) // too large: there is no such line
	return n
}

// spaces names clang's numbers of address spaces, as decl_types.h has them.
var spaces = map[string]string{"1": "device", "2": "constant", "3": "threadgroup"}

var (
	spaceAttribute = regexp.MustCompile(`(?:const )?__attribute__\(\(address_space\((\d)\){3}`)
	alsoKnownAs    = regexp.MustCompile(`'[^']*' \(aka ('[^']*')\)`)
	spaceNumber    = regexp.MustCompile(`address space '(\d)'|address space \((\d)\)`)
)

// inMetal puts a message of clang's into Metal's words.
func inMetal(message string) string {
	message = spaceAttribute.ReplaceAllStringFunc(message, func(s string) string {
		return spaces[spaceAttribute.FindStringSubmatch(s)[1]]
	})
	message = spaceNumber.ReplaceAllStringFunc(message, func(s string) string {
		m := spaceNumber.FindStringSubmatch(s)
		return spaces[m[1]+m[2]] + " address space"
	})
	message = alsoKnownAs.ReplaceAllString(message, "$1")
	return strings.NewReplacer(
		"generic address space", "thread address space", "_Float16", "half", "__bf16", "bfloat",
		"function type may not be qualified with an address space", "not understood: a method for objects of one memory",
		"automatic variable qualified with an address space", initialised,
		"reinterpret_cast from", "cast from", "lint_make", "constructor",
	).Replace(message)
}

// initialised is the message for a threadgroup variable that package msl did not recognise as one.
const initialised = "a threadgroup variable with an initialiser, or one that is not understood"

var (
	quoted      = regexp.MustCompile(`'([^']*)'`)
	spaceWords  = regexp.MustCompile(`\b(device|constant|threadgroup)\b`)
	constWords  = regexp.MustCompile(`read-only|const-qualified|drops 'const'|casts away qualifiers|not marked const|const method|would lose const`)
	candidate   = regexp.MustCompile(`^candidate `)
	classCopy   = regexp.MustCompile(`the implicit (copy|move) (constructor|assignment operator)\) not viable: ('this' object is in|cannot bind reference in) .*address space`)
	elsewhere   = regexp.MustCompile(`^(no viable conversion from '.*(device|constant|threadgroup) |incompatible operand types \('.*(device|constant|threadgroup) ).*`)
	boolFromInt = regexp.MustCompile(`'(metal::)?bool[234]'.* of \d+ '(int|short|char|long)' values`)
)

// changesSpace says whether a message is about an address space, or about two pointers, or an object and its method,
// that differ in theirs.
func changesSpace(message string) bool {
	if strings.Contains(message, "address space") {
		return true
	}
	types := quoted.FindAllStringSubmatch(message, -1)
	if len(types) < 2 {
		return false
	}
	from, to := types[len(types)-2][1], types[len(types)-1][1]
	pointers := strings.ContainsAny(from, "*[") && strings.ContainsAny(to, "*[") || strings.Contains(message, "object parameter")
	return pointers && spaceWords.FindString(from) != spaceWords.FindString(to)
}

// rule classifies an error.
func (d *diagnostic) rule() Rule {
	switch {
	case strings.Contains(d.message, tooMuch), d.message == initialised:
		return Threadgroup
	case strings.HasPrefix(d.message, "cannot assign to"):
		return Const
	case changesSpace(d.message):
		return AddressSpace
	}
	candidates, ofSpace, ofConst := 0, 0, constWords.MatchString(d.message)
	for _, n := range d.notes {
		if candidate.MatchString(n.message) {
			candidates++
			if changesSpace(n.message) {
				ofSpace++
			}
			ofConst = ofConst || constWords.MatchString(n.message)
		}
	}
	switch {
	case candidates > 0 && ofSpace == candidates:
		return AddressSpace
	case ofConst:
		return Const
	}
	return Compile
}

// explained returns the message, with the reason why the only candidate was not taken.
func (d *diagnostic) explained() string {
	for _, n := range d.notes {
		if _, why, found := strings.Cut(n.message, ": "); found && candidate.MatchString(n.message) {
			return d.message + ": " + why
		}
		if strings.HasPrefix(n.message, "expression evaluates to") {
			return d.message + ": " + strings.TrimPrefix(n.message, "expression ")
		}
	}
	return d.message
}

// copiesClass says whether d complains of an object copied from one address space to another, which Metal allows.
func (d *diagnostic) copiesClass() bool {
	if elsewhere.MatchString(d.message) && !strings.ContainsAny(d.message, "*[") {
		return len(d.ranges) > 0
	}
	for _, n := range d.notes {
		if classCopy.MatchString(n.message) {
			return len(d.ranges) > 0
		}
	}
	return false
}

// makesBfloat says whether d warns of a float that becomes a bfloat: Metal has no such conversion but an explicit one.
func (d *diagnostic) makesBfloat() bool { return strings.HasSuffix(d.message, "'float' to 'bfloat'") }

// comparesVectors says whether d complains of the result of a vector comparison: bools in Metal, integers in C++.
func (d *diagnostic) comparesVectors() bool {
	return boolFromInt.MatchString(d.message) && len(d.ranges) > 0
}
