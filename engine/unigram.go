package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unigram finds the best pieces of a long word as models/unigram/model.rs of the Rust library does, with the same sums in
// the same order, so that ties fall the same way. It takes 5 bytes of memory a byte of text, the library a hundred.
type unigram struct {
	nodes        []trieNode // the root first
	scores       []float64  // by id
	lengths      []int32    // by id, in bytes
	unk          int32
	unknownScore float64 // the score of a character that is no piece
	longest      int     // bytes of a piece, or of a character
}

// trieNode is the end of a prefix that pieces have. Its children are one after another, by label.
type trieNode struct {
	first, children int32
	id              int32 // of the piece that ends here, or -1
	label           byte
}

// unkPenalty is how much less than the worst piece an unknown character scores.
const unkPenalty = 10

// newUnigram reads a model of tokenizer.json. It returns nil for a model of another type, or with features that are not
// implemented here.
func newUnigram(data jsontext.Value) (*unigram, error) {
	var m struct {
		Type         string              `json:"type"`
		Unk          *int32              `json:"unk_id"`
		Vocab        [][2]jsontext.Value `json:"vocab"`
		ByteFallback bool                `json:"byte_fallback"`
	}
	if json.Unmarshal(data, &m) != nil || m.Type != "Unigram" || m.Unk == nil || m.ByteFallback {
		return nil, nil //nolint:nilerr // the library reports the errors of the file
	}
	u := &unigram{unk: *m.Unk, unknownScore: math.Inf(1), longest: utf8.UTFMax}
	ids := make([]int32, len(m.Vocab))
	pieces := make([]string, len(m.Vocab))
	for i, entry := range m.Vocab {
		if err := json.Unmarshal(entry[0], &pieces[i]); err != nil {
			return nil, fmt.Errorf("vocab[%d]: %w", i, err)
		}
		score, err := serdeFloat(string(entry[1]))
		if err != nil {
			return nil, fmt.Errorf("vocab[%d]: %w", i, err)
		}
		u.scores = append(u.scores, score)
		u.unknownScore = min(u.unknownScore, score)
		ids[i] = int32(i)
		u.lengths = append(u.lengths, int32(len(pieces[i])))
		u.longest = max(u.longest, len(pieces[i]))
	}
	u.unknownScore -= unkPenalty
	slices.SortStableFunc(ids, func(a, b int32) int {
		switch {
		case pieces[a] < pieces[b]:
			return -1
		case pieces[a] > pieces[b]:
			return 1
		}
		return 0
	})
	u.build(ids, pieces)
	return u, nil
}

// build makes the nodes of pieces in their order, those nearest to the root first.
func (u *unigram) build(ids []int32, pieces []string) {
	type span struct{ from, to, depth int } // of ids; their pieces share a prefix of depth bytes
	u.nodes = []trieNode{{id: -1}}
	spans := []span{{0, len(ids), 0}}
	for n := 0; n < len(spans); n++ {
		s := spans[n]
		for s.from < s.to && len(pieces[ids[s.from]]) == s.depth {
			u.nodes[n].id = ids[s.from] // of equal pieces the last counts
			s.from++
		}
		u.nodes[n].first = int32(len(u.nodes))
		for s.from < s.to {
			label := pieces[ids[s.from]][s.depth]
			to := s.from + sort.Search(s.to-s.from, func(i int) bool { return pieces[ids[s.from+i]][s.depth] > label })
			u.nodes = append(u.nodes, trieNode{id: -1, label: label})
			spans = append(spans, span{s.from, to, s.depth + 1})
			u.nodes[n].children++
			s.from = to
		}
	}
	u.nodes[0].id = -1
}

// child returns the node that label leads to from n, or -1.
func (u *unigram) child(n int32, label byte) int32 {
	from, to := u.nodes[n].first, u.nodes[n].first+u.nodes[n].children
	for from < to {
		switch m := (from + to) / 2; {
		case u.nodes[m].label == label:
			return m
		case u.nodes[m].label < label:
			from = m + 1
		default:
			to = m
		}
	}
	return -1
}

// find returns the id of a piece that is all of text.
func (u *unigram) find(text []byte) (id int32, ok bool) {
	n := int32(0)
	for i := range text {
		if n = u.child(n, text[i]); n < 0 {
			return 0, false
		}
	}
	return u.nodes[n].id, u.nodes[n].id >= 0
}

// lastPiece is the last piece on the best way to a place of a word: its id, or for a character that is no piece, its bytes,
// negated. At a place that is unreachable no piece ends.
type lastPiece int32

const unreachable lastPiece = math.MinInt32

// isUnknown says whether w is the unknown token.
func (u *unigram) isUnknown(w lastPiece) bool { return w < 0 && w != unreachable || int32(w) == u.unk }

func (u *unigram) length(w lastPiece) int {
	if w < 0 {
		return -int(w)
	}
	return int(u.lengths[w])
}

// search finds the best pieces of a word, which comes in parts. Where no piece crosses a place, the tokens before it are
// final and are settled. The score of a place counts until the search has left the place.
type search struct {
	model       *unigram
	word        []byte      // the part that is not settled
	lastPieces  []lastPiece // by place, one more than word has bytes
	scores      []float64   // a ring, by place: it covers the ends of all pieces that begin at the search's place
	at          int         // the next place to go on from
	reach       int         // the last place that a piece ends at
	ids         []int32     // of the settled part
	endsUnknown bool        // ids end with unknown characters, and more of them may follow
}

// settleBytes is the least part of a word that is settled.
const settleBytes = 4 << 10

// add takes a part of the word. After the last part, add begins another word.
func (s *search) add(part string, last bool) {
	if len(s.lastPieces) == 0 {
		s.lastPieces = append(s.lastPieces, unreachable)
		if s.scores == nil {
			s.scores = make([]float64, s.model.longest+1)
		}
		s.scores[0] = 0
	}
	s.word = append(s.word, part...)
	for range len(part) {
		s.lastPieces = append(s.lastPieces, unreachable)
	}
	for s.at < len(s.word) && (last || len(s.word)-s.at >= s.model.longest) {
		if s.at == s.reach && s.at >= settleBytes && s.maySettle() {
			s.settle()
		}
		s.step()
	}
	if last {
		s.ids = s.back(len(s.word))
		*s = search{model: s.model, ids: s.ids, word: s.word[:0], lastPieces: s.lastPieces[:0], scores: s.scores}
	}
}

// score is that of the best way to a place.
func (s *search) score(place int) *float64 { return &s.scores[place%len(s.scores)] }

// step goes on from one place with every piece that begins there.
func (s *search) step() {
	u, i := s.model, s.at
	_, size := utf8.DecodeRune(s.word[i:])
	score := *s.score(i)
	single := false
	n := int32(0)
	for j := i; j < len(s.word); j++ {
		if n = u.child(n, s.word[j]); n < 0 {
			break
		}
		if id := u.nodes[n].id; id >= 0 {
			s.try(j+1, lastPiece(id), score+u.scores[id])
			single = single || j+1 == i+size
		}
	}
	if !single {
		s.try(i+size, lastPiece(-size), score+u.unknownScore)
	}
	s.at += size
}

func (s *search) try(to int, w lastPiece, score float64) {
	if s.lastPieces[to] == unreachable || score > *s.score(to) {
		s.lastPieces[to] = w
		*s.score(to) = score
	}
	s.reach = max(s.reach, to)
}

// maySettle says whether the tokens before the search's place are final. Unknown characters in a row are one token, which
// may be a piece if they are few.
func (s *search) maySettle() bool {
	u, i := s.model, s.at
	for i > 0 && u.isUnknown(s.lastPieces[i]) && s.at-i <= u.longest {
		i -= u.length(s.lastPieces[i])
	}
	return i == s.at || s.at-i > u.longest || i == 0 && s.endsUnknown
}

// settle appends the tokens before the search's place to ids, and forgets the word up to there.
func (s *search) settle() {
	score := *s.score(s.at)
	s.ids = s.back(s.at)
	s.endsUnknown = s.model.isUnknown(s.lastPieces[s.at])
	s.lastPieces[s.at] = unreachable
	s.word = s.word[:copy(s.word, s.word[s.at:])]
	s.lastPieces = s.lastPieces[:copy(s.lastPieces, s.lastPieces[s.at:])]
	s.at, s.reach = 0, 0
	*s.score(0) = score
}

// back appends the ids of the pieces on the best way to a place. Unknown characters in a row are one token.
func (s *search) back(to int) []int32 {
	u, begin, unknown := s.model, len(s.ids), 0 // unknown is where a run of unknown characters ends
	for i := to; i > 0; {
		w := s.lastPieces[i]
		at := i - u.length(w)
		id := int32(w)
		if u.isUnknown(w) {
			unknown = max(unknown, i)
			if at > 0 && u.isUnknown(s.lastPieces[at]) {
				i = at
				continue
			}
			if at == 0 && s.endsUnknown {
				break // they belong to the token before
			}
			id = u.unk
			if whole, ok := u.find(s.word[at:unknown]); ok {
				id = whole
			}
			unknown = 0
		}
		s.ids = append(s.ids, id)
		i = at
	}
	slices.Reverse(s.ids[begin:])
	return s.ids
}

// serdeFloat reads a number as Rust's serde_json does, so the last bit may differ from that of the nearest float64.
func serdeFloat(text string) (float64, error) {
	var (
		digits   uint64
		exponent int
		point    bool
		full     bool // digits holds no more
	)
	i := 0
	negative := text != "" && text[0] == '-'
	if negative {
		i++
	}
	for ; i < len(text) && text[i] != 'e' && text[i] != 'E'; i++ {
		if text[i] == '.' {
			point = true
			continue
		}
		d := uint64(text[i] - '0')
		if d > 9 {
			return 0, errors.New("a score is not a number")
		}
		full = full || digits > math.MaxUint64/10 || digits == math.MaxUint64/10 && d > math.MaxUint64%10
		switch {
		case !full:
			digits = digits*10 + d
			if point {
				exponent--
			}
		case !point:
			exponent++
		}
	}
	if i < len(text) {
		more, err := strconv.Atoi(text[i+1:])
		if err != nil {
			return 0, errors.New("a score is not a number")
		}
		exponent += more
	}
	f := float64(digits)
	for ; exponent < -308 && f != 0; exponent += 308 {
		f /= 1e308
	}
	if f == 0 {
		return 0, nil
	}
	power, _ := strconv.ParseFloat("1e"+strconv.Itoa(max(exponent, -exponent)), 64) // +Inf is a valid result, too
	if exponent >= 0 {
		f *= power
	} else {
		f /= power
	}
	if negative {
		f = -f
	}
	return f, nil
}
