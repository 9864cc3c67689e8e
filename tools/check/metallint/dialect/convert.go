package dialect

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal/msl"
)

// alignment matches alignas, which a typedef can't have.
var alignment = regexp.MustCompile(`\balignas\s*\([^)]*\)`)

// maxThreadgroupBytes is the memory that a threadgroup may have on every Apple GPU (Metal Feature Set Tables: "Maximum
// total threadgroup memory allocation").
const maxThreadgroupBytes = 32768

// markerLine matches line markers and pragmas: the compiler is to count the lines of the text that it gets.
var markerLine = regexp.MustCompile(`(?m)^#[^\n]*`)

// converter turns MSL into C++ for decl_*.h.
type converter struct {
	*checker
	makers map[string]bool // names of types that lint_make constructs, since C++ does it otherwise
	skip   []msl.Span      // attributes
	edits  []edit
}

// convert rewrites the text.
func (c *checker) convert() (*rewritten, error) {
	v := &converter{checker: c, makers: map[string]bool{"vec": true, "half": true, "bfloat": true}}
	attributes, err := c.file.AttributeEdits()
	if err != nil {
		return nil, err
	}
	for _, a := range attributes {
		v.skip = append(v.skip, a.Span)
		v.edit(a.Span.Start, a.Span.End, a.Text)
	}
	for _, f := range c.file.Constants { // the compiler doesn't know its value
		v.edit(f.Span.Start, f.Span.Start, "extern ")
	}
	for i := range c.file.Kernels {
		v.threadgroupVariables(&c.file.Kernels[i])
	}
	v.findMakers()
	for i := range c.tokens {
		if !v.skipped(i) {
			v.token(i)
		}
	}
	blank := func(line string) string { return strings.Repeat(" ", len(line)) }
	return rewrite(markerLine.ReplaceAllStringFunc(c.file.Text, blank), nil, v.edits), nil
}

func (v *converter) edit(start, end int, text string) {
	v.edits = append(v.edits, edit{start, end, text})
}

func (v *converter) skipped(i int) bool {
	at := v.tokens[i].Span.Start
	return slices.ContainsFunc(v.skip, func(s msl.Span) bool { return s.Start <= at && at < s.End })
}

// token rewrites the construct that begins at token i.
func (v *converter) token(i int) {
	t := v.tokens[i]
	switch {
	case t.Kind == msl.TokenNumber:
		if text := literal(t.Text); text != t.Text {
			v.edit(t.Span.Start, t.Span.End, text)
		}
	case t.Text == "kernel" && t.Kind == msl.TokenName:
		v.edit(t.Span.Start, t.Span.End, "")
	case t.Text == "(":
		v.pointerCast(i)
	case v.is(i, "static_cast") && v.is(i+1, "<"):
		v.staticCast(i)
	case v.makers[t.Text] && t.Kind == msl.TokenName:
		v.construction(i)
	case t.Text == "device" || t.Text == "constant" || t.Text == "threadgroup":
		v.arrayParameter(i)
	}
}

// arrayParameter turns a parameter constant T x[3] into constant T *x, which it means: C++ refuses the former.
func (v *converter) arrayParameter(i int) {
	for i++; v.isName(i) || v.is(i, "::"); i++ {
		if !v.is(i+1, "[") {
			continue
		}
		closing := v.match(i + 1)
		if closing > 0 && (v.is(closing+1, ",") || v.is(closing+1, ")") || v.isAttribute(closing+1)) && v.inParentheses(i) {
			v.edit(v.tokens[i].Span.Start, v.tokens[i].Span.Start, "*")
			v.edit(v.tokens[i+1].Span.Start, v.tokens[closing].Span.End, "")
		}
		return
	}
}

// inParentheses says whether the innermost bracket around token i is a parenthesis.
func (v *converter) inParentheses(i int) bool {
	depth := 0
	for i--; i >= 0; i-- {
		switch v.tokens[i].Text {
		case ")", "]", "}":
			depth++
		case "(", "[", "{":
			if depth--; depth < 0 {
				return v.is(i, "(")
			}
		}
	}
	return false
}

// literal gives a number the type that it has in Metal: a point makes it a float, h a half, bf a bfloat.
func literal(text string) string {
	lower := strings.ToLower(text)
	hexadecimal := strings.HasPrefix(lower, "0x")
	switch {
	case hexadecimal && !strings.Contains(lower, "p"), !hexadecimal && !strings.ContainsAny(lower, ".eh"):
		return text
	case strings.HasSuffix(lower, "bf"):
		return "((bfloat)" + text[:len(text)-2] + "f)"
	case strings.HasSuffix(lower, "f"), strings.HasSuffix(lower, "l"):
		return text
	case strings.HasSuffix(lower, "h"):
		return "((half)" + text[:len(text)-1] + "f)"
	}
	return text + "f"
}

// findMakers finds the names that may stand for a vector or a short float: these themselves, the type parameters of
// templates, and the names that `using` and `typedef` give to any of them.
func (v *converter) findMakers() {
	for t := range strings.FieldsSeq("bool char uchar short ushort int uint long ulong half bfloat float") {
		for _, n := range []string{"2", "3", "4"} {
			v.makers[t+n], v.makers["packed_"+t+n] = true, true
		}
	}
	for i := range v.tokens {
		switch {
		case (v.is(i, "typename") || v.is(i, "class")) && v.isName(i+1) && (v.is(i+2, ",") || v.is(i+2, ">") || v.is(i+2, "=")):
			v.makers[v.tokens[i+1].Text] = true
		case v.is(i, "using") && v.isName(i+1) && v.is(i+2, "=") || v.is(i, "typedef"):
			made := false
			end := i
			for ; end < len(v.tokens) && !v.is(end, ";"); end++ {
				made = made || v.makers[v.tokens[end].Text]
			}
			if name := i + 1; made {
				if v.is(i, "typedef") {
					name = end - 1
				}
				v.makers[v.tokens[name].Text] = true
			}
		}
	}
}

// construction turns float4(…) and vec<T, 4>(…) into lint_make<…>(…).
func (v *converter) construction(i int) {
	end := i
	if v.is(i+1, "<") {
		if end = v.matchAngle(i + 1); end < 0 {
			return
		}
	}
	start := i
	if v.is(i-1, "::") {
		if !v.is(i-2, "metal") {
			return
		}
		start = i - 2
	}
	if !v.is(end+1, "(") || v.is(start-1, "operator") || v.is(start-1, ".") || v.is(start-1, "->") || v.declaresArray(end+1) {
		return
	}
	v.edit(v.tokens[start].Span.Start, v.tokens[i].Span.Start, "lint_make<")
	v.edit(v.tokens[end].Span.End, v.tokens[end].Span.End, ">")
}

// declaresArray says whether the parenthesis at token i is that of T (&x)[N] or T (*x)[N].
func (v *converter) declaresArray(i int) bool {
	return (v.is(i+1, "&") || v.is(i+1, "*")) && v.isName(i+2) && v.is(i+3, ")") && v.is(i+4, "[")
}

// staticCast turns static_cast<float4>(…) into lint_make<float4>(…).
func (v *converter) staticCast(i int) {
	closing := v.matchAngle(i + 1)
	makes := false
	for j := i + 2; j < closing; j++ {
		if v.is(j, "*") || v.is(j, "&") {
			return
		}
		makes = makes || v.makers[v.tokens[j].Text]
	}
	if makes {
		v.edit(v.tokens[i].Span.Start, v.tokens[i].Span.End, "lint_make")
	}
}

// pointerCast turns (T*)x and (T&)x into reinterpret_cast<T*>(x): C++ lets the former change the address space.
func (v *converter) pointerCast(i int) {
	closing := v.match(i)
	if !v.isPointerCast(i, closing) {
		return
	}
	end := v.operand(closing + 1)
	if end < 0 {
		return
	}
	v.edit(v.tokens[i].Span.Start, v.tokens[i].Span.End, "reinterpret_cast<")
	v.edit(v.tokens[closing].Span.Start, v.tokens[closing].Span.End, ">(")
	v.edit(v.tokens[end].Span.End, v.tokens[end].Span.End, ")")
}

// isPointerCast says whether the parentheses at tokens i and closing hold a pointer's or a reference's type, before
// an operand.
func (v *converter) isPointerCast(i, closing int) bool {
	last := closing - 1
	for v.is(last, "const") {
		last--
	}
	if closing < 0 || last <= i+1 || !v.is(last, "*") && !v.is(last, "&") {
		return false
	}
	if v.isName(i-1) && !slices.Contains([]string{"return", "case", "else"}, v.tokens[i-1].Text) ||
		v.is(i-1, ")") || v.is(i-1, "]") || v.is(i-1, ">") {
		return false // parameters, sizeof
	}
	next := closing + 1
	return v.isName(next) || v.is(next, "(") || v.is(next, "&") || v.is(next, "*") ||
		next < len(v.tokens) && v.tokens[next].Kind == msl.TokenNumber
}

// prefixes are the operators before an operand.
var prefixes = []string{"*", "&", "+", "-", "!", "~"}

// operand returns the last token of the unary expression at token i; -1 where it can't tell.
func (v *converter) operand(i int) int {
	for i < len(v.tokens) && slices.Contains(prefixes, v.tokens[i].Text) {
		i++
	}
	if v.is(i, "(") {
		closing := v.match(i)
		if v.isPointerCast(i, closing) {
			return v.operand(closing + 1)
		}
		i = closing
	}
	for i >= 0 && i < len(v.tokens) {
		switch {
		case v.is(i+1, "(") || v.is(i+1, "["):
			i = v.match(i + 1)
		case v.is(i+1, "<"):
			closing := v.matchAngle(i + 1)
			if closing < 0 || !v.is(closing+1, "(") && !v.is(closing+1, "::") {
				return i
			}
			i = closing
		case v.is(i+1, ".") || v.is(i+1, "->") || v.is(i+1, "::"):
			i += 2
		default:
			return i
		}
	}
	return -1
}

// threadgroupVariables turns the threadgroup variables of a kernel into references to memory, and limits their size
// where they are declared. Those of a block that has ended don't count: their memory may be used again.
func (v *converter) threadgroupVariables(k *msl.Kernel) {
	for i, declared := range k.Variables {
		text := fmt.Sprintf("typedef %s %s_type%s; threadgroup %[2]s_type& %[2]s = lint_memory<%[2]s_type>();",
			alignment.ReplaceAllString(declared.Type, ""), declared.Name, declared.Extents)
		if i > 0 && k.Variables[i-1].Span == declared.Span {
			v.edits[len(v.edits)-1].text += text
		} else {
			v.skip = append(v.skip, declared.Span)
			v.edit(declared.Span.Start, declared.Span.End, text)
		}
		var sizes []string
		for _, other := range k.Variables[:i+1] {
			if v.visible(other.Span.End, declared.Span.Start) {
				sizes = append(sizes, fmt.Sprintf("sizeof(%s)", other.Name))
			}
		}
		v.edits[len(v.edits)-1].text += fmt.Sprintf(" static_assert(%s <= %d, %q); ",
			strings.Join(sizes, " + "), maxThreadgroupBytes, tooMuch)
	}
}

// tooMuch marks the assertion on threadgroup memory among the compiler's complaints.
const tooMuch = "too much threadgroup memory"

// visible says whether the block that is open at byte `from` is still open at byte `to`.
func (v *converter) visible(from, to int) bool {
	depth := 0
	for _, t := range v.tokens {
		switch {
		case t.Span.Start < from || t.Span.Start >= to:
		case t.Text == "{":
			depth++
		case t.Text == "}":
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return true
}
