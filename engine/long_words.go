package engine

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/daulet/tokenizers"
)

// A page of Chinese is one word of a SentencePiece tokenizer, and its best pieces depend on all of it: they are found
// here. What the normaliser makes of it is asked of the library, a cluster at a time: a cluster is what no grapheme and no
// composition reaches out of, as a rule a character.

// longWords encodes stretches without a place to cut, of a Unigram model behind Metaspace.
type longWords struct {
	model  *unigram
	splits bool   // WhitespaceSplit comes first, so that white space is not kept
	prefix string // what comes before a word that has no white space before it: ▁
	letter string // what becomes of "a"
}

const metaspace = "▁"

// newLongWords returns nil for other tokenizers.
func newLongWords(preTokenizers []stage, model *unigram, tokens func(string) []string) *longWords {
	n := len(preTokenizers)
	if model == nil || n == 0 || n > 2 || preTokenizers[n-1].Type != "Metaspace" || n == 2 && preTokenizers[0].Type != "WhitespaceSplit" {
		return nil
	}
	if scheme := preTokenizers[n-1].PrependScheme; scheme != "always" && scheme != "" || !orTrue(preTokenizers[n-1].AddPrefixSpace) {
		return nil
	}
	w := &longWords{model: model, splits: n == 2, prefix: metaspace}
	var ok bool
	w.letter, ok = strings.CutPrefix(strings.Join(tokens("a"), ""), metaspace)
	if !ok || w.letter == "" || strings.Contains(w.letter, metaspace) {
		return nil
	}
	return w
}

// errNotClusters says that a stretch can't be taken apart.
var errNotClusters = &StretchError{}

// encodeLongWords returns the token ids of a stretch, or at least the first need of them.
func (t *tokenizer) encodeLongWords(ctx context.Context, who *caller, text string, need int) (ids []int32, whole bool, err error) {
	if t.long.splits {
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	}
	n, err := t.newNormal(text)
	if err != nil {
		return nil, false, err
	}
	s := search{model: t.long.model}
	for {
		part, last, err := n.next(ctx, t, who)
		if err == nil {
			err = t.turns.wait(ctx, who, len(part))
		}
		if err != nil {
			return nil, false, err
		}
		if strings.HasPrefix(part, metaspace) {
			s.add("", true)
		}
		for part != "" {
			i := strings.Index(part[1:], metaspace) + 1 // where the next word begins
			if i == 0 {
				s.add(part, last)
				break
			}
			s.add(part[:i], true)
			part = part[i:]
		}
		t.turns.done(who)
		if last || len(s.ids) >= need {
			return s.ids, last, nil
		}
	}
}

// maxKnown is how many clusters are remembered: more than there are characters in any one script.
const maxKnown = 1 << 16

// normal reads a stretch as the model gets it, with ▁ for white space.
type normal struct {
	text  string // what is left
	begun bool
	known map[string]string // clusters
	added []string          // tokens that the library would find in the normal form
	held  string            // the end of the normal form so far, where one of them may begin
	hold  int               // how much that is
}

func (t *tokenizer) newNormal(text string) (*normal, error) {
	for i := range t.cuts.added {
		if strings.Contains(text, t.cuts.added[i].Content) {
			return nil, errNotClusters
		}
	}
	last, _ := utf8.DecodeLastRuneInString(text)
	if text == "" || strings.Contains(text, metaspace) || unicode.IsSpace(last) {
		return nil, errNotClusters
	}
	n := &normal{text: text, known: map[string]string{}}
	for i := range t.cuts.added {
		if t.cuts.added[i].Normalized {
			n.added = append(n.added, t.cuts.added[i].Content)
			n.hold = max(n.hold, len(t.cuts.added[i].Content)-1)
		}
	}
	return n, nil
}

// next returns another part.
func (n *normal) next(ctx context.Context, t *tokenizer, who *caller) (part string, last bool, err error) {
	var out strings.Builder
	if first, _ := utf8.DecodeRuneInString(n.text); !n.begun && !unicode.IsSpace(first) {
		out.WriteString(t.long.prefix)
	}
	n.begun = true
	for n.text != "" && out.Len() < maxPieceBytes {
		cluster := n.text[:clusterBytes(n.text)]
		normal, ok := n.known[cluster]
		if !ok {
			if normal, err = t.normalCluster(ctx, who, cluster); err != nil {
				return "", false, err
			}
			if len(n.known) >= maxKnown {
				clear(n.known)
			}
			n.known[cluster] = normal
		}
		out.WriteString(normal)
		n.text = n.text[len(cluster):]
	}
	part, last, n.held = n.held+out.String(), n.text == "", ""
	for _, token := range n.added {
		if strings.Contains(part, token) {
			return "", false, errNotClusters
		}
	}
	if !last {
		i := max(0, len(part)-n.hold)
		for i > 0 && i < len(part) && !utf8.RuneStart(part[i]) {
			i--
		}
		part, n.held = part[:i], part[i:]
	}
	return part, last, nil
}

// normalCluster asks the library, between two letters, so that nothing is put before it or stripped.
func (t *tokenizer) normalCluster(ctx context.Context, who *caller, cluster string) (string, error) {
	if len(cluster) > maxPieceBytes {
		return "", errNotClusters
	}
	encoding, err := t.encodeWith(ctx, who, "a"+cluster+"a", false, tokenizers.WithReturnTokens())
	if err != nil {
		return "", err
	}
	normal, ok := strings.CutPrefix(strings.Join(encoding.Tokens, ""), t.long.prefix+t.long.letter)
	if !ok || !strings.HasSuffix(normal, t.long.letter) {
		return "", errNotClusters
	}
	return strings.TrimSuffix(normal, t.long.letter), nil
}

// clusterBytes is how long the first cluster of text is.
func clusterBytes(text string) int {
	a, n := utf8.DecodeRuneInString(text)
	for n < len(text) {
		b, size := utf8.DecodeRuneInString(text[n:])
		if standsAlone(b) && (standsAlone(a) || unicode.IsMark(a)) && !(unicode.IsSpace(a) && unicode.IsSpace(b)) {
			return n
		}
		a, n = b, n+size
	}
	return n
}

// standsAlone says whether a character always begins a grapheme after another of them, or after a mark, and composes with
// nothing before it. White space comes in runs.
func standsAlone(r rune) bool {
	switch {
	case r < 0x80:
		return r >= ' ' && r != 0x7f || r == '\t' || r == '\n' || r == '\r'
	case r <= 0x52f: // Latin, Greek, Cyrillic; the marks between them not
		return unicode.IsLetter(r)
	case r >= 0x5d0 && r <= 0x5ea, r >= 0x620 && r <= 0x64a, // Hebrew, Arabic
		r >= 0xe01 && r <= 0xe30, r >= 0xe40 && r <= 0xe44, // Thai, without marks and SARA AM
		r >= 0x3001 && r <= 0x3029, r >= 0x3041 && r <= 0x3096, r >= 0x30a1 && r <= 0x30fa, r == 0x30fc, r == 0x3000,
		r >= 0x3400 && r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3, r >= 0xff01 && r <= 0xff9d,
		r >= 0x1f300 && r <= 0x1f3fa, r >= 0x1f400 && r <= 0x1faff, // emoji without modifiers
		r >= 0x20000 && r <= 0x2fa1f:
		return true
	}
	return false
}
