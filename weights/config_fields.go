package weights

import (
	"cmp"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// fields reads values out of a JSON object and keeps the first error, so that a list of reads needs one check.
// After an error, reads return defaults. A null counts as absent, as in transformers' optional fields.
type fields struct {
	file   string
	path   string // of the object within the file: "" or "sentence_transformers."
	values map[string]jsontext.Value
	err    error
}

// get returns a value that is there and not null.
func (f *fields) get(key string) (jsontext.Value, bool) {
	v, ok := f.values[key]
	return v, ok && v.Kind() != 'n' && f.err == nil
}

func (f *fields) has(key string) bool { _, ok := f.get(key); return ok }

func (f *fields) isNull(key string) bool { v, ok := f.values[key]; return ok && v.Kind() == 'n' }

// notNull refuses a null of which versions of a library make different values.
func (f *fields) notNull(key, want string) {
	if f.isNull(key) {
		f.fail(key, f.values[key], want)
	}
}

// fail records a value and its wanted form as the error, unless something failed before.
func (f *fields) fail(key string, got jsontext.Value, want string) {
	if f.err == nil {
		f.err = invalidf("%s: %s%s: %s, want %s", f.file, f.path, key, shorten(string(got)), want)
	}
}

// whole reads a whole number from 1 to largest. 12.0 and 1e3 are floats to Python, and refused there as well.
func (f *fields) whole(key string, absent, largest int) int {
	return f.wholeFrom(key, absent, 1, largest)
}

// wholeFrom is whole from smallest on.
func (f *fields) wholeFrom(key string, absent, smallest, largest int) int {
	v, ok := f.get(key)
	if !ok {
		return absent
	}
	n, err := strconv.Atoi(string(v))
	if v.Kind() != '0' || err != nil || n < smallest || n > largest {
		f.fail(key, v, "a whole number from "+strconv.Itoa(smallest)+" to "+strconv.Itoa(largest))
		return absent
	}
	return n
}

// epsilon reads a number above 0 and at most 1.
func (f *fields) epsilon(key string, absent float64) float64 {
	v, ok := f.get(key)
	if !ok {
		return absent
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if v.Kind() != '0' || err != nil || math.IsNaN(x) || x <= 0 || x > 1 {
		f.fail(key, v, "a number above 0, at most 1")
		return absent
	}
	return x
}

// text reads a string. Unmarshal undoes its escapes.
func (f *fields) text(key, absent string) string {
	v, ok := f.get(key)
	if !ok {
		return absent
	}
	s := absent
	if v.Kind() != '"' || json.Unmarshal(v, &s) != nil {
		f.fail(key, v, "a string")
	}
	return s
}

// flag reads a boolean that is false when absent, as all of BertConfig's that matter here are.
func (f *fields) flag(key string) bool {
	v, ok := f.get(key)
	if ok && v.Kind() != 't' && v.Kind() != 'f' {
		f.fail(key, v, "true or false")
	}
	return ok && v.Kind() == 't'
}

// firstString reads the first of an array of strings; "" if there is none.
func (f *fields) firstString(key string) string {
	v, ok := f.get(key)
	if !ok {
		return ""
	}
	var all []string
	if v.Kind() != '[' || json.Unmarshal(v, &all) != nil {
		f.fail(key, v, "an array of strings")
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// object returns the fields of a nested object, or none if it is absent. The result keeps the errors of its own reads.
func (f *fields) object(key string) *fields {
	nested := &fields{file: f.file, path: f.path + key + "."}
	v, ok := f.get(key)
	if ok && (v.Kind() != '{' || json.Unmarshal(v, &nested.values) != nil) {
		f.fail(key, v, "an object")
	}
	return nested
}

// activation reads the name of a function; one that is not implemented is [ErrUnsupported].
func (f *fields) activation(key string, absent Activation) Activation {
	name := f.text(key, absent.String())
	a, ok := parseActivation(name)
	if !ok && f.err == nil {
		f.err = unsupportedf("%s: %s: %s, want one of: %s", f.file, key, quote(name), activationNames())
	}
	return a
}

// labels reads id2label, {"0": "no", "1": "yes"}. Without it, or if num_labels is another number, there are num_labels
// of them, called LABEL_0, LABEL_1, ...; 2 if both are absent (PreTrainedConfig.__post_init__ in transformers 5.24.0).
func (f *fields) labels() []string {
	if !f.has("id2label") {
		return numberedLabels(f.whole("num_labels", 2, maxLabels))
	}
	byID := f.object("id2label")
	n := len(byID.values)
	if f.err != nil || n == 0 || n > maxLabels {
		f.fail("id2label", f.values["id2label"], "1 to "+strconv.Itoa(maxLabels)+" labels")
		return nil
	}
	labels := make([]string, n)
	for i := range labels {
		v, ok := byID.values[strconv.Itoa(i)]
		if !ok {
			f.fail("id2label", f.values["id2label"], "the keys 0 to "+strconv.Itoa(n-1))
			return nil
		}
		labels[i] = byID.label(strconv.Itoa(i), v)
	}
	if f.err = cmp.Or(f.err, byID.err); f.whole("num_labels", n, maxLabels) != n {
		return numberedLabels(f.whole("num_labels", n, maxLabels))
	}
	return labels
}

func numberedLabels(n int) []string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = "LABEL_" + strconv.Itoa(i)
	}
	return labels
}

// label reads the name of a label. Some checkpoints have numbers for names; their digits serve.
func (f *fields) label(key string, v jsontext.Value) string {
	if v.Kind() == '0' {
		return shorten(string(v))
	}
	if v.Kind() != '"' {
		f.fail(key, v, "a string")
		return ""
	}
	return f.text(key, "")
}
