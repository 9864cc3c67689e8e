package httpapi

import "github.com/metalrank/metalrank/engine"

// text-embeddings-inference: a body with `texts` is answered with a bare array, which has every text. Its /predict
// scores pairs, or texts alone, under all labels of the model.

// teiFields are the fields of /rerank.
var teiFields = append(form{
	textsField("texts"),
	flag("return_text", true, func(c *call) *bool { return &c.returnTexts }),
}, teiOptions...)

var teiOptions = form{
	field{"raw_scores", readRawScores},
	field{"truncate", readTruncate},
	side("truncation_direction", map[string]bool{"Left": true, "left": true, "Right": false, "right": false},
		`"Left" or "Right"`),
}

// readTruncate tells true and false from neither. For neither the server decides.
func readTruncate(d *decoder, name string) bool {
	value, is, ok := d.truth(name)
	d.truncation, d.noTruncation = is && value, d.noTruncation || is && !value
	return ok
}

// readRawScores reads a field that Infinity has, too. Infinity accepts more than true and false; see decoder.teiFailure.
func readRawScores(d *decoder, name string) (ok bool) {
	if d.literal("null") {
		return true
	}
	at := d.at
	if d.rawScores, ok = lax(d, laxBool); !ok {
		return d.wrong(name, wantTruth)
	}
	if c := d.text[at]; c != 't' && c != 'f' {
		end := d.at
		d.at = at
		d.wrong(name, wantTruth)
		d.teiFailure, d.failure = d.failure, nil
		d.at = end
	}
	return true
}

// appendTEI appends the array that answers a body with `texts`. It keeps the order of the ranking, by logit: different
// logits may have equal scores.
func appendTEI(w *writer, c *call, ranking *engine.Ranking) {
	w.raw("[")
	for i, result := range ranking.Results {
		if i > 0 {
			w.raw(",")
		}
		w.raw(`{"index":`).integer(result.Index)
		if c.returnTexts {
			w.raw(`,"text":`).string(c.documents.texts[result.Index])
		}
		w.raw(`,"score":`).score(result.Score).raw("}")
	}
	w.raw("]")
}

// predictForm is the body of /predict.
var predictForm = append(form{inputsField, modelField}, teiOptions...)

var inputsField = field{"inputs", readPairs}

const wantPairs = "a string, a pair of strings, or an array of arrays of one or two strings"

// readPairs reads "a", ["a"] or ["a","b"], which is one text or one pair, or [["a","b"],["c"]].
func readPairs(d *decoder, name string) bool {
	if !d.openList(&d.documents, name) {
		return false
	}
	d.queries.name = name
	switch d.next() {
	case '"':
		d.documents.isString = true
		text, ok := d.readText(name, -1, d.limits.textCharacters)
		d.addInput([]string{text})
		return ok
	case '[':
	default:
		return d.wrong(name, wantPairs)
	}
	first := d.at
	d.at++
	kind := d.next()
	d.at = first
	if kind == '"' {
		d.documents.isString = true
		return d.readInput(name, -1, 2)
	}
	return d.array(2, func() bool {
		index := d.documents.entries
		if index >= d.limits.texts {
			d.documents.entries++
			_, ok := d.skip(2)
			return ok
		}
		if d.next() != '[' {
			return d.wrong(entry(name, index), "an array of one or two strings")
		}
		return d.readInput(name, index, 3)
	})
}

// readInput reads an array of one or two strings.
func (d *decoder) readInput(name string, index, depth int) bool {
	var both [2]string
	n := 0
	ok := d.array(depth, func() bool {
		if d.next() != '"' {
			return d.wrong(entry(entry(name, index), n), "a string")
		}
		text, ok := d.readText(name, index, d.limits.textCharacters)
		if n < len(both) {
			both[n] = text
		}
		n++
		return ok
	})
	if ok && (n < 1 || n > len(both)) {
		return d.refuse("`%s` has %d strings, want 1 or 2", entry(name, index), n)
	}
	if ok {
		d.addInput(both[:n])
	}
	return ok
}

// addInput adds a text alone, or a pair.
func (d *decoder) addInput(texts []string) {
	d.documents.entries++
	d.queries.entries++
	if len(texts) == 2 {
		d.queries.texts = append(d.queries.texts, texts[0])
		d.documents.texts = append(d.documents.texts, texts[1])
		return
	}
	for len(d.noQuery) < len(d.documents.texts) {
		d.noQuery = append(d.noQuery, false)
	}
	d.noQuery = append(d.noQuery, true)
	d.queries.texts = append(d.queries.texts, "")
	d.documents.texts = append(d.documents.texts, texts[0])
}

// appendPredict appends the labels of each pair or text, the likeliest first.
func appendPredict(w *writer, c *call, scores *engine.Scores) {
	if c.documents.isString {
		w.labels(scores, 0)
		return
	}
	w.raw("[")
	for i := range c.documents.texts {
		if i > 0 {
			w.raw(",")
		}
		w.labels(scores, i)
	}
	w.raw("]")
}

// labels appends the scores of pair i, best first; labels with equal scores keep their order.
func (w *writer) labels(scores *engine.Scores, i int) {
	row := scores.Row(i)
	order := descending(row)
	w.raw("[")
	for n, label := range order {
		if n > 0 {
			w.raw(",")
		}
		w.raw(`{"score":`).score(row[label]).raw(`,"label":`).string(scores.Labels[label]).raw("}")
	}
	w.raw("]")
}
