package dialect

import "slices"

// forbidden are the words of C++ that Metal leaves out (Metal Shading Language Specification, "Restrictions" of "Metal
// and C++"). Derived classes are in that list too, but Apple's compiler takes them, and its own headers have them.
var forbidden = map[string]struct {
	rule    Rule
	message string
}{
	"double":       {Double, "Metal has no double"},
	"double2":      {Double, "Metal has no double"},
	"double3":      {Double, "Metal has no double"},
	"double4":      {Double, "Metal has no double"},
	"new":          {Allocation, "Metal has no dynamic memory: new"},
	"delete":       {Allocation, "Metal has no dynamic memory: delete"},
	"std":          {Library, "Metal has no C++ standard library: std"},
	"goto":         {Feature, "Metal has no goto"},
	"virtual":      {Feature, "Metal has no virtual functions"},
	"try":          {Feature, "Metal has no exceptions: try"},
	"catch":        {Feature, "Metal has no exceptions: catch"},
	"throw":        {Feature, "Metal has no exceptions: throw"},
	"typeid":       {Feature, "Metal has no type information at run time: typeid"},
	"dynamic_cast": {Feature, "Metal has no type information at run time: dynamic_cast"},
	"register":     {Feature, "Metal has no register variables"},
	"thread_local": {Feature, "Metal has no thread_local; the address space is named thread"},
	"asm":          {Feature, "Metal has no inline assembly"},
	"__asm__":      {Feature, "Metal has no inline assembly"},
	"co_await":     {Feature, "Metal has no coroutines"},
	"co_return":    {Feature, "Metal has no coroutines"},
	"co_yield":     {Feature, "Metal has no coroutines"},
	"__int128":     {Feature, "Metal has no integer wider than 64 bits"},
	"wchar_t":      {Feature, "Metal has no wide characters"},
}

// allocators are functions of C that would be dynamic memory if they existed.
var allocators = []string{"malloc", "calloc", "realloc", "free", "alloca"}

// words reports words of C++ that Metal does not have, everywhere: also in templates that are not instantiated.
func (c *checker) words() {
	for i, t := range c.tokens {
		if c.isLambda(i) {
			c.report(t.Span.Start, Feature, "Metal has no lambda expressions before version 3.2")
		}
		word, found := forbidden[t.Text]
		switch {
		case c.is(i-1, ".") || c.is(i-1, "->"): // a member of that name
		case c.is(i, "noexcept") && c.is(i+1, "(") && !c.is(i-1, ")") && !c.isName(i-1): // allowed on a function
			c.report(t.Span.Start, Feature, "Metal has no operator noexcept")
		case slices.Contains(allocators, t.Text) && c.is(i+1, "("):
			c.report(t.Span.Start, Allocation, "Metal has no dynamic memory: %s", t.Text)
		case !found || t.Text == "delete" && c.is(i-1, "="): // a deleted function
		default:
			c.report(t.Span.Start, word.rule, "%s", word.message)
		}
	}
}

// isLambda says whether a lambda begins at token i: brackets where no array and no attribute can be, before a
// parameter list or a body.
func (c *checker) isLambda(i int) bool {
	if !c.is(i, "[") || c.is(i+1, "[") || c.is(i-1, "[") || i == 0 {
		return false
	}
	if c.isName(i-1) && !c.is(i-1, "return") || c.is(i-1, ")") || c.is(i-1, "]") || c.is(i-1, ">") {
		return false
	}
	closing := c.match(i)
	return closing > 0 && (c.is(closing+1, "(") || c.is(closing+1, "{"))
}
