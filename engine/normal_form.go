package engine

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxKnown is how many clusters are remembered: more than there are characters in any one script.
const maxKnown = 1 << 16

// normal reads a stretch as the model gets it, with ▁ for white space.
type normal struct {
	text        string            // not read yet
	inCluster   bool              // it begins in a cluster
	known       map[string]string // clusters
	clusterForm []byte            // the normal form of a cluster
	out         []byte            // the normal form that is not returned yet
	spaces      int               // pending ▁, which are written if text follows
	begun       bool              // text came before them
	endsInSpace bool              // that text ends in white space that is no ▁
	added       []string          // tokens that the library would find in the normal form
	heldBack    int               // bytes at the end of out in which one of added may begin
}

func (t *tokenizer) newNormal(text string) (*normal, error) {
	for i := range t.cuts.added {
		if strings.Contains(text, t.cuts.added[i].Content) {
			return nil, errNotClusters
		}
	}
	if strings.Contains(text, metaspace) {
		return nil, errNotClusters
	}
	for _, r := range t.long.replaced {
		text = strings.ReplaceAll(text, r.literal(), r.Content)
	}
	n := &normal{text: text, known: map[string]string{}}
	for i := range t.cuts.added {
		if t.cuts.added[i].Normalized {
			n.added = append(n.added, t.cuts.added[i].Content)
			n.heldBack = max(n.heldBack, len(t.cuts.added[i].Content)-1)
		}
	}
	return n, nil
}

// next returns the next part of the normal form.
func (n *normal) next(ctx context.Context, t *tokenizer, c *caller) (part string, last bool, err error) {
	w := t.long
	for left := len(n.text); n.text != "" && len(n.out) < maxPieceBytes+n.heldBack && left-len(n.text) < lookBytes; {
		size, ends := clusterBytes(n.text, w.charsmap != nil)
		cluster := n.text[:size]
		switch {
		case w.charsmap != nil && n.mapCluster(w, cluster, ends):
		case w.charsmap == nil && strings.Trim(cluster, " ") == "":
			n.addSpaces(w, size)
		case n.inCluster, !ends, size > maxPieceBytes, w.charsmap != nil && w.barrier == "" && !beginsAlone(cluster):
			return "", false, errNotClusters
		default:
			normal, ok := n.known[cluster]
			if !ok {
				if normal, err = t.normalCluster(ctx, c, cluster); err != nil {
					return "", false, err
				}
				if len(n.known) >= maxKnown {
					clear(n.known)
				}
				n.known[cluster] = normal
			}
			if w.joins && !w.splits && w.charsmap == nil && n.spaces > 0 && (normal == "" || strings.HasPrefix(normal, metaspace)) {
				return "", false, errNotClusters // the normaliser may have joined spaces before it made these
			}
			n.add(w, normal)
		}
		n.inCluster = !ends
		n.text = n.text[size:]
	}
	if last = n.text == ""; last {
		if err := n.end(w); err != nil {
			return "", false, err
		}
	}
	for _, token := range n.added {
		if strings.Contains(string(n.out), token) {
			return "", false, errNotClusters
		}
	}
	i := len(n.out)
	if !last {
		i = max(0, i-n.heldBack)
		for i > 0 && i < len(n.out) && !utf8.RuneStart(n.out[i]) {
			i--
		}
	}
	part = string(n.out[:i])
	n.out = n.out[:copy(n.out, n.out[i:])]
	return part, last, nil
}

// add appends the normal form of a cluster.
func (n *normal) add(w *longWordEncoder, text string) {
	for text != "" {
		if rest, ok := strings.CutPrefix(text, metaspace); ok {
			n.addSpaces(w, 1)
			text = rest
			continue
		}
		i := strings.Index(text, metaspace)
		if i < 0 {
			i = len(text)
		}
		if !n.begun && n.spaces == 0 {
			n.out = append(n.out, w.prefix...)
		}
		for ; n.spaces > 0; n.spaces-- {
			n.out = append(n.out, metaspace...)
		}
		n.begun = true
		n.out = append(n.out, text[:i]...)
		r, _ := utf8.DecodeLastRuneInString(text[:i])
		n.endsInSpace = unicode.IsSpace(r)
		text = text[i:]
	}
}

func (n *normal) addSpaces(w *longWordEncoder, more int) {
	if n.spaces += more; w.joins {
		n.spaces = 1
	}
}

// end appends the spaces at the end of the text, if they are kept.
func (n *normal) end(w *longWordEncoder) error {
	switch {
	case n.endsInSpace && w.last != lastKept, n.spaces > 0 && w.last == lastUnclear:
		return errNotClusters
	case w.last == lastKept:
		n.out = append(n.out, strings.Repeat(metaspace, n.spaces)...)
	}
	n.spaces = 0
	return nil
}

// mapCluster adds a cluster, or a part of one, by the charsmap. It adds nothing and returns false if the result depends on
// grapheme bounds that are unclear. The library looks a short grapheme up whole, and takes the first entry at its beginning. So
// the bounds matter only at a character that begins an entry, unless that character certainly is or ends a grapheme.
func (n *normal) mapCluster(w *longWordEncoder, cluster string, ends bool) bool {
	n.clusterForm = n.clusterForm[:0]
	for i, r := range cluster {
		size := utf8.RuneLen(r)
		bytes, normal, ok := w.charsmap.find(n.text[i:min(i+graphemeBytes, len(n.text))])
		if !ok {
			return false
		}
		if bytes == 0 {
			n.clusterForm = w.appendRune(n.clusterForm, r)
			continue
		}
		first := i == 0 && !n.inCluster
		grapheme := size + extension(n.text[i+size:])
		switch {
		case strings.Contains(normal, metaspace):
			return false
		case grapheme > graphemeBytes, !first && extends(r), ends && i+size == len(cluster): // it is looked up alone
			if bytes > size {
				normal = cluster[i : i+size]
			}
		case first && ends && grapheme == len(cluster):
			if bytes > grapheme {
				return false
			}
			n.clusterForm = w.appendText(n.clusterForm, normal)
			n.add(w, string(n.clusterForm))
			return true
		default:
			return false
		}
		n.clusterForm = w.appendText(n.clusterForm, normal)
	}
	n.add(w, string(n.clusterForm))
	return true
}

// appendText appends a part of a charsmap's normal form as the pre-tokeniser has it.
func (w *longWordEncoder) appendText(out []byte, text string) []byte {
	for _, r := range text {
		out = w.appendRune(out, r)
	}
	return out
}

// appendRune appends a character of a charsmap's normal form as the pre-tokeniser has it.
func (w *longWordEncoder) appendRune(out []byte, r rune) []byte {
	if r == ' ' || w.splits && unicode.IsSpace(r) {
		return append(out, metaspace...)
	}
	return utf8.AppendRune(out, r)
}

// normalCluster asks the library for a cluster's normal form. The cluster is between two letters, so that nothing is put
// before it or stripped.
func (t *tokenizer) normalCluster(ctx context.Context, c *caller, cluster string) (string, error) {
	encoding, err := t.encodeWith(ctx, c, "a"+t.long.barrier+cluster+t.long.barrier+"a", withTexts)
	if err != nil {
		return "", err
	}
	normal, ok := strings.CutPrefix(strings.Join(encoding.texts, ""), t.long.prefix+t.long.letter)
	if !ok || !strings.HasSuffix(normal, t.long.letter) {
		return "", errNotClusters
	}
	return strings.TrimSuffix(normal, t.long.letter), nil
}
