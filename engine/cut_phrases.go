package engine

import "unicode"

// The expressions of Qwen2 and of Llama 3, which are GPT-4's: \p{N}{1,3} instead of \p{N} is all that they differ in.
const (
	qwenExpression = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
	llamaExpression = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitsPhrases says whether pre-tokenisers split by one of these expressions and then only map bytes.
func splitsPhrases(preTokenizers []stage) bool {
	if len(preTokenizers) != 2 {
		return false
	}
	split, bytes := &preTokenizers[0], &preTokenizers[1]
	return split.Type == "Split" && (split.expression() == qwenExpression || split.expression() == llamaExpression) &&
		split.Behavior == "Isolated" && !split.Invert &&
		bytes.Type == "ByteLevel" && !orTrue(bytes.UseRegex) && !orTrue(bytes.AddPrefixSpace)
}

// phrasesDiffer says whether the expression ends a match between a and b whatever is before a and after b, and the text
// after a has no effect on matches before. White space other than a new line may belong to the match after it, and looks at
// it. Letters take the sign before them, and signs the new lines after them. A mark may become one character with a
// letter before it.
func (c *cutter) phrasesDiffer(a, b rune) bool {
	before, after := classOf(a), classOf(b)
	if before == classUnknown || after == classUnknown || after == classMark {
		return false
	}
	switch before {
	case classLetter:
		return after != classLetter
	case classNumber:
		return after != classNumber || c.digits
	case classRest, classMark:
		return after == classNumber || after == classSpace && !isNewLine(b)
	case classSpace:
		return isNewLine(a) && after != classSpace
	}
	return false
}

func isNewLine(r rune) bool { return r == '\n' || r == '\r' }

// splitsLines says whether a stretch has white space behind a new line. A window that ends there sees two words in it, and a
// longer one that has another new line sees one.
func splitsLines(text string) bool {
	before := rune(0)
	for _, r := range text {
		if isNewLine(before) && unicode.IsSpace(r) && !isNewLine(r) {
			return true
		}
		before = r
	}
	return false
}
